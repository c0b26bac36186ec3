from dataclasses import replace

import numpy as np
import pytest

from ssae_lens.latents.judges import Answer
from studies.steering import SteeringMethod, ratings, study


class Counting:
    """Rates behaviour 10 where the word stands and 1 elsewhere, and every text's coherence 4."""

    name = "counting"

    def __init__(self):
        self.asked = []

    def answer(self, questions):
        self.asked += questions
        return [self._one(each.prompt) for each in questions]

    def _one(self, prompt):
        if ratings.COHERENT in prompt:
            return Answer("4")
        return Answer("10" if " happy" in prompt.rsplit("Text:\n", maxsplit=1)[1] else "1")


@pytest.fixture(scope="module")
def methods(planted):
    return {"SSAE": SteeringMethod(lambda _lab, _task: planted, "the answer")}


@pytest.fixture(scope="module")
def result(model, task, settings, methods):
    return study([task], model=model, methods=methods, settings=settings, judge=Counting(), quiet=True)


def test_ratings_are_shares_and_their_products_stand_in_the_table(result):
    row = result.table.set_index("method").loc["SSAE"]
    assert row["rated_behaviour"] == 1
    assert row["rated_coherence"] == pytest.approx(3 / 9)
    assert row["rated_product"] == pytest.approx(3 / 9)
    assert "rated" in result.text()


def test_the_judge_s_own_error_is_measured(result):
    assert [judge["right"] for judge in result.judges() if judge["name"] == "counting"] == [1.0]
    assert result.about["ratings"]["unanswered"] == 0


def test_what_is_not_answered_is_left_out_and_counted(model, task, settings, methods):
    class Silent(Counting):
        def _one(self, prompt):
            return (
                Answer(None, problem="nonsense") if "A boy" not in prompt and "sad" in prompt else super()._one(prompt)
            )

    result = study([task], model=model, methods=methods, settings=settings, judge=Silent(), quiet=True)
    (right,) = [judge["right"] for judge in result.judges() if judge["name"] == "counting"]
    assert right == 1  # of those with the word, which alone were answered
    assert np.isfinite(result.table["product"].dropna()).all()


@pytest.mark.slow
def test_an_endpoint_that_is_down_costs_nothing_else(model, task, settings, methods):
    from ssae_lens.latents.judges import EndpointJudge

    down = EndpointJudge("none", base_url="http://127.0.0.1:9/v1", retries=0, cache=None, workers=1, quiet=True)
    with pytest.warns(UserWarning, match="have no answer"):
        result = study([task], model=model, methods=methods, settings=settings, judge=down, quiet=True)
    assert result.about["ratings"]["unanswered"] == result.about["ratings"]["ratings"] > 0
    assert result.table.set_index("method").loc["SSAE", "behaviour"] == 1
    assert "none rated 0 of" in result.text()


def test_no_texts_of_questions_are_rated(task):
    from ssae_lens.evals import ChoiceQuestion

    asked = replace(task, questions=tuple(ChoiceQuestion(f"{i}?", "Yes", "No") for i in range(4)))
    assert ratings.rated(Counting(), [asked], []) == []
