"""Chat messages as texts: rendering by a tokenizer's chat template, and the range of characters of the last turn."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from ssae_lens.pairs.schema import TEXTS, TURNS


class NoTokenizerError(ValueError):
    """Chat messages cannot be rendered without a tokenizer."""


def has_messages(table: Any) -> bool:
    """Return whether a side of any row of a list, or of the first row of a `datasets.Dataset`, is a list of messages."""
    rows = table if isinstance(table, list) else itertools.islice(table, 1)
    return any(isinstance(row.get(side), list) for row in rows for side in TEXTS)


def rendered(rows: Sequence[Mapping[str, Any]], tokenizer: Any) -> list[dict[str, Any]]:
    """Return the rows with messages rendered as text, and the range of characters of each side's last turn.

    A text in place of messages is taken for the reply to the other side's preceding messages.

    Raises
    ------
    ValueError
        If the tokenizer has no chat template, or a row holds anything but messages.
    """
    if not getattr(tokenizer, "chat_template", None):
        raise ValueError(
            f"The tokenizer {getattr(tokenizer, 'name_or_path', '')!r} has no chat template; set its chat_template, or give "
            "texts."
        )
    done: list[dict[str, Any]] = []
    for number, row in enumerate(rows):
        sides = [row.get(side) for side in TEXTS]
        texts = {}
        for side, turn, messages, other in zip(TEXTS, TURNS, sides, reversed(sides), strict=True):
            turns: Any = messages
            if isinstance(messages, str) and isinstance(other, list) and other:
                turns = [*other[:-1], {**other[-1], "content": messages}]
            _check(turns, side, number)
            texts[side], texts[turn] = _text(turns, tokenizer, side, number)
        done.append({**row, **texts})
    return done


def _check(messages: Any, side: str, row: int) -> None:
    if not isinstance(messages, list) or not messages:
        raise ValueError(f"{side} holds no chat messages in row {row}, where others do; give messages in every row.")
    for message in messages:
        if not isinstance(message, Mapping) or not all(
            isinstance(message.get(key), str) for key in ("role", "content")
        ):
            raise ValueError(
                f"{side} holds {str(message)[:80]} in row {row}; a message is {{'role': 'user', 'content': '…'}}."
            )
    if not messages[-1]["content"].strip():
        raise ValueError(f"{side} ends with an empty message in row {row}; its last turn is what is compared.")


def _text(messages: list[Any], tokenizer: Any, side: str, row: int) -> tuple[str, list[int]]:
    """Return the rendered text and the range of the last message's content."""
    text: str = tokenizer.apply_chat_template(messages, tokenize=False)
    bos = tokenizer.bos_token
    # A BOS that the template adds to every text is left to the model's own setting, which would add a second one.
    if bos and bos not in str(tokenizer.chat_template):
        text = text.removeprefix(bos)
    content = messages[-1]["content"].strip()
    start = text.rfind(content)
    if start < 0:
        raise ValueError(
            f"The chat template changes the last message of {side} in row {row}, so its place in the text is unknown; "
            "render the messages yourself, and give texts."
        )
    return text, [start, start + len(content)]
