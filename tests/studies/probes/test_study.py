"""The study of probes on a tiny random model: its features, its files, and what it reads from."""

import json

import numpy as np
import pytest

from ssae_lens.models import tiny_model
from ssae_lens.pairs.sentences import ATTRIBUTES
from studies import probes as study
from studies.baselines import FittedDictionary
from studies.language import grid
from studies.probes import run


@pytest.fixture(scope="module", autouse=True)
def _small():
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"QUICK_STEPS": 40, "QUICK": (200, 220), "SEEDS": 2, "WIDE": 48, "QUICK_KS": (1,)}.items():
            patch.setattr(study, name, value)
        patch.setattr(grid, "DEFAULT_WIDTHS", (4,))
        yield


def test_the_whole_path(tmp_path):
    model = tiny_model()
    result = run(tmp_path, quick=True, quiet=True, model=model)
    assert set(result.by_concept()["concept"]) == set(ATTRIBUTES)
    assert set(result.table["features"]) == {"SSAE codes", "TopK SAE, 48", "raw shifts"}
    assert result.about["widths"]["raw shifts"] == 32
    assert result.about["hook"] == "blocks.2.hook_resid_post"
    kept = json.loads((tmp_path / "probes.json").read_text())
    assert kept["model"]["model_name"] == "tiny-gpt2"
    assert kept["quick"] is True
    assert (tmp_path / "probes.html").is_file()
    assert [each.name.split("-")[0] for each in (tmp_path / "captures").iterdir()] == ["sentences"]


def test_codes_of_activations_are_differences_of_both_sides():
    found = FittedDictionary.linear(np.eye(3), np.eye(3), 2.0)
    squared = type(found)(found.directions, lambda rows: found.encode(rows) ** 2, found.decode)
    source, target = np.arange(6.0).reshape(2, 3), np.ones((2, 3))
    assert np.allclose(study.reader_of(squared)(source, target), 1 - (source - 2) ** 2)
