"""Shuffled batches of shifts on a device, from memory or, where they do not fit, from the flat file on disk."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks

if TYPE_CHECKING:
    from ssae_lens.shifts.store import ShiftStore

RAM_LIMIT = 2 << 30


def shuffled(
    store: "ShiftStore",
    batch_size: int,
    seed: int,
    epochs: int | None,
    rows: np.ndarray | None,
    device: torch.device,
    drop_last: bool,
    ram_limit: int,
) -> Iterator[Float[Tensor, "b d"]]:
    """Check what `ShiftStore.batches` was given at once, and give its iterator."""
    checks.whole("batch_size", batch_size)
    if epochs is not None:
        checks.whole("epochs", epochs)
    n_rows = len(store) if rows is None else len(rows)
    if drop_last and batch_size > n_rows:
        raise ValueError(
            f"batch_size is {batch_size} and there are {n_rows} rows; with drop_last no batch would be left."
        )
    chosen = None if rows is None else torch.from_numpy(rows)
    picks = _picks(n_rows, batch_size, seed, epochs, chosen, drop_last)
    if store.path is None or len(store) * store.d_model * 4 <= ram_limit:
        held = torch.from_numpy(store.shifts).to(device)
        return (held[pick.to(device)] for pick in picks)
    return (batch.to(device) for batch in _from_disk(store.memmap(), picks))


def _picks(
    n_rows: int, batch_size: int, seed: int, epochs: int | None, rows: Tensor | None, drop_last: bool
) -> Iterator[Tensor]:
    """Give the row numbers of each batch."""
    generator = torch.Generator().manual_seed(seed)
    epoch = 0
    while epochs is None or epoch < epochs:
        order = torch.randperm(n_rows, generator=generator)
        for pick in (order if rows is None else rows[order]).split(batch_size):
            if len(pick) == batch_size or not drop_last:
                yield pick
        epoch += 1


def _from_disk(flat: np.memmap, picks: Iterator[Tensor]) -> Iterator[Tensor]:
    """Read each batch while the one before it is in use: a disk waits for its rows, a device need not.

    Rows are read one by one and not through the memory map. A map brings in the large pages that lie around each row, so
    that after some batches the whole file counts as this process's memory.
    """
    assert flat.filename is not None
    row_bytes = flat.shape[1] * flat.itemsize

    def read(pick: Tensor) -> Tensor:
        batch = np.empty((len(pick), flat.shape[1]), flat.dtype)
        for row, into in zip(pick.tolist(), batch, strict=True):
            file.seek(flat.offset + row * row_bytes)
            if file.readinto(into.data) != row_bytes:
                raise ValueError(f"{flat.filename} ends before row {row}; remove it and it will be made again.")
        return torch.from_numpy(batch)

    with (
        Path(flat.filename).open("rb", buffering=0) as file,
        ThreadPoolExecutor(max_workers=1, thread_name_prefix="shifts") as reader,
    ):
        coming = None
        for pick in picks:
            ready, coming = coming, reader.submit(read, pick)
            if ready is not None:
                yield ready.result()
        if coming is not None:
            yield coming.result()
