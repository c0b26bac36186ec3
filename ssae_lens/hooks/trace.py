"""What steering did to a text, token by token: `Recorder` collects it during the passes, `Trace` shows it."""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.hooks.forward_pass import UNKNOWN, Pass


@dataclass(frozen=True)
class Trace:
    """Which tokens were steered and by how much.

    Attributes
    ----------
    rows
        For each row of the batch, its tokens without padding, each with the length of the change made at it (summed over
        the hooks): 0.0 where nothing was changed.
    """

    rows: list[list[tuple[str, float]]]

    def __str__(self) -> str:
        return "\n".join(f"row {number}: {''.join(map(_shown, row))}" for number, row in enumerate(self.rows))


class Recorder:
    """The lengths of the changes at each hook, for the text that is being read.

    Memory grows by one number for each token and hook. Of the passes only the last is kept: its tokens are the whole text.
    """

    def __init__(self) -> None:
        self._last: dict[str, Pass] = {}
        self._changes: dict[str, list[Tensor]] = {}

    def clear(self) -> None:
        """Forget everything."""
        self._last.clear()
        self._changes.clear()

    def add(self, name: str, now: Pass, change: Float[Tensor, "batch pos"]) -> None:
        """Record the lengths of the changes that one pass had at one hook."""
        last = self._last.pop(name, None)
        if last is None or tuple(last.real.shape) != (len(change), now.past):
            self._changes[name] = []  # another text, or the same from its beginning
        self._last[name] = now  # the hook of the latest pass comes last
        self._changes[name].append(change)

    def trace(self, tokenizer: Any) -> Trace:
        """Return what was recorded for the text of the latest pass."""
        if not self._last:
            return Trace([])
        latest = next(reversed(self._last.values()))
        lengths = torch.zeros(latest.real.shape)
        for name, last in self._last.items():
            if last is latest:
                change = torch.cat([each.float().cpu() for each in self._changes[name]], dim=1)
                lengths[:, -change.shape[1] :] += change
        rows = []
        for tokens, real, amounts in zip(latest.tokens.tolist(), latest.real.tolist(), lengths.tolist(), strict=True):
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
