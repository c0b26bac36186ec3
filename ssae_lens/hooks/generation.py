"""Generating many steered texts at once: `generate_sweep` makes each prompt × vector × scale a row of one batch."""

import inspect
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.files import fingerprint
from ssae_lens.base.progress import progress
from ssae_lens.hooks.steer import steer
from ssae_lens.hooks.token_positions import Positions
from ssae_lens.hooks.weight_layout import laid_out_for_generation
from ssae_lens.vector import SteeringVector, named

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.hooks.sites import Model


def generate_sweep(
    model: "Model",
    prompts: str | Sequence[str],
    vectors: SteeringVector | Iterable[SteeringVector] | Mapping[str, SteeringVector],
    scales: float | Sequence[float],
    *,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    n_samples: int = 1,
    seed: int = 0,
    stop_tokens: Sequence[int] | None = None,
    prepend_bos: bool | None = None,
    max_rows: int = 64,
    positions: Positions = "all",
    operator: Literal["add", "ablate", "ablate_add", "clamp", "add_keep_norm"] = "add",
    unit: Literal["vector", "residual", "shift"] = "vector",
    check: bool = True,
    quiet: bool = False,
) -> "pd.DataFrame":
    """Generate from every prompt, with every vector, at every scale.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge with a tokenizer.
    prompts
        One text or several.
    vectors
        Vectors by name, or several, which are then called by their concepts, else by their methods; or one.
    scales
        Any numbers; 0 is the unsteered text for ``operator="add"``.
    max_new_tokens
        How long a text may get.
    temperature, top_k, top_p
        How to sample: 0 takes the likeliest token each time; `top_k` and `top_p` leave out all but the likeliest.
    n_samples, seed
        How many texts of each kind to sample. A prompt's sample has its own random numbers, which depend on `seed` and on
        nothing else: not on what else is in the batch, and not on the vector or scale, so that texts differ by these only.
    stop_tokens
        Tokens that end a text; by default the tokenizer's end of sequence. `[]` for none.
    prepend_bos
        As in `model.to_tokens`; by default what the model does.
    max_rows
        How many texts to generate at once, at most.
    positions, operator, unit, check
        As in `steer`.
    quiet
        Show no progress.

    Returns
    -------
    pandas.DataFrame
        A row for each text: ``prompt``, ``vector``, ``scale``, ``sample``, ``text`` (what follows the prompt), ``n_tokens``
        and ``stopped`` (by a stop token, which is not in the text).

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> vector = SteeringVector(torch.ones(32), "blocks.1.hook_resid_post", concept="ones")
    >>> table = generate_sweep(tiny_model("gpt2"), ["The man", "I"], vector, [0, 4], max_new_tokens=3)
    >>> table[["prompt", "vector", "scale"]].values.tolist()
    [['The man', 'ones', 0.0], ['The man', 'ones', 4.0], ['I', 'ones', 0.0], ['I', 'ones', 4.0]]
    """
    import pandas as pd

    listed = [prompts] if isinstance(prompts, str) else list(prompts)
    by_name = named([vectors] if isinstance(vectors, SteeringVector) else vectors)
    wanted = [float(each) for each in np.atleast_1d(np.asarray(scales, dtype=float))]
    if not wanted or not np.isfinite(wanted).all():
        raise ValueError(f"scales is {scales!r}; give one number or several, all finite.")
    tokenizer: Any = model.tokenizer
    if tokenizer is None:
        raise ValueError("The model has no tokenizer, which a sweep needs to read prompts; attach one.")
    tokens = _tokens(model, listed, prepend_bos, max_new_tokens)
    for name, value in (("n_samples", n_samples), ("max_rows", max_rows)):
        checks.whole(name, value)
    sampler = Sampler(temperature, top_k, top_p)
    stops = {tokenizer.eos_token_id} if stop_tokens is None else set(stop_tokens)
    rows = [
        Row(prompt, vector, scale, sample, tokens[prompt], _uniforms(prompt, sample, seed, max_new_tokens))
        for prompt, vector, scale, sample in itertools.product(listed, by_name, wanted, range(n_samples))
    ]
    # Rows of a like length lie together, and the longest come first, so that memory fails at once or not at all.
    queue = sorted(rows, key=lambda row: -len(row.tokens))
    with (
        torch.inference_mode(),
        laid_out_for_generation(model),
        progress(total=len(rows) * max_new_tokens, unit="tok", about="Generating", quiet=quiet) as bar,
    ):
        for start in range(0, len(queue), max_rows):
            batch = queue[start : start + max_rows]
            with steer(
                model,
                [by_name[row.vector] for row in batch],
                scale=[row.scale for row in batch],
                positions=positions,
                operator=operator,
                unit=unit,
                per_row=True,
                check=check and start == 0,
            ):
                _decode(model, batch, max_new_tokens, sampler, stops, bar.update)
    return pd.DataFrame(
        {
            "prompt": row.prompt,
            "vector": row.vector,
            "scale": row.scale,
            "sample": row.sample,
            "text": tokenizer.decode(row.made, skip_special_tokens=True),
            "n_tokens": len(row.made),
            "stopped": row.stopped,
        }
        for row in rows
    )


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


