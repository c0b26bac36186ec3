"""One pass over a store: each latent's strongest rows, and how large and how frequent its codes are."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ssae_lens.base.progress import progress
from ssae_lens.latents.codes import encode
from ssae_lens.metrics.reconstruction import active
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from ssae_lens.sae import SSAE

Rows = list[tuple[int, float]]


@dataclass(frozen=True, eq=False)
class Strongest:
    """What one pass saw of some latents.

    Attributes
    ----------
    largest, smallest
        For each latent, the rows of its codes furthest above zero, and of those furthest below, strongest first.
    mean_abs
        The mean |code| over all rows.
    density
        The share of rows in which each is active, as `metrics.density` counts.
    typical
        Σh² / Σ|h|, the mean |code| in which codes near 0 hardly count: what one change measures. 0 where all are 0.
    mean_norm, mean_shift_norm
        Mean norm of the store's activations, and of its shifts.
    """

    largest: list[Rows]
    smallest: list[Rows]
    mean_abs: Float[np.ndarray, " k"]
    density: Float[np.ndarray, " k"]
    typical: Float[np.ndarray, " k"]
    mean_norm: float
    mean_shift_norm: float


def strongest(
    ssae: "SSAE", shifts: ShiftStore, latents: Sequence[int], n_rows: int, *, quiet: bool = False
) -> Strongest:
    """Read a store once, in order. Of rows of one pair the strongest is kept; at most `n_rows` rows of each sign are."""
    kept = n_rows * int(np.unique(shifts.row_ids, return_counts=True)[1].max())
    ends = (_Ends(len(latents), kept), _Ends(len(latents), kept))
    size, energy, often = np.zeros((3, len(latents)))
    norms = shift_norms = 0.0
    with progress(total=len(shifts), unit=" rows", about="Describing", quiet=quiet) as bar:
        for rows, source, target in shifts.blocks():
            codes = encode(ssae, target - source)
            often += active(codes)[:, latents].sum(axis=0)
            codes = codes[:, latents]
            size += abs(codes).sum(axis=0)
            energy += (codes**2).sum(axis=0)
            norms += np.linalg.norm(source, axis=1).sum() + np.linalg.norm(target, axis=1).sum()
            shift_norms += np.linalg.norm(target - source, axis=1).sum()
            for end, sign in zip(ends, (1, -1), strict=True):
                end.add(sign * codes, rows.start)
            bar.update(len(codes))
    n = len(shifts)
    typical = energy / np.where(size > 0, size, 1)
    largest, smallest = ends[0].best(shifts.row_ids, n_rows, 1), ends[1].best(shifts.row_ids, n_rows, -1)
    return Strongest(largest, smallest, size / n, often / n, typical, float(norms / (2 * n)), float(shift_norms / n))


class _Ends:
    """The largest codes of each latent so far, and their rows."""

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
        """Return each latent's rows, one of each pair, of codes of one sign."""
        found = []
        for codes, rows in zip(self.codes, self.rows, strict=True):
            by_pair: dict[int, tuple[int, float]] = {}
            order = np.lexsort((rows, -codes))
            for row, code in zip(rows[order].tolist(), codes[order].tolist(), strict=True):
                if code > 0:
                    by_pair.setdefault(int(row_ids[row]), (row, sign * code))
            found.append(list(by_pair.values())[:n_rows])
        return found
