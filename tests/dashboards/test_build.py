import json

import dashboard_samples as samples
import pytest
from sae_lens.saes.sae import SAEMetadata

from ssae_lens import SSAE
from ssae_lens.dashboards import build_report
from ssae_lens.dashboards.build import comparison_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """What a sweep leaves."""
    folder = tmp_path_factory.mktemp("sweep")
    samples.ssae().save_model(folder)
    (folder / "sweep.json").write_text(json.dumps(samples.sweep_table()))
    rows = [*samples.history(members=4), *({**row, "d_sae": 4} for row in samples.history())]
    (folder / "log.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "run.json").write_text(json.dumps({"seeds": [0, 1], "bounds": [0.05, 0.1]}))
    samples.store().save(folder / "shifts.h5").close()
    return folder


def test_a_folder_and_a_store_make_a_report(folder):
    report = build_report(folder, folder / "shifts.h5", quiet=True)
    assert report.title == "6 latents"
    assert report.about == {"latents": 6, "pairs": 200, "data": "sample"}
    assert len(report.to_dict()["overview"]) == 5
    assert report.details[0]["positive"][0]["source"].startswith("The old")
    lines = report.overview["training"]["data"]
    assert {line["name"] for line in lines} == {f"bound {b}, seed {s}" for b in ("0.05", "0.1") for s in (0, 1)}


@pytest.mark.parametrize("training", [{"d_sae": 5, "d_sae_trained": 6}, {"d_sae": 6}], ids=["now", "version 0.1.0"])
def test_a_merged_ssae_has_the_curves_of_the_width_it_was_trained_at(folder, training):
    """Its own width, 5, is in no row of the log."""
    rows = samples.ssae().W_dec.detach()[:5]
    merged = SSAE.from_weights(rows.T.contiguous(), rows, metadata=SAEMetadata(training=training))
    lines = build_report(merged, run=folder, quiet=True).overview["training"]["data"]
    assert {line["name"] for line in lines} == {f"bound {b}, seed {s}" for b in ("0.05", "0.1") for s in (0, 1)}


def test_an_ssae_alone_is_enough(folder):
    report = build_report(samples.ssae(), run=folder, title="Ours", concepts=samples.concepts())
    assert report.title == "Ours"
    assert report.latents[0]["name"] == "tense"
    assert "udr" in report.overview
    assert "strengths" not in report.overview


def test_results_come_from_files_or_dictionaries(folder, tmp_path):
    (tmp_path / "comparison.json").write_text(json.dumps(samples.comparison()))
    report = build_report(
        folder, comparison=tmp_path / "comparison.json", decomposition=samples.decomposition(), quiet=True
    )
    assert report.comparison["chosen"]
    assert [vector for vector, _ in report.decomposition["vectors"]] == ["caa tense", "caa number"]


STUDY = {
    "hook": "blocks.1.hook_resid_post",
    "methods": {"SSAE": "unlabelled pairs", "CAA": "contrasts"},
    "table": [
        {"task": "tense", "method": "SSAE", "product": 0.5, "product_low": 0.4, "product_high": 0.6, "scale": 1.0},
        {"task": "tense", "method": "CAA", "product": None, "why": "it has none"},
    ],
    "cells": [
        {
            "cell": {"part": "dose", "task": "tense", "method": "SSAE", "hook": "blocks.1.hook_resid_post"},
            "scales": [0.0, 1.0],
            "behaviour": [[0.2, 0.4], [0.6, 1.0]],
            "coherence": [[1.0, 1.0], [0.5, 0.7]],
        },
        {
            "cell": {
                "part": "report",
                "task": "tense",
                "method": "SSAE",
                "hook": "blocks.1.hook_resid_post",
                "scale": 1.0,
            },
            "texts": {"The old": " man left.", "It": " was."},
        },
        {"cell": {"part": "dose", "task": "tense", "method": "CAA", "hook": "blocks.0.hook_resid_post"}},
        {"cell": {"part": "judges", "task": "tense", "method": "", "hook": ""}},
    ],
}


def test_the_steering_study_is_read(folder):
    found = comparison_of(STUDY)
    assert [(row["scale"], row["behaviour"], row["coherence"]) for row in found["table"]] == [
        (0.0, pytest.approx(0.3), 1.0),
        (1.0, pytest.approx(0.8), pytest.approx(0.6)),
    ]
    assert [row["text"] for row in found["texts"]] == [" man left.", " was."]
    comparison = build_report(folder, comparison=STUDY, quiet=True).comparison
    assert [(row["method"], row["score"], row["given"]) for row in comparison["scores"]] == [
        ("SSAE", 0.5, "unlabelled pairs")
    ]


def test_which_prompts_chose_and_which_report_is_said():
    tasks = [{"name": "tense", "prompts": [6, 4, 0]}, {"name": "number", "prompts": [5, 4, 0]}]
    notes = build_report(samples.ssae(), comparison=STUDY | {"tasks": tasks}, quiet=True).comparison["notes"]
    assert "on 4 held-out prompts of each task, which were not used to choose a scale" in notes["scores"]
    assert "on 5 to 6 other prompts, on which the scale of each method was chosen" in notes["curves"]


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"run": "nowhere"}, FileNotFoundError, "no folder nowhere"),
        ({"comparison": "nowhere.json"}, FileNotFoundError, "no file nowhere.json"),
        ({"comparison": {"rows": []}}, ValueError, "no 'table' among rows"),
        ({"decomposition": {}}, ValueError, "no 'features'"),
    ],
)
def test_unusable_results_are_refused_in_words(given, error, match):
    with pytest.raises(error, match=match):
        build_report(samples.ssae(), **given)


