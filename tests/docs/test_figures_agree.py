"""A figure that stands on two pages is the same on both."""

import re

from snippets import ROOT


def test_how_much_faster_a_sweep_is():
    found = []
    for name in ("steering.md", "scale.md"):
        page = (ROOT / "docs" / name).read_text(encoding="utf-8")
        (sentence,) = re.findall(r"[^.]*16 (?:scales|calls)[^.]*HookedTransformer[^.]*\.", page)
        found.append(re.findall(r"(\d+) times", sentence))
        assert "python benchmarks/steer.py" in page
    assert found[0] == found[1] == ["9", "19"]
