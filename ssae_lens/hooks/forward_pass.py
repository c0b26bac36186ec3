"""Forward passes: the tokens that a model reads in each, their positions in the text, and which of them are generated.

A hook sees only activations of shape (batch, pos, d_model). With a KV cache it sees the prompt once and then one token at a
time; without, the whole text at each step; and padding looks like any token. `watch` tracks a model's passes, so that a hook
can get the `Pass` that it runs in.

Watching adds PyTorch pre-hooks (on the embedding and some blocks of a HookedTransformer, on the model inside a
TransformerBridge) and wraps the model's methods that generate. When the last watcher leaves, all of it is removed.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, wraps
from inspect import isgeneratorfunction
from typing import Any

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ssae_lens.models.identity import is_bridge

UNKNOWN = -1
_KEY = "_ssae_lens_watch"
GENERATING = ("generate", "generate_stream", "hf_generate")


@dataclass(eq=False)
class Pass:
    """One forward pass: each row's text so far, and which part of it this pass reads.

    Attributes
    ----------
    tokens
        The text so far, padding included; `UNKNOWN` where the model was given activations or a cache instead of tokens.
    real
        Mask of the tokens that are not padding.
    past
        Number of columns read before, which are in the cache.
    prompt
        Number of columns of the prompt; later ones are generated.
    open_ended
        Whether more tokens may follow: the pass fills a cache, or belongs to a generation.
    """

    tokens: Int[Tensor, "batch total"]
    real: Bool[Tensor, "batch total"]
    past: int
    prompt: int
    open_ended: bool

    @cached_property
    def real_now(self) -> Bool[Tensor, "batch pos"]:
        """Mask of the tokens of this pass that are not padding."""
        return self.real[:, self.past :]

    @cached_property
    def index(self) -> Int[Tensor, "batch pos"]:
        """Position of each token of this pass in its own text, padding not counted."""
        return (self.real.long().cumsum(1) - 1)[:, self.past :]

    @cached_property
    def prompt_lengths(self) -> Int[Tensor, "batch"]:
        """Number of tokens of each row's prompt, padding not counted."""
        return self.real[:, : self.prompt].sum(1)

    @cached_property
    def generated(self) -> Bool[Tensor, "pos"]:
        """Mask of the columns of this pass that are generated."""
        return torch.arange(self.past, self.real.shape[1], device=self.real.device) >= self.prompt


