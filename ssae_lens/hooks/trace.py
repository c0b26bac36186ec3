"""Trace of steering: the norm of the change at each token, collected by `Recorder` during the passes, shown by `Trace`."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.hooks.forward_pass import UNKNOWN, Pass


@dataclass(frozen=True)
class Trace:
    """The tokens that were steered, and by how much.

    Attributes
    ----------
    rows
        For each row of the batch, its tokens without padding, each with the norm of its change (summed over the hooks), 0.0
        where nothing was changed.
    """

    rows: list[list[tuple[str, float]]]

    def __str__(self) -> str:
        return "\n".join(f"row {number}: {''.join(map(_shown, row))}" for number, row in enumerate(self.rows))


class Recorder:
    """The norms of the changes at each hook, for the current text.

    It takes one number for each token and hook. Only the last pass is kept, whose tokens are the whole text.
    """

    def __init__(self) -> None:
        self._last: dict[str, Pass] = {}
        self._changes: dict[str, list[Tensor]] = {}

    def clear(self) -> None:
        """Remove all records."""
        self._last.clear()
        self._changes.clear()

    def add(self, name: str, current: Pass, change: Float[Tensor, "batch pos"]) -> None:
        """Record the norms of the changes of one pass at one hook."""
        last = self._last.pop(name, None)
        if last is None or tuple(last.real.shape) != (len(change), current.past):
            self._changes[name] = []  # a new text, or the same from its start
        self._last[name] = current  # moves the hook to the end
        self._changes[name].append(change)

    def trace(self, tokenizer: Any) -> Trace:
        """Return the trace of the text of the latest pass."""
        if not self._last:
            return Trace([])
        latest = next(reversed(self._last.values()))
        norms = torch.zeros(latest.real.shape)
        for name, last in self._last.items():
            if last is latest:
                change = torch.cat([part.float().cpu() for part in self._changes[name]], dim=1)
                norms[:, -change.shape[1] :] += change
        rows = []
        for tokens, real, amounts in zip(latest.tokens.tolist(), latest.real.tolist(), norms.tolist(), strict=True):
            kept = [(token, amount) for token, is_real, amount in zip(tokens, real, amounts, strict=True) if is_real]
            rows.append([(_text(token, tokenizer), amount) for token, amount in kept])
        return Trace(rows)


def _text(token: int, tokenizer: Any) -> str:
    if token == UNKNOWN:
        return "·"
    return tokenizer.decode([token]) if tokenizer is not None else f"<{token}>"


def _shown(item: tuple[str, float]) -> str:
    text, amount = item
    return f"[{text} {amount:.3g}]" if amount else text
