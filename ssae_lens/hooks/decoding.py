"""Decoding: rows of texts to make, and making them, batch after batch, each row steered by its own vector at its own scale.

`rows_for` says which texts to make and `generate_rows` fills in their tokens; a `Sampler` picks each next one.
"""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.files import fingerprint
from ssae_lens.base.progress import progress
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.hook_points import final_norm
from ssae_lens.hooks.weight_layout import laid_out_for_generation
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

# So many tokens mostly hold the share of probability that top_p asks for.
FEW = 4096


@dataclass(eq=False)
class Row:
    """One text to make: what it is made of, and what was made."""

    prompt: str
    vector: str
    scale: float
    sample: int
    tokens: list[int]
    uniforms: Float[np.ndarray, "max_new_tokens"]
    made: list[int] = field(default_factory=list)
    stopped: bool = False


def rows_for(
    model: "Model",
    prompts: Sequence[str],
    steered: Iterable[tuple[str, float]],
    *,
    max_new_tokens: int,
    n_samples: int = 1,
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> list[Row]:
    """Return a row, nothing made yet, for each prompt, each vector's name with a scale, and each sample, in that order."""
    tokens = _tokens(model, prompts, prepend_bos, max_new_tokens)
    checks.integer("n_samples", n_samples)
    return [
        Row(prompt, vector, scale, sample, tokens[prompt], _uniforms(prompt, sample, seed, max_new_tokens))
        for prompt, (vector, scale), sample in itertools.product(prompts, steered, range(n_samples))
    ]


def generate_rows(
    model: "Model",
    rows: Sequence[Row],
    vectors: Mapping[str, SteeringVector],
    sampler: "Sampler",
    *,
    stop_tokens: Iterable[int] = (),
    max_rows: int = 64,
    quiet: bool = False,
    check: bool = True,
    **steering: Any,
) -> None:
    """Make the rows' texts, each steered by its own vector at its own scale; `steering` is what `steer` takes beside."""
    checks.integer("max_rows", max_rows)
    # Rows of a like length lie together, and the longest come first, so that memory fails at once or not at all.
    queue = sorted(rows, key=lambda row: -len(row.tokens))
    n_tokens = sum(len(row.uniforms) for row in rows)
    with (
        torch.inference_mode(),
        laid_out_for_generation(model),
        progress(total=n_tokens, unit="tok", about="Generating", quiet=quiet) as bar,
    ):
        for start in range(0, len(queue), max_rows):
            batch = queue[start : start + max_rows]
            with steer(
                model,
                [vectors[row.vector] for row in batch],
                scale=[row.scale for row in batch],
                per_row=True,
                check=check and start == 0,
                trace=False,
                **steering,
            ):
                _decode(model, batch, sampler, set(stop_tokens), bar.update)


@dataclass(frozen=True)
class Sampler:
    """Picks the next token of each row from its logits and one uniform number."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        checks.at_least("temperature", self.temperature, 0, "0 takes the likeliest token each time.")
        if self.top_k is not None:
            checks.integer("top_k", self.top_k)
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1, which leaves nothing out.")

    def __call__(
        self, logits: Float[Tensor, "batch d_vocab"], uniforms: Float[np.ndarray, "batch"]
    ) -> Int[Tensor, "batch"]:
        """Return a token for each row: the one in whose share of probability its uniform number falls."""
        if self.temperature == 0:
            return logits.argmax(-1)
        chances, order = self._likeliest(logits)
        chances = chances * (chances.cumsum(-1) - chances < self.top_p)
        edges = chances.cumsum(-1)
        marks = torch.as_tensor(uniforms, dtype=edges.dtype, device=edges.device)[:, None] * edges[:, -1:]
        place = torch.searchsorted(edges, marks, right=True).clamp_max(edges.shape[1] - 1)
        return order.gather(1, place)[:, 0]

    def _likeliest(
        self, logits: Float[Tensor, "batch d_vocab"]
    ) -> tuple[Float[Tensor, "batch some"], Int[Tensor, "batch some"]]:
        """Return the chances of all tokens that may be picked, likeliest first, and which tokens these are.

        In double precision, so that rounding, which depends on the batch, all but never moves an edge over a number. Only
        the sum over a whole vocabulary that the nucleus is cut by is in single precision, whatever the model's.
        """
        # To find a few is much less work than to sort a whole vocabulary.
        few = self.top_k or (FEW if self.top_p < 1 else logits.shape[-1])
        if few < logits.shape[-1]:
            found, order = logits.topk(few)
            found = found.double() / self.temperature
            if self.top_k:
                return found.softmax(-1), order
            chances = (found - (logits.float() / self.temperature).logsumexp(-1, keepdim=True)).exp()
            if (chances.sum(-1) > self.top_p).all():
                return chances, order
        found, order = logits.sort(dim=-1, descending=True, stable=True)
        return (found.double() / self.temperature).softmax(-1), order


def _decode(
    model: "Model",
    batch: Sequence[Row],
    sampler: Sampler,
    stop_tokens: set[int],
    update: Callable[[int], object],
) -> None:
    """Make the rows' texts, one token of each at a time."""
    longest = max(len(row.tokens) for row in batch)
    padding = [longest - len(row.tokens) for row in batch]
    # What stands in place of padding is masked.
    ids = [[0] * pad + row.tokens for pad, row in zip(padding, batch, strict=True)]
    tokens = torch.tensor(ids, device=model.cfg.device)
    mask = (torch.arange(longest)[None] >= torch.tensor(padding)[:, None]).long().to(tokens.device)
    predict = _predictor(model, len(batch))
    max_new_tokens = len(batch[0].uniforms)
    for step in range(max_new_tokens):
        logits = predict(tokens, mask)
        picked = sampler(logits, np.array([row.uniforms[step] for row in batch]))
        for row, token in zip(batch, picked.tolist(), strict=True):
            if not row.stopped and token in stop_tokens:
                row.stopped = True
            elif not row.stopped:
                row.made.append(token)
        if all(row.stopped for row in batch):
            update(len(batch) * (max_new_tokens - step))
            return
        update(len(batch))
        tokens = picked[:, None]
        mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)


