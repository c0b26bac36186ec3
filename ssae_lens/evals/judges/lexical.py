"""`LexicalJudge`: no model at all, the baseline that a judge has to beat."""

import re
from collections.abc import Sequence

from ssae_lens.evals.judges.questions import Answer, Question

STEM = 5


class LexicalJudge:
    """Chooses the option of which most words stand in the text, as far as their first five letters go."""

    name = "lexical"

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions that have options; where several have as many words in the text, or all none, none is right."""
        return [self._one(each) for each in questions]

    @staticmethod
    def _one(question: Question) -> Answer:
        seen = _stems(question.seen)
        counts = {option: sum(each in _stems(option) for each in seen) for option in question.options}
        best = [option for option, count in counts.items() if count == max(counts.values())]
        if len(best) != 1:
            return Answer(None, problem="no option has more words in the text than the others")
        return Answer(best[0])


def _stems(text: str) -> list[str]:
    return [each[:STEM] for each in re.findall(r"[^\W\d_]+", text.casefold())]
