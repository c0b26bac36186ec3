"""`LexicalJudge`: no model at all, the baseline that a judge has to beat."""

import re
from collections.abc import Sequence

from ssae_lens.latents.judges.questions import Answer, Question

STEM = 5
ARROW = " → "


class LexicalJudge:
    """Chooses the option of which most words stand in the text, as far as their first five letters go.

    Of options that have the same words in another order, as "summer to winter" and "winter to summer", it chooses the one
    whose words stand on the same sides of the text's arrows. Where the text has none of them, as "is → was" has neither
    "present" nor "past", it neither names the change nor says which way it goes.
    """

    name = "lexical"

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions that have options; where several have as many words in the text, or all none, none is right."""
        return [self._one(each) for each in questions]

    @staticmethod
    def _one(question: Question) -> Answer:
        seen = _stems(question.seen)
        best = _best({option: sum(each in _stems(option) for each in seen) for option in question.options})
        if len({tuple(sorted(_stems(each))) for each in best}) == 1:
            lost, gained = _sides(question.seen)
            best = _best({option: _agreement(option, lost, gained) for option in best})
        if len(best) != 1:
            return Answer(None, problem="no option has more words in the text than the others")
        return Answer(best[0])


def _best(counts: dict[str, int]) -> list[str]:
    return [option for option, count in counts.items() if count == max(counts.values())]


def _agreement(option: str, lost: Sequence[str], gained: Sequence[str]) -> int:
    """Count the words that the text loses of what an option goes from, and gains of what it goes to."""
    before, _, after = option.partition(" to ")
    return sum(each in _stems(before) for each in lost) + sum(each in _stems(after) for each in gained)


def _sides(seen: str) -> tuple[list[str], list[str]]:
    """Return the words before arrows and those after; between two, a comma ends one change and begins the next."""
    first, *rest = seen.split(ARROW)
    lost, gained = [first], rest[-1:]
    for each in rest[:-1]:
        after, _, before = each.partition(", ")
        gained.append(after)
        lost.append(before)
    return _stems(" ".join(lost)), _stems(" ".join(gained))


def _stems(text: str) -> list[str]:
    return [each[:STEM] for each in re.findall(r"[^\W\d_]+", text.casefold())]
