"""Token positions to steer: a name, numbers or a marker in the text, and their mask over the tokens of a forward pass."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.hooks.forward_pass import UNKNOWN, Pass

WORDS = ("all", "prompt", "generated")


@dataclass(frozen=True)
class After:
    """The tokens after the last occurrence of a marker in the prompt, such as the end of an instruction.

    Parameters
    ----------
    marker
        A text, such as ``"[/INST]"``, which need not begin or end at a token's edge; or consecutive token ids.
    """

    marker: str | Sequence[int]


Positions = Literal["all", "prompt", "generated"] | int | slice | Sequence[int] | After


def check_positions(positions: Any) -> None:
    """Raise unless `positions` is valid for `position_mask`."""
    if isinstance(positions, str):
        checks.one_of("positions", positions, WORDS)
    elif isinstance(positions, After):
        if not len(positions.marker):
            raise ValueError("The marker of After is empty; give the text or tokens at the end of the instruction.")
    elif isinstance(positions, slice):
        if positions.step not in (None, 1):
            raise ValueError(f"positions is {positions}; a slice of positions must not have a step.")
    elif not _is_index(positions) and not (
        isinstance(positions, Sequence) and len(positions) and all(map(_is_index, positions))
    ):
        raise ValueError(
            f"positions is {positions!r}; give 'all', 'prompt', 'generated', the number of a token, a list of such numbers, "
            "a slice such as slice(5, None), or After('[/INST]')."
        )


def position_mask(positions: Positions, current: Pass, tokenizer: Any) -> Bool[Tensor, "batch pos"]:
    """Return the mask of the tokens of a pass at the positions, without padding.

    Numbers count each row's own tokens from 0, without padding; negative ones count back from the end of its prompt.
    """
    if positions == "all":
        return current.real_now
    if isinstance(positions, str):
        return current.real_now & (current.generated if positions == "generated" else ~current.generated)
    if isinstance(positions, After):
        if current.past >= current.prompt:
            return current.real_now  # after the prompt is after the marker
        begin = _ends_of(positions.marker, current, tokenizer)
        return current.real_now & (current.index >= begin[:, None])
    lengths = current.prompt_lengths[:, None]
    if isinstance(positions, slice):
        begin = _counted(positions.start or 0, lengths)
        within = current.real_now & (current.index >= begin)
        return within if positions.stop is None else within & (current.index < _counted(positions.stop, lengths))
    listed = [positions] if isinstance(positions, int) else list(positions)
    _require_in_text(listed, current)
    numbers = torch.tensor(listed, device=current.real.device)
    numbers = torch.where(numbers < 0, numbers + lengths, numbers)
    return current.real_now & (current.index[:, :, None] == numbers[:, None, :]).any(-1)


def _counted(number: int, lengths: Tensor) -> Tensor:
    return (lengths + number).clamp_min(0) if number < 0 else torch.full_like(lengths, number)


def _require_in_text(numbers: Sequence[int], current: Pass) -> None:
    """Raise if a number lies outside of a row's text, unless it may still be generated."""
    for row, length in enumerate(current.prompt_lengths.tolist() if current.past == 0 else []):
        for number in numbers:
            if number < -length or (number >= length and not current.open_ended):
                raise ValueError(
                    f"positions has {number}, and the text of row {row} has {length} tokens; "
                    f"give numbers from {-length} to {length - 1}."
                )


def _ends_of(marker: str | Sequence[int], current: Pass, tokenizer: Any) -> Tensor:
    """Return, for each row, the number of the first token after the marker's last occurrence in the prompt."""
    ends = []
    for row in range(len(current.tokens)):
        ids = current.tokens[row, : current.prompt][current.real[row, : current.prompt]].tolist()
        if UNKNOWN in ids:
            raise ValueError(
                "positions is After(…), and the model was given activations or a filled cache in place of tokens; "
                "give the positions as numbers."
            )
        end = _end_in_text(marker, ids, tokenizer) if isinstance(marker, str) else _end_in_ids(list(marker), ids)
        if end is None:
            raise ValueError(f"The prompt of row {row} does not contain the marker {marker!r} of positions=After(…).")
        ends.append(end)
    return torch.tensor(ends, device=current.real.device)


def _end_in_ids(marker: list[int], ids: list[int]) -> int | None:
    starts = range(len(ids) - len(marker), -1, -1)
    return next((start + len(marker) for start in starts if ids[start : start + len(marker)] == marker), None)


def _end_in_text(marker: str, ids: list[int], tokenizer: Any) -> int | None:
    """Return the smallest number of tokens whose text includes the marker's last occurrence."""
    if tokenizer is None:
        raise ValueError(
            f"positions is After({marker!r}), and the model has no tokenizer; attach one, or give the marker's tokens."
        )

    def occurrences(number: int) -> int:
        return tokenizer.decode(ids[:number], clean_up_tokenization_spaces=False).count(marker)

    count = occurrences(len(ids))
    if not count:
        return None
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if occurrences(middle) < count:
            low = middle + 1
        else:
            high = middle
    return low


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
