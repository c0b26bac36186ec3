from dataclasses import replace

import numpy as np
import pytest

from ssae_lens.evals import built_in, local_judges
from ssae_lens.evals.local_judges import french, judge_of, mean_activations


class TestFrench:
    def test_tells_languages_by_their_words(self):
        task = built_in(["French"])[0]
        assert (french(task.positive) > 0.5).all()
        assert (french(task.negative) < 0.5).all()

    def test_gives_nothing_to_what_has_no_words(self):
        assert french(["", "12 + 3", "zzz"]).tolist() == [0, 0, 0]
        assert french(["le the"]).tolist() == [0.5]

    def test_knows_no_word_of_both(self):
        assert not local_judges.COMMON["fr"] & local_judges.COMMON["en"]


class TestMeanActivations:
    def test_leave_out_the_first_token_and_padding(self, model):
        texts = ["The man", "She was very happy and he was sad", "I"]
        found = mean_activations(model, texts, "blocks.1.hook_resid_post")
        for text, row in zip(texts, found, strict=True):
            _, cache = model.run_with_cache(text)
            np.testing.assert_allclose(row, cache["blocks.1.hook_resid_post"][0, 1:].mean(0), atol=1e-5)

    def test_go_through_what_is_given(self, model):
        texts = ["The man", "She was"]
        plain = mean_activations(model, texts, "blocks.1.hook_resid_post")
        through = mean_activations(model, texts, "blocks.1.hook_resid_post", lambda rows: 2 * rows[:, :3])
        np.testing.assert_allclose(through, 2 * plain[:, :3], rtol=1e-5)


class TestJudge:
    def test_probe_tells_what_can_be_told(self, model, task):
        loud = replace(
            task,
            judge="probe",
            negative=tuple(text.replace(" sad", 4 * " sad") for text in task.negative),
            positive=tuple(text.replace(" happy", 4 * " happy") for text in task.positive),
        )
        judge = judge_of(loud, model)
        assert judge.right.estimate > 0.75
        assert (judge(loud.positive) > 0.5).all()
        assert (judge(loud.negative) < 0.5).all()

    def test_probe_is_at_chance_where_nothing_can_be_told(self, model, task):
        # Each text stands on both sides, in other pairs: what is learned of it is wrong as often as right.
        texts = tuple(f"The {each} was" for each in ("man", "king", "dog", "cat", "boy", "girl", "queen", "house"))
        judge = judge_of(replace(task, judge="probe", negative=texts, positive=texts[1:] + texts[:1]), model)
        assert judge.right.estimate <= 0.5

    def test_of_empty_texts_is_nothing(self, model, task):
        assert judge_of(task, model)(["", " happy happy", " \n"]).tolist() == [0, 1, 0]

    def test_function_is_measured_on_held_out_texts(self, model, task):
        # " happy" is less than half of a text of any length here, so the function is never sure.
        half = judge_of(replace(task, judge=lambda texts: np.full(len(texts), 0.6)), model)
        assert half.right.estimate == 0.5
        assert half.right.low < 0.5 < half.right.high

    @pytest.mark.parametrize("wrong", [lambda _: np.array([0.5]), lambda texts: np.full(len(texts), 2.0)])
    def test_function_that_gives_no_share(self, model, task, wrong):
        with pytest.raises(ValueError, match="one number from 0 to 1"):
            judge_of(replace(task, judge=wrong), model)
