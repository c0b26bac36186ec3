"""Shifts of text pairs, on disk and in memory: the HDF5 store, and the files of the paper's reference code."""

from ssae_lens.shifts.merging import merge
from ssae_lens.shifts.reference import open_shifts, read_reference, write_reference
from ssae_lens.shifts.store import ShiftStore
from ssae_lens.shifts.summary import spectrum_figure, summarise

__all__ = [
    "ShiftStore",
    "merge",
    "open_shifts",
    "read_reference",
    "spectrum_figure",
    "summarise",
    "write_reference",
]
