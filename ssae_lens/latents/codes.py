"""An SSAE's codes of captured shifts, block by block, once it is seen that the two belong together."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base.checks import finite_rows
from ssae_lens.sae.codes import codes_of as exact_codes
from ssae_lens.sae.codes import require_origin, require_usable
from ssae_lens.shifts import ShiftStore

BLOCK = 2048

Shifts = ShiftStore | Float[np.ndarray, "n d"] | Float[Tensor, "n d"]


def codes_of(ssae: Any, shifts: Shifts) -> Float[np.ndarray, "n d_sae"]:
    """Return the codes of all shifts: of a store, or of an array of one a row.

    Raises
    ------
    ValueError
        If they are of another width, model or hook than the SSAE's. (Its position is not held against them.)
    """
    codes = np.empty((len(shifts), ssae.W_dec.shape[0]), dtype=np.float32)
    for rows, block in blocks_of_codes(ssae, shifts):
        codes[rows] = block
    return codes


def blocks_of_codes(ssae: Any, shifts: Shifts) -> Iterator[tuple[slice, Float[np.ndarray, "b d_sae"]]]:
    """Check as `codes_of` does, then pass over the shifts in order: the rows, and their codes."""
    require_fit(ssae, shifts)
    return ((rows, encode(ssae, block)) for rows, block in _blocks(shifts))


def encode(ssae: Any, shifts: Float[np.ndarray, "b d"]) -> Float[np.ndarray, "b d_sae"]:
    """Return the codes of shifts that are known to fit."""
    return exact_codes(ssae, shifts).astype(np.float32)


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
