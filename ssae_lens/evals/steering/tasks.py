"""`Task`: a behaviour to move, what to learn it from, where to steer, and the held-out texts that say whether it moved.

No text stands both among those that methods learn from and among those that measure them. Prompts, or questions, are in
two halves: one chooses the scale (and the layer), the other reports.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from typing_extensions import Self

from ssae_lens.base import checks
from ssae_lens.base.files import fingerprint
from ssae_lens.evals.steering import prompts
from ssae_lens.pairs import schema

if TYPE_CHECKING:
    from datasets import Dataset

Scorer = Callable[[Sequence[str]], Float[np.ndarray, "n"]]


@dataclass(frozen=True)
class Question:
    """A question with the answer that shows a behaviour, such as "(A)", and the one that does not."""

    question: str
    matching: str
    other: str


@dataclass(frozen=True, eq=False)
class Pool:
    """Pairs in which several concepts change at once: what an SSAE learns from, without the labels.

    Attributes
    ----------
    name
        What they are.
    pairs
        With signed changes, by which latents are named and methods that need labels learn.
    widths
        Numbers of latents to try; `sweep` chooses among them, without the labels.
    """

    name: str
    pairs: "Dataset"
    widths: tuple[int, ...] = (16, 24, 32)


@dataclass(frozen=True, eq=False)
class Task:
    """A behaviour to move.

    Attributes
    ----------
    name, group
        Its line in the table, and the part of the table.
    behaviour
        What is wanted, as a sentence that is true of a text or not.
    contrasts
        Labelled pairs to learn from: each source is without the behaviour, its target with it.
    without, with_it
        Held-out texts of both kinds, pair by pair: their log-probabilities are compared, and a local judge learns from
        them. Empty for a task of questions.
    prefix
        What a user would write before a prompt to ask for the behaviour.
    judge
        What reads the behaviour in generated texts: ``"probe"``, ``"french"``, or a function from texts to numbers from 0
        to 1.
    pool, concept, sign
        What an SSAE learns from, the concept there that is this behaviour, and the sign of more of it.
    position
        Where activations of texts are read.
    questions
        For a behaviour that shows in answers: the first half chooses, the second reports.
    choosing, reporting, elsewhere
        Prompts that choose the scale, prompts that report, and prompts of other kinds.
    """

    name: str
    behaviour: str
    contrasts: "Dataset"
    without: tuple[str, ...] = ()
    with_it: tuple[str, ...] = ()
    prefix: str = ""
    judge: str | Scorer = "probe"
    pool: Pool | None = None
    concept: str = ""
    sign: int = 1
    position: str = "mean"
    questions: tuple[Question, ...] = ()
    choosing: tuple[str, ...] = prompts.CHOOSING
    reporting: tuple[str, ...] = prompts.REPORTING
    elsewhere: tuple[str, ...] = prompts.ELSEWHERE
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
        if self.pool is not None:
            checks.one_of(f"The concept of {self.name!r}", self.concept, schema.concept_names(self.pool.pairs))

    def with_prompts(self, most: int) -> Self:
        """Return the task with at most so many prompts of each kind, texts of each kind, and pairs of questions."""
        return replace(
            self,
            **{name: getattr(self, name)[:most] for name in ("choosing", "reporting", "elsewhere")},
            questions=self.questions[: 2 * most],
        )

    @property
    def halves(self) -> tuple[tuple[Question, ...], tuple[Question, ...]]:
        """The questions that choose, and those that report."""
        middle = len(self.questions) // 2
        return self.questions[:middle], self.questions[middle:]

    @cached_property
    def fingerprint(self) -> str:
        """A short hash of all that it holds."""
        texts = (self.without, self.with_it, self.choosing, self.reporting, self.elsewhere)
        asked = [(each.question, each.matching, each.other) for each in self.questions]
        how = (self.name, self.prefix, self.concept, self.sign, self.position, _name_of(self.judge))
        pool = schema.fingerprint_of(self.pool.pairs) if self.pool else ""
        return fingerprint([texts, asked, how, schema.fingerprint_of(self.contrasts), pool])

    def _check_questions(self) -> None:
        checks.integer(f"the number of questions of {self.name!r}", len(self.questions), 4, "Each half needs two.")
        for each in self.questions:
            if not each.question.strip() or each.matching.strip() == each.other.strip():
                raise ValueError(
                    f"The task {self.name!r} has the question {each.question[:40]!r} with the answers {each.matching!r} and "
                    f"{each.other!r}; give a question and two different answers."
                )

    def _check_texts(self) -> None:
        for what, texts in (("without", self.without), ("with", self.with_it)):
            if not texts:
                raise ValueError(
                    f"The task {self.name!r} has no held-out texts {what} the behaviour; give texts of both kinds, or "
                    "questions."
                )
            if blank := [each for each in texts if not isinstance(each, str) or not each.strip()]:
                raise ValueError(
                    f"The task {self.name!r} has the text {blank[0]!r} {what} the behaviour; leave it out."
                )
        if len(self.without) != len(self.with_it) or len(self.without) < 2:
            raise ValueError(
                f"The task {self.name!r} has {len(self.without)} texts without the behaviour and {len(self.with_it)} with "
                "it; give as many of each, two at least."
            )
        measured = {*self.without, *self.with_it}
        learned = {text for side in schema.TEXTS for text in self.contrasts[side][:]}
        if self.pool is not None:
            learned |= {text for side in schema.TEXTS for text in self.pool.pairs[side][:]}
        if both := sorted(measured & learned):
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
