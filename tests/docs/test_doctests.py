"""Doctests: the examples in the package's docstrings, which the API page shows, run and give the output that they state."""

import doctest
import importlib
from pathlib import Path

import pytest

import ssae_lens as sl

PACKAGE = Path(__file__).parents[2] / "ssae_lens"
# The first functions that a user calls, each of which has an example.
FIRST = ("load_model", "load_pairs", "capture_shifts", "train", "sweep", "match_concepts", "steer", "dashboard")


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(module_name(path) for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", FIRST)
def test_the_first_functions_have_an_example(name):
    assert ">>> " in getattr(sl, name).__doc__


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_their_output(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted
    assert not result.failed
