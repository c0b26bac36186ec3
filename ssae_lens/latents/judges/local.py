"""`LocalJudge`: a language model on this machine, asked without a word of its own."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.latents.judges.questions import Answer, Question
from ssae_lens.models import load_model

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model


class LocalJudge:
    """Chooses the option under which a model finds the text most likely.

    A small model cannot be relied on to follow an instruction, but tells what text is likely where. So it is given each
    option in turn, as the question's stem has it, and that one is right under which what was seen surprises least: a noisy
    channel, log p(seen | stem with the option). What was seen is the same for all options, so that none is favoured for
    being short or common in itself.

    Parameters
    ----------
    model
        A model with its tokenizer, or the name of one that `load_model` opens when it is first asked.
    batch_tokens
        Tokens that go through the model together.
    quiet
        Show no progress.
    """

    def __init__(
        self, model: Union["Model", str] = "smollm2-135m", *, batch_tokens: int = 2048, quiet: bool = False
    ) -> None:
        self._model = model
        self._batch_tokens = batch_tokens
        self._quiet = quiet
        self.name = model if isinstance(model, str) else str(model.cfg.model_name)

    def answer(self, questions: Sequence[Question]) -> list[Answer]:
        """Answer questions that have options, a stem and something seen."""
        asked = [(each, option) for each in questions if _can_be_weighed(each) for option in each.options]
        found: dict[tuple[Question, str], float] = {}
        if asked:
            if isinstance(self._model, str):
                self._model = load_model(self._model)
            scores = log_probabilities(
                self._model,
                [f" {question.seen}" for question, _ in asked],
                prompts=[question.stem.replace("{option}", option) for question, option in asked],
                reduce="sum",
                batch_tokens=self._batch_tokens,
                quiet=self._quiet,
            )
            found = dict(zip(asked, scores.tolist(), strict=True))
        return [self._chosen(each, found) for each in questions]

    @staticmethod
    def _chosen(question: Question, found: dict[tuple[Question, str], float]) -> Answer:
        if not _can_be_weighed(question):
            return Answer(None, problem="a LocalJudge chooses among options, and needs a stem and what was seen")
        scores = {option: found[question, option] for option in question.options}
        return Answer(max(scores, key=lambda each: scores[each]), scores)


def _can_be_weighed(question: Question) -> bool:
    return bool(question.options and question.stem and question.seen)
