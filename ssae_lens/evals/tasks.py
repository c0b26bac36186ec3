"""`Task`: a behaviour to steer towards, pairs to learn it from, and held-out texts and prompts to measure it on.

No text is both among those that methods learn from and among those that measure them. Prompts, and questions, are in two
halves: one chooses the scale, the other reports.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from typing_extensions import Self

from ssae_lens.base import checks
from ssae_lens.base.checksums import fingerprint
from ssae_lens.pairs import schema

if TYPE_CHECKING:
    from datasets import Dataset

# From texts to numbers between 0 and 1.
Scorer = Callable[[Sequence[str]], Float[np.ndarray, "n"]]


@cache
def task_data(name: str) -> dict[str, Any]:
    """Return one of the package's files of texts: ``behaviours``, ``topics`` or ``prompts``."""
    return json.loads((Path(__file__).parent / "data" / f"{name}.json").read_text(encoding="utf-8"))


# Openings that leave the behaviours open; prompts of other kinds, such as code; prose that steering should not change.
CHOOSING, REPORTING, ELSEWHERE, NEUTRAL = map(
    tuple, (task_data("prompts")[kind] for kind in ("choosing", "reporting", "elsewhere", "neutral"))
)


@dataclass(frozen=True)
class ChoiceQuestion:
    """A question with the answer that shows a behaviour, such as "(A)", and the other answer."""

    question: str
    matching: str
    other: str


@dataclass(frozen=True, eq=False)
class UnlabelledPairs:
    """Pairs in which several concepts change at once: what an SSAE learns from, without the labels.

    Attributes
    ----------
    name
        A description.
    pairs
        With signed changes, which name the latents and which methods with labels learn from.
    widths
        Numbers of latents; `sweep` chooses among them, without the labels.
    """

    name: str
    pairs: "Dataset"
    widths: tuple[int, ...] = (16, 24, 32)


