from dataclasses import replace

import numpy as np
import pytest

from ssae_lens.evals.steering import Question, Way
from ssae_lens.evals.steering.chosen import best_layer, best_scale, products
from ssae_lens.evals.steering.measure import Bench
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.pairs.sentences import ATTRIBUTES


@pytest.fixture(scope="module")
def bench(model, task, settings):
    return Bench(model, task, settings)


class TestDose:
    def test_planted_vector_brings_its_word(self, bench, planted):
        found = bench.dose(planted)
        small, large = np.mean(found["behaviour"], axis=1)
        assert large == 1
        assert small < large
        assert best_scale(found) == found["scales"][int(np.argmax(products(found)))]

    def test_planted_vector_makes_held_out_texts_likelier_step_by_step(self, bench, planted):
        margins = np.array(bench.dose(planted)["margins"])
        assert margins.shape == (6, 3)
        assert (np.diff(margins, axis=1) > 0).all()

    def test_random_directions_move_texts_either_way(self, bench, aimless):
        slopes = [np.diff(np.mean(bench._margins(way, [-1.0, 1.0]), axis=1))[0] for way in aimless]
        planted_like = np.abs(slopes).max()
        # Chance: the mean of 20 is within two standard errors of nothing.
        assert abs(np.mean(slopes)) < 2 * np.std(slopes) / np.sqrt(len(slopes))
        assert planted_like > 0

    def test_unsteered_has_one_scale(self, bench):
        found = bench.dose(Way())
        assert found["scales"] == [0]
        assert np.shape(found["margins"]) == (6, 1)

    def test_prompting_stands_before_prompts_and_texts(self, bench, task):
        found = bench.dose(Way(prefix=task.prefix))
        without = bench.dose(Way())
        assert np.shape(found["behaviour"]) == (1, 2)
        assert found["margins"] != without["margins"]


class TestReport:
    def test_keeps_the_halves_apart(self, bench, task, planted):
        found = bench.report(planted, 10.0)
        assert list(found["texts"]) == [*task.reporting, *task.elsewhere]
        assert len(found["behaviour"]) == len(task.reporting)
        assert len(found["elsewhere"]["behaviour"]) == len(task.elsewhere)
        assert np.mean(found["behaviour"]) == 1

    def test_same_words_again_and_again_are_not_coherent(self, bench, planted):
        found = bench.report(planted, 10.0)
        # Four tokens, all the same: of two runs of three one is new.
        assert found["distinct"] == [0.5, 0.5]
        assert max(found["coherence"]) <= 0.5


class TestSideEffects:
    def test_of_nothing_are_nothing(self, bench, planted):
        # After something was steered, so that what is compared with was not read while it was.
        bench.side_effects(planted, 10.0)
        found = bench.side_effects(Way(), 0.0)
        assert set(found["effects"].values()) == {0.0}
        assert found["kl"] == 0

    def test_are_what_log_probabilities_say(self, model, task, settings, planted):
        bench = Bench(model, task, settings)
        found = bench.side_effects(planted, 10.0)
        assert found["kl"] > 0
        assert list(found["effects"]) == list(ATTRIBUTES)
        texts, pairs = bench._expressions  # one content: a sentence an attribute
        sides = [[texts[pairs[i][value]] for i in (0, 3)] for value in (0, 1)]
        plain = [log_probabilities(model, texts) for texts in sides]
        with steer(model, planted.vector, scale=10.0, unit="residual"):
            steered = [log_probabilities(model, texts) for texts in sides]
        moved = (steered[1] - steered[0]) - (plain[1] - plain[0])
        names = list(ATTRIBUTES)
        np.testing.assert_allclose([found["effects"][names[i]] for i in (0, 3)], moved, atol=1e-5)

    def test_of_words_before_texts_are_on_the_texts_alone(self, bench, task):
        found = bench.side_effects(Way(prefix=task.prefix), 0.0)
        assert found["kl"] > 0


class TestLong:
    def test_gives_every_window_its_numbers(self, bench, planted):
        (found,) = bench.longs([(planted, 10.0)])
        assert np.shape(found["behaviour"]) == np.shape(found["coherence"]) == (2, 2)
        assert np.mean(found["behaviour"]) == 1

    def test_of_many_ways_are_those_of_each(self, bench, task, planted):
        steered = [(planted, 10.0), (Way(), 0.0), (Way(prefix=task.prefix), 0.0), (planted, 1.0)]
        together = list(bench.longs(steered))
        alone = [next(bench.longs([each])) for each in steered]
        assert [each["texts"] for each in together] == [each["texts"] for each in alone]
        assert len({tuple(each["texts"]) for each in together}) >= 3  # a small scale may change no word

    def test_windows_are_the_whole_text(self, bench):
        text = " he was happy and she was sad that they were good"
        parts = bench._windows("The man", text)
        assert "".join(part for _, part in parts) == text
        assert all(("The man" + text).startswith(before + part) for before, part in parts)


class TestQuestions:
    @pytest.fixture(scope="class")
    def asking(self, model, task, settings):
        # The word is the answer to half of the questions, and its opposite to the other half.
        asked = tuple(Question(f"He is number {i} and he was", " happy", " sad") for i in range(4))
        return Bench(model, replace(task, questions=asked), settings)

    def test_behaviour_is_the_probability_of_the_answer(self, asking, planted):
        found = asking.report(planted, 10.0)
        assert len(found["behaviour"]) == 2
        assert min(found["behaviour"]) > 0.99
        assert len(found["coherence"]) == 2
        assert "elsewhere" not in found

    def test_choosing_half_chooses_and_reporting_half_is_swept(self, asking, planted):
        found = asking.dose(planted)
        assert np.shape(found["behaviour"]) == (2, 2)
        margins = np.array(found["margins"])
        assert margins.shape == (2, 3)
        assert (np.diff(margins, axis=1) > 0).all()

    def test_has_no_judge_of_behaviour(self, asking):
        assert list(asking.judges()) == ["coherence"]


def test_judges_say_how_often_they_are_right(bench):
    found = bench.judges()
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
