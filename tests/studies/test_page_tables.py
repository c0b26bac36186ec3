"""The layout of the other studies' tables, from made-up numbers."""

import json
from dataclasses import asdict
from inspect import cleandoc

import pytest

from studies.findings import QUICK
from studies.findings.inverse import CUT, ROW, TARGETED
from studies.page_tables import decomposition, findings, probes, steering
from studies.page_tables.markdown import MissingError, bold, figure


def markdown(text):
    """A table as it stands here, without what its lines are indented by."""
    return cleandoc(text) + "\n"


def steering_told():
    """Two tasks, of which one has no words for prompting; every text of a method has one behaviour and one coherence."""
    behaviour = {"SSAE": (0.5, 0.75), "CAA": (0.25, 0.75), "prompting": (1.0, None), "unsteered": (0.0, 0.125)}
    cells, hook = [], "blocks.1.hook_resid_post"
    for number, task in enumerate(("joy", "sea")):
        about = {"task": task, "method": "", "hook": ""}
        judge = {"right": 0.75, "low": 0.5, "high": 0.875}
        told = {"behaviour": {"name": f"a judge of {task}", **judge}, "coherence": {"name": "loss", **judge}}
        cells.append({"cell": {**about, "part": "judges"}, **told})
        for method, each in behaviour.items():
            if each[number] is None:
                continue
            about = {"task": task, "method": method, "hook": hook}
            texts = {"behaviour": [each[number]] * 2, "coherence": [0.8] * 2}
            dose = {"scales": [0.5, 1.0], "behaviour": [texts["behaviour"]] * 2, "coherence": [texts["coherence"]] * 2}
            dose |= {"multipliers": [-1, 0, 1], "margins": [[-2, 0, 2], [0.5, 0, -0.5]]}
            scale = 1.0 if method == "CAA" else 0.5
            cells.append({"cell": {**about, "part": "dose"}, **dose})
            cells.append({"cell": {**about, "part": "report", "scale": scale}, **texts})
            cells.append({"cell": {**about, "part": "side effects"}, "effects": {"tense": -0.125}, "kl": 1.5})
    for name, value in (("dose", 0.9), ("report", 0.5)):
        texts = {"behaviour": [value] * 2, "coherence": [1.0] * 2}
        more = {"scales": [0.5], **{each: [some] for each, some in texts.items()}} if name == "dose" else texts
        about = {"task": "sea", "method": "CAA", "hook": "blocks.3.hook_resid_post", "part": name, "scale": 0.5}
        cells.append({"cell": about, **more})
    return {
        "cells": cells,
        "hook": hook,
        "tasks": [{"name": name, "group": "g", "concept": name, "sign": 1} for name in ("joy", "sea")],
        "methods": {name: f"for {name}" for name in behaviour},
        "missing": [{"task": "sea", "method": "prompting", "why": "no words"}],
        "cosines": {"joy": {}, "sea": {}},
    }


@pytest.fixture
def steered(monkeypatch):
    monkeypatch.setattr(steering, "names", lambda: ["joy", "sea"])
    monkeypatch.setattr(steering, "METHODS", dict.fromkeys(("SSAE", "CAA", "prompting", "unsteered")))
    return steering_told()


ON_STEERING = {
    "summary": """
        | method | behaviour | coherence | product (95 %) | p | given |
        |---|---|---|---|---|---|
        | SSAE | .62 | .80 | .500 (.400–.600) | – | for SSAE |
        | CAA | .50 | .80 | .400 (.200–.600) | 1.000 | for CAA |
        | prompting | 1.00 | .80 | .800 (.800–.800) | 1.000 | for prompting |
        | unsteered | .06 | .80 | .050 (.000–.100) | .500 | for unsteered |""",
    "methods": """
        | method | tasks | behaviour | coherence | product | harmonic | steerability | anti-steerable | side effects | KL | \
product, 95 % | p | given |
        |---|---|---|---|---|---|---|---|---|---|---|---|---|
        | SSAE | 2 | .62 | .80 | .500 | .695 | .750 | .50 | .1250 | 1.50 | .400–.600 | – | for SSAE |
        | CAA | 2 | .50 | .80 | .400 | .578 | .750 | .50 | .1250 | 1.50 | .200–.600 | 1.000 | for CAA |
        | prompting | 1 | 1.00 | .80 | .800 | .889 | .750 | .50 | .1250 | 1.50 | .800–.800 | 1.000 | for prompting |
        | unsteered | 2 | .06 | .80 | .050 | .108 | .750 | .50 | .1250 | 1.50 | .000–.100 | .500 | for unsteered |""",
    "tasks": """
        | task | SSAE | CAA | prompting | unsteered |
        |---|---|---|---|---|
        | joy | .400 | .200> | **.800** | .000 |
        | sea | **.600** | **.600>** | – | .100 |""",
    "judges": """
        | task | judge | right | 95 % |
        |---|---|---|---|
        | joy | a judge of joy | .75 | .50–.88 |
        | sea | a judge of sea | .75 | .50–.88 |
        | coherence, every task | loss | .75 | .50–.88 |""",
    "layers": """
        | task | block 1 | block 3 |
        |---|---|---|
        | sea | .600 | **.500** |""",
    "baselines_win": """
        - prompting: product +0.400 over 1 tasks (p 1.000)""",
}


