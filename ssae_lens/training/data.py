"""The shifts that training reads: a store, an array, a nested list or an iterator, as batches of each step.

`open_data` returns `Rows` for what can be read at random (a store, an array), whose batches depend on the seed and the step
alone, so that an interrupted run resumes with the batch it would have had; and `Stream` for an iterator.
"""

import hashlib
import warnings
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.shifts import ShiftStore, open_shifts
from ssae_lens.shifts.batches import RowReader
from ssae_lens.training.halves import halves_of
from ssae_lens.training.input_map import root_mean_square

# A map is fitted to at most so many shifts, and a store's shifts are held in memory up to so many bytes.
FIT_ROWS = 100_000
HOLD_BYTES = 2 << 30
BLOCK, MEASURED_BLOCK = 65_536, 8192
# Root mean squares between which shifts, and what is folded from them, are in float32's range.
SIZES = (1e-34, 1e34)


class Rows:
    """Shifts that can be read at random: each epoch a new order, each step its part of it.

    Parameters
    ----------
    values
        All shifts: an array, or the reader of a file that memory does not hold.
    store
        The store they are of, if they are of one.
    rows
        With a reader, the rows that are meant. None means all.
    """

    def __init__(
        self, values: np.ndarray | RowReader, store: ShiftStore | None = None, rows: np.ndarray | None = None
    ) -> None:
        # PyTorch warns of arrays that it could not write to. It will not write.
        self.values = values if isinstance(values, RowReader) else np.require(values, requirements="W")
        self.store = store
        self._rows = rows
        n, self.d_in = values.shape
        self.n = n if rows is None else len(rows)
        self._digest: str | None = None
        self._epoch: tuple[tuple[int, int], Tensor] | None = None
        self._ahead: tuple[tuple[int, int, int], Future[Tensor]] | None = None

    @property
    def path_backed(self) -> bool:
        """Whether shifts are read from a file at every step."""
        return isinstance(self.values, RowReader)

    @cached_property
    def n_pairs(self) -> int:
        """The number of pairs: a store may have several rows of each."""
        return self.n if self.store is None else len(np.unique(self.store.row_ids))

    def sample(self) -> Float[Tensor, "n d"]:
        """Return the shifts that an input map is fitted to: all, or evenly spaced ones."""
        return self._read(slice(None, None, max(1, -(-self.n // FIT_ROWS))))

    def blocks(self, size: int = BLOCK) -> Iterator[Float[Tensor, "b d"]]:
        """Return all shifts in order, `size` at a time."""
        for begin in range(0, self.n, size):
            yield self._read(slice(begin, begin + size))

    def measured(self) -> Iterator[Float[Tensor, "b d"]]:
        """Return the shifts that results are measured on, in blocks: all that memory holds, else the sample."""
        return iter(self.sample().split(MEASURED_BLOCK)) if self.path_backed else self.blocks(MEASURED_BLOCK)

    def pick(self, step: int, batch_size: int, seed: int) -> Tensor:
        """Return the row numbers of a step's batch."""
        size = min(batch_size, self.n)
        per_epoch = self.n // size
        key = seed, step // per_epoch
        if self._epoch is None or self._epoch[0] != key:
            # One number from two. (A seed's upper half would not be looked at.)
            generator = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            self._epoch = key, torch.randperm(self.n, generator=generator)
        begin = (step % per_epoch) * size
        return self._epoch[1][begin : begin + size]

    def batch(self, step: int, batch_size: int, seed: int) -> Float[Tensor, "b d"]:
        """Return a step's batch; from a file, the next step's is read meanwhile."""
        if not isinstance(self.values, RowReader):
            return self._read(self.pick(step, batch_size, seed).numpy())
        now, coming = (step, batch_size, seed), (step + 1, batch_size, seed)
        ready = self._ahead[1] if self._ahead and self._ahead[0] == now else self._begin(self.pick(*now).numpy())
        self._ahead = coming, self._begin(self.pick(*coming).numpy())
        return ready.result()

    def fingerprint(self) -> str:
        """Return a short hash of all rows."""
        if self._digest is None:
            self._digest = self.store.fingerprint if self.store is not None else self._hash_rows()
        return self._digest

    def _hash_rows(self) -> str:
        digest = hashlib.blake2b(str((self.n, self.d_in)).encode(), digest_size=8)
        for block in self.blocks():
            digest.update(block.contiguous().numpy().data)
        return digest.hexdigest()

    def halves(self, *, stacklevel: int = 2) -> list["Rows"]:
        """Return two halves that share no pair and, where a store knows them and it can be, no text.

        Without a store every row is a pair. Where a single pair has most of the rows there are no halves.

        Parameters
        ----------
        stacklevel
            Whose line a warning names, as in `warnings.warn`.

        Warns
        -----
        UserWarning
            Where halves share texts.
        """
        parts, share = (slice(0, None, 2), slice(1, None, 2)), False
        if self.store is not None:
            parts, share = halves_of(self.store)
        if share:
            warnings.warn(
                f"Nearly all of the {self.n_pairs} pairs are connected by texts that they share, so the halves of the "
                "shifts are split by pair and have texts in common: agreement of halves is overstated.",
                stacklevel=stacklevel,
            )
        return [self._part(each) for each in parts or ()]

    def _part(self, rows: np.ndarray | slice) -> "Rows":
        if isinstance(self.values, RowReader):
            return Rows(self.values, rows=np.arange(self.n)[rows])
        return Rows(self.values[rows])

    def _begin(self, rows: np.ndarray | slice) -> "Future[Tensor]":
        assert isinstance(self.values, RowReader)
        numbers = np.arange(*rows.indices(self.n)) if isinstance(rows, slice) else rows
        return self.values.begin(numbers if self._rows is None else self._rows[numbers])

    def _read(self, rows: Any) -> Float[Tensor, "b d"]:
        if isinstance(self.values, RowReader):
            return self._begin(rows).result()
        return torch.from_numpy(np.require(self.values[rows], np.float32, "W"))


class Stream:
    """Shifts from an iterator: its first batches fit the input map and are then trained on."""

    n = None
    n_pairs = None
    path_backed = False

    def __init__(self, batches: Iterator[Any], batch_size: int) -> None:
        self._batches = (_as_batch(each, number) for number, each in enumerate(batches))
        first = next(self._batches, None)
        if first is None:
            raise ValueError("The iterator of shifts gave no batch; give one that yields (n, d) tensors.")
        self.d_in = first.shape[1]
        wanted = max(4 * self.d_in, 16 * batch_size)
        held = [first, *islice(self._batches, max(0, -(-wanted // len(first)) - 1))]
        self._sample = torch.cat(held)
        _check_varied(self._sample)
        self._batches = chain(held, self._batches)

    def sample(self) -> Float[Tensor, "n d"]:
        """Return the shifts that came first."""
        return self._sample

    def measured(self) -> Iterator[Float[Tensor, "b d"]]:
        """Return the shifts that results are measured on: those that came first."""
        return iter(self._sample.split(MEASURED_BLOCK))

    def batch(self, step: int, batch_size: int, seed: int) -> Float[Tensor, "b d"]:  # noqa: ARG002
        """Return the next batch, of the size that the iterator has."""
        batch = next(self._batches, None)
        if batch is None:
            raise ValueError(f"The iterator of shifts ended at step {step}; give one that goes on, or fewer steps.")
        return batch

    def fingerprint(self) -> str:
        """Return nothing: a stream cannot be recognised."""
        return ""


def opened(shifts: Any) -> Any:
    """Open a store that is given by its path; return anything else as it is."""
    return open_shifts(shifts) if isinstance(shifts, str | Path) else shifts


def open_data(shifts: Any, batch_size: int) -> Rows | Stream:
    """Take a store or its path, an (N, d) array, tensor or nested list, or an iterator of (n, d) batches."""
    if isinstance(shifts, Rows | Stream):
        return shifts
    shifts = opened(shifts)
    if isinstance(shifts, ShiftStore):
        if shifts.path is not None and len(shifts) * shifts.d_model * 4 > HOLD_BYTES:
            return _checked(Rows(RowReader(shifts.memmap()), shifts))
        return _checked(Rows(shifts.shifts, shifts))
    if isinstance(shifts, Tensor | np.ndarray) or _is_nested(shifts):
        return _checked(Rows(_as_array(shifts)))
    if hasattr(shifts, "__iter__"):
        return Stream(iter(shifts), batch_size)
    raise ValueError(
        f"shifts is a {type(shifts).__name__}; give a ShiftStore or its path, an (N, d) array, or an iterator of (n, d) "
        "batches."
    )


def _is_nested(shifts: Any) -> bool:
    """Return whether a list holds shifts one by one. A list of matrices holds batches."""
    if not isinstance(shifts, list | tuple) or not shifts:
        return False
    try:
        return np.ndim(shifts[0]) < 2
    except ValueError:
        return True  # of unequal lengths, which `_as_array` refuses


def _as_array(shifts: Any) -> np.ndarray:
    try:
        if isinstance(shifts, list | tuple):
            shifts = [_of_tensor(each) if isinstance(each, Tensor) else each for each in shifts]
        values = _of_tensor(shifts) if isinstance(shifts, Tensor) else np.asarray(shifts)
    except ValueError as error:
        raise ValueError(f"shifts is a list that makes no (N, d) array ({error}); give rows of one length.") from None
    if values.ndim != 2:
        raise ValueError(f"shifts has shape {tuple(values.shape)}; it must be (N, d): one shift a row.")
    if values.dtype.kind not in "fiub":
        raise ValueError(f"shifts holds {values.dtype}; it must hold real numbers.")
    if values.dtype not in (np.float16, np.float32):
        values = values.astype(np.float64, copy=False)
        largest = max(values.max(initial=0), -values.min(initial=0))
        if np.finfo(np.float32).max < largest < np.inf:
            raise ValueError(f"shifts reach {largest:.3g}, beyond the largest float32; divide them by a constant.")
    return values


def _of_tensor(values: Tensor) -> np.ndarray:
    values = values.detach().cpu()
    return values.numpy() if values.dtype == torch.float64 else values.float().numpy()


def _checked(rows: Rows) -> Rows:
    if rows.n == 0:
        raise ValueError("There are no shifts: the store or array has no rows.")
    sample = rows.sample()
    # A file that is read by parts was checked when it was written.
    checks.finite_rows("shifts", sample if rows.path_backed else torch.from_numpy(rows.values))
    _check_varied(sample)
    return rows


def _check_varied(sample: Float[Tensor, "n d"]) -> None:
    if not sample.any() or (len(sample) > 1 and not (sample != sample[0]).any()):
        raise ValueError(
            f"All {len(sample)} shifts are the same: nothing in them varies for a latent to follow. "
            "Capture pairs in which different concepts change."
        )
    if len(sample) == 1:
        raise ValueError("There is 1 shift; training needs several. Capture pairs in which different concepts change.")
    size = root_mean_square(sample)
    if not SIZES[0] <= size <= SIZES[1]:
        raise ValueError(
            f"The shifts have a root mean square of {size:.3g}; float32 holds it well from {SIZES[0]:g} to {SIZES[1]:g}. "
            "Multiply them by a constant."
        )


def _as_batch(batch: Any, number: int) -> Float[Tensor, "b d"]:
    batch = torch.as_tensor(batch).detach().float()
    if batch.ndim != 2:
        raise ValueError(f"Batch {number} of the shifts has shape {tuple(batch.shape)}; it must be (n, d).")
    checks.finite_rows(f"batch {number} of the shifts", batch)
    return batch
