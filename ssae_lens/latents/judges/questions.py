"""Interface of judges, which answer questions about texts: `Question`, `Answer` and the protocol `Judge`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Protocol, runtime_checkable


@dataclass(frozen=True)
class Question:
    """A question, in a form for each kind of judge.

    Attributes
    ----------
    prompt
        The whole question, for a model that follows instructions.
    options
        The possible answers; empty for an answer in the judge's own words.
    stem, seen
        The same question for a model that only assigns likelihoods: `stem`, with ``{option}`` replaced, is the text before
        `seen` if that option is right.

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
    """The answer of a judge.

    Attributes
    ----------
    text
        The chosen option, or the judge's own words; None if there is no answer.
    scores
        The score of each option in nats, if the judge has scores; only differences between options matter.
    problem
        Why there is no answer.
    response
        The judge's raw response.
    """

    text: str | None
    scores: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""
    response: str = ""


@runtime_checkable
class Judge(Protocol):
    """An object with a name that answers questions."""

    name: str

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order; an unanswered one states its problem."""
        ...


def option_in(text: str, options: Sequence[str]) -> str | None:
    """Return the option that a text names: the text equals it, or contains it and no other option as a word.

    Examples
    --------
    >>> option_in("The answer is: *Past*.", ["past", "present"])
    'past'
    >>> option_in("past or present", ["past", "present"]) is None
    True
    """
    plain = text.strip(" \t\n.,:;!*_`\"'“”").casefold()
    by_word = {option.casefold(): option for option in options}
    if plain in by_word:
        return by_word[plain]
    named = [option for option in options if re.search(rf"(?<!\w){re.escape(option.casefold())}(?!\w)", plain)]
    # "very polite" contains "polite": an option within a longer named option does not count.
    named = [option for option in named if not any(option != other and option in other for other in named)]
    return named[0] if len(named) == 1 else None


def prompt(name: str, **values: Any) -> str:
    """Return a prompt of `prompts.yaml` with its fields filled in."""
    return _prompts()[name].strip("\n").format(**values)


@cache
def _prompts() -> dict[str, Any]:
    import yaml

    return yaml.safe_load(files("ssae_lens.latents.judges").joinpath("prompts.yaml").read_text(encoding="utf-8"))
