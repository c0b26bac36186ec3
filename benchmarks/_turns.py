"""Timing: functions run in turns and are compared within each turn, so that other load affects all of them."""

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


def take_turns(functions: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, list[float]]:
    """Time all functions in each turn, after one turn to warm up; the order rotates."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for turn in range(-1, repetitions):
        names = list(functions)
        for name in names[turn % len(names) :] + names[: turn % len(names)]:
            elapsed = seconds(functions[name])
            if turn >= 0:
                times[name].append(elapsed)
    return times


def ratios(times: dict[str, list[float]], over: str, under: str) -> list[float]:
    """Return the ratio of the times of two functions in each turn."""
    return [a / b for a, b in zip(times[over], times[under], strict=True)]


def ratio(times: dict[str, list[float]], over: str, under: str) -> float:
    """Return the median of the ratios over turns."""
    return statistics.median(ratios(times, over, under))
