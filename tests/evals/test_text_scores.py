import numpy as np
import pytest
import torch

from ssae_lens.evals import ChoiceQuestion
from ssae_lens.evals import text_scores as scores
from ssae_lens.hooks.likelihood import Likelihood

TEXTS = ["The man was happy.", "She said", "They were bad and he saw the dog"]


def log_probabilities_of(model, text):
    """Each next token's, one text at a time and without padding, in double precision."""
    tokens = model.to_tokens(text)
    return tokens[0], model(tokens)[0].detach().double().log_softmax(-1)


class TestLosses:
    def test_are_the_mean_of_what_is_after_the_prompt(self, model):
        prompts = ["He said.\n", "", "The king\n"]
        found = scores.losses(model, TEXTS, prompts)
        for text, prompt, loss in zip(TEXTS, prompts, found, strict=True):
            tokens, logs = log_probabilities_of(model, prompt + text)
            start = len(model.to_tokens(prompt)[0]) if prompt else 1
            each = [-logs[i - 1, tokens[i]].item() for i in range(start, len(tokens))]
            assert loss == pytest.approx(np.mean(each), rel=1e-5)

    def test_of_nothing_is_infinite(self, model):
        found = scores.losses(model, ["", "The man", " \n"], "She")
        assert np.isinf(found).tolist() == [True, False, True]


class TestCoherence:
    def test_falls_with_loss_and_with_repetition(self):
        found = scores.coherence(np.array([0.0, 2.0, 2.0, 8.0, np.inf]), np.array([1, 1, 0.5, 1, 1.0]), worst=8.0)
        np.testing.assert_allclose(found, [1, 0.75, 0.375, 0, 0])

    def test_distinct_counts_runs(self):
        assert scores.distinct([7] * 10) == pytest.approx(1 / 8)
        assert scores.distinct(range(10)) == 1
        assert scores.distinct([1, 2]) == 1  # no run of three


class TestMargins:
    def test_of_texts_are_differences_of_mean_log_probabilities(self, model):
        found = scores.text_margins(Likelihood(model, [TEXTS[1], TEXTS[0]], "He was.\n"))
        losses = scores.losses(model, TEXTS[:2], "He was.\n")
        np.testing.assert_allclose(found, [losses[0] - losses[1]], rtol=1e-6)

    def test_of_answers_are_logits_after_what_they_share(self, model):
        questions = [
            ChoiceQuestion("Is it good?\n (A) Yes\n (B) No", " (A)", " (B)"),
            ChoiceQuestion("She was happy?", "Yes", "No"),
        ]
        found = scores.answer_margins(model, questions)
        for each, margin in zip(questions, found, strict=True):
            tokens = [
                model.to_tokens(f"{each.question} {answer.strip()}")[0].tolist()
                for answer in (each.matching, each.other)
            ]
            shared = next(i for i, (a, b) in enumerate(zip(*tokens, strict=False)) if a != b)
            logits = model(torch.tensor(tokens[0][:shared])[None])[0, -1]
            assert margin == pytest.approx((logits[tokens[0][shared]] - logits[tokens[1][shared]]).item(), abs=1e-4)

    def test_need_answers_that_differ(self, model):
        with pytest.raises(ValueError, match="one begins with the other"):
            scores.answer_margins(model, [ChoiceQuestion("Is it?", "A", "A cat")])


def test_pareto_keeps_what_nothing_beats():
    points = np.random.default_rng(0).integers(0, 6, size=(40, 2)).astype(float)
    beaten = [any((q >= p).all() and (q > p).any() for q in points) for p in points]
    np.testing.assert_array_equal(scores.pareto(points), ~np.array(beaten))