def test_files_that_are_no_tables_are_refused(tmp_path):
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(ValueError, match="comparison is a list"):
        build_report(samples.ssae(), comparison=tmp_path / "list.json")
    (tmp_path / "log.jsonl").write_text("{half")
    with pytest.raises(ValueError, match="is not JSON"):
        build_report(samples.ssae(), run=tmp_path)


def deep(text):
    return text * 5000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.jsonl", deep("[")),
        ("log.jsonl", "[1]"),
        ("log.jsonl", '{"d_sae": 6, "step": 1, "loss": [1, 2]}\n{"d_sae": 6, "step": 2, "loss": [1]}'),
        ("log.jsonl", '{"d_sae": 6, "step": 1, "loss": 1}\n{"d_sae": 6, "step": "a", "loss": 1}'),
        ("log.jsonl", b"\xff"),
        ("run.json", deep('{"a":')),
        ("run.json", "[]"),
        ("run.json", '{"seeds": 3}'),
        ("run.json", '{"seeds": [0], "bounds": ["a"]}'),
        ("run.json", b"\xff\xfe"),
        ("sweep.json", deep("[")),
        ("sweep.json", "[1]"),
        ("sweep.json", "{}x"),
        ("sweep.json", '[{"d_sae": [4], "level": 1, "udr_decoders": 1}]'),
        ("sweep.json", '[{"d_sae": 4, "level": "a", "udr_decoders": 1}]'),
        ("sweep.json", '[{"d_sae": 4, "level": ' + "1" * 400 + ', "udr_decoders": 1}]'),
    ],
)
def test_a_run_s_files_of_another_shape_are_refused_by_name(tmp_path, name, text):
    (tmp_path / "log.jsonl").write_text('{"d_sae": 4, "step": 1, "loss": 1, "sparsity": 1, "multiplier": 1}\n')
    (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=name) as error:
        build_report(samples.ssae(), run=tmp_path)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("which", ["comparison", "decomposition"])
@pytest.mark.parametrize(
    "text",
    [
        deep("["),
        b"\xff",
        '{"cells": [{}], "hook": "h"}',
        '{"cells": 3, "hook": "h", "table": []}',
        '{"cells": [{"cell": {"hook": "h", "part": "dose"}}], "hook": "h", "table": []}',
        '{"table": [1], "features": [1]}',
        '{"table": [{"task": [], "method": 1, "scale": 1}], "features": [{"vector": [], "dictionary": 1, "feature": 1}]}',
        """{"table": [{"task": "t", "method": "m", "scale": {}, "behaviour": 1, "coherence": 1}],
            "features": [{"vector": "v", "dictionary": "d", "feature": 1, "value": {}, "zero_value": 0}]}""",
    ],
)
def test_results_of_another_shape_are_refused_by_name(tmp_path, which, text):
    path = tmp_path / "result.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"result\.json") as error:
        build_report(samples.ssae(), **{which: path})
    assert "\n" not in str(error.value)
