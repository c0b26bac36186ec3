"""Training data: a store, an array, a nested list or an iterator of shifts, as a batch for each step.

`open_data` returns `Rows` for data with random access (a store, an array), whose batches depend on the seed and the step
alone, so that an interrupted run resumes with the same batch; and `Stream` for an iterator. `Rows.halves` splits data in
two for fits that are then compared.
"""

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future
from functools import cached_property
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.shifts import ShiftStore, open_shifts
from ssae_lens.shifts.disk import RowReader
from ssae_lens.training.input_map import root_mean_square

# The most rows that a map is fitted to, and the most bytes of a store's shifts that are held in memory.
FIT_ROWS = 100_000
HOLD_BYTES = 2 << 30
BLOCK, FIT_BLOCK = 65_536, 8192
# The root mean squares for which shifts, and what is folded from them, are in float32's range.
MIN_SIZE, MAX_SIZE = 1e-34, 1e34
# The smaller of two halves needs this fraction of the rows.
MIN_HALF = 1 / 3

Halves = tuple[np.ndarray | slice, np.ndarray | slice]


class Rows:
    """Shifts with random access, in a new order for each epoch.

    `values` are an array, or the reader of a file that does not fit in memory, of which `rows` may select some. `store` is
    where they come from, if it is a store.
    """

    def __init__(
        self, values: np.ndarray | RowReader, store: ShiftStore | None = None, rows: np.ndarray | None = None
    ) -> None:
        # PyTorch warns about arrays that it could not write to, even where it never writes.
        self.values = values if isinstance(values, RowReader) else np.require(values, requirements="W")
        self.store = store
        self._rows = rows
        n, self.d_in = values.shape
        self.n = n if rows is None else len(rows)
        self._epoch: tuple[tuple[int, int], Tensor] | None = None
        self._ahead: tuple[tuple[int, int, int], Future[Tensor]] | None = None

    @property
    def path_backed(self) -> bool:
        """Whether shifts are read from a file at every step."""
        return isinstance(self.values, RowReader)

    @cached_property
    def n_pairs(self) -> int:
        """The number of pairs; a store may have several rows for each."""
        return self.n if self.store is None else len(np.unique(self.store.row_ids))

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of all rows."""
        if self.store is not None:
            return self.store.fingerprint
        digest = hashlib.blake2b(str((self.n, self.d_in)).encode(), digest_size=8)
        for block in self.blocks():
            digest.update(block.contiguous().numpy().data)
        return digest.hexdigest()

    def sample(self) -> Float[Tensor, "n d"]:
        """Return the shifts that an input map is fitted to: all, or evenly spaced ones."""
        return self._read(slice(None, None, max(1, -(-self.n // FIT_ROWS))))

    def blocks(self, size: int = BLOCK) -> Iterator[Float[Tensor, "b d"]]:
        """Return all shifts in order, `size` at a time."""
        for begin in range(0, self.n, size):
            yield self._read(slice(begin, begin + size))

    def measured(self) -> Iterator[Float[Tensor, "b d"]]:
        """Return the shifts that a fit is measured on, in blocks: all that memory holds, else the sample."""
        return iter(self.sample().split(FIT_BLOCK)) if self.path_backed else self.blocks(FIT_BLOCK)

    @cached_property
    def norms(self) -> dict[str, float]:
        """The mean norms of a store's activations and shifts; without a store, of the shifts."""
        return _mean_norm(self.measured()) if self.store is None else self.store.norms

    def pick(self, step: int, batch_size: int, seed: int) -> Tensor:
        """Return the row numbers of a step's batch."""
        size = min(batch_size, self.n)
        per_epoch = self.n // size
        key = seed, step // per_epoch
        if self._epoch is None or self._epoch[0] != key:
            # One number from two: a generator ignores the upper half of its seed.
            generator = torch.Generator().manual_seed(int(np.random.SeedSequence(key).generate_state(1)[0]))
            self._epoch = key, torch.randperm(self.n, generator=generator)
        begin = (step % per_epoch) * size
        return self._epoch[1][begin : begin + size]

    def batch(self, step: int, batch_size: int, seed: int) -> Float[Tensor, "b d"]:
        """Return a step's batch; from a file, the next step's batch is read in the background."""
        if not isinstance(self.values, RowReader):
            return self._read(self.pick(step, batch_size, seed).numpy())
        now, following = (step, batch_size, seed), (step + 1, batch_size, seed)
        future = self._ahead[1] if self._ahead and self._ahead[0] == now else self._begin(self.pick(*now).numpy())
        self._ahead = following, self._begin(self.pick(*following).numpy())
        return future.result()

    def halves(self) -> list["Rows"]:
        """Return two halves that share no pair and, where the store has texts and it is possible, no text.

        Without a store every row is a pair. The list is empty where a single pair has most of the rows. A warning says
        where the halves share texts.
        """
        split, share_texts = (slice(0, None, 2), slice(1, None, 2)), False
        if self.store is not None:
            split, share_texts = _split_store(self.store)
        if share_texts:
            checks.warn(
                f"Nearly all of the {self.n_pairs} pairs are connected by shared texts, so the halves of the shifts are "
                "split by pair and have texts in common: their agreement is overstated."
            )
        if isinstance(self.values, RowReader):
            return [Rows(self.values, rows=np.arange(self.n)[rows]) for rows in split or ()]
        return [Rows(self.values[rows]) for rows in split or ()]

    def _begin(self, rows: np.ndarray | slice) -> "Future[Tensor]":
        assert isinstance(self.values, RowReader)
        numbers = np.arange(*rows.indices(self.n)) if isinstance(rows, slice) else rows
        return self.values.begin(numbers if self._rows is None else self._rows[numbers])

    def _read(self, rows: np.ndarray | slice) -> Float[Tensor, "b d"]:
        if isinstance(self.values, RowReader):
            return self._begin(rows).result()
        return torch.from_numpy(np.require(self.values[rows], np.float32, "W"))


