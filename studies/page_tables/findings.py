"""The tables of `python -m studies findings`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ssae_lens.hooks.hook_points import layer_of
from studies.findings import QUICK
from studies.findings import FindingsResult as Result
from studies.findings.inverse import CUT, TARGETED, UNBIASED
from studies.page_tables.markdown import MissingError, bold, figure, table

KINDS = {CUT: "… with rounding cut off", UNBIASED: "… and without b"}
FRACTIONS = {0.25: "¼", 0.5: "½"}


def layers(result: Result) -> str:
    """Return the change that a vector makes at later blocks."""
    rows = [
        [
            str(layer_of(row["hook"])),
            *(figure(row[name]["estimate"], 2) for name in ("cosine", "shared")),
            _interval(row["geometry"]),
        ]
        for row in _numbers(result, "layers")["layers"]
    ]
    cosine, share = "cosine of the mean change with the vector", "share of the change that is the same at all tokens"
    return table(["after block", cosine, share, "geometry"], rows)


def inverse(result: Result) -> str:
    """Return the vectors of the map without steering, with the largest of each column but one in bold."""
    vectors = _numbers(result, "inverse")["vectors"]
    titles = {
        "rounding_share": "share of it in rounding",
        "mean_cosine": "cosine between features",
        "half_agreement": "split-half cosine",
        "predicted": "predicted effect on its own feature",
    }
    if not any(row["rounding_share"] for row in vectors):
        del titles["rounding_share"]
    columns: list[list[str]] = [[str(KINDS.get(row["kind"], row["kind"])) for row in vectors]]
    for name in titles:
        values = [row[name] for row in vectors]
        texts = [_with_zero(value) if name == "predicted" else figure(value, 2) or "–" for value in values]
        columns.append(texts if name == "half_agreement" else bold(texts, values, 2))
    return table(["vector", *titles.values()], list(zip(*columns, strict=True)))


def steered(result: Result) -> str:
    """Return the effect of steering by each vector on its own feature, with the largest in bold."""
    rows = _numbers(result, "inverse")["steered"]
    effects = [_interval(row["own_effect"], _with_zero) for row in rows]
    columns = [
        [KINDS.get(row["kind"], row["kind"]) for row in rows],
        bold(effects, [row["own_effect"]["estimate"] for row in rows], 2),
        ["" if row["kind"] == TARGETED else figure(row["p"], 3) for row in rows],
    ]
    head = ["vector", "effect on its own feature", "against the targeted one, p"]
    return table(head, list(zip(*columns, strict=True)))


def reach(result: Result) -> str:
    """Return the scores of the map at multiples of the scales it was fitted at."""
    rows = [
        [
            FRACTIONS.get(row["multiple"], f"{row['multiple']:g}") + "×",
            *(_interval(row[name]) for name in ("r2", "correlation")),
            _interval(row["gain"], _with_zero),
            _interval(row["with_shipped"]),
        ]
        for row in _numbers(result, "reach")["rows"]
    ]
    head = ["scale", "R² of the map", "correlation with the prediction", "gain", "correlation with the effects at 1×"]
    return table(head, rows)


TABLES: dict[str, Callable[[Any], str]] = {"layers": layers, "inverse": inverse, "steered": steered, "reach": reach}


def _numbers(result: Result, question: str) -> dict[str, Any]:
    if result.about.get("settings") == json.loads(json.dumps(asdict(QUICK))):
        raise MissingError("only a quick run")
    if question not in {cell["cell"]["question"] for cell in result.cells}:
        raise MissingError(f"no question {question!r}")
    return result.of(question)


def _with_zero(value: float) -> str:
    """Return a number that may be larger than one."""
    return f"{value:.2f}".replace("-", "−")


def _interval(numbers: dict[str, float], write: Callable[[float], str] = lambda value: figure(value, 2)) -> str:
    estimate, low, high = (write(numbers[name]) for name in ("estimate", "low", "high"))
    return f"{estimate} ({low} to {high})"
