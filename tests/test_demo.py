"""The demonstration, with all it does, on a tiny model: what it leaves, and that it does the same again."""

import json
import re
from functools import partial

import pytest

from ssae_lens import demo, sweep


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(demo, "MODEL", "tiny-gpt2")
    monkeypatch.setattr(demo, "HOOK", "blocks.1.hook_resid_post")
    monkeypatch.setattr(demo, "PAIRS", 60)
    monkeypatch.setattr(demo, "WIDTHS", (15, 16))
    monkeypatch.setattr(demo, "sweep", partial(sweep, steps=40))
    monkeypatch.setattr(demo, "BESIDE", ("CAA", "unsteered"))  # no SAE of a tiny model ships


def shown(path):
    """The report's numbers."""
    (held,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', path.read_text(), re.DOTALL)
    return json.loads(held)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_it_tells_its_story_and_does_the_same_again(tiny, tmp_path, capsys):
    first = demo.run(tmp_path / "one", quiet=True)
    said = capsys.readouterr().out
    for words in ("60 pairs of sentences", "one to three things change", "recurring", "past tense", "unsteered"):
        assert words in said
    assert f"open {first}" in said
    numbers = shown(first)
    assert numbers["comparison"]["scores"]
    assert all(each["stability"] is not None for each in numbers["latents"])
    steered = [each for each in numbers["details"].values() if each["steering"]]
    assert steered  # those of the three concepts that have a latent
    assert all(each["steered"] and dict(each["vectors"])["CAA"] for each in steered)
    again = demo.run(tmp_path / "two", quiet=True)
    assert capsys.readouterr().out.replace("two", "one") == said
    assert shown(again) == numbers
