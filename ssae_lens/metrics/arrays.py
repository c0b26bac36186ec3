"""Input arrays of the metrics: torch or numpy, checked once, computed on as numpy."""

import numpy as np
import torch
from torch import Tensor

from ssae_lens.base.checks import finite_rows

Array = np.ndarray | Tensor
DIMENSIONS = {1: "one dimension", 2: "two dimensions, (rows, columns)"}


def as_array(name: str, values: Array, dims: int) -> np.ndarray:
    """Return `values` as a finite numpy array of `dims` dimensions.

    Floats of 32 and 64 bits keep their precision, half precision becomes float32, integers and booleans float64.
    """
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = (values.float() if values.dtype in (torch.float16, torch.bfloat16) else values).numpy()
    array = np.asarray(values)
    if array.dtype == np.float16:
        array = array.astype(np.float32)
    elif array.dtype not in (np.float32, np.float64):
        if array.dtype.kind not in "biuf":
            raise ValueError(f"{name} holds {array.dtype}; it must hold real numbers.")
        array = array.astype(np.float64)
    if array.ndim != dims:
        hint = f" Give one column as {name}[:, None]." if (array.ndim, dims) == (1, 2) else ""
        raise ValueError(f"{name} has shape {array.shape}; it must have {DIMENSIONS[dims]}.{hint}")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}, which is empty; give at least one value.")
    if not np.isfinite(array).all():
        finite_rows(name, torch.tensor(array))
    return array


def as_matrix(name: str, values: Array) -> np.ndarray:
    """Return `values` as a finite array of rows and columns."""
    return as_array(name, values, 2)


def same_length(name: str, first: np.ndarray, other_name: str, other: np.ndarray, minimum: int = 1) -> None:
    """Raise unless two arrays have the same number of rows, at least `minimum`."""
    if len(first) != len(other):
        raise ValueError(
            f"{name} has {len(first)} rows and {other_name} has {len(other)}; row i of both must be the same example."
        )
    if len(first) < minimum:
        raise ValueError(f"{name} and {other_name} have {len(first)} rows; at least {minimum} are needed.")


def same_width(name: str, first: np.ndarray, other_name: str, other: np.ndarray) -> None:
    """Raise unless two arrays have the same number of columns."""
    if first.shape[-1] != other.shape[-1]:
        raise ValueError(
            f"{name} has {first.shape[-1]} columns and {other_name} has {other.shape[-1]}; both must have as many."
        )
