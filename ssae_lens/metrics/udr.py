"""UDR: how well runs from different seeds agree, which needs no labels and so may choose settings.

The pairwise score that the SSAE's authors call UDR: Hungarian matching, unweighted. (The original of Duan et al. 2020
also weighs latents by how informative they are.)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_matrix, same_length, same_width
from ssae_lens.metrics.correlation import Kind, unit_columns
from ssae_lens.metrics.matching import hungarian
from ssae_lens.metrics.mcc import mcc_decoders


@dataclass(frozen=True)
class RunPair:
    """How well two runs agree: by their codes on the same rows, and by their decoder rows."""

    first: int
    second: int
    codes: float
    decoders: float


@dataclass(frozen=True)
class UDR:
    """The agreement of every pair of runs, and its means over the pairs."""

    codes: float
    decoders: float
    pairs: tuple[RunPair, ...]


def udr(
    codes: Sequence[Shaped[Array, "n k"]], decoders: Sequence[Shaped[Array, "k d"]], *, kind: Kind = "pearson"
) -> UDR:
    """Match the latents of every pair of runs, by |correlation| of codes and, apart, by |cosine| of decoder rows.

    A latent that is constant on these rows agrees with nothing, so dead latents lower the first number.

    Parameters
    ----------
    codes
        Each run's codes of the same rows.
    decoders
        Each run's decoder, in the same order.
    kind
        ``pearson`` or ``spearman``.
    """
    one_of("kind", kind, ("pearson", "spearman"))
    _several("codes", codes)
    if len(codes) != len(decoders):
        raise ValueError(f"There are {len(codes)} codes and {len(decoders)} decoders; give one of each for every run.")
    runs = [as_matrix(f"codes[{i}]", each) for i, each in enumerate(codes)]
    for i, run in enumerate(runs[1:], start=1):
        same_length("codes[0]", runs[0], f"codes[{i}]", run, least=2)
    decoders = _decoders(decoders)
    units = [unit_columns(each, kind) for each in runs]
    pairs = tuple(
        RunPair(i, j, _over_pairs(units[i].T @ units[j]), mcc_decoders(decoders[i], decoders[j]).score)
        for i, j in combinations(range(len(runs)), 2)
    )
    return UDR(float(np.mean([p.codes for p in pairs])), float(np.mean([p.decoders for p in pairs])), pairs)


def latent_stability(decoders: Sequence[Shaped[Array, "k d"]], *, run: int = 0) -> Float[np.ndarray, "k"]:
    """Return each latent of one run its mean |cosine| with its matches in the other runs; unmatched counts 0."""
    _several("decoders", decoders)
    one_of("run", run, range(len(decoders)))
    decoders = _decoders(decoders)
    others = [each for i, each in enumerate(decoders) if i != run]
    return np.mean([mcc_decoders(each, decoders[run]).per_factor for each in others], axis=0)


def _several(name: str, runs: Sequence[Array]) -> None:
    if len(runs) < 2:
        raise ValueError(f"{name} holds {len(runs)} runs; at least 2 are needed: train with more seeds.")


def _decoders(decoders: Sequence[Array]) -> list[np.ndarray]:
    arrays = [as_matrix(f"decoders[{i}]", each) for i, each in enumerate(decoders)]
    for i, each in enumerate(arrays[1:], start=1):
        same_width("decoders[0]", arrays[0], f"decoders[{i}]", each)
    return arrays


def _over_pairs(matrix: np.ndarray) -> float:
    """Average over the min(k, c) matched pairs: of two runs, neither is the truth that the other misses."""
    return float(hungarian(matrix).per_factor.sum()) / min(matrix.shape)
