import json

import dashboard_samples as samples
import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from ssae_lens.dashboards import Report


@pytest.fixture(scope="module")
def report():
    return samples.full_report()


@pytest.fixture(scope="module")
def data(report):
    return report.to_dict()


def figures_in(value):
    if isinstance(value, dict):
        if "layout" in value and "data" in value:
            yield value
        else:
            for each in value.values():
                yield from figures_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from figures_in(each)


def test_every_figure_is_plotlys_and_has_words(data):
    """Plotly's own validators take each of them, and each says in words what it shows."""
    drawn = list(figures_in(data))
    assert len(drawn) > 15
    for each in drawn:
        go.Figure({"data": each["data"], "layout": each["layout"]})
        assert each["alt"].endswith(".")
        assert each["title"]


def test_it_is_json(data):
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_rows_say_what_is_known(data):
    first, second = data["latents"][:2]
    assert (first["name"], first["fit"], first["sign"]) == ("tense", 0.9, 1)
    assert (second["closest"], second["sign"]) == ("number", -1)
    assert "closest" not in data["latents"][4]
    assert [row["stability"] for row in data["latents"]] == [0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


def test_pages_hold_the_descriptions(data):
    page = data["details"]["0"]
    assert page["promoted"][0] == [" up", 3.5]
    assert page["positive"][0]["code"] > page["positive"][1]["code"] > 0
    assert page["steered"][0]["scale"] == -0.5
    assert page["steering"]["data"][0]["y"] == [-0.25, 0, 0.25]
    assert data["details"]["1"]["steering"] is None


def test_vectors_are_held_against_the_latent_of_their_concept(data):
    row, other = np.eye(16)[0] + 0.05, np.eye(16)[0] + 0.1
    expected = row @ other / np.linalg.norm(row) / np.linalg.norm(other)
    assert dict(data["details"]["0"]["vectors"])["caa"] == pytest.approx(expected, rel=1e-4)
    assert data["details"]["2"]["vectors"] == []


def test_a_vector_is_compared_the_way_its_concept_points():
    report = Report("").add_latents(
        samples.ssae(), concepts=samples.concepts(), vectors={"number": {"caa": samples.along(1)}}
    )
    assert report.details[1]["vectors"][0][1] == pytest.approx(-0.98, abs=0.02)


def test_scores_are_those_given_or_the_best_products(data):
    assert data["comparison"]["chosen"]
    made = Report("").add_comparison(pd.DataFrame(samples.comparison()["table"])).comparison
    assert not made["chosen"]
    best = {(row["task"], row["method"]): row for row in made["scores"]}
    rows = [row for row in samples.comparison()["table"] if (row["task"], row["method"]) == ("tense", "caa")]
    assert best["tense", "caa"]["score"] == max(row["behaviour"] * row["coherence"] for row in rows)


def test_only_a_method_whose_interval_is_above_all_others_is_the_best(data):
    marked = [(row["task"], row["method"]) for row in data["comparison"]["scores"] if row["best"]]
    assert marked == [(data["comparison"]["scores"][0]["task"], data["comparison"]["scores"][0]["method"])]
    rows = [{"task": "a", "method": name, "score": score} for name, score in (("x", 0.9), ("y", 0.1))]

    def best(scores):
        return [
            row["method"] for row in Report("").add_comparison([], scores=scores).comparison["scores"] if row["best"]
        ]

    assert best(rows) == []  # no intervals
    assert best([{**row, "low": row["score"] - 0.1, "high": row["score"] + 0.1} for row in rows]) == ["x"]
    assert best([{**row, "low": row["score"] - 0.5, "high": row["score"] + 0.5} for row in rows]) == []
    assert best([{**rows[0], "low": 0.8, "high": 1.0}]) == []  # nothing beside it
    # The largest of all scales is of the texts that chose it.
    made = Report("").add_comparison(samples.comparison()["table"]).comparison
    assert not any(row.get("best") for row in made["scores"])


def test_what_was_not_measured_is_not_drawn():
    report = Report("").add_latents(samples.ssae(), steering=[{"latent": 0, "scale": 1.0, "behaviour": np.nan}])
    assert report.details[0]["steering"] is None
    rows = [{"task": "a", "method": "prompting", "scale": None, "behaviour": 0.5, "coherence": 0.5}]
    assert [each["title"] for each in Report("").add_comparison(rows).comparison["tasks"][0][1]] == [
        "Behaviour vs. coherence"
    ]
    rows = [{"task": "a", "method": "x", "scale": 1.0}]
    assert Report("").add_comparison(rows).comparison["tasks"] == [("a", [])]


def test_changed_words_name_latents_and_split_halves_are_their_stability():
    ssae = samples.ssae()
    ssae.cfg.metadata.split_half = [0.5, None, *[0.9] * 4]
    change = ["is", "was", 9, 0.8]
    report = (
        Report("")
        .add_latents(
            ssae,
            samples.store(n=30),
            descriptions=[{"latent": 1, "label": "is → was", "changes": [change], "typical": 2.0}],
        )
        .to_dict()
    )
    assert [row["stability"] for row in report["latents"]][:3] == [0.5, None, 0.9]
    row = report["latents"][1]
    assert (row["words"], row["all_words"], row["typical"]) == ("is → was", ["is", "was"], 2.0)
    np.testing.assert_allclose(report["details"]["1"]["direction"], ssae.W_dec[1].detach(), rtol=1e-4)


def test_a_map_of_few_settings_is_not_drawn():
    rows = [{"d_sae": width, "level": 0.1, "udr_decoders": 0.9} for width in (4, 8, 12)]
    assert "udr" not in Report("").add_sweep(rows[:2]).overview
    assert "udr" in Report("").add_sweep(rows).overview


@pytest.mark.parametrize(
    ("add", "match"),
    [
        (
            lambda r: r.add_latents(samples.ssae(), stability=np.ones(3)),
            "stability has 3 numbers; it must have one for each of 6",
        ),
        (lambda r: r.add_latents(samples.ssae(), descriptions=[{"latent": 6}]), "latents 0 to 5"),
        (lambda r: r.add_latents(samples.ssae(), steering=[{"latent": 1}]), "Row 0 of steering has no 'scale'"),
        (lambda r: r.add_sweep([{"d_sae": 4}]), "no 'udr_decoders'"),
        (lambda r: r.add_training([{"loss": 1.0}]), "no 'step'"),
        (lambda r: r.add_comparison([{"task": "a", "method": None, "scale": 1}]), "no 'method'"),
        (lambda r: r.add_decomposition([{"vector": "v"}]), "no 'dictionary'"),
    ],
)
def test_unusable_parts_are_refused_in_words(add, match):
    with pytest.raises(ValueError, match=match):
        add(Report(""))
