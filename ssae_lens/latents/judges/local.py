"""`LocalJudge`: a language model on this machine that compares the likelihood of options."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Union

from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.latents.judges.questions import Answer, Question
from ssae_lens.models import load_model

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model


class LocalJudge:
    """Choose the option under which a model finds the text most likely.

    A small model does not follow instructions reliably, but assigns likelihoods. For each option, the model reads the
    question's stem with the option in it, and the option with the largest log p(seen | stem) is chosen (a noisy channel).
    The text is the same for all options, so short or common options have no advantage.

    Parameters
    ----------
    model
        A model with its tokenizer, or a name that `load_model` opens at the first question.
    batch_tokens
        Number of tokens in a batch.
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
        """Answer questions that have options, a stem and a text."""
        cases = [(question, option) for question in questions if _has_stem(question) for option in question.options]
        scores: dict[tuple[Question, str], float] = {}
        if cases:
            if isinstance(self._model, str):
                self._model = load_model(self._model)
            values = log_probabilities(
                self._model,
                [f" {question.seen}" for question, _ in cases],
                prompts=[question.stem.replace("{option}", option) for question, option in cases],
                reduce="sum",
                batch_tokens=self._batch_tokens,
                quiet=self._quiet,
            )
            scores = dict(zip(cases, values.tolist(), strict=True))
        return [self._chosen(question, scores) for question in questions]

    @staticmethod
    def _chosen(question: Question, scores: dict[tuple[Question, str], float]) -> Answer:
        if not _has_stem(question):
            return Answer(None, problem="a LocalJudge needs options, a stem and a text")
        by_option = {option: scores[question, option] for option in question.options}
        return Answer(max(by_option, key=lambda option: by_option[option]), by_option)


def _has_stem(question: Question) -> bool:
    return bool(question.options and question.stem and question.seen)
