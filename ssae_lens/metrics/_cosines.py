"""Cosines of directions and of steered activations, and scores of the agreement of runs.

`udr` and `latent_stability` compare runs from different seeds, which needs no labels and so may choose settings. UDR is the
pairwise score that the SSAE's authors call so: unweighted. (Duan et al. 2020 also weight latents by their information.)
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from jaxtyping import Float, Shaped

from ssae_lens.base.checks import one_of
from ssae_lens.metrics.arrays import Array, as_array, as_matrix, same_length, same_width
from ssae_lens.metrics.matching import KINDS, Kind, Match, hungarian, unit_columns


@dataclass(frozen=True)
class UDR:
    """The mean agreement over pairs of runs: of their codes on the same rows, and of their decoder rows."""

    codes: float
    decoders: float


def cosines(rows: Shaped[Array, "k d"], others: Shaped[Array, "c d"]) -> Float[np.ndarray, "k c"]:
    """Return the cosine of every row of one with every row of the other; a zero row has cosine 0 with all."""
    rows, others = as_matrix("rows", rows), as_matrix("others", others)
    same_width("rows", rows, "others", others)
    return np.clip(unit_rows(rows) @ unit_rows(others).T, -1, 1)


def steered_cosines(
    source: Shaped[Array, "n d"], shift: Shaped[Array, "n d"] | Shaped[Array, "d"], target: Shaped[Array, "n d"]
) -> Float[np.ndarray, "n"]:
    """Return for each row the cosine of source + shift with the target.

    Parameters
    ----------
    source, target
        Activations before and after the change, z and z̃.
    shift
        The vectors that steering adds, scaled: a row for each source, or one vector for all.
    """
    source, shift, target = _steering_arrays(source, shift, target)
    return _row_cosines(source + shift, target)


def steered_cosines_frobenius(
    source: Shaped[Array, "n d"], shift: Shaped[Array, "n d"] | Shaped[Array, "d"], target: Shaped[Array, "n d"]
) -> Float[np.ndarray, "n"]:
    """Return the cosines as the SSAE's authors do: z and η are first divided by the Frobenius norms of the whole matrices.

    This sets the scale of η: as large, over all rows, as the sources. (z̃ is divided too, which changes no cosine.) One
    vector for all rows is divided by its own norm and so added √n times larger; their mean-difference baseline is
    steered that way, their own method with a row for each source.
    """
    source, shift, target = _steering_arrays(source, shift, target)
    for name, values in (("shift", shift), ("source", source)):
        if not values.any():
            raise ValueError(f"{name} is zero everywhere; its norm must not be zero.")
    return _row_cosines(source / np.linalg.norm(source) + shift / np.linalg.norm(shift), target)


def mcc_decoders(decoder: Shaped[Array, "k d"], directions: Shaped[Array, "c d"]) -> Match:
    """Match decoder rows with directions one to one, and average the |cosines|: SAELens's `mean_correlation_coefficient`.

    As there, the mean is over the matched pairs, min(k, c) of them. With another seed's decoder for `directions` this is
    a score of stability, not of truth. The "MCC" of the SSAE's first version is close to it: its rows are centred
    before the cosine, which is ``mcc_codes(decoder.T, directions.T)``.

    See Also
    --------
    control_rotated : the same with the directions rotated at random.
    """
    decoder, directions = as_matrix("decoder", decoder), as_matrix("directions", directions)
    same_width("decoder", decoder, "directions", directions)
    match = hungarian(cosines(decoder, directions))
    return replace(match, score=_mean_of_matched(match))


def udr(
    codes: Sequence[Shaped[Array, "n k"]], decoders: Sequence[Shaped[Array, "k d"]], *, kind: Kind = "pearson"
) -> UDR:
    """Match the latents of every pair of runs, by |correlation| of codes and, separately, by |cosine| of decoder rows.

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
    one_of("kind", kind, KINDS)
    _require_several("codes", codes)
    if len(codes) != len(decoders):
        raise ValueError(f"There are {len(codes)} codes and {len(decoders)} decoders; give one of each for every run.")
    runs = [as_matrix(f"codes[{i}]", run) for i, run in enumerate(codes)]
    for i, run in enumerate(runs[1:], start=1):
        same_length("codes[0]", runs[0], f"codes[{i}]", run, minimum=2)
    decoders = _decoders(decoders)
    units = [unit_columns(run, kind) for run in runs]
    pairs = list(combinations(range(len(runs)), 2))
    of_codes = [_mean_of_matched(hungarian(units[i].T @ units[j])) for i, j in pairs]
    of_decoders = [mcc_decoders(decoders[i], decoders[j]).score for i, j in pairs]
    return UDR(float(np.mean(of_codes)), float(np.mean(of_decoders)))


def latent_stability(decoders: Sequence[Shaped[Array, "k d"]], *, run: int = 0) -> Float[np.ndarray, "k"]:
    """Return for each latent of one run the mean |cosine| with its matches in the other runs; unmatched counts 0."""
    _require_several("decoders", decoders)
    one_of("run", run, range(len(decoders)))
    decoders = _decoders(decoders)
    others = [decoder for i, decoder in enumerate(decoders) if i != run]
    return np.mean([mcc_decoders(decoder, decoders[run]).per_factor for decoder in others], axis=0)


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return each row scaled to unit norm; a zero row stays zero."""
    largest = abs(rows).max(axis=1, keepdims=True)
    rows = rows / np.where(largest == 0, 1, largest)  # squares of tiny or huge numbers stay finite
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms == 0, 1, norms)


def _steering_arrays(source: Array, shift: Array, target: Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    z, goal = as_matrix("source", source), as_matrix("target", target)
    eta = as_array("shift", shift, 1) if np.ndim(shift) == 1 else as_matrix("shift", shift)
    same_length("source", z, "target", goal)
    same_width("source", z, "target", goal)
    same_width("source", z, "shift", eta)
    if eta.ndim == 2:
        same_length("source", z, "shift", eta)
    return z.astype(np.float64), eta.astype(np.float64), goal.astype(np.float64)


def _row_cosines(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    return np.clip((unit_rows(rows) * unit_rows(others)).sum(axis=1), -1, 1)


def _require_several(name: str, runs: Sequence[Array]) -> None:
    if len(runs) < 2:
        raise ValueError(f"{name} holds {len(runs)} runs; at least 2 are needed: train with more seeds.")


def _decoders(decoders: Sequence[Array]) -> list[np.ndarray]:
    arrays = [as_matrix(f"decoders[{i}]", decoder) for i, decoder in enumerate(decoders)]
    for i, array in enumerate(arrays[1:], start=1):
        same_width("decoders[0]", arrays[0], f"decoders[{i}]", array)
    return arrays


def _mean_of_matched(match: Match) -> float:
    """Return the mean over the min(k, c) matched pairs: of two runs, neither is the ground truth."""
    return float(match.per_factor.sum()) / min(match.matrix.shape)
