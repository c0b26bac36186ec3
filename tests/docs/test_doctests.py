"""The examples in docstrings, which the API's pages show: they run, and give what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "ssae_lens"


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = sorted(name_of(each) for each in PACKAGE.rglob("*.py") if ">>> " in each.read_text(encoding="utf-8"))


def test_there_are_examples_where_one_begins():
    begun = {
        "ssae_lens.models.load",
        "ssae_lens.pairs.load",
        "ssae_lens.hooks.capture",
        "ssae_lens.training._train",
    }
    begun |= {"ssae_lens.latents.match", "ssae_lens.hooks._steer", "ssae_lens.dashboards.notebook"}
    begun |= {"ssae_lens.steering_vector", "ssae_lens.methods._cosine_table"}
    assert begun <= set(MODULES)


@pytest.mark.parametrize("name", MODULES)
def test_examples_give_what_they_say(name):
    module = importlib.import_module(name)
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted
    assert not found.failed
