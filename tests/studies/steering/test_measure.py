from dataclasses import replace

import numpy as np
import pytest
import torch

from ssae_lens.evals import ChoiceQuestion, Intervention
from ssae_lens.evals.experiment import best_scale, products
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.pairs.sentences import ATTRIBUTES
from studies.steering.measure import StudyExperiment, divergence, token_log_probabilities
from studies.steering.result import best_layer

TEXTS = ["The man was happy.", "She said", "They were bad and he saw the dog"]


def log_probabilities_of(model, text):
    """Each next token's, one text at a time and without padding, in double precision."""
    tokens = model.to_tokens(text)
    return tokens[0], model(tokens)[0].detach().double().log_softmax(-1)


@pytest.fixture(scope="module")
def experiment(model, task, settings):
    return StudyExperiment(model, task, settings)


class TestScaleSweep:
    def test_planted_vector_brings_its_word(self, experiment, planted):
        found = experiment.scale_sweep(planted)
        small, large = np.mean(found["behaviour"], axis=1)
        assert large == 1
        assert small < large
        assert best_scale(found) == found["scales"][int(np.argmax(products(found)))]

    def test_planted_vector_makes_held_out_texts_likelier_step_by_step(self, experiment, planted):
        margins = np.array(experiment.scale_sweep(planted)["margins"])
        assert margins.shape == (6, 3)
        assert (np.diff(margins, axis=1) > 0).all()

    def test_random_directions_move_texts_either_way(self, experiment, aimless):
        slopes = [np.diff(np.mean(experiment.margins(way, [-1.0, 1.0]), axis=1))[0] for way in aimless]
        planted_like = np.abs(slopes).max()
        # Chance: the mean of 20 is within two standard errors of nothing.
        assert abs(np.mean(slopes)) < 2 * np.std(slopes) / np.sqrt(len(slopes))
        assert planted_like > 0

    def test_unsteered_has_one_scale(self, experiment):
        found = experiment.scale_sweep(Intervention())
        assert found["scales"] == [0]
        assert np.shape(found["margins"]) == (6, 1)

    def test_prompting_stands_before_prompts_and_texts(self, experiment, task):
        found = experiment.scale_sweep(Intervention(prefix=task.prefix))
        without = experiment.scale_sweep(Intervention())
        assert np.shape(found["behaviour"]) == (1, 2)
        assert found["margins"] != without["margins"]


class TestReport:
    def test_keeps_the_halves_apart(self, experiment, task, planted):
        found = experiment.report(planted, 10.0)
        assert list(found["texts"]) == [*task.reporting, *task.elsewhere]
        assert len(found["behaviour"]) == len(task.reporting)
        assert len(found["elsewhere"]["behaviour"]) == len(task.elsewhere)
        assert np.mean(found["behaviour"]) == 1

    def test_same_words_again_and_again_are_not_coherent(self, experiment, planted):
        found = experiment.report(planted, 10.0)
        # Four tokens, all the same: of two runs of three one is new.
        assert found["distinct"] == [0.5, 0.5]
        assert max(found["coherence"]) <= 0.5


class TestSideEffects:
    def test_of_nothing_are_nothing(self, experiment, planted):
        # After something was steered, so that what is compared with was not read while it was.
        experiment.side_effects(planted, 10.0)
        found = experiment.side_effects(Intervention(), 0.0)
        assert set(found["effects"].values()) == {0.0}
        assert found["kl"] == 0

    def test_are_what_log_probabilities_say(self, model, task, settings, planted):
        experiment = StudyExperiment(model, task, settings)
        found = experiment.side_effects(planted, 10.0)
        assert found["kl"] > 0
        assert list(found["effects"]) == list(ATTRIBUTES)
        texts, pairs = experiment._expressions  # one content: a sentence an attribute
        sides = [[texts[pairs[i][value]] for i in (0, 3)] for value in (0, 1)]
        plain = [log_probabilities(model, texts) for texts in sides]
        with steer(model, planted.vector, scale=10.0, unit="residual"):
            steered = [log_probabilities(model, texts) for texts in sides]
        moved = (steered[1] - steered[0]) - (plain[1] - plain[0])
        names = list(ATTRIBUTES)
        np.testing.assert_allclose([found["effects"][names[i]] for i in (0, 3)], moved, atol=1e-5)

    def test_of_words_before_texts_are_on_the_texts_alone(self, experiment, task):
        found = experiment.side_effects(Intervention(prefix=task.prefix), 0.0)
        assert found["kl"] > 0