@dataclass(frozen=True, eq=False)
class Task:
    """A behaviour to steer towards.

    Attributes
    ----------
    name, group
        Its row in the table, and the part of the table.
    behaviour
        The behaviour as a sentence that is true or false of a text.
    contrasts
        Labelled pairs to learn from: each source lacks the behaviour, its target has it.
    negative, positive
        Held-out texts without and with the behaviour, pair by pair: their log-probabilities are compared, and a local judge
        is trained on them. Empty for a task of questions.
    prefix
        What a user would write before a prompt to ask for the behaviour.
    judge
        What scores the behaviour in generated texts: ``"probe"``, ``"french"``, or a function from texts to numbers from 0
        to 1.
    unlabelled, concept, sign
        Pairs for an SSAE, the concept there that is this behaviour, and the sign of more of it.
    position
        The token position at which activations of texts are captured.
    questions
        For a behaviour that shows in answers: the first half chooses, the second reports.
    choosing, reporting, elsewhere
        Prompts that choose the scale, prompts that report, and prompts of other kinds.
    """

    name: str
    behaviour: str
    contrasts: "Dataset"
    negative: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    prefix: str = ""
    judge: str | Scorer = "probe"
    unlabelled: UnlabelledPairs | None = None
    concept: str = ""
    sign: int = 1
    position: str = "mean"
    questions: tuple[ChoiceQuestion, ...] = ()
    choosing: tuple[str, ...] = CHOOSING
    reporting: tuple[str, ...] = REPORTING
    elsewhere: tuple[str, ...] = ELSEWHERE
    group: str = "your own"

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("A task has no name; give it one.")
        schema.validate(self.contrasts)
        checks.one_of("sign", self.sign, (-1, 1))
        if isinstance(self.judge, str):
            checks.one_of("judge", self.judge, ("probe", "french"))
        if self.questions:
            self._check_questions()
        else:
            self._check_texts()
        self._check_prompts()
        if self.unlabelled is not None:
            checks.one_of(f"The concept of {self.name!r}", self.concept, schema.concept_names(self.unlabelled.pairs))

    def with_prompts(self, maximum: int) -> Self:
        """Return the task with at most so many prompts of each kind, and twice as many questions."""
        prompts = {name: getattr(self, name)[:maximum] for name in ("choosing", "reporting", "elsewhere")}
        return replace(self, **prompts, questions=self.questions[: 2 * maximum])

    @property
    def halves(self) -> tuple[tuple[ChoiceQuestion, ...], tuple[ChoiceQuestion, ...]]:
        """The questions that choose, and those that report."""
        middle = len(self.questions) // 2
        return self.questions[:middle], self.questions[middle:]

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of everything in the task."""
        texts = (self.negative, self.positive, self.choosing, self.reporting, self.elsewhere)
        questions = [(item.question, item.matching, item.other) for item in self.questions]
        how = (self.name, self.prefix, self.concept, self.sign, self.position, _name_of(self.judge))
        unlabelled = schema.fingerprint_of(self.unlabelled.pairs) if self.unlabelled else ""
        return fingerprint([texts, questions, how, schema.fingerprint_of(self.contrasts), unlabelled])

    def summary(self) -> dict[str, Any]:
        """Return names and sizes, as a result holds them."""
        pairs = self.unlabelled
        return {
            "name": self.name,
            "group": self.group,
            "behaviour": self.behaviour,
            "concept": self.concept,
            "sign": self.sign,
            "contrasts": len(self.contrasts),
            "pool": None if pairs is None else {"name": pairs.name, "pairs": len(pairs.pairs)},
            "prompts": [len(self.choosing), len(self.reporting), len(self.elsewhere)],
            "held_out": len(self.questions) or len(self.positive),
        }

    def _check_questions(self) -> None:
        checks.integer(f"the number of questions of {self.name!r}", len(self.questions), 4, "Each half needs two.")
        for item in self.questions:
            if not item.question.strip() or item.matching.strip() == item.other.strip():
                raise ValueError(
                    f"The task {self.name!r} has the question {item.question[:40]!r} with the answers {item.matching!r} and "
                    f"{item.other!r}; give a question and two different answers."
                )

    def _check_texts(self) -> None:
        for kind, texts in (("without", self.negative), ("with", self.positive)):
            if not texts:
                raise ValueError(
                    f"The task {self.name!r} has no held-out texts {kind} the behaviour; give texts of both kinds, or "
                    "questions."
                )
            if blank := [text for text in texts if not isinstance(text, str) or not text.strip()]:
                raise ValueError(
                    f"The task {self.name!r} has the text {blank[0]!r} {kind} the behaviour; leave it out."
                )
        if len(self.negative) != len(self.positive) or len(self.negative) < 2:
            raise ValueError(
                f"The task {self.name!r} has {len(self.negative)} texts without the behaviour and {len(self.positive)} with "
                "it; give as many of each, two at least."
            )
        learned = {text for side in schema.TEXTS for text in self.contrasts[side][:]}
        if self.unlabelled is not None:
            learned |= {text for side in schema.TEXTS for text in self.unlabelled.pairs[side][:]}
        if both := sorted({*self.negative, *self.positive} & learned):
            raise ValueError(
                f"The task {self.name!r} would be measured on {both[0]!r}, which is learned from; keep the two apart."
            )

    def _check_prompts(self) -> None:
        for name in ("choosing", "reporting"):
            checks.integer(f"the number of {name} prompts of {self.name!r}", len(getattr(self, name)), 2)
        if both := set(self.choosing) & set(self.reporting):
            raise ValueError(
                f"The task {self.name!r} has the prompt {min(both)!r} in both halves; a scale chosen on it would be "
                "reported on it."
            )


def _name_of(judge: Any) -> str:
    return judge if isinstance(judge, str) else getattr(judge, "__qualname__", type(judge).__name__)
