import ast
from pathlib import Path

import numpy as np
import pytest
import torch

import ssae_lens.metrics
from ssae_lens.metrics.arrays import as_array, as_matrix


@pytest.mark.parametrize(
    ("given", "dtype"),
    [
        (torch.ones(2, 3, requires_grad=True), np.float32),
        (torch.ones(2, 3, dtype=torch.bfloat16), np.float32),
        (np.ones((2, 3), dtype=np.float16), np.float32),
        (np.ones((2, 3)), np.float64),
        (np.ones((2, 3), dtype=bool), np.float64),
        (torch.ones(2, 3, dtype=torch.int8), np.float64),
    ],
)
def test_precision(given, dtype):
    array = as_matrix("codes", given)
    assert array.dtype == dtype
    assert (array == 1).all()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (np.ones(4), r"codes has shape \(4,\).*codes\[:, None\]"),
        (np.ones((2, 3, 4)), r"codes has shape \(2, 3, 4\)"),
        (np.ones((0, 3)), r"codes has shape \(0, 3\), which is empty"),
        (np.array([["a"]]), "codes holds <U1"),
        (np.ones((2, 2), dtype=complex), "codes holds complex128"),
        (np.array([[1.0, 2.0], [np.nan, 0.0], [0.0, np.inf]]), r"codes holds NaN or infinite.*2 of 3 rows \(1, 2\)"),
    ],
)
def test_unusable(given, said):
    with pytest.raises(ValueError, match=said):
        as_matrix("codes", given)


def test_nan_in_one_dimension():
    with pytest.raises(ValueError, match=r"scales holds NaN .* 1 of 3 rows \(1\)"):
        as_array("scales", torch.tensor([0.0, float("nan"), 1.0]), 1)


def test_public_names_exist():
    for name in ssae_lens.metrics.__all__:
        assert hasattr(ssae_lens.metrics, name)


@pytest.mark.parametrize("path", sorted(Path(ssae_lens.metrics.__file__).parent.glob("*.py")), ids=lambda p: p.stem)
def test_heavy_libraries_wait(path):
    """At the top of a module nothing heavier than numpy and torch is imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names]
            assert not {each.split(".")[0] for each in names} & {"scipy", "sklearn"}, ast.unparse(node)
