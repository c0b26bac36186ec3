"""The figure of scores by scale."""

import numpy as np
import pandas as pd
import pytest

from ssae_lens import plot_steering_curve


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "prompt": "a",
            "vector": np.repeat(["calm", "<b>loud</b>"], 20),
            "scale": np.tile(np.repeat([0.0, 2.0], 10), 2),
            "sample": 0,
            "text": "…",
            "n_tokens": 3,
            "happy": rng.random(40),
            "fluent": rng.random(40),
        }
    )


def test_lines_are_the_means_with_their_intervals(table):
    figure = plot_steering_curve(table)
    assert [trace.name for trace in figure.data] == [
        "calm",
        "calm",
        "&lt;b&gt;loud&lt;/b&gt;",
        "&lt;b&gt;loud&lt;/b&gt;",
    ]
    first = figure.data[0]
    rows = table[(table["vector"] == "calm") & (table["scale"] == 2)]["happy"]
    assert list(first.x) == [0, 2]
    assert first.y[1] == pytest.approx(rows.mean())
    assert first.error_y.array[1] == pytest.approx(1.96 * rows.std(ddof=1) / 10**0.5)
    assert [title.text for title in figure.layout.annotations] == ["happy", "fluent"]


def test_chosen_scores(table):
    assert len(plot_steering_curve(table, "fluent").data) == 2
    with pytest.raises(ValueError, match=r"scores is 'fluid'.*Did you mean 'fluent'"):
        plot_steering_curve(table, "fluid")
    with pytest.raises(ValueError, match="The table has no column of scores; add one"):
        plot_steering_curve(table.drop(columns=["happy", "fluent"]))
    with pytest.raises(ValueError, match="The table's column is 'scale'"):
        plot_steering_curve(table.drop(columns=["scale"]))
