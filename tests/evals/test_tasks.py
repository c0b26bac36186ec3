from dataclasses import replace

import pytest

from ssae_lens.evals import ChoiceQuestion, Task, UnlabelledPairs, built_in
from ssae_lens.evals.built_in_tasks import flipped, names, topic_pairs
from ssae_lens.pairs.schema import concept_names, from_rows, signed_changes
from ssae_lens.pairs.sentences import ATTRIBUTES


@pytest.fixture(scope="module")
def tasks():
    return built_in(n_pairs=60)


class TestBuiltIn:
    def test_are_those_that_are_named(self, tasks):
        assert [task.name for task in tasks] == names()
        assert [task.name for task in built_in(["French", "music"], n_pairs=60)] == ["French", "music"]
        with pytest.raises(ValueError, match="Did you mean 'politeness'"):
            built_in(["politness"])

    def test_learn_from_nothing_they_are_measured_by(self, tasks):
        # What is measured by one task is learned from by none.
        measured = {text for task in tasks for text in (*task.negative, *task.positive)}
        learned = {
            text
            for task in tasks
            for pairs in (task.contrasts, task.unlabelled.pairs)
            for side in ("source", "target")
            for text in pairs[side]
        }
        assert not measured & learned
        assert not measured & {
            prompt for task in tasks for prompt in (*task.choosing, *task.reporting, *task.elsewhere)
        }

    def test_contents_held_out_are_none_that_pools_learn_from(self, tasks):
        from ssae_lens.evals.built_in_tasks import held_out_contents

        assert not set(held_out_contents()) & set(tasks[0].unlabelled.pairs["content"])

    def test_contrasts_differ_in_their_attribute_alone(self):
        contents = built_in(["past tense"], n_pairs=60)[0].unlabelled.pairs["content"][:8]
        for attribute in ATTRIBUTES:
            for negative, positive in zip(*flipped(contents, attribute), strict=True):
                assert negative != positive
        past = flipped(contents, "tense")[1]
        assert all({"is", "does", "do"}.isdisjoint(text.split()) for text in past)

    def test_first_person_goes_from_third_to_first(self, tasks):
        task = next(each for each in tasks if each.name == "first person")
        assert task.sign == -1
        for row in task.contrasts:
            assert " they " in row["source"]
            assert " we " in row["target"]

    def test_halves_have_no_prompt_in_common(self, tasks):
        for task in tasks:
            assert not set(task.choosing) & set(task.reporting)
            assert not set(task.elsewhere) & {*task.choosing, *task.reporting}

    def test_fingerprints_differ_and_follow_what_is_measured(self, tasks):
        assert len({task.fingerprint for task in tasks}) == len(tasks)
        first = tasks[0]
        assert replace(first).fingerprint == first.fingerprint
        assert replace(first, positive=first.positive[::-1]).fingerprint != first.fingerprint
        assert replace(first, prefix="Now:").fingerprint != first.fingerprint


def test_topic_pairs_says_which_topic_comes_and_goes():
    pool = topic_pairs({"cats": ["a cat", "two cats"], "dogs": ["a dog"]}, ["a tree"], 100)
    assert concept_names(pool.pairs) == ["cats", "dogs"]
    signs = signed_changes(pool.pairs)
    about = {"a cat": [1, 0], "two cats": [1, 0], "a dog": [0, 1], "a tree": [0, 0]}
    for row, sign in zip(pool.pairs, signs.tolist(), strict=True):
        assert sign == [b - a for a, b in zip(about[row["source"]], about[row["target"]], strict=True)]
    assert len(pool.pairs) == 10  # of 12 ordered pairs, those of two cats change nothing


class TestBadInput:
    def test_one_kind_of_text_only(self, task):
        with pytest.raises(ValueError, match="'happiness' has no held-out texts without the behaviour"):
            replace(task, negative=())
        with pytest.raises(ValueError, match="no held-out texts with the behaviour"):
            replace(task, positive=())

    def test_no_contrasts(self, task):
        with pytest.raises(ValueError, match="holds no pairs"):
            replace(task, contrasts=task.contrasts.select([]))

    def test_texts_that_are_no_pairs_or_blank(self, task):
        with pytest.raises(ValueError, match="6 texts without the behaviour and 5 with it"):
            replace(task, positive=task.positive[:5])
        with pytest.raises(ValueError, match="has the text ' '"):
            replace(task, positive=(*task.positive[:5], " "))

    def test_measured_on_what_is_learned_from(self, task):
        with pytest.raises(ValueError, match="which is learned from"):
            replace(task, positive=tuple(task.contrasts["target"]))

    def test_prompts_in_both_halves_or_missing(self, task):
        with pytest.raises(ValueError, match="'A boy' in both halves"):
            replace(task, choosing=("A boy", "She"))
        with pytest.raises(ValueError, match="choosing prompts of 'happiness' is 0"):
            replace(task, choosing=())

    def test_an_unknown_concept_or_judge(self, task):
        pool = UnlabelledPairs("p", from_rows([{"source": "a", "target": "b", "changes": {"tense": 1}}]))
        with pytest.raises(ValueError, match="must be one of 'tense'"):
            replace(task, unlabelled=pool, concept="mood")
        with pytest.raises(ValueError, match="judge is 'oracle'"):
            replace(task, judge="oracle")

    def test_questions(self, task):
        asked = tuple(ChoiceQuestion(f"Is it {i}?", "Yes", "No") for i in range(4))
        assert [len(half) for half in replace(task, questions=asked).halves] == [2, 2]
        with pytest.raises(ValueError, match="number of questions of 'happiness' is 3"):
            replace(task, questions=asked[:3])
        with pytest.raises(ValueError, match="two different answers"):
            replace(task, questions=(*asked, ChoiceQuestion("Or not?", " Yes", "Yes")))

    def test_no_name(self, task):
        with pytest.raises(ValueError, match="no name"):
            Task("", "x", task.contrasts)
