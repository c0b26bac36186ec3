"""The table of the study: published numbers, where baselines win, and the files."""

import json

import pytest

from studies.language import PUBLISHED, LanguageResult
from studies.language.result import published

ABOUT = {
    "model": {"model_name": "m", "d_model": 8},
    "seeds": [0, 1],
    "methods": {"SSAE": "ours", "PCA": "theirs"},
    "seconds": 3.0,
}
SHARED = {"n_train": 80, "n_test": 20, "cpu_seconds": 1.0}


def fit(corpus, method, mcc, rows, stability, **more):
    each = {"mcc": mcc, "mcc_shuffled": 0.1, "rows": rows, "rows_near": 0.5, "same_latent": 1.0, "steered_authors": 0.4}
    each |= {"per_concept": {"one": [mcc, rows], "two": [0.25, 0.125]}}
    return {
        "cell": {"kind": "fit", "method": method, "corpus": corpus, **more},
        "fits": [each, {**each, "mcc": mcc + 0.02}],
        "latents": 3,
        "stability": stability,
        "ceiling": 0.95,
        "mcc_chance": 0.1,
        **SHARED,
    }


CELLS = [
    fit("lang", "SSAE", 0.7, 0.8, 0.9),
    fit("lang", "PCA", 0.8, 0.7, 0.5),
    fit("lang", "mean difference", 0.9, 1.0, 1.0),
    {
        "cell": {"kind": "sweep", "method": None},
        "chosen": 3,
        "ceiling": 0.95,
        "settings": [{"width": width, "mcc": width / 10, "mcc_shuffled": 0.1, "stability": 1.0} for width in (2, 3)],
        **SHARED,
    },
    {
        "cell": {"kind": "naming", "method": "SSAE"},
        "latents": 3,
        "naming": [
            {"kind": "all", "concepts": 4, "matched": 3, "right_chance": 0.25, "right": 2 / 3, "wrong": {"a": "b"}}
        ],
        **SHARED,
    },
    {
        "cell": {"kind": "context dependence", "method": None},
        "concepts": {"two": {"mean_direction": 0.5, "dimensions": 7}},
        **SHARED,
    },
    {
        "cell": {"kind": "transfer", "method": "SSAE"},
        "latents": 3,
        "unsteered": 0.3,
        "fits": [{"mcc": 0.5, "steered": 0.6, "steered_authors": 0.7}],
        **SHARED,
    },
]
STUDY = ("methods", "methods", "methods", "widths", "naming", "context-dependence", "transfer")
LABELS = ("lang", "lang", "lang", "lang", "sentences, own names, lexical", "lang", "binary → lang, SSAE")
LINES = [
    {"study": study, "label": label, "corpus": "binary" if study == "transfer" else "lang", "cell": number}
    for number, (study, label) in enumerate(zip(STUDY, LABELS, strict=True))
]


@pytest.fixture
def result():
    return LanguageResult(CELLS, {**ABOUT, "lines": LINES})


def test_a_row_is_the_mean_of_its_fits_beside_the_papers_figures(result):
    row = result.table.iloc[0]
    assert row["mcc"] == pytest.approx(0.71)
    assert row["mcc_sd"] == pytest.approx(0.02 / 2**0.5)
    assert (row["paper_stability"], row["paper_steered_authors"]) == (0.912, 0.46)
    assert row["paper_model"] == "Llama-3.1-8B"
    sweep = result.table[result.table["study"] == "widths"]
    assert sweep["latents"].tolist() == [2, 3]
    assert sweep["chosen"].tolist() == [False, True]
    assert result.table.iloc[-1]["paper_steered_authors"] == 0.745


def test_where_baselines_win(result):
    assert result.where_baselines_win() == [
        "lang: MCC of PCA 0.810, of SSAE 0.710",
        "lang: seeds 0.900, goal 0.99",
        "lang: seeds 0.900, the paper's 0.912",
        "lang: authors' 0.400, the paper's 0.460",
        "binary → lang, SSAE: authors' 0.700, the paper's 0.745",
    ]


def test_no_baseline_wins():
    good = fit("lang", "SSAE", 0.9, 0.9, 1.0)
    good["fits"] = [{**each, "steered_authors": 0.5} for each in good["fits"]]
    assert LanguageResult([good], {**ABOUT, "lines": LINES[:1]}).where_baselines_win() == []


def test_text_has_all_numbers(result):
    lines = result.text().splitlines()
    assert {"METHODS", "WIDTHS", "NAMING", "CONTEXT-DEPENDENCE", "TRANSFER"} <= set(lines)
    ssae = lines[lines.index("METHODS") + 3].split()
    for number in ("0.710", "0.950", "0.900", "0.912", "3"):
        assert number in ssae
    assert any(line.split()[:2] == ["sentences,", "own"] and "lexical: all" in line for line in lines)
    assert "  lang: seeds 0.900, goal 0.99" in lines
    by_concept = lines[lines.index("lang, SSAE, by concept") + 2]
    assert by_concept.split() == ["one", "0.700", "0.800"]
    missing = lines[lines.index("Published numbers without a counterpart") :]
    rows = [line.split() for line in missing]
    assert ["gender", "SSAE", "seeds", "0.902", "Llama-3.1-8B"] in rows
    assert ["lang", "SSAE", "seeds", "0.912", "Llama-3.1-8B"] not in rows


def test_json_and_figure(result, tmp_path):
    result.save(tmp_path)
    kept = json.loads((tmp_path / "language.json").read_text())
    assert len(kept["cells"]) == len(CELLS)
    assert kept["table"][0]["mcc"] == pytest.approx(0.71)
    assert (tmp_path / "language.html").stat().st_size > 1e6
    traces = result.figure().data
    assert {trace.name for trace in traces} == {"SSAE", "PCA", "mean difference"}
    assert 0.71 in [pytest.approx(value) for trace in traces for value in trace.x]


def test_a_study_without_scores_has_a_text_and_a_figure(tmp_path):
    line = next(line for line in LINES if line["study"] == "context-dependence")
    result = LanguageResult([CELLS[line["cell"]]], {**ABOUT, "lines": [{**line, "cell": 0}]})
    result.save(tmp_path)
    assert result.where_baselines_win() == []
    assert "CONTEXT-DEPENDENCE" in result.text()


def test_published_numbers():
    """All numbers in the tables of the paper and the plots of its code."""
    values = sorted(PUBLISHED["value"])
    stability = [0.9948, 0.9908, 0.912, 0.890, 0.905, 0.902, 0.759, 0.823]
    by_width = [0.906, 0.884, 0.861, 0.824, 0.755, 0.661, 0.535, 0.323]
    cosines = [0.46, 0.65, 0.77, 0.69, 0.76, 0.73, 0.43, 0.61, 0.58, 0.44, 0.61, 0.60, 0.42, 0.49, 0.18]
    cosines += [0.41, 0.67, 0.74, 0.36, 0.71, 0.77, 0.745, 0.530, 0.713, 0.483]
    later = [0.870, 0.743, 0.885, 0.772, 0.872, 0.770, 0.843, 0.866, 0.859, 0.811, 0.852, 0.841, 0.643]
    assert values == sorted(stability + by_width + cosines + later)
    assert published("cat", "SSAE", "stability", 200)["value"] == 0.861
    assert published("cat", "SSAE", "stability", 27) is None
    assert published("refusal", "SSAE, v2", "mcc_max")["model"] == "Pythia-70m"
    assert set(PUBLISHED["model"][PUBLISHED["method"] == "GemmaScope"]) == {"Gemma-2-2B"}