def _predictor(model: Any, n_rows: int) -> Callable[[Tensor, Tensor], Tensor]:
    """Return a function from the tokens not read yet, and the mask of all so far, to the last token's logits.

    No logits are made for the rest of a prompt: in a batch of many rows these would be gigabytes.
    """
    if hasattr(model, "original_model"):
        options: dict[str, Any] = {"use_cache": True, "return_type": "logits_and_cache"}
        if "logits_to_keep" in inspect.signature(model.original_model.forward).parameters:
            options["logits_to_keep"] = 1

        def through_bridge(tokens: Tensor, mask: Tensor) -> Tensor:
            logits, options["past_key_values"] = model(tokens, attention_mask=mask, **options)
            return logits[:, -1]

        return through_bridge

    from transformer_lens.cache.key_value_cache import TransformerLensKeyValueCache
    from transformer_lens.utilities import apply_softcap

    norm = final_norm(model)
    cache = TransformerLensKeyValueCache.init_cache(model.cfg, model.cfg.device, n_rows)

    def through_hooked(tokens: Tensor, mask: Tensor) -> Tensor:
        # The cache remembers the mask of what it holds.
        now = mask[:, -tokens.shape[1] :]
        residual = model(tokens, attention_mask=now, past_kv_cache=cache, stop_at_layer=model.cfg.n_layers)[:, -1:]
        return apply_softcap(model.unembed(norm(residual)), model.cfg.output_logits_soft_cap)[:, -1]

    return through_hooked


def _tokens(
    model: "Model", prompts: Sequence[str], prepend_bos: bool | None, max_new_tokens: int
) -> dict[str, list[int]]:
    checks.integer("max_new_tokens", max_new_tokens)
    if not prompts:
        raise ValueError("prompts is empty; give at least one text.")
    options: dict[str, Any] = {} if prepend_bos is None else {"prepend_bos": prepend_bos}
    tokens = {prompt: model.to_tokens(prompt, **options)[0].tolist() for prompt in prompts}
    for prompt, ids in tokens.items():
        if not ids:
            raise ValueError(f"The prompt {prompt!r} has no tokens; give a text, or prepend_bos=True.")
        if len(ids) + max_new_tokens > model.cfg.n_ctx:
            raise ValueError(
                f"The prompt {prompt[:40]!r} has {len(ids)} tokens; with max_new_tokens={max_new_tokens} that is more than "
                f"the model's {model.cfg.n_ctx}."
            )
    return tokens


def _uniforms(prompt: str, sample: int, seed: int, count: int) -> Float[np.ndarray, "count"]:
    """Return a row's own random numbers; more of them begin with the same ones."""
    return np.random.default_rng([seed, sample, int(fingerprint([prompt]), 16)]).random(count)
