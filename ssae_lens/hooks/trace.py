"""What steering did to a text, token by token."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ssae_lens.hooks.passes import UNKNOWN, Pass


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


def trace_of(read: Mapping[str, Sequence[tuple[Pass, Tensor]]], tokenizer: Any) -> Trace:
    """Put together what was done at each hook in the passes over one text."""
    if not read:
        return Trace([])
    last, _ = next(iter(read.values()))[-1]
    changes = torch.zeros(last.real.shape)
    for passes in read.values():
        for now, change in passes:
            changes[:, now.past : now.past + change.shape[1]] += change.float().cpu()
    rows = []
    for tokens, real, amounts in zip(last.tokens.tolist(), last.real.tolist(), changes.tolist(), strict=True):
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
