"""The tables of `python -m studies steering`."""

from collections.abc import Callable
from typing import Any

from ssae_lens.evals.steering import METHODS, Result
from ssae_lens.evals.steering.builtin import names
from ssae_lens.evals.steering.result import COLUMNS
from ssae_lens.hooks.hook_points import layer_of
from studies.page_tables.markdown import MissingError, between, bold, bullets, figure, records, table

# What the text shortens.
TITLES = {
    "behav.": "behaviour",
    "coher.": "coherence",
    "harm.": "harmonic",
    "steer.": "steerability",
    "anti-": "anti-steerable",
    "elsewh.": "elsewhere",
    "side": "side effects",
}
NONE = "–"
SMALLEST = 0.001


def methods(result: Result) -> str:
    """Return each method over all tasks: its means, the product's interval, the test against ours, and what it was given."""
    found = records(_whole(result).summary)
    shown = [each for each in COLUMNS if any(each[1] in row for row in found)]
    head = ["method", "tasks", *(TITLES.get(title, title) for title, _, _ in shown), "product, 95 %", "p", "given"]
    rows = [
        [
            row["method"],
            str(row["tasks"]),
            *(figure(row.get(column), digits) or NONE for _, column, digits in shown),
            between(row["product_low"], row["product_high"], 3),
            _p(row.get("p")),
            result.about["methods"][row["method"]],
        ]
        for row in found
    ]
    return table(head, rows)


def summary(result: Result) -> str:
    """Return each method over all tasks in a few columns, with what it was given."""
    rows = [
        [
            row["method"],
            figure(row["behaviour"], 2),
            figure(row["coherence"], 2),
            f"{figure(row['product'])} ({between(row['product_low'], row['product_high'], 3)})",
            _p(row.get("p")),
            result.about["methods"][row["method"]],
        ]
        for row in records(_whole(result).summary)
    ]
    return table(["method", "behaviour", "coherence", "product (95 %)", "p", "given"], rows)


def tasks(result: Result) -> str:
    """Return behaviour × coherence of every method on every task, the best of a row bold; > marks the largest scale."""
    made = [each["method"] for each in records(_whole(result).summary)]
    found = {(each["task"], each["method"]): each for each in records(result.table)}
    rows = []
    for task in result.about["tasks"]:
        here = [found[task["name"], method] for method in made]
        texts = [
            figure(each["product"]) + (">" if each["scale_at_end"] else "") if "product" in each else NONE
            for each in here
        ]
        rows.append([task["name"], *bold(texts, [each.get("product") for each in here])])
    return table(["task", *made], rows)


def judges(result: Result) -> str:
    """Say what judges each task, and how often it is right on labelled texts that it did not learn from."""
    _whole(result)
    coherence = [{**each, "task": "coherence, every task"} for each in result.judged("coherence")[:1]]
    rows = [
        [each["task"], each["name"], figure(each["right"], 2), between(each["low"], each["high"])]
        for each in (*result.judged("behaviour"), *coherence)
    ]
    return table(["task", "judge", "right", "95 %"], rows)


def layers(result: Result) -> str:
    """Return CAA's product by layer, that of the layer which the other half chooses bold."""
    found = records(_whole(result).layers)
    hooks = list(dict.fromkeys(each["hook"] for each in found))
    by_task: dict[str, dict[str, dict[str, Any]]] = {}
    for each in found:
        by_task.setdefault(each["task"], {})[each["hook"]] = each
    rows = []
    for task, here in by_task.items():
        texts = [figure(here[hook]["product"]) if hook in here else "" for hook in hooks]
        chosen = [hook in here and here[hook]["chosen"] for hook in hooks]
        rows.append([task, *(f"**{text}**" if of else text for text, of in zip(texts, chosen, strict=True))])
    return table(["task", *(f"block {layer_of(hook)}" for hook in hooks)], rows)


def beaten(result: Result) -> str:
    """Say where ours is beaten or fails."""
    return bullets(_whole(result).beaten())


TABLES: dict[str, Callable[[Any], str]] = {
    "summary": summary,
    "methods": methods,
    "tasks": tasks,
    "judges": judges,
    "layers": layers,
    "beaten": beaten,
}


def _whole(result: Result) -> Result:
    """Return a result in which every built-in task and every method was tried."""
    there = {each["name"] for each in result.about["tasks"]}
    for what, wanted, found in (("task", names(), there), ("method", METHODS, result.about["methods"])):
        for name in wanted:
            if name not in found:
                raise MissingError(f"no {what} {name!r}")
    return result


def _p(value: float | None) -> str:
    if value is None:
        return NONE
    return figure(value) if value >= SMALLEST else f"< {figure(SMALLEST)}"
