"""Batches of a flat file of shifts that does not fit in memory, read ahead by a thread."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor


class RowReader:
    """Read rows of a flat file by their numbers, while the caller works.

    Rows are read one by one and not through the memory map, which brings in the large pages that lie around each row, so
    that after some batches the whole file counts as this process's memory.

    Parameters
    ----------
    flat
        What `ShiftStore.memmap` returns.
    """

    def __init__(self, flat: Float[np.memmap, "n d"]) -> None:
        assert flat.filename is not None
        self.path = Path(flat.filename)
        self.shape: tuple[int, int] = flat.shape
        self._dtype, self._offset = flat.dtype, flat.offset
        # The file is used by this one thread alone, so that one read does not move another's position.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="shifts")
        self._file = self.path.open("rb", buffering=0)

    def begin(self, rows: Int[np.ndarray, " b"]) -> "Future[Tensor]":
        """Begin to read rows, as a (b, d) tensor of the file's type; its `result()` waits for them."""
        return self._thread.submit(self._read, rows)

    def _read(self, rows: np.ndarray) -> Tensor:
        batch = np.empty((len(rows), self.shape[1]), self._dtype)
        row_bytes = batch.strides[0]
        for row, into in zip(rows.tolist(), batch, strict=True):
            self._file.seek(self._offset + row * row_bytes)
            if self._file.readinto(into.data) != row_bytes:
                raise ValueError(f"{self.path} ends before row {row}; remove it and it will be made again.")
        return torch.from_numpy(batch)
