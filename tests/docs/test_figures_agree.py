"""Figures that occur on two pages are equal."""

import re

from snippets import ROOT


def test_speed_up_of_a_sweep():
    figures = []
    for name in ("steering.md", "scale.md"):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        (sentence,) = re.findall(r"[^.]*16\s+(?:scales|calls)[^.]*HookedTransformer[^.]*\.", page)
        figures.append(re.findall(r"(\d+) times", sentence))
        assert "python benchmarks/steer.py" in page
    assert figures[0] == figures[1] == ["9", "19"]
