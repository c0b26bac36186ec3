import dashboard_samples as samples
import numpy as np

from ssae_lens.dashboards.comparison_figures import codes_of_vector_figure, effect_figure, pareto_figure

ROWS = [row for row in samples.comparison()["table"] if row["task"] == "tense"]
PROMPTING = {"task": "tense", "method": "prompting", "scale": None, "behaviour": 0.9, "coherence": 0.95}


def test_curves_are_the_rows():
    drawn = effect_figure([*reversed(ROWS), PROMPTING])["data"]
    caa = {line["yaxis"]: line for line in drawn if line["name"] == "caa"}
    own = [row for row in ROWS if row["method"] == "caa"]
    assert caa["y"]["x"] == [row["scale"] for row in own]
    assert caa["y"]["y"] == [row["behaviour"] for row in own]
    assert caa["y2"]["y"] == [row["coherence"] for row in own]
    assert "prompting" not in {line["name"] for line in drawn}


def test_the_front_is_what_nothing_beats():
    """Held against the definition, pair by pair."""
    rows = [*ROWS, PROMPTING, {**PROMPTING, "behaviour": float("nan")}]
    drawn = pareto_figure(rows)
    points = [(row["coherence"], row["behaviour"]) for row in rows if row["behaviour"] == row["behaviour"]]
    unbeaten = {p for p in points if not any(q != p and q[0] >= p[0] and q[1] >= p[1] for q in points)}
    front = drawn["data"][0]
    assert set(zip(front["x"], front["y"], strict=True)) == unbeaten
    assert front["x"] == sorted(front["x"])
    assert {each["name"] for each in drawn["data"][1:]} == {"ssae", "caa", "sae_ts", "prompting"}
    assert next(each for each in drawn["data"] if each["name"] == "prompting")["text"] == ["no scale"]


def test_steering_is_drawn_by_scale():
    rows = [{"scale": s, "behaviour": s * 2, "coherence": 1 - s} for s in (1.0, -1.0, 0.0)]
    behaviour, coherence = effect_figure(rows)["data"]
    assert behaviour["x"] == [-1, 0, 1]
    assert behaviour["y"] == [-2, 0, 2]
    assert coherence["y"] == [2, 1, 0]
    assert [each["name"] for each in effect_figure([{"scale": 0.0, "coherence": 1.0}])["data"]] == ["coherence"]


def test_codes_stand_beside_those_of_zero():
    rows = [
        {"feature": i, "value": v, "zero_value": z} for i, (v, z) in enumerate([(1.0, 0.0), (-5.0, 2.0), (np.nan, 1.0)])
    ]
    drawn = codes_of_vector_figure("SAE", rows)
    of_vector, of_zero = drawn["data"]
    assert (of_vector["x"], of_vector["y"], of_zero["y"]) == (["1", "0"], [-5, 1], [2, 0])
    assert "1 of them" in drawn["alt"]
