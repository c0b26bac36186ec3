"""Shifts on their way to the encoder: any kind that `train` takes, as batches that a step number names.

`open_data` gives `Rows` for what can be read at random (a store, an array), whose batches depend on the seed and the step
alone, so that an interrupted run goes on with the very batch it would have had; and `Stream` for an iterator.
"""

import hashlib
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.shifts import ShiftStore

# A map is fitted to at most so many shifts, and shifts are held in memory up to so many bytes.
FIT_ROWS = 100_000
HOLD_BYTES = 2 << 30


class Rows:
    """Shifts that can be read at random: each epoch a new order, each step its part of it."""

    def __init__(self, values: Any, path_backed: bool = False) -> None:
        # PyTorch warns of arrays that it could not write to. It will not write.
        self.values = values if path_backed else np.require(values, requirements="W")
        self.n, self.d_in = values.shape
        self.path_backed = path_backed
        self._epoch: tuple[tuple[int, int], Tensor] | None = None

    def sample(self) -> Float[Tensor, "n d"]:
        """Give the shifts that an input map is fitted to: all, or evenly spaced ones."""
        every = max(1, -(-self.n // FIT_ROWS))
        return self._read(slice(None, None, every))

    def pick(self, step: int, batch_size: int, seed: int) -> Tensor:
        """Give the rows of a step's batch."""
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
        """Give a step's batch."""
        return self._read(self.pick(step, batch_size, seed).numpy())

    def fingerprint(self) -> str:
        """Give a short hash of some of the rows."""
        some = self._read(slice(None, None, max(1, self.n // 64))).contiguous().numpy()
        return hashlib.sha256(some.tobytes() + str((self.n, self.d_in)).encode()).hexdigest()[:16]

    def halves(self) -> list["Rows"]:
        """Give every other row, and the others: two data sets that share none."""
        return [Rows(self.values[begin::2], self.path_backed) for begin in (0, 1)]

    def _read(self, rows: Any) -> Float[Tensor, "b d"]:
        return torch.from_numpy(np.require(self.values[rows], np.float32, "W"))


class Stream:
    """Shifts from an iterator: its first batches fit the input map and are then trained on."""

    n = None
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
        """Give the shifts that came first."""
        return self._sample

    def batch(self, step: int, batch_size: int, seed: int) -> Float[Tensor, "b d"]:  # noqa: ARG002
        """Give the next batch, of the size that the iterator has."""
        batch = next(self._batches, None)
        if batch is None:
            raise ValueError(f"The iterator of shifts ended at step {step}; give one that goes on, or fewer steps.")
        return batch

    def fingerprint(self) -> str:
        """Give nothing: a stream cannot be recognised."""
        return ""


def open_data(shifts: Any, batch_size: int) -> Rows | Stream:
    """Take a store, an (N, d) array or tensor, or an iterator of (n, d) batches."""
    if isinstance(shifts, ShiftStore):
        if shifts.path is not None and len(shifts) * shifts.d_model * 4 > HOLD_BYTES:
            return _checked(Rows(shifts.memmap(), path_backed=True))
        return _checked(Rows(shifts.shifts))
    if isinstance(shifts, Tensor | np.ndarray):
        values = shifts.detach().cpu().float().numpy() if isinstance(shifts, Tensor) else shifts
        if values.ndim != 2:
            raise ValueError(f"shifts has shape {tuple(values.shape)}; it must be (N, d): one shift a row.")
        return _checked(Rows(values))
    if hasattr(shifts, "__iter__"):
        return Stream(iter(shifts), batch_size)
    raise ValueError(
        f"shifts is a {type(shifts).__name__}; give a ShiftStore, an (N, d) array, or an iterator of (n, d) batches."
    )


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


def _as_batch(batch: Any, number: int) -> Float[Tensor, "b d"]:
    batch = torch.as_tensor(batch).detach().float()
    if batch.ndim != 2:
        raise ValueError(f"Batch {number} of the shifts has shape {tuple(batch.shape)}; it must be (n, d).")
    checks.finite_rows(f"batch {number} of the shifts", batch)
    return batch
