"""`LexicalJudge`: a baseline without a model, which counts words."""

import re
from collections.abc import Sequence

from ssae_lens.latents.judges.questions import Answer, Question

STEM = 5
ARROW = " → "


class LexicalJudge:
    """Choose the option with the most words in the text, compared by their first five letters.

    Of options with the same words in another order, such as "summer to winter" and "winter to summer", it chooses the one
    whose words are on the same sides of the text's arrows. If the text has no word of any option, as "is → was" has neither
    "present" nor "past", there is no answer.
    """

    name = "lexical"

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions that have options; there is no answer if several options are tied."""
        return [self._one(question) for question in questions]

    @staticmethod
    def _one(question: Question) -> Answer:
        seen = _stems(question.seen)
        best = _best({option: sum(stem in _stems(option) for stem in seen) for option in question.options})
        if len({tuple(sorted(_stems(option))) for option in best}) == 1:
            lost, gained = _sides(question.seen)
            best = _best({option: _agreement(option, lost, gained) for option in best})
        if len(best) != 1:
            return Answer(None, problem="no option has more words in the text than the others")
        return Answer(best[0])


def _best(counts: dict[str, int]) -> list[str]:
    return [option for option, count in counts.items() if count == max(counts.values())]


def _agreement(option: str, lost: Sequence[str], gained: Sequence[str]) -> int:
    """Count the lost words in the first part of an option and the gained words in its second part."""
    before, _, after = option.partition(" to ")
    return sum(stem in _stems(before) for stem in lost) + sum(stem in _stems(after) for stem in gained)


def _sides(seen: str) -> tuple[list[str], list[str]]:
    """Return the words before arrows and those after; between two arrows a comma separates the changes."""
    first, *rest = seen.split(ARROW)
    lost, gained = [first], rest[-1:]
    for part in rest[:-1]:
        after, _, before = part.partition(", ")
        gained.append(after)
        lost.append(before)
    return _stems(" ".join(lost)), _stems(" ".join(gained))


def _stems(text: str) -> list[str]:
    return [word[:STEM] for word in re.findall(r"[^\W\d_]+", text.casefold())]
