"""The study's numbers as rows: of every method on every task, of layers, and of methods over all tasks."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from ssae_lens.evals.steering import chosen, ratings
from ssae_lens.metrics import Interval, bootstrap_interval, harmonic_mean, sign_flip_test, steerability
from ssae_lens.pairs.sentences import ATTRIBUTES

Numbers = dict[str, Any]
OURS, CONTROL, NOTHING = "SSAE", "random", "unsteered"
# Of the columns, those that are averaged over tasks.
MEANS = (
    "behaviour",
    "coherence",
    "product",
    "harmonic",
    "steerability",
    "anti_steerable",
    "elsewhere",
    "side_effect",
    "kl",
    "early",
    "late",
    "rated_product",
)


def by_way(cells: Sequence[Numbers]) -> dict[tuple[str, str, str], dict[str, Numbers]]:
    """Return the cells of each task, method and hook by what they measure."""
    found: dict[tuple[str, str, str], dict[str, Numbers]] = {}
    for each in cells:
        cell = each["cell"]
        found.setdefault((cell["task"], cell["method"], cell["hook"]), {})[cell["part"]] = each
    return found


def scored(found: Mapping[str, Any], seed: int = 0) -> Numbers:
    """Score what was reported: SAE-TS's product of means with its interval, and AxBench's harmonic mean, text by text.

    A task of questions has its behaviour in answers and its coherence in texts: there each answer stands beside the mean
    coherence.
    """
    behaviour, coherence = np.array(found["behaviour"]), np.array(found["coherence"])
    if len(behaviour) != len(coherence):
        coherence = np.full(len(behaviour), coherence.mean())
    both = np.stack([behaviour, coherence], axis=1)
    interval = bootstrap_interval(both, lambda rows: rows.mean(0).prod(), seed=seed)
    return {
        "behaviour": float(behaviour.mean()),
        "coherence": float(coherence.mean()),
        "product": interval.estimate,
        "product_low": interval.low,
        "product_high": interval.high,
        "harmonic": float(harmonic_mean(both).mean()),
    }


def row_of(parts: Mapping[str, Numbers], concept: str, sign: int) -> Numbers:
    """Return a method's numbers on a task, all of them at the scale that the other half chose."""
    report, dose = parts["report"], parts["dose"]
    row: Numbers = {"scale": report["cell"]["scale"], **scored(report), "scale_at_end": _at_end(dose, report)}
    if len(dose["multipliers"]) > 1:
        found = steerability(dose["multipliers"], dose["margins"])
        row |= {"steerability": found.mean.estimate, "steerability_low": found.mean.low}
        row |= {"steerability_high": found.mean.high, "anti_steerable": found.anti_steerable.estimate}
    if "elsewhere" in report:
        means = [np.mean(report["elsewhere"][name]) for name in ("behaviour", "coherence")]
        row["elsewhere"] = float(np.prod(means))
    if side := parts.get("side effects"):
        others = [abs(effect) for name, effect in side["effects"].items() if name != concept]
        row |= {"side_effect": float(np.mean(others)), "kl": side["kl"]}
        if concept in ATTRIBUTES:
            row["own_effect"] = sign * side["effects"][concept]
    if long := parts.get("long"):
        row |= {"early": float(np.mean(long["behaviour"][0])), "late": float(np.mean(long["behaviour"][-1]))}
        row |= {"coherence_late": float(np.mean(long["coherence"][-1]))}
    if told := parts.get("rated"):
        row |= ratings.means(told)
    return row


def of_layers(cells: Sequence[Numbers], tasks: Sequence[str], hooks: Sequence[str]) -> list[Numbers]:
    """Return for each task how its vectors do at each hook, and which hook the choosing half takes."""
    ways, found = by_way(cells), []
    for task in tasks:
        here = [(hook, ways[task, "CAA", hook]) for hook in hooks if (task, "CAA", hook) in ways]
        if len(here) < 2:
            continue
        best = chosen.best_layer([parts["dose"] for _, parts in here])
        for number, (hook, parts) in enumerate(here):
            row = {"task": task, "hook": hook, "chosen": number == best, "scale": parts["report"]["cell"]["scale"]}
            found.append({**row, **scored(parts["report"])})
    return found


def over_tasks(rows: Sequence[Numbers], methods: Sequence[str]) -> list[Numbers]:
    """Return each method's means over the tasks it has, with a paired test against ours over the tasks both have."""
    products = {
        name: {row["task"]: row["product"] for row in rows if row["method"] == name and "product" in row}
        for name in methods
    }
    found = []
    for name in methods:
        own = [row for row in rows if row["method"] == name and "product" in row]
        if not own:
            continue
        summary: Numbers = {"method": name, "tasks": len(own)}
        for column in MEANS:
            values = [row[column] for row in own if column in row]
            summary[column] = float(np.mean(values)) if values else None
        spread = _interval([row["product"] for row in own])
        summary |= {"product_low": spread.low, "product_high": spread.high}
        if name != OURS and (shared := sorted(products[name].keys() & products.get(OURS, {}).keys())):
            sides = ([products[each][task] for task in shared] for each in (name, OURS))
            test = sign_flip_test(*map(np.array, sides))
            summary |= {"less_ours": test.difference, "p": test.p_value, "shared": test.n}
        found.append(summary)
    return found


def dose_curves(cells: Sequence[Numbers], hook: str) -> dict[str, dict[str, Float[np.ndarray, "scales"]]]:
    """Return for each method, at each scale, mean behaviour, coherence and product over tasks, on the choosing half."""
    gathered: dict[str, list[Numbers]] = {}
    for each in cells:
        if each["cell"]["part"] == "dose" and each["cell"]["hook"] == hook:
            gathered.setdefault(each["cell"]["method"], []).append(each)
    return {
        method: {
            "scales": np.array(some[0]["scales"]),
            "behaviour": np.mean([np.mean(each["behaviour"], axis=1) for each in some], axis=0),
            "coherence": np.mean([np.mean(each["coherence"], axis=1) for each in some], axis=0),
            "product": np.mean([chosen.products(each) for each in some], axis=0),
        }
        for method, some in gathered.items()
    }


def _interval(values: Sequence[float]) -> Interval:
    if len(values) < 2:
        return Interval(values[0], values[0], values[0])
    return bootstrap_interval(np.array(values))


def _at_end(dose: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    """Whether the scale chosen is the largest tried, so that a larger one might do better."""
    return len(dose["scales"]) > 1 and report["cell"]["scale"] == max(dose["scales"])
