"""The tables of `python -m studies steering`."""

from collections.abc import Callable
from typing import Any

from ssae_lens.evals.built_in_tasks import names
from ssae_lens.hooks.hook_points import layer_of
from studies.page_tables.markdown import MissingError, between, bold, bullets, figure, records, table
from studies.steering import METHODS
from studies.steering import SteeringStudyResult as Result
from studies.steering.result import STUDY_COLUMNS as COLUMNS

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
    """Return each method over all tasks: means, interval of the product, test against the SSAE, what it was given."""
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
    """Return the judge of each task, and its accuracy on labelled texts that it was not trained on."""
    _whole(result)
    measured = [judge for judge in result.judges() if judge["right"] is not None]
    coherence = [{**judge, "task": "coherence, every task"} for judge in measured if judge["of"] == "coherence"][:1]
    rows = [
        [judge["task"], judge["name"], figure(judge["right"], 2), between(judge["low"], judge["high"])]
        for judge in [*(judge for judge in measured if judge["of"] == "behaviour"), *coherence]
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


def baselines_win(result: Result) -> str:
    """Return the lines where baselines win, or the SSAE fails."""
    return bullets(_whole(result).where_baselines_win())


TABLES: dict[str, Callable[[Any], str]] = {
    "summary": summary,
    "methods": methods,
    "tasks": tasks,
    "judges": judges,
    "layers": layers,
    "baselines_win": baselines_win,
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
