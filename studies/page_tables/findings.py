"""The tables of `python -m studies findings`."""

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from ssae_lens.hooks.hook_points import layer_of
from studies.findings.inverse import ALONE, CUT, TARGETED
from studies.findings.result import Result
from studies.findings.settings import QUICK
from studies.page_tables.markdown import MissingError, bold, figure, table

WAYS = {CUT: "… with rounding cut off", ALONE: "… and without b"}
HALVES = {0.25: "¼", 0.5: "½"}


def layers(result: Result) -> str:
    """Return what is left of a vector at later blocks."""
    rows = [
        [
            str(layer_of(each["hook"])),
            *(figure(each[name]["estimate"], 2) for name in ("cosine", "steady")),
            _shown(each["geometry"]),
        ]
        for each in _of(result, "layers")["layers"]
    ]
    cosine, share = "cosine of the mean change with the vector", "share of the change that is the same at all tokens"
    return table(["after block", cosine, share, "geometry"], rows)


def inverse(result: Result) -> str:
    """Return the map's vectors taken apart, the largest of each column but the halves' bold."""
    found = _of(result, "inverse")["vectors"]
    head = {
        "beyond": "share of it in rounding",
        "alike": "cosine between features",
        "halves": "the same from either half of the data",
        "predicted": "predicted effect on its own feature",
    }
    if not any(each["beyond"] for each in found):
        del head["beyond"]
    columns: list[list[str]] = [[str(WAYS.get(each["way"], each["way"])) for each in found]]
    for name in head:
        values = [each[name] for each in found]
        texts = [_with_zero(each) if name == "predicted" else figure(each, 2) or "–" for each in values]
        columns.append(texts if name == "halves" else bold(texts, values, 2))
    return table(["vector", *head.values()], list(zip(*columns, strict=True)))


def steered(result: Result) -> str:
    """Return what steering by each of those vectors does to its own feature, the largest bold."""
    rows = _of(result, "inverse")["measured"]["rows"]
    effects = [_shown(each["own"], _with_zero) for each in rows]
    p_values = ["" if each["way"] == TARGETED else figure(each["p"], 3) for each in rows]
    ways: list[str] = [str(WAYS.get(each["way"], each["way"])) for each in rows]
    shown = bold(effects, [each["own"]["estimate"] for each in rows], 2)
    head = ["vector", "effect on its own feature", "against the targeted one, p"]
    return table(head, list(zip(ways, shown, p_values, strict=True)))


def reach(result: Result) -> str:
    """Return the map at multiples of the scales that it was fitted at."""
    rows = []
    for each in _of(result, "reach")["rows"]:
        multiple = each["multiple"]
        rows.append(
            [
                HALVES.get(multiple, f"{multiple:g}") + "×",
                *(_shown(each[name]) for name in ("r2", "correlation")),
                _shown(each["gain"], _with_zero),
                _shown(each["with_shipped"]),
            ]
        )
    head = ["scale", "R² of the map", "correlation with the prediction", "gain", "correlation with the effects at 1×"]
    return table(head, rows)


TABLES: dict[str, Callable[[Any], str]] = {"layers": layers, "inverse": inverse, "steered": steered, "reach": reach}


def _of(result: Result, question: str) -> dict[str, Any]:
    if result.about.get("settings") == json.loads(json.dumps(asdict(QUICK))):
        raise MissingError("no whole run, only a quick one")
    if question not in {each["cell"]["question"] for each in result.cells}:
        raise MissingError(f"no question {question!r}")
    return result.of(question)


def _without_zero(value: float) -> str:
    return figure(value, 2)


def _with_zero(value: float) -> str:
    """Write a number that may well be larger than one."""
    return f"{value:.2f}".replace("-", "−")


def _shown(found: dict[str, float], write: Callable[[float], str] = _without_zero) -> str:
    estimate, low, high = (write(found[name]) for name in ("estimate", "low", "high"))
    return f"{estimate} ({low} to {high})"
