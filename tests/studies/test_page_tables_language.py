"""The layout of the tables of the language study, from made-up numbers."""

from inspect import cleandoc

import pytest

from studies.language import LanguageRow as Row
from studies.language.grid import FRESH, MAIN
from studies.page_tables import language
from studies.page_tables.markdown import MissingError

SHARED = {"n_train": 80, "n_test": 20, "cpu_seconds": 1.0}
NAMES = ("SSAE", "affine", "FastICA", "AbsTopK", "mean difference", "random")


def rows_of(corpora, *, quick):
    return [row for make in GRID.values() for row in make(corpora, quick)]


def markdown(text):
    """A table as it stands here, without what its lines are indented by."""
    return cleandoc(text) + "\n"


GRID = {
    "methods": lambda corpora, quick: [Row("methods", each, each, method=name) for each in corpora for name in NAMES],
    "fresh": lambda corpora, quick: [Row("fresh", FRESH, FRESH, "sweep"), Row("fresh", "SSAE", FRESH)],
    "widths": lambda corpora, quick: [Row("widths", each, each, "sweep") for each in corpora],
    "levels": lambda corpora, quick: [Row("levels", "budget 0.1", MAIN)],
    "pairs": lambda corpora, quick: [Row("pairs", "250 pairs", MAIN)],
    "layers": lambda corpora, quick: [],
    "positions": lambda corpora, quick: [],
    "transfer": lambda corpora, quick: [Row("transfer", "binary → lang, SSAE", "lang", "transfer")],
    "naming": lambda corpora, quick: [Row("naming", "lang, own names, lexical", "lang", "naming")],
    "context-dependence": lambda corpora, quick: [Row("context-dependence", "lang", "lang", "context dependence")],
    "categories": lambda corpora, quick: [
        Row("categories", "cat, SSAE, width 135", "lang", width=135),
        Row("categories", "cat, attributes", "lang", "subspaces"),
    ],
}
MCC = dict(zip(NAMES, (0.5, 0.5004, 0.25, 0.75, 0.9, 1.0), strict=True))
NAMED = {"kind": "all", "concepts": 4, "matched": 3, "right_chance": 0.25, "wrong": {}}


NO_METHOD = ("sweep", "context dependence", "subspaces")


def language_cell(row):
    if row.kind == "sweep":
        scores = {"mcc": 0.5, "rows": 0.25, "rows_near": 0.125, "stability": 1.0, "split_half_score": 5.94}
        return {"chosen": 8, "settings": [{**scores, "width": width} for width in (16, 8)]}
    if row.kind == "context dependence":
        return {
            "concepts": {"language": {"mean_direction": 0.5, "best_direction": 0.25, "dimensions": 128, "pairs": 52}}
        }
    if row.kind == "subspaces":
        numbers = {
            "values": 10,
            "embeddings": 0.5,
            "span": 0.75,
            "dimensions": 5,
            "contrasts": -0.25,
            "best_direction": 0.1,
        }
        return {"concepts": {"shape": {**numbers, "pairs": 108}}}
    if row.kind == "naming":
        named = {**NAMED, "right": 2 / 3, "right_low": 0.2, "right_high": 1.0, "right_sign": 0.5}
        return {"latents": 8, "naming": [named, {**NAMED, "kind": "grammar", "matched": 0}]}
    fit = {"mcc": MCC[row.method], "rows": MCC[row.method] - 0.1, "rows_near": 0.5, "mcc_shuffled": 0.1}
    fit |= {"same_latent": 1.0, "steered": 0.8, "steered_authors": 0.4}
    fits = [{**fit, "per_concept": {"tense": [a, 0.5], "voice": [0.25, a]}} for a in (0.7, 0.8)]
    # Of a width that was given, three latents were merged.
    shared = {
        "latents": row.width - 3 if row.width else 8,
        "ceiling": 0.95,
        "mcc_chance": 0.1,
        "rows_chance": 0.2,
        "unsteered": 0.3,
    }
    return {"fits": fits, **shared, "stability": 0.875}


def made_of(rows):
    cells = [
        {"cell": {"kind": row.kind, "width": row.width, "method": None if row.kind in NO_METHOD else row.method}}
        | {**SHARED, **language_cell(row)}
        for row in rows
    ]
    lines = [
        {"study": row.study, "label": row.label, "corpus": row.corpus, "cell": number}
        for number, row in enumerate(rows)
    ]
    return {"cells": cells, "lines": lines, "seeds": [0, 1]}


@pytest.fixture
def small(monkeypatch):
    """Two corpora and six methods, of every study a line or two."""
    monkeypatch.setattr(language, "study_rows", rows_of)
    monkeypatch.setattr(language, "CORPORA", ("lang", MAIN))
    monkeypatch.setattr(language, "METHODS", {name: language.METHODS[name] for name in NAMES})
    return rows_of(("lang", MAIN), quick=False)


