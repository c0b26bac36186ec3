import json

import numpy as np
import pytest

from ssae_lens.dashboards.drawings import COLOURS, jsonable, plain, template


def test_labels_are_text_to_plotly():
    assert plain("<b>&</b>") == "&lt;b&gt;&amp;&lt;/b&gt;"
    assert plain("x" * 40) == "x" * 31 + "…"


def test_json_has_no_nan_and_few_digits():
    data = {
        "a": np.array([1.23456789, np.nan, np.inf]),
        2: (np.int64(3), np.bool_(True), None),
        "b": np.float32(0.1),
        "c": {"d": "é"},
    }
    shown = jsonable(data)
    assert shown == {"a": [1.2346, None, None], "2": [3, True, None], "b": 0.1, "c": {"d": "é"}}
    assert json.loads(json.dumps(shown, allow_nan=False)) == shown


def luminance(colour):
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


@pytest.mark.parametrize("page", ["#ffffff", "#f5f6f8", "#14171c", "#1b1f26"])
def test_colours_stand_out_in_both_themes(page):
    """WCAG asks a contrast of 3 of what is needed to understand a figure."""
    for colour in COLOURS:
        dark, light = sorted((luminance(colour), luminance(page)))
        assert (light + 0.05) / (dark + 0.05) >= 3


def test_themes_differ_in_colours_only():
    light, dark = (template(dark=dark)["layout"] for dark in (False, True))
    assert light.keys() == dark.keys()
    assert light["font"]["color"] != dark["font"]["color"]
    assert light["margin"] == dark["margin"]
