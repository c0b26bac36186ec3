"""Codes of captured shifts under an SSAE, block by block, and their statistics per latent."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssae_lens.base.checks import finite_rows
from ssae_lens.base.progress_bars import progress
from ssae_lens.metrics.scores import RELATIVE, active
from ssae_lens.sae.codes import codes_of as exact_codes
from ssae_lens.sae.codes import require_origin, require_usable
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from ssae_lens.latents.changed_words import ChangedWords
    from ssae_lens.sae import SSAE

BLOCK = 2048

Shifts = ShiftStore | Float[np.ndarray, "n d"] | Float[Tensor, "n d"]
# Rows of a store with their codes.
Rows = list[tuple[int, float]]


def codes_of(ssae: Any, shifts: Shifts) -> Float[np.ndarray, "n d_sae"]:
    """Return the codes of all shifts of a store, or of an array with one shift a row.

    Raises
    ------
    ValueError
        If the shifts are of another width, model or hook than the SSAE. The position may differ.
    """
    codes = np.empty((len(shifts), ssae.W_dec.shape[0]), dtype=np.float32)
    for rows, block in blocks_of_codes(ssae, shifts):
        codes[rows] = block
    return codes


def blocks_of_codes(ssae: Any, shifts: Shifts) -> Iterator[tuple[slice, Float[np.ndarray, "b d_sae"]]]:
    """Yield slices of rows with their codes, in order, after the checks of `codes_of`."""
    require_fit(ssae, shifts)
    return ((rows, encode(ssae, block)) for rows, block in _blocks(shifts))


def encode(ssae: Any, shifts: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d_sae"]:
    """Return the codes of shifts without checking that they belong to the SSAE."""
    return exact_codes(ssae, shifts).astype(np.float32)


def active_in(ssae: Any, codes: Float[np.ndarray, "b k"]) -> Bool[np.ndarray, "b k"]:
    """Return which codes are active: those that are not zero or, without thresholds, those above a tenth of their row."""
    return active(codes, 0.0 if getattr(ssae.cfg, "has_threshold", False) else RELATIVE)


def pair_means(values: Float[np.ndarray, "n k"], row_ids: Int[np.ndarray, " n"]) -> Float[np.ndarray, "p k"]:
    """Return the mean over the rows of each pair, in the order of the ids; rows of one pair are not independent."""
    ids, pair = np.unique(row_ids, return_inverse=True)
    if len(ids) == len(values):
        return values
    sums = np.zeros((len(ids), values.shape[1]))
    np.add.at(sums, pair, values)
    return sums / np.bincount(pair)[:, None]


def require_fit(ssae: Any, shifts: Shifts) -> None:
    """Raise, naming both sides, unless shifts are of the width, model and hook that an SSAE reads."""
    require_usable(ssae)
    if not isinstance(shifts, ShiftStore | np.ndarray | Tensor):
        raise ValueError(  # noqa: TRY004 - whatever is unusable is a ValueError
            f"shifts is a {type(shifts).__name__}; give a ShiftStore, or an array of shape (rows, {ssae.cfg.d_in})."
        )
    shape = (len(shifts), shifts.d_model) if isinstance(shifts, ShiftStore) else tuple(shifts.shape)
    if len(shape) != 2 or shape[1] != ssae.cfg.d_in or not shape[0]:
        raise ValueError(
            f"shifts has shape {shape}; the SSAE reads rows of d_in={ssae.cfg.d_in}: give shifts of its own hook."
        )
    if isinstance(shifts, ShiftStore):
        require_origin(ssae, shifts.origin)


def _blocks(shifts: Shifts) -> Iterator[tuple[slice, Float[np.ndarray, "b d"]]]:
    if isinstance(shifts, ShiftStore):
        for rows, source, target in shifts.blocks():
            yield rows, target - source
        return
    for start in range(0, len(shifts), BLOCK):
        rows = slice(start, min(start + BLOCK, len(shifts)))
        block = torch.as_tensor(shifts[rows]).detach().cpu().float()
        finite_rows("shifts", block)
        yield rows, block.numpy()


@dataclass(frozen=True, eq=False)
class CodeStats:
    """Statistics of the codes of some latents over a store.

    Attributes
    ----------
    largest, smallest
        For each latent, the rows of its most positive and of its most negative codes, strongest first.
    mean_abs
        The mean |code| over all rows.
    density
        The fraction of rows in which each latent is active (`active_in`).
    typical
        Σh² / Σ|h|, the mean |code| weighted by itself: the size of one change. 0 where all codes are 0.
    """

    largest: list[Rows]
    smallest: list[Rows]
    mean_abs: Float[np.ndarray, " k"]
    density: Float[np.ndarray, " k"]
    typical: Float[np.ndarray, " k"]


def code_stats(
    ssae: "SSAE",
    shifts: ShiftStore,
    latents: Sequence[int],
    n_rows: int,
    *,
    words: "ChangedWords | None" = None,
    quiet: bool = False,
) -> CodeStats:
    """Compute the statistics in one pass, with at most `n_rows` rows of each sign and one row of each pair.

    The codes are added to `words`, too.
    """
    kept = n_rows * int(np.unique(shifts.row_ids, return_counts=True)[1].max())
    extremes = (_Extremes(len(latents), kept), _Extremes(len(latents), kept))
    sizes, energy, n_active = np.zeros((3, len(latents)))
    with progress(total=len(shifts), unit=" rows", desc="Describing", quiet=quiet) as bar:
        for rows, source, target in shifts.blocks():
            codes = encode(ssae, target - source)
            n_active += active_in(ssae, codes)[:, latents].sum(axis=0)
            codes = codes[:, latents]
            if words is not None:
                words.add(rows, codes)
            sizes += abs(codes).sum(axis=0)
            energy += (codes**2).sum(axis=0)
            for extreme, sign in zip(extremes, (1, -1), strict=True):
                extreme.add(sign * codes, rows.start)
            bar.update(len(codes))
    n = len(shifts)
    typical = energy / np.where(sizes > 0, sizes, 1)
    largest, smallest = (each.best(shifts.row_ids, n_rows, sign) for each, sign in zip(extremes, (1, -1), strict=True))
    return CodeStats(largest, smallest, sizes / n, n_active / n, typical)


class _Extremes:
    """The largest codes of each latent so far, with their rows."""

    def __init__(self, n_latents: int, kept: int) -> None:
        self.kept = kept
        self.codes = np.empty((n_latents, 0), dtype=np.float32)
        self.rows = np.empty((n_latents, 0), dtype=np.int64)

    def add(self, codes: Float[np.ndarray, "b k"], first_row: int) -> None:
        rows = np.broadcast_to(np.arange(first_row, first_row + len(codes)), codes.T.shape)
        all_codes = np.concatenate([self.codes, codes.T], axis=1)
        all_rows = np.concatenate([self.rows, rows], axis=1)
        order = np.argpartition(-all_codes, min(self.kept, all_codes.shape[1]) - 1, axis=1)[:, : self.kept]
        self.codes = np.take_along_axis(all_codes, order, axis=1)
        self.rows = np.take_along_axis(all_rows, order, axis=1)

    def best(self, row_ids: np.ndarray, n_rows: int, sign: int) -> list[Rows]:
        """Return the strongest rows of each latent with codes of one sign, one row of each pair."""
        strongest = []
        for codes, rows in zip(self.codes, self.rows, strict=True):
            by_pair: dict[int, tuple[int, float]] = {}
            order = np.lexsort((rows, -codes))
            for row, code in zip(rows[order].tolist(), codes[order].tolist(), strict=True):
                if code > 0:
                    by_pair.setdefault(int(row_ids[row]), (row, sign * code))
            strongest.append(list(by_pair.values())[:n_rows])
        return strongest