ON_LANGUAGE = {
    "summary": """
        | 80 pairs of sentences, 2 attributes, width 8 (chosen without labels) | SSAE | AbsTopK SAE on shifts, \
given how many change | FastICA | no constraint | random | ridge, given the labels |
        |---|---|---|---|---|---|---|
        | MCC of signed codes with signed changes | .500 | .750 | .250 | .500 | **1.000** | .950 |
        | cosine of decoder rows with the labels' mean shifts | .400 | .650 | .150 | .400 | **.900** |  |
        | attributes of which it is at least .90 | **.50** | **.50** | **.50** | **.50** | **.50** |  |""",
    "corpora": """
        | corpus | pairs | width | MCC | ridge | shuffled | chance | rows | chance | ≥ .90 | same | seeds | unsteered | \
steered | authors' |
        |---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|
        | lang | 80/20 | 8 | .500 | .950 | .100 | .100 | .400 | .200 | .50 | 1.00 | .875 (.912) | .300 | .800 | .400 (.460) |
        | sentences | 80/20 | 8 | .500 | .950 | .100 | .100 | .400 | .200 | .50 | 1.00 | .875 | .300 | .800 | .400 |
        | sentences@1 | 80/20 | 8 | .500 | .950 | .100 | .100 | .400 | .200 | .50 | 1.00 | .875 | .300 | .800 | .400 |""",
    "attributes": """
        | attribute | MCC | row | MCC, fresh | row, fresh |
        |---|---|---|---|---|
        | tense | .750 | .500 | .750 | .500 |
        | voice | .250 | .750 | .250 | .750 |""",
    "widths": """
        | corpus | latents | split-half score | seeds | MCC | rows | ≥ .90 |
        |---|---|---|---|---|---|---|
        | sentences | 8 (chosen) | 5.9 | 1.000 | .500 | .250 | .12 |
        | sentences | 16 | 5.9 | 1.000 | .500 | .250 | .12 |
        | sentences@1 | 8 (chosen) | 5.9 | 1.000 | .500 | .250 | .12 |
        | sentences@1 | 16 | 5.9 | 1.000 | .500 | .250 | .12 |""",
    "methods mcc": """
        | method | lang | sentences | sentences@1 |
        |---|---|---|---|
        | SSAE | .500 | .500 | **.500** |
        | affine | .500 | .500 |  |
        | FastICA | .250 | .250 |  |
        | AbsTopK | .750 | .750 |  |
        | mean difference | .900 | .900 |  |
        | random | **1.000** | **1.000** |  |""",
    "methods rows": """
        | method | lang | sentences | sentences@1 |
        |---|---|---|---|
        | SSAE | .400 | .400 | **.400** |
        | affine | .400 | .400 |  |
        | FastICA | .150 | .150 |  |
        | AbsTopK | .650 | .650 |  |
        | mean difference | .800 | .800 |  |
        | random | **.900** | **.900** |  |""",
    "settings": """
        | study |  | MCC | ridge | rows | ≥ .90 | seeds |
        |---|---|---|---|---|---|---|
        | levels | budget 0.1 | .500 | .950 | .400 | .50 | .875 |
        | pairs | 250 pairs | .500 | .950 | .400 | .50 | .875 |""",
    "transfer": """
        | learned → steered | MCC | unsteered | steered | authors' (paper's) |
        |---|---|---|---|---|
        | binary → lang, SSAE | .500 | .300 | .800 | .400 (.745) |""",
    "cat widths": """
        |  | width | MCC | ridge | rows | seeds (paper's) |
        |---|---|---|---|---|---|
        | SSAE | 135 → 132 | .500 | .950 | .400 | .875 (.912) |""",
    "categories": """
        | attribute | values | embeddings | span | directions for 90 % | contrasts | one direction | held-out pairs |
        |---|---|---|---|---|---|---|---|
        | shape | 10 | .500 | .750 | 5 | −.250 | .100 | 108 |""",
    "context_dependence": """
        | corpus | concept | mean direction | best direction | directions for 90 % | held-out pairs |
        |---|---|---|---|---|---|
        | lang | language | .500 | .250 | 128 | 52 |""",
    "names": """
        | corpus, names, judge: kind | concepts | matched | right | 95 % | chance | right sign |
        |---|---|---|---|---|---|---|
        | lang, own names, lexical: all | 4 | 3 | .67 | .20–1.00 | .250 | .50 |
        | lang, own names, lexical: grammar | 4 | 0 |  |  | .250 |  |""",
    "baselines_win": """
        - lang: MCC of random 1.000, of SSAE 0.500
        - lang: rows of random 0.900, of SSAE 0.400
        - sentences: MCC of random 1.000, of SSAE 0.500
        - sentences: rows of random 0.900, of SSAE 0.400
        - lang: seeds 0.875, goal 0.99
        - sentences: ≥.90 0.500, goal 0.75
        - sentences@1: ≥.90 0.500, goal 0.75
        - lang: seeds 0.875, the paper's 0.912
        - lang: authors' 0.400, the paper's 0.460
        - binary → lang, SSAE: authors' 0.400, the paper's 0.745
        - cat, SSAE, width 135: seeds 0.875, the paper's 0.912
        - cat, SSAE, width 135: authors' 0.400, the paper's 0.460""",
}


@pytest.mark.parametrize("name", language.TABLES)
def test_tables_of_language(small, name):
    told = made_of(small)
    assert language.TABLES[name](language.Result(told["cells"], told)) == markdown(ON_LANGUAGE[name])


def test_a_line_that_language_lacks(small):
    told = made_of([row for row in small if (row.study, row.method) != ("methods", "AbsTopK")])
    with pytest.raises(MissingError, match="no line 'lang' of the method 'AbsTopK' in the study 'methods'"):
        language.corpora(language.Result(told["cells"], told))