class Watch:
    """Tracks the passes of one model; `current` is the running or the last one."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.current: Pass | None = None
        self._generating = 0
        self._embedded: Tensor | None = None
        self._mask: Tensor | None = None
        self._users = 0
        self._blocks: set[int] = set()
        self._undo: list[Callable[[], object]] = []

    def pass_of(self, activations: Tensor) -> Pass:
        """Return the pass that activations of shape (batch, pos, …) belong to."""
        batch, read = activations.shape[:2]
        current = self.current
        if current is not None and (current.real.shape[0], current.real.shape[1] - current.past) == (batch, read):
            return current
        # A block that was called directly.
        tokens = torch.full((batch, read), UNKNOWN, device=activations.device)
        return Pass(tokens, torch.ones_like(tokens, dtype=torch.bool), past=0, prompt=read, open_ended=True)

    def _saw_embedding(self, _module: Any, args: tuple[Any, ...]) -> None:
        self._embedded = args[0] if args and isinstance(args[0], Tensor) else None
        self._mask = None

    def _saw_block(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pre-hook of a HookedTransformer's block; the first block of a pass that runs begins the `Pass`."""
        cache, mask = kwargs.get("past_kv_cache_entry"), kwargs.get("attention_mask")
        batch, read = args[0].shape[:2]
        # A block gets its own part of the cache, before it adds to it.
        past = cache.past_keys.shape[1] if cache is not None else 0
        embedded, self._embedded = self._embedded, None
        if embedded is None and mask is self._mask and self.current is not None:
            now = self.current
            if (now.real.shape, now.past) == ((batch, past + read), past):
                return  # a later block of the same pass
        self._mask = mask
        self._begin(embedded, args[0], past, mask, cached=cache is not None)

    def _saw_call(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Pre-hook of the model inside a TransformerBridge."""
        tokens = args[0] if args else kwargs.get("input_ids")
        inputs = tokens if tokens is not None else kwargs.get("inputs_embeds")
        if inputs is None:
            return
        cache = kwargs.get("past_key_values")
        past = int(cache.get_seq_length()) if cache is not None else 0
        cached = cache is not None or bool(kwargs.get("use_cache"))
        self._begin(tokens, inputs, past, kwargs.get("attention_mask"), cached=cached)

    def _begin(self, embedded: Tensor | None, inputs: Tensor, past: int, mask: Tensor | None, *, cached: bool) -> None:
        batch, read = inputs.shape[:2]
        total = past + read
        before = self.current
        tokens = self._text(embedded, batch, total, inputs.device)
        if mask is not None and tuple(mask.shape) == (batch, total):
            real = mask.bool().to(tokens.device)
        elif past and before is not None and tuple(before.real.shape) == (batch, past):
            real = torch.cat([before.real, before.real.new_ones(batch, read)], dim=1)
        else:
            real = _not_padding(self.model.tokenizer, tokens)
        if past == 0 and (not self._generating or before is None):
            prompt = total
        else:
            # Text read after a filled cache is generated, by `generate` or by the user's own loop.
            prompt = min(before.prompt, total) if before is not None else past
            prompt = prompt if self._generating else min(prompt, past)
        self.current = Pass(tokens, real, past, prompt, open_ended=cached or self._generating > 0)

    def _text(self, embedded: Tensor | None, batch: int, total: int, device: torch.device) -> Tensor:
        """Return the text so far: the tokens embedded now, after those of the earlier passes."""
        if embedded is None or embedded.ndim != 2 or embedded.shape[0] != batch or embedded.shape[1] > total:
            embedded = torch.empty((batch, 0), dtype=torch.long, device=device)
        # HookedTransformer.generate embeds each token once, even if it reads the whole text again.
        missing = total - embedded.shape[1]
        known = self.current.tokens if missing and self.current is not None else embedded[:, :0]
        if tuple(known.shape) != (batch, missing):
            known = embedded.new_full((batch, missing), UNKNOWN)
        return torch.cat([known.to(embedded.device), embedded], dim=1)

    def _install(self) -> None:
        if is_bridge(self.model):
            handle = self.model.original_model.register_forward_pre_hook(self._saw_call, with_kwargs=True)
        else:
            handle = self.model.embed.register_forward_pre_hook(self._saw_embedding)
        self._undo = [handle.remove]
        attributes = vars(self.model)
        for name in GENERATING:
            if hasattr(self.model, name):
                method = getattr(self.model, name)
                attributes[name] = self._wrapped(method)
                self._undo.append(lambda name=name: attributes.pop(name, None))

    def _watch_blocks(self, layers: Iterable[int]) -> None:
        """Add pre-hooks to the first block of a HookedTransformer and to `layers`, since a pass may start there."""
        if is_bridge(self.model):
            return
        for layer in {0, *layers} - self._blocks:
            block = self.model.blocks[layer]
            self._undo.append(block.register_forward_pre_hook(self._saw_block, with_kwargs=True).remove)
            self._blocks.add(layer)

    def _wrapped(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method that also tracks when it begins and ends to generate."""

        @wraps(method)
        def method_with_tracking(*args: Any, **kwargs: Any) -> Any:
            with self._generation():
                return method(*args, **kwargs)

        @wraps(method)
        def generator_with_tracking(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with self._generation():
                yield from method(*args, **kwargs)

        is_generator = isgeneratorfunction(getattr(method, "__wrapped__", method))
        return generator_with_tracking if is_generator else method_with_tracking

    @contextmanager
    def _generation(self) -> Iterator[None]:
        self.current = None
        self._generating += 1
        try:
            yield
        finally:
            self._generating -= 1


def watch(model: Any, layers: Iterable[int]) -> Watch:
    """Return the model's watch, started if there is none; every call must be followed by one of `unwatch`.

    `layers` are the blocks whose hooks will ask for the pass. Other blocks get no pre-hook: a call in every block at every
    step would slow down a small model.
    """
    # Kept in the model's attributes, so that the watch does not keep the model alive.
    attributes = vars(model)
    if _KEY not in attributes:
        attributes[_KEY] = Watch(model)
        attributes[_KEY]._install()
    current: Watch = attributes[_KEY]
    current._watch_blocks(layers)
    current._users += 1
    return current


def unwatch(model: Any) -> None:
    """Stop watching a model; the last call removes everything that `watch` added."""
    current: Watch = vars(model)[_KEY]
    current._users -= 1
    if not current._users:
        del vars(model)[_KEY]
        for undo in current._undo:
            undo()


def _not_padding(tokenizer: Any, tokens: Tensor) -> Tensor:
    """Return the mask of the tokens that are not padding, for texts without an attention mask.

    Padding makes a row as long as the longest row, which has none. So a pad token (often also the BOS or EOS) counts as text
    as far as every row has it.
    """
    pad = getattr(tokenizer, "pad_token_id", None)
    if pad is None or len(tokens) == 1:
        return torch.ones_like(tokens, dtype=torch.bool)
    left = tokenizer.padding_side == "left"
    is_pad = (tokens if left else tokens.flip(1)) == pad
    run = is_pad.long().cumprod(1)
    lengths = run.sum(1, keepdim=True)
    real = (run == 0) | (run.cumsum(1) > lengths - lengths.min())
    real = real if left else real.flip(1)
    if not left:
        real[:, 0] = True  # even an empty text keeps its first token
    return real
