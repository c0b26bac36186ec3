"""How the benchmarks time: one way after another, in turns, and compared within each turn."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch


def seconds(work: Callable[[], Any]) -> float:
    begin = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - begin


def take_turns(contestants: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Time each in turn, after one turn to warm up; no one is always first."""
    took: dict[str, list[float]] = {name: [] for name in contestants}
    for turn in range(-1, repetitions):
        names = list(contestants)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            one = seconds(contestants[name])
            if turn >= 0:
                took[name].append(one)
    return took


def ratios(took: dict[str, list[float]], over: str, under: str) -> list[float]:
    """Return what one took in terms of another, turn by turn."""
    return [a / b for a, b in zip(took[over], took[under], strict=True)]


def ratio(took: dict[str, list[float]], over: str, under: str) -> float:
    """Return the median of the turns' ratios."""
    return statistics.median(ratios(took, over, under))
