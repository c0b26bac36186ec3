"""What a model is reading: the tokens of each forward pass, where each stands in its own text, and what is generated.

A hook sees activations of shape (batch, pos, d_model) and nothing else. With a cache of keys and values it sees a prompt
once and then one token at a time; without, the whole text again at each step; and padding looks like any token. `watch`
follows a model's passes so that hooks can ask for the `Pass` that they are part of.

A watched model is told apart only by PyTorch hooks on modules (the embedding and the blocks of a HookedTransformer, the
model inside a TransformerBridge), which see what goes in, and by its generating methods, which say when they begin and
end. When the last watcher leaves, all of that is taken away.
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

UNKNOWN = -1
_KEY = "_ssae_lens_watch"
GENERATING = ("generate", "generate_stream", "hf_generate")


@dataclass(eq=False)
class Pass:
    """One forward pass: the text so far of each row of a batch, and how much of it is read now.

    Attributes
    ----------
    tokens
        The text so far, padding included; `UNKNOWN` where the model was given activations or a cache in place of tokens.
    real
        Which of these are not padding.
    past
        How many columns were read before, and are in the cache.
    prompt
        How many columns are the prompt; those after it are generated.
    open_ended
        Whether more may follow: the pass fills a cache, or belongs to a generation.
    """

    tokens: Int[Tensor, "batch total"]
    real: Bool[Tensor, "batch total"]
    past: int
    prompt: int
    open_ended: bool

    @cached_property
    def real_now(self) -> Bool[Tensor, "batch pos"]:
        """Which tokens of this pass are not padding."""
        return self.real[:, self.past :]

    @cached_property
    def index(self) -> Int[Tensor, "batch pos"]:
        """Where each token of this pass stands in its own text, padding not counted."""
        return (self.real.long().cumsum(1) - 1)[:, self.past :]

    @cached_property
    def prompt_lengths(self) -> Int[Tensor, "batch"]:
        """How many tokens each row's prompt has, padding not counted."""
        return self.real[:, : self.prompt].sum(1)

    @cached_property
    def generated(self) -> Bool[Tensor, "pos"]:
        """Which columns of this pass are generated."""
        return torch.arange(self.past, self.real.shape[1], device=self.real.device) >= self.prompt


