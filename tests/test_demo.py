"""The demonstration, with all it does, on a tiny model: what it leaves, and that it does the same again."""

import json
import re

import pytest
from split_features import split_shifts
from stand_ins import stand_ins

from ssae_lens import demo
from ssae_lens.training import sweep


@pytest.fixture
def tiny(tmp_path):
    with stand_ins(tmp_path / "stand-ins"):
        yield


def shown(path):
    """The report's numbers."""
    (held,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(held)


@pytest.mark.filterwarnings("ignore")
def test_stability_is_of_the_latents_of_the_best_merged_ones_too():
    """One that has fewer latents than it was trained with."""
    given = {"d_sae": 10, "seeds": 2, "halves": False, "steps": 600, "device": "cpu", "quiet": True}
    swept = sweep(split_shifts(), **given)
    assert swept.best.cfg.d_sae == 8
    stability = demo._stability(swept)
    assert stability.shape == (8,)
    assert stability.min() > 0.9


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_tells_its_story_and_does_the_same_again(tiny, tmp_path, capsys):
    first = demo.run(tmp_path / "one", quiet=True)
    said = capsys.readouterr().out
    for words in ("60 pairs of sentences", "one to three things change", "split_half_score", "past tense", "unsteered"):
        assert words in said
    assert f"open {first}" in said
    numbers = shown(first)
    assert numbers["comparison"]["scores"]
    assert "not used to choose a scale" in numbers["comparison"]["notes"]["scores"]
    assert all(each["stability"] is not None for each in numbers["latents"])
    steered = [each for each in numbers["details"].values() if each["steering"]]
    assert steered  # those of the three concepts that have a latent
    assert all(each["steered"] and {"CAA", "SAE-TS"} <= dict(each["vectors"]).keys() for each in steered)
    again = demo.run(tmp_path / "two", quiet=True)
    assert capsys.readouterr().out.replace("two", "one") == said
    assert shown(again) == numbers