class Stream:
    """Shifts from an iterator: its first batches fit the input map and are then trained on."""

    n = n_pairs = store = None
    path_backed = False
    # A stream cannot be recognised.
    fingerprint = ""

    def __init__(self, batches: Iterator[Any], batch_size: int) -> None:
        self._batches = (_as_batch(batch, number) for number, batch in enumerate(batches))
        first = next(self._batches, None)
        if first is None:
            raise ValueError("The iterator of shifts is empty; it must yield (n, d) tensors.")
        self.d_in = first.shape[1]
        n_rows = max(4 * self.d_in, 16 * batch_size)
        held = [first, *islice(self._batches, max(0, -(-n_rows // len(first)) - 1))]
        self._sample = torch.cat(held)
        _check_varied(self._sample)
        self._batches = chain(held, self._batches)

    def sample(self) -> Float[Tensor, "n d"]:
        """Return the first shifts."""
        return self._sample

    def measured(self) -> Iterator[Float[Tensor, "b d"]]:
        """Return the shifts that a fit is measured on: the first."""
        return iter(self._sample.split(FIT_BLOCK))

    @cached_property
    def norms(self) -> dict[str, float]:
        """The mean norm of the first shifts."""
        return _mean_norm(self.measured())

    def batch(self, step: int, batch_size: int, seed: int) -> Float[Tensor, "b d"]:  # noqa: ARG002
        """Return the next batch, of the iterator's own size."""
        batch = next(self._batches, None)
        if batch is None:
            raise ValueError(f"The iterator of shifts ended at step {step}; give a longer one, or fewer steps.")
        return batch


def open_data(shifts: Any, batch_size: int) -> Rows | Stream:
    """Return a store or its path, an (N, d) array, tensor or nested list, or an iterator of (n, d) batches as data."""
    if isinstance(shifts, Rows | Stream):
        return shifts
    if isinstance(shifts, str | Path):
        shifts = open_shifts(shifts)
    if isinstance(shifts, ShiftStore):
        on_disk = shifts.path is not None and len(shifts) * shifts.d_model * 4 > HOLD_BYTES
        return _checked(Rows(RowReader(shifts.memmap()) if on_disk else shifts.shifts, shifts))
    if isinstance(shifts, Tensor | np.ndarray) or _is_nested(shifts):
        return _checked(Rows(_as_array(shifts)))
    if hasattr(shifts, "__iter__"):
        return Stream(iter(shifts), batch_size)
    raise ValueError(
        f"shifts must be a ShiftStore or its path, an (N, d) array, or an iterator of (n, d) batches, "
        f"got {type(shifts).__name__}."
    )


def _mean_norm(blocks: Iterator[Tensor]) -> dict[str, float]:
    norms = torch.cat([torch.linalg.vector_norm(block, dim=1, dtype=torch.float64) for block in blocks])
    return {"mean_shift_norm": norms.mean().item()}


def _is_nested(shifts: Any) -> bool:
    """Return whether a list holds shifts one by one. A list of matrices holds batches."""
    if not isinstance(shifts, list | tuple) or not shifts:
        return False
    try:
        return np.ndim(shifts[0]) < 2
    except ValueError:
        return True  # rows of unequal lengths, which `_as_array` refuses


def _as_array(shifts: Any) -> np.ndarray:
    try:
        if isinstance(shifts, list | tuple):
            shifts = [_to_numpy(row) if isinstance(row, Tensor) else row for row in shifts]
        values = _to_numpy(shifts) if isinstance(shifts, Tensor) else np.asarray(shifts)
    except ValueError as error:
        raise ValueError(f"shifts is a list with rows of different lengths ({error}); it must be (N, d).") from None
    if values.ndim != 2:
        raise ValueError(f"shifts has shape {tuple(values.shape)}; it must be (N, d), one shift per row.")
    if values.dtype.kind not in "fiub":
        raise ValueError(f"shifts holds {values.dtype}; it must hold real numbers.")
    if values.dtype not in (np.float16, np.float32):
        values = values.astype(np.float64, copy=False)
        largest = max(values.max(initial=0), -values.min(initial=0))
        if np.finfo(np.float32).max < largest < np.inf:
            raise ValueError(f"shifts reach {largest:.3g}, beyond the largest float32; divide them by a constant.")
    return values


def _to_numpy(values: Tensor) -> np.ndarray:
    values = values.detach().cpu()
    return values.numpy() if values.dtype == torch.float64 else values.float().numpy()


def _as_batch(batch: Any, number: int) -> Float[Tensor, "b d"]:
    batch = torch.as_tensor(batch).detach().float()
    if batch.ndim != 2:
        raise ValueError(f"Batch {number} of the shifts has shape {tuple(batch.shape)}; it must be (n, d).")
    checks.finite_rows(f"batch {number} of the shifts", batch)
    return batch


def _checked(rows: Rows) -> Rows:
    if rows.n == 0:
        raise ValueError("There are no shifts: the store or array has no rows.")
    sample = rows.sample()
    # A file that is read in parts was checked when it was written.
    checks.finite_rows("shifts", sample if rows.path_backed else torch.from_numpy(rows.values))
    _check_varied(sample)
    return rows


def _check_varied(sample: Float[Tensor, "n d"]) -> None:
    hint = "Capture pairs in which different concepts change."
    if not sample.any() or (len(sample) > 1 and not (sample != sample[0]).any()):
        raise ValueError(f"All {len(sample)} shifts are the same, so that no latent can be learned. {hint}")
    if len(sample) == 1:
        raise ValueError(f"There is 1 shift; training needs several. {hint}")
    size = root_mean_square(sample)
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise ValueError(
            f"The shifts have a root mean square of {size:.3g}; it must be from {MIN_SIZE:g} to {MAX_SIZE:g}, for float32. "
            "Multiply them by a constant."
        )


def _split_store(store: ShiftStore) -> tuple[Halves | None, bool]:
    """Return the rows of two halves of a store, and whether they share texts.

    Pairs with a text in common, and so on along a chain of such pairs, go to one half. Where nearly all pairs are connected
    in this way, the halves are split by pair and share texts. None means that a single pair has most of the rows.
    """
    if store.texts is not None:
        by_text = split_groups(connected_rows(store.row_ids, store.texts))
        if by_text is not None:
            return by_text, False
    return split_groups(store.row_ids), store.texts is not None


def connected_rows(pairs: Int[np.ndarray, " n"], texts: tuple[list[str], list[str]]) -> Int[np.ndarray, " n"]:
    """Return the group of each row: rows of one pair, and rows with a text in common, are connected."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    names, pair = np.unique(pairs, return_inverse=True)
    numbers: dict[str, int] = {}
    of_text = np.array([[numbers.setdefault(text, len(numbers)) for text in column] for column in texts])
    size = len(names) + len(numbers)
    edges = np.tile(pair, len(texts)), len(names) + of_text.ravel()
    graph = coo_array((np.ones(of_text.size, dtype=bool), edges), shape=(size, size))
    return connected_components(graph, directed=False)[1][pair]


def split_groups(groups: Int[np.ndarray, " n"]) -> Halves | None:
    """Return the rows of two halves that share no group, or None where groups are too large for that.

    Groups go to the smaller half, largest first and, of one size, in order of appearance: single rows alternate.
    """
    _, first, group, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    if sizes.max() == 1:
        return slice(0, None, 2), slice(1, None, 2)
    in_second, totals = np.zeros(len(sizes), dtype=bool), [0, 0]
    for number in np.lexsort((first, -sizes)).tolist():
        smaller = int(totals[1] < totals[0])
        in_second[number] = smaller
        totals[smaller] += int(sizes[number])
    if min(totals) < MIN_HALF * len(groups):
        return None
    return np.flatnonzero(~in_second[group]), np.flatnonzero(in_second[group])
