"""What a judge is: something that answers questions about texts. `Question`, `Answer`, and the protocol `Judge`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True)
class Question:
    """A question, put for both kinds of judge.

    Attributes
    ----------
    prompt
        The whole question, for a model that follows instructions.
    options
        The answers there are; none for one in the judge's own words.
    stem, seen
        The same, for a model that can only tell what text is likely: `stem` with ``{option}`` in it is what stands before
        `seen`, the text in question, if that option is right.

    Examples
    --------
    >>> text = "I loved every minute of it."
    >>> question = Question(
    ...     f"Is this review positive or negative? {text}", ("positive", "negative"), "A {option} review: ", text
    ... )
    """

    prompt: str
    options: tuple[str, ...] = ()
    stem: str = ""
    seen: str = ""


@dataclass(frozen=True)
class Answer:
    """What a judge said.

    Attributes
    ----------
    text
        The option chosen, or the judge's own words; None where there is none.
    scores
        Where the judge weighs options: how much each fits, in nats; differences between options are what counts.
    problem
        Why there is no answer.
    said
        What it said where that was no answer.
    """

    text: str | None
    scores: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    said: str = ""


@runtime_checkable
class Judge(Protocol):
    """Anything with a name that answers questions, one answer each, in their order."""

    name: str

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions. One that cannot be answered gets an `Answer` that says why."""
        ...


def option_in(said: str, options: Sequence[str]) -> str | None:
    """Return the option that a text names: it is the text, or it alone of all options stands in it as a word.

    Examples
    --------
    >>> option_in("The answer is: *Past*.", ["past", "present"])
    'past'
    >>> option_in("past or present", ["past", "present"]) is None
    True
    """
    plain = said.strip(" \t\n.,:;!*_`\"'“”").casefold()
    by_word = {each.casefold(): each for each in options}
    if plain in by_word:
        return by_word[plain]
    named = [each for each in options if re.search(rf"(?<!\w){re.escape(each.casefold())}(?!\w)", plain)]
    # "very polite" names "polite" too: what lies within a longer option that is named does not count.
    named = [each for each in named if not any(each != other and each in other for other in named)]
    return named[0] if len(named) == 1 else None