@dataclass(frozen=True)
class Sampler:
    """Picks the next token of each row from its logits and one uniform number."""

    temperature: float = 0.0
    top_k: int | None = None
    top_p: float = 1.0

    def __post_init__(self) -> None:
        checks.at_least("temperature", self.temperature, 0, "0 takes the likeliest token each time.")
        if self.top_k is not None:
            checks.whole("top_k", self.top_k)
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}; it must be above 0 and at most 1, which leaves nothing out.")

    def __call__(
        self, logits: Float[Tensor, "batch d_vocab"], uniforms: Float[np.ndarray, "batch"]
    ) -> Int[Tensor, "batch"]:
        """Give a token for each row: the one in whose share of probability its uniform number falls."""
        if self.temperature == 0:
            return logits.argmax(-1)
        # In double precision, so that rounding, which depends on the batch, all but never moves an edge over a number.
        chances, order = (logits.double() / self.temperature).softmax(-1).sort(dim=-1, descending=True, stable=True)
        if self.top_k is not None:
            chances[:, self.top_k :] = 0
        before = chances.cumsum(-1) - chances
        chances = chances * (before < self.top_p * chances.sum(-1, keepdim=True))
        edges = chances.cumsum(-1)
        marks = torch.as_tensor(uniforms, dtype=edges.dtype, device=edges.device)[:, None] * edges[:, -1:]
        place = torch.searchsorted(edges, marks, right=True).clamp_max(edges.shape[1] - 1)
        return order.gather(1, place)[:, 0]


def _decode(
    model: "Model",
    batch: Sequence[Row],
    max_new_tokens: int,
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
    """Give a function from the tokens not read yet, and the mask of all so far, to the last token's logits.

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

    cache = TransformerLensKeyValueCache.init_cache(model.cfg, model.cfg.device, n_rows)

    def through_hooked(tokens: Tensor, mask: Tensor) -> Tensor:
        # The cache remembers the mask of what it holds.
        now = mask[:, -tokens.shape[1] :]
        residual = model(tokens, attention_mask=now, past_kv_cache=cache, stop_at_layer=model.cfg.n_layers)[:, -1:]
        if model.cfg.normalization_type is not None:
            residual = model.ln_final(residual)
        return apply_softcap(model.unembed(residual), model.cfg.output_logits_soft_cap)[:, -1]

    return through_hooked


def _tokens(
    model: "Model", prompts: Sequence[str], prepend_bos: bool | None, max_new_tokens: int
) -> dict[str, list[int]]:
    checks.whole("max_new_tokens", max_new_tokens)
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
    """Give a row's own random numbers; more of them begin with the same ones."""
    return np.random.default_rng([seed, sample, int(fingerprint([prompt]), 16)]).random(count)
