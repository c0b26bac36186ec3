"""Decoding of batches of rows, each steered by its own vector at its own scale.

`new_rows` makes the rows, `generate_rows` fills in their tokens, and a `Sampler` picks each next token.
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
from ssae_lens.base.checksums import fingerprint
from ssae_lens.base.progress_bars import progress
from ssae_lens.hooks._steer import steer
from ssae_lens.models.hooked import cached_decoder, laid_out_for_generation
from ssae_lens.models.identity import is_bridge
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# This many tokens nearly always have the probability mass of top_p.
TOP_TOKENS = 4096


@dataclass(eq=False)
class GenerationRow:
    """One text to generate: its prompt, vector and scale, and the tokens so far."""

    prompt: str
    vector: str
    scale: float
    sample: int
    tokens: list[int]
    uniforms: Float[np.ndarray, "max_new_tokens"]
    generated: list[int] = field(default_factory=list)
    stopped: bool = False


def new_rows(
    model: "Model",
    prompts: Sequence[str],
    steered: Iterable[tuple[str, float]],
    *,
    max_new_tokens: int,
    n_samples: int = 1,
    seed: int = 0,
    prepend_bos: bool | None = None,
) -> list[GenerationRow]:
    """Return a row for each prompt, each vector's name with its scale, and each sample, in that order."""
    tokens = _prompt_tokens(model, prompts, prepend_bos, max_new_tokens)
    checks.integer("n_samples", n_samples)
    return [
        GenerationRow(prompt, vector, scale, sample, tokens[prompt], _uniforms(prompt, sample, seed, max_new_tokens))
        for prompt, (vector, scale), sample in itertools.product(prompts, steered, range(n_samples))
    ]


def generate_rows(
    model: "Model",
    rows: Sequence[GenerationRow],
    vectors: Mapping[str, SteeringVector],
    sampler: "Sampler",
    *,
    stop_tokens: Iterable[int] = (),
    max_rows: int = 64,
    quiet: bool = False,
    check: bool = True,
    **steering: Any,
) -> None:
    """Generate the rows' tokens, each row steered by its own vector and scale; `steering` are other arguments of `steer`."""
    checks.integer("max_rows", max_rows)
    # Rows of similar length together, the longest first, so that a lack of memory shows at once.
    queue = sorted(rows, key=lambda row: -len(row.tokens))
    n_tokens = sum(len(row.uniforms) for row in rows)
    with (
        torch.inference_mode(),
        laid_out_for_generation(model),
        progress(total=n_tokens, unit="tok", desc="Generating", quiet=quiet) as bar,
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
                _generate(model, batch, sampler, set(stop_tokens), bar.update)


@dataclass(frozen=True)
class Sampler:
    """Picks the next token of each row from its logits and a uniform random number."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        checks.at_least("temperature", self.temperature, 0, "0 takes the likeliest token each time.")
        if self.top_k is not None:
            checks.integer("top_k", self.top_k)
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1, which excludes no token.")

    def __call__(
        self, logits: Float[Tensor, "batch d_vocab"], uniforms: Float[np.ndarray, "batch"]
    ) -> Int[Tensor, "batch"]:
        """Return a token for each row, by inverting the cumulative probabilities at its uniform number."""
        if self.temperature == 0:
            return logits.argmax(-1)
        probabilities, tokens = self._likeliest(logits)
        probabilities = probabilities * (probabilities.cumsum(-1) - probabilities < self.top_p)
        cumulative = probabilities.cumsum(-1)
        marks = (
            torch.as_tensor(uniforms, dtype=cumulative.dtype, device=cumulative.device)[:, None] * cumulative[:, -1:]
        )
        index = torch.searchsorted(cumulative, marks, right=True).clamp_max(cumulative.shape[1] - 1)
        return tokens.gather(1, index)[:, 0]

    def _likeliest(
        self, logits: Float[Tensor, "batch d_vocab"]
    ) -> tuple[Float[Tensor, "batch some"], Int[Tensor, "batch some"]]:
        """Return the probabilities of the tokens that may be picked, in descending order, and these tokens.

        They are in double precision, so that rounding, which depends on the batch, hardly ever changes a pick. Only the
        normalisation over the whole vocabulary for top_p is in single precision.
        """
        # A top-k is much faster than sorting a whole vocabulary.
        count = self.top_k or (TOP_TOKENS if self.top_p < 1 else logits.shape[-1])
        if count < logits.shape[-1]:
            values, tokens = logits.topk(count)
            values = values.double() / self.temperature
            if self.top_k:
                return values.softmax(-1), tokens
            probabilities = (values - (logits.float() / self.temperature).logsumexp(-1, keepdim=True)).exp()
            if (probabilities.sum(-1) > self.top_p).all():
                return probabilities, tokens
        values, tokens = logits.sort(dim=-1, descending=True, stable=True)
        return (values.double() / self.temperature).softmax(-1), tokens


def _generate(
    model: "Model",
    batch: Sequence[GenerationRow],
    sampler: Sampler,
    stop_tokens: set[int],
    update: Callable[[int], object],
) -> None:
    """Generate the rows of a batch, one token of each at a time."""
    longest = max(len(row.tokens) for row in batch)
    padding = [longest - len(row.tokens) for row in batch]
    # Padded on the left; the mask hides it.
    ids = [[0] * pad + row.tokens for pad, row in zip(padding, batch, strict=True)]
    tokens = torch.tensor(ids, device=model.cfg.device)
    mask = (torch.arange(longest)[None] >= torch.tensor(padding)[:, None]).long().to(tokens.device)
    decode = _bridge_decoder(model) if is_bridge(model) else cached_decoder(model, len(batch))
    max_new_tokens = len(batch[0].uniforms)
    for step in range(max_new_tokens):
        picked = sampler(decode(tokens, mask), np.array([row.uniforms[step] for row in batch]))
        for row, token in zip(batch, picked.tolist(), strict=True):
            if not row.stopped and token in stop_tokens:
                row.stopped = True
            elif not row.stopped:
                row.generated.append(token)
        if all(row.stopped for row in batch):
            update(len(batch) * (max_new_tokens - step))
            return
        update(len(batch))
        tokens = picked[:, None]
        mask = torch.cat([mask, mask.new_ones(len(batch), 1)], dim=1)


def _bridge_decoder(model: Any) -> Callable[[Tensor, Tensor], Float[Tensor, "batch d_vocab"]]:
    """Return a TransformerBridge's counterpart of `cached_decoder`."""
    options: dict[str, Any] = {"use_cache": True, "return_type": "logits_and_cache"}
    if "logits_to_keep" in inspect.signature(model.original_model.forward).parameters:
        options["logits_to_keep"] = 1

    def decode(tokens: Tensor, mask: Tensor) -> Tensor:
        logits, options["past_key_values"] = model(tokens, attention_mask=mask, **options)
        return logits[:, -1]

    return decode


def _prompt_tokens(
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
    """Return a row's own random numbers; a larger count begins with the same ones."""
    return np.random.default_rng([seed, sample, int(fingerprint([prompt]), 16)]).random(count)
