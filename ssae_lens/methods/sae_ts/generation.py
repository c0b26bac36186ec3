"""Rollouts: texts that a steered model writes, and what an SAE sees in them when they are read again without steering."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssae_lens.hooks.decoding import Sampler, generate_rows, new_rows
from ssae_lens.hooks.hook_points import record_activations
from ssae_lens.hooks.tokens import pad_right
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Texts by the vector that they were steered by.

    Attributes
    ----------
    tokens
        The texts, each with its prompt, padded on the right.
    generated
        Which of the tokens were generated; the same number in every text.
    """

    tokens: Int[Tensor, "vectors rollouts pos"]
    generated: Bool[Tensor, "vectors rollouts pos"]


def rollouts(
    model: "Model",
    vectors: Sequence[SteeringVector],
    scales: Sequence[float],
    prompts: Sequence[str],
    sampler: Sampler,
    *,
    max_new_tokens: int,
    n_samples: int = 1,
    seed: int = 0,
    max_rows: int = 128,
    quiet: bool = True,
) -> Rollouts:
    """Let a model continue each prompt under each vector at its scale, added at every token; nothing ends a text early.

    A prompt's sample has the same random numbers under every vector, so that texts differ by the vectors alone.
    """
    by_name = {str(number): vector for number, vector in enumerate(vectors)}
    rows = new_rows(
        model,
        prompts,
        list(zip(by_name, scales, strict=True)),
        max_new_tokens=max_new_tokens,
        n_samples=n_samples,
        seed=seed,
    )
    generate_rows(model, rows, by_name, sampler, max_rows=max_rows, quiet=quiet, check=False)
    tokens, _ = pad_right([row.tokens + row.generated for row in rows])
    begin = torch.tensor([len(row.tokens) for row in rows])[:, None]
    positions = torch.arange(tokens.shape[1])
    generated = (positions >= begin) & (positions < begin + max_new_tokens)
    by_vector = "(prompt vector sample) pos -> vector (prompt sample) pos"
    sizes = {"prompt": len(prompts), "vector": len(vectors)}
    return Rollouts(rearrange(tokens, by_vector, **sizes), rearrange(generated, by_vector, **sizes))


@torch.no_grad()
def feature_means(
    model: "Model", sae: Any, hook_name: str, texts: Rollouts, longest: float, max_rows: int = 128
) -> Float[Tensor, "vectors d_sae"]:
    """Read rollouts without steering, and return each feature's mean over a vector's generated tokens.

    Prompts are the same with steering and without, and have no part in the mean; so the first token, whose activation is
    enormous in most models, has none either. In some a few others are like it: tokens whose activation is longer than
    `longest` are left out.
    """
    n_vectors = len(texts.tokens)
    tokens, generated = (
        rearrange(each, "vector text pos -> (vector text) pos") for each in (texts.tokens, texts.generated)
    )
    sums, counts = [], []
    with record_activations(model, [hook_name]) as read:
        for rows, where in zip(tokens.split(max_rows), generated.split(max_rows), strict=True):
            values = read(rows.to(model.cfg.device))[hook_name]
            values = values[where.to(values.device)]
            kept = values.norm(dim=-1, keepdim=True) <= longest
            codes = sae.encode(values.to(sae.device, sae.dtype))
            codes = (codes.to_dense() if codes.is_sparse else codes).float()
            # As many tokens are generated in every text.
            codes = codes.where(kept.to(codes.device), 0)
            sums.append(reduce(codes, "(text pos) feature -> text feature", "sum", text=len(rows)).cpu())
            counts.append(reduce(kept.long(), "(text pos) 1 -> text 1", "sum", text=len(rows)).cpu())
    total, count = (
        reduce(torch.cat(each), "(vector text) n -> vector n", "sum", vector=n_vectors) for each in (sums, counts)
    )
    return total / count.clamp_min(1)