class Watch:
    """Follows the passes of one model; `current` is the one under way, or the last."""

    def __init__(self, model: Any) -> None:
        self.model = model
        self.current: Pass | None = None
        self._generating = 0
        self._entered: Tensor | None = None
        self._mask: Tensor | None = None
        self._users = 0
        self._blocks: set[int] = set()
        self._undo: list[Callable[[], object]] = []

    def pass_of(self, activations: Tensor) -> Pass:
        """Return the pass that activations of shape (batch, pos, …) are part of."""
        batch, read = activations.shape[:2]
        current = self.current
        if current is not None and (current.real.shape[0], current.real.shape[1] - current.past) == (batch, read):
            return current
        # A block called by hand, with nothing said of what it is given.
        tokens = torch.full((batch, read), UNKNOWN, device=activations.device)
        return Pass(tokens, torch.ones_like(tokens, dtype=torch.bool), past=0, prompt=read, open_ended=True)

    def _saw_embedding(self, _module: Any, args: tuple[Any, ...]) -> None:
        self._entered = args[0] if args and isinstance(args[0], Tensor) else None
        self._mask = None

    def _saw_block(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See a block of a HookedTransformer begin: the first block that runs speaks for the pass."""
        cache, mask = kwargs.get("past_kv_cache_entry"), kwargs.get("attention_mask")
        batch, read = args[0].shape[:2]
        # Each block is given its own part of the cache, to which it has not added yet.
        past = cache.past_keys.shape[1] if cache is not None else 0
        entered, self._entered = self._entered, None
        if entered is None and mask is self._mask and self.current is not None:
            now = self.current
            if (now.real.shape, now.past) == ((batch, past + read), past):
                return  # a later block of the same pass
        self._mask = mask
        self._begin(entered, args[0], past, mask, cached=cache is not None)

    def _saw_call(self, _module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """See the model inside a TransformerBridge called."""
        tokens = args[0] if args else kwargs.get("input_ids")
        given = tokens if tokens is not None else kwargs.get("inputs_embeds")
        if given is None:
            return
        cache = kwargs.get("past_key_values")
        past = int(cache.get_seq_length()) if cache is not None else 0
        cached = cache is not None or bool(kwargs.get("use_cache"))
        self._begin(tokens, given, past, kwargs.get("attention_mask"), cached=cached)

    def _begin(self, entered: Tensor | None, given: Tensor, past: int, mask: Tensor | None, *, cached: bool) -> None:
        batch, read = given.shape[:2]
        total = past + read
        before = self.current
        tokens = self._text(entered, batch, total, given.device)
        if mask is not None and tuple(mask.shape) == (batch, total):
            real = mask.bool().to(tokens.device)
        elif past and before is not None and tuple(before.real.shape) == (batch, past):
            real = torch.cat([before.real, before.real.new_ones(batch, read)], dim=1)
        else:
            real = _not_padding(self.model.tokenizer, tokens)
        if past == 0 and (not self._generating or before is None):
            prompt = total
        else:
            # Text read onto a filled cache is generated, be it by `generate` or by a loop of one's own.
            prompt = min(before.prompt, total) if before is not None else past
            prompt = prompt if self._generating else min(prompt, past)
        self.current = Pass(tokens, real, past, prompt, open_ended=cached or self._generating > 0)

    def _text(self, entered: Tensor | None, batch: int, total: int, device: torch.device) -> Tensor:
        """Return the text so far: what was embedded now, after what is known from the passes before."""
        if entered is None or entered.ndim != 2 or entered.shape[0] != batch or entered.shape[1] > total:
            entered = torch.empty((batch, 0), dtype=torch.long, device=device)
        # HookedTransformer.generate embeds each token once, whether or not it reads the whole text again.
        missing = total - entered.shape[1]
        known = self.current.tokens if missing and self.current is not None else entered[:, :0]
        if tuple(known.shape) != (batch, missing):
            known = entered.new_full((batch, missing), UNKNOWN)
        return torch.cat([known.to(entered.device), entered], dim=1)

    def _install(self) -> None:
        inner = getattr(self.model, "original_model", None)
        if inner is not None:
            handles = [inner.register_forward_pre_hook(self._saw_call, with_kwargs=True)]
        else:
            handles = [self.model.embed.register_forward_pre_hook(self._saw_embedding)]
        self._undo = [handle.remove for handle in handles]
        attributes = vars(self.model)
        for name in GENERATING:
            if hasattr(self.model, name):
                method = getattr(self.model, name)
                attributes[name] = self._announcing(method)
                self._undo.append(lambda name=name: attributes.pop(name, None))

    def _see_blocks(self, layers: Iterable[int]) -> None:
        """See the first block of a HookedTransformer begin, and some others: a pass may start at a later one."""
        if getattr(self.model, "original_model", None) is not None:
            return
        for layer in {0, *layers} - self._blocks:
            block = self.model.blocks[layer]
            self._undo.append(block.register_forward_pre_hook(self._saw_block, with_kwargs=True).remove)
            self._blocks.add(layer)

    def _announcing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        """Return a method that says when it begins and ends to generate."""

        @wraps(method)
        def whole(*args: Any, **kwargs: Any) -> Any:
            with self._generation():
                return method(*args, **kwargs)

        @wraps(method)
        def piecewise(*args: Any, **kwargs: Any) -> Iterator[Any]:
            with self._generation():
                yield from method(*args, **kwargs)

        return piecewise if isgeneratorfunction(getattr(method, "__wrapped__", method)) else whole

    @contextmanager
    def _generation(self) -> Iterator[None]:
        self.current = None
        self._generating += 1
        try:
            yield
        finally:
            self._generating -= 1


def watch(model: Any, layers: Iterable[int]) -> Watch:
    """Begin to watch a model, or join those who do; each call is answered by one of `unwatch`.

    `layers` are the blocks in which the pass will be asked for. The others are not watched: a call into each at every
    step is what a small model would feel.
    """
    # Kept by the model, so that a model that is let go of while watched can go.
    attributes = vars(model)
    if _KEY not in attributes:
        attributes[_KEY] = Watch(model)
        attributes[_KEY]._install()
    found = attributes[_KEY]
    found._see_blocks(layers)
    found._users += 1
    return found


def unwatch(model: Any) -> None:
    """Leave off watching a model; the last to leave takes away everything that watching put there."""
    found = vars(model)[_KEY]
    found._users -= 1
    if not found._users:
        del vars(model)[_KEY]
        for undo in found._undo:
            undo()


def _not_padding(tokenizer: Any, tokens: Tensor) -> Tensor:
    """Say which tokens are not padding, of texts that came without a mask.

    Padding makes a row as long as the longest, which has none. So a token that pads (often the one that also begins or
    ends a text) counts only where every row would otherwise have it.
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
        real[:, 0] = True  # an empty text still begins with its first token
    return real