class TestLong:
    def test_gives_every_window_its_numbers(self, experiment, planted):
        (found,) = experiment.long_texts([(planted, 10.0)])
        assert np.shape(found["behaviour"]) == np.shape(found["coherence"]) == (2, 2)
        assert np.mean(found["behaviour"]) == 1

    def test_of_many_ways_are_those_of_each(self, experiment, task, planted):
        steered = [(planted, 10.0), (Intervention(), 0.0), (Intervention(prefix=task.prefix), 0.0), (planted, 1.0)]
        together = list(experiment.long_texts(steered))
        alone = [next(experiment.long_texts([each])) for each in steered]
        assert [each["texts"] for each in together] == [each["texts"] for each in alone]
        assert len({tuple(each["texts"]) for each in together}) >= 3  # a small scale may change no word

    def test_windows_are_the_whole_text(self, experiment):
        text = " he was happy and she was sad that they were good"
        parts = experiment.windows("The man", text)
        assert "".join(part for _, part in parts) == text
        assert all(("The man" + text).startswith(before + part) for before, part in parts)


class TestQuestions:
    @pytest.fixture(scope="class")
    def asking(self, model, task, settings):
        # The word is the answer to half of the questions, and its opposite to the other half.
        asked = tuple(ChoiceQuestion(f"He is number {i} and he was", " happy", " sad") for i in range(4))
        return StudyExperiment(model, replace(task, questions=asked), settings)

    def test_behaviour_is_the_probability_of_the_answer(self, asking, planted):
        found = asking.report(planted, 10.0)
        assert len(found["behaviour"]) == 2
        assert min(found["behaviour"]) > 0.99
        assert len(found["coherence"]) == 2
        assert "elsewhere" not in found

    def test_choosing_half_chooses_and_reporting_half_is_swept(self, asking, planted):
        found = asking.scale_sweep(planted)
        assert np.shape(found["behaviour"]) == (2, 2)
        margins = np.array(found["margins"])
        assert margins.shape == (2, 3)
        assert (np.diff(margins, axis=1) > 0).all()

    def test_has_no_judge_of_behaviour(self, asking):
        assert list(asking.judges()) == ["coherence"]


def test_judges_say_how_often_they_are_right(experiment):
    found = experiment.judges()
    assert set(found) == {"behaviour", "coherence"}
    assert all(0 <= each["low"] <= each["right"] <= each["high"] <= 1 for each in found.values())


def test_the_layer_is_chosen_by_its_best_scale():
    doses = [
        {"scales": [1, 2], "behaviour": [[0.2, 0.4], [0.6, 0.6]], "coherence": [[1, 1], [0.5, 0.5]]},
        {"scales": [1, 2], "behaviour": [[0.8, 0.6], [1, 1]], "coherence": [[0.5, 0.5], [0.1, 0.1]]},
    ]
    np.testing.assert_allclose(products(doses[0]), [0.3, 0.3])
    assert best_scale(doses[0]) == 1  # of equals, the smaller
    assert best_layer(doses) == 1


class TestDivergence:
    def test_is_that_of_the_formula(self):
        rng = np.random.default_rng(0)
        p, q = rng.dirichlet(np.ones(5), size=(2, 3))
        found = divergence([torch.from_numpy(p).log()], [torch.from_numpy(q).log()])
        assert found == pytest.approx((p * np.log(p / q)).sum(1).mean())

    def test_reads_each_text_as_it_is_alone(self, model):
        found = token_log_probabilities(model, TEXTS)
        for text, logs in zip(TEXTS, found, strict=True):
            np.testing.assert_allclose(logs, log_probabilities_of(model, text)[1][1:], atol=1e-4)
