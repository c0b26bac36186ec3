"""Which tokens to steer: from a choice in words, numbers or text to a mask over the tokens of a forward pass."""

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
    """The tokens after the last place in the prompt where a marker ends, such as the end of an instruction.

    Parameters
    ----------
    marker
        A text, such as ``"[/INST]"``, found wherever the tokens' edges fall; or the numbers of tokens in a row.
    """

    marker: str | Sequence[int]


Positions = Literal["all", "prompt", "generated"] | int | slice | Sequence[int] | After


def check_positions(positions: Any) -> None:
    """Raise unless `positions` is a choice that `chosen` knows."""
    if isinstance(positions, str):
        checks.one_of("positions", positions, WORDS)
    elif isinstance(positions, After):
        if not len(positions.marker):
            raise ValueError("The marker of After is empty; give the text or tokens that end the instruction.")
    elif isinstance(positions, slice):
        if positions.step not in (None, 1):
            raise ValueError(f"positions is {positions}; a slice of positions has no step.")
    elif not _is_index(positions) and not (
        isinstance(positions, Sequence) and len(positions) and all(_is_index(each) for each in positions)
    ):
        raise ValueError(
            f"positions is {positions!r}; give 'all', 'prompt', 'generated', the number of a token, a list of such numbers, "
            "a slice such as slice(5, None), or After('[/INST]')."
        )


def chosen(positions: Positions, now: Pass, tokenizer: Any) -> Bool[Tensor, "batch pos"]:
    """Say which tokens of a pass are chosen; padding never is.

    Numbers count each row's own tokens from 0, padding left out; negative ones count back from the end of its prompt.
    """
    if positions == "all":
        return now.real_now
    if isinstance(positions, str):
        return now.real_now & (now.generated if positions == "generated" else ~now.generated)
    if isinstance(positions, After):
        if now.past >= now.prompt:
            return now.real_now  # past the prompt is past the marker: it need not be found again
        begin = _ends_of(positions.marker, now, tokenizer)
        return now.real_now & (now.index >= begin[:, None])
    lengths = now.prompt_lengths[:, None]
    if isinstance(positions, slice):
        begin = _counted(positions.start or 0, lengths)
        within = now.real_now & (now.index >= begin)
        return within if positions.stop is None else within & (now.index < _counted(positions.stop, lengths))
    wanted = [positions] if isinstance(positions, int) else list(positions)
    _require_reached(wanted, now)
    numbers = torch.tensor(wanted, device=now.real.device)
    numbers = torch.where(numbers < 0, numbers + lengths, numbers)
    return now.real_now & (now.index[:, :, None] == numbers[:, None, :]).any(-1)


def _counted(number: int, lengths: Tensor) -> Tensor:
    return (lengths + number).clamp_min(0) if number < 0 else torch.full_like(lengths, number)


def _require_reached(wanted: Sequence[int], now: Pass) -> None:
    """Raise if a number lies outside a row's text; one beyond the prompt may yet be generated."""
    for row, length in enumerate(now.prompt_lengths.tolist() if now.past == 0 else []):
        for number in wanted:
            if number < -length or (number >= length and not now.open_ended):
                raise ValueError(
                    f"positions has {number}, and the text of row {row} has {length} tokens; "
                    f"give numbers from {-length} to {length - 1}."
                )


def _ends_of(marker: str | Sequence[int], now: Pass, tokenizer: Any) -> Tensor:
    """Give, for each row, the number of the first token after the marker's last place in the prompt."""
    ends = []
    for row in range(len(now.tokens)):
        ids = now.tokens[row, : now.prompt][now.real[row, : now.prompt]].tolist()
        if UNKNOWN in ids:
            raise ValueError(
                "positions is After(…), and the model was given activations or a filled cache in place of tokens; "
                "give the positions by number."
            )
        end = _end_in_text(marker, ids, tokenizer) if isinstance(marker, str) else _end_in_ids(list(marker), ids)
        if end is None:
            raise ValueError(f"The prompt of row {row} does not contain the marker {marker!r} of positions=After(…).")
        ends.append(end)
    return torch.tensor(ends, device=now.real.device)


def _end_in_ids(marker: list[int], ids: list[int]) -> int | None:
    starts = range(len(ids) - len(marker), -1, -1)
    return next((start + len(marker) for start in starts if ids[start : start + len(marker)] == marker), None)


def _end_in_text(marker: str, ids: list[int], tokenizer: Any) -> int | None:
    """Return the least number of tokens whose text holds all of the marker's last place."""
    if tokenizer is None:
        raise ValueError(
            f"positions is After({marker!r}), and the model has no tokenizer; attach one, or give the marker's tokens."
        )

    def places(number: int) -> int:
        return tokenizer.decode(ids[:number], clean_up_tokenization_spaces=False).count(marker)

    count = places(len(ids))
    if not count:
        return None
    low, high = 1, len(ids)
    while low < high:
        middle = (low + high) // 2
        if places(middle) < count:
            low = middle + 1
        else:
            high = middle
    return low


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