@pytest.mark.parametrize("name", steering.TABLES)
def test_tables_of_steering(steered, name):
    assert steering.TABLES[name](steering.Result(steered["cells"], steered)) == markdown(ON_STEERING[name])


@pytest.mark.parametrize("name", steering.TABLES)
def test_a_method_or_a_task_that_steering_lacks(steered, name, monkeypatch):
    result = steering.Result(steered["cells"], steered)
    monkeypatch.setattr(steering, "METHODS", dict.fromkeys(("SSAE", "SAE-TS")))
    with pytest.raises(MissingError, match="no method 'SAE-TS'"):
        steering.TABLES[name](result)
    monkeypatch.setattr(steering, "names", lambda: ["joy", "negation"])
    with pytest.raises(MissingError, match="no task 'negation'"):
        steering.TABLES[name](result)


def test_the_smallest_p():
    assert [steering._p(each) for each in (None, 0.0004, 0.001, 1.0)] == ["–", "< .001", ".001", "1.000"]


def probes_result(ks=(1, 2)):
    scores = {("SSAE codes", 1): 0.75, ("raw shifts", 1): 0.5, ("raw shifts", 2): 0.75, ("SSAE codes", None): 0.75}
    scores |= {("raw shifts", None): 1.0}
    cells = [
        {
            "cell": {"concept": concept, "features": kind, "shuffled": shuffled, "k": k, "seed": 0},
            "n_train": 9,
            "n_test": 9,
        }
        | dict.fromkeys(("accuracy", "matthews", "correlation"), -0.25 if shuffled else value + far)
        for (kind, k), value in scores.items()
        if k in (None, *ks)
        for shuffled in (False, True)
        for concept, far in (("a", -0.05), ("b", 0.05))
    ]
    return probes.Result(cells, {"widths": {"SSAE codes": 1, "raw shifts": 9}, "ks": list(ks)})


ON_PROBES = """
    | features | SSAE codes | raw shifts |
    |---|---|---|
    | 1 | **.750 ± .071** | .500 ± .071 |
    | 2 |  | **.750 ± .071** |
    | all | .750 ± .071 | **1.000 ± .071** |
    | all, labels shuffled | −.250 ± .000 | −.250 ± .000 |
    | all, how many | 1 | 9 |"""


@pytest.mark.parametrize("score", probes.TABLES)
def test_tables_of_probes(score, monkeypatch):
    monkeypatch.setattr(probes, "KS", (1, 2))
    assert probes.TABLES[score](probes_result()) == markdown(ON_PROBES)
    with pytest.raises(MissingError, match="no probe of 2 of the features 'raw shifts'"):
        probes.TABLES[score](probes_result(ks=(1,)))


def findings_cells():
    def about(*names):
        return {name: {"estimate": 0.25, "low": -0.25, "high": 1.0} for name in names}

    vector = {"rounding_share": 1.0, "mean_cosine": 0.5, "half_agreement": None, "predicted": 0.5}
    vectors = [{"kind": ROW, **vector}, {"kind": CUT, **vector, "mean_cosine": 0.75}]
    own = about("own_effect")
    steered = [{"kind": kind, **own, "p": 0.125} for kind in (ROW, TARGETED)]
    reached = about("r2", "correlation", "gain", "with_shipped")
    return [
        {"cell": {"question": "layers"}, "layers": [{"hook": "blocks.15.x", **about("cosine", "shared", "geometry")}]},
        {"cell": {"question": "inverse"}, "vectors": vectors, "steered": steered},
        {"cell": {"question": "reach"}, "rows": [{"multiple": each, **reached} for each in (0.5, 2.0)]},
    ]


ON_FINDINGS = {
    "layers": """
        | after block | cosine of the mean change with the vector | share of the change that is the same at all tokens \
| geometry |
        |---|---|---|---|
        | 15 | .25 | .25 | .25 (−.25 to 1.00) |""",
    "inverse": """
        | vector | share of it in rounding | cosine between features | split-half cosine | \
predicted effect on its own feature |
        |---|---|---|---|---|
        | decoder row | **1.00** | .50 | – | **0.50** |
        | … with rounding cut off | **1.00** | **.75** | – | **0.50** |""",
    "steered": """
        | vector | effect on its own feature | against the targeted one, p |
        |---|---|---|
        | decoder row | **0.25 (−0.25 to 1.00)** | .125 |
        | targeted | **0.25 (−0.25 to 1.00)** |  |""",
    "reach": """
        | scale | R² of the map | correlation with the prediction | gain | correlation with the effects at 1× |
        |---|---|---|---|---|
        | ½× | .25 (−.25 to 1.00) | .25 (−.25 to 1.00) | 0.25 (−0.25 to 1.00) | .25 (−.25 to 1.00) |
        | 2× | .25 (−.25 to 1.00) | .25 (−.25 to 1.00) | 0.25 (−0.25 to 1.00) | .25 (−.25 to 1.00) |""",
}


@pytest.mark.parametrize("name", findings.TABLES)
def test_tables_of_findings(name):
    cells = findings_cells()
    assert findings.TABLES[name](findings.Result(cells, {})) == markdown(ON_FINDINGS[name])
    question = {"steered": "inverse"}.get(name, name)
    left = [each for each in cells if each["cell"]["question"] != question]
    with pytest.raises(MissingError, match=f"no question '{question}'"):
        findings.TABLES[name](findings.Result(left, {}))
    quick = json.loads(json.dumps({"settings": asdict(QUICK)}))
    with pytest.raises(MissingError, match="only a quick run"):
        findings.TABLES[name](findings.Result(cells, quick))


def test_a_map_without_rounding_has_no_column_of_it():
    cells = findings_cells()
    for each in cells[1]["vectors"]:
        each["rounding_share"] = 0.0
    head, *_ = findings.TABLES["inverse"](findings.Result(cells, {})).splitlines()
    assert head.startswith("| vector | cosine between features | split-half cosine")


class Told:
    """What a decomposition says, in short."""

    cells = ({"cell": {"part": "vector", "task": "joy"}},)

    def text(self):
        said = ["title", "", "      norm", "joy   4.9", "", "norm   the vector's", "", "Findings of them"]
        said += ["  a: yes", "", "Explained by so many decoder rows", "  1  2", ""]
        return "\n".join([*said, "Where baselines win", "  joy: by far", "\n9 cells in 1 s"])


def test_parts_of_decomposition(monkeypatch):
    monkeypatch.setattr(decomposition, "names", lambda: ["joy"])
    assert decomposition.vectors(Told()) == (
        "```text\n      norm\njoy   4.9\n\nnorm   the vector's\n\nExplained by so many decoder rows\n  1  2\n```\n"
    )
    assert decomposition.baselines_win(Told()) == "```text\nWhere baselines win\n  joy: by far\n```\n"
    monkeypatch.setattr(decomposition, "names", lambda: ["joy", "sea"])
    with pytest.raises(MissingError, match="no vector 'sea'"):
        decomposition.vectors(Told())


def test_numbers_and_what_is_best():
    written = {0.5: ".500", 1.0: "1.000", -0.25: "−.250", -0.0001: ".000", 12.5: "12.500", None: ""}
    assert [figure(each) for each in written] == list(written.values())
    assert [figure(each, 0) for each in (0.2, 128)] == ["0", "128"]
    assert bold(["a", "b", "c", "d"], [0.1234, 0.1226, 0.122, None]) == ["**a**", "**b**", "c", "d"]
    assert bold(["a"], [None]) == ["a"]
