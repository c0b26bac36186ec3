import json
from pathlib import Path

import pytest

from ssae_lens.pairs.schema import signed_changes
from studies.steering import behaviour_tasks, topic_tasks

ELSEWHERE = Path(__file__).parents[4] / "shared" / "data"


def folder_of(name):
    if not (ELSEWHERE / name).is_dir():
        pytest.skip(f"no folder {ELSEWHERE / name}")
    return ELSEWHERE / name


def questions(word, n=20):
    return [
        {
            "question": f"Is {word} number {i} good?\n (A) Yes\n (B) No",
            "answer_matching_behavior": " (A)" if i % 2 else " (B)",
            "answer_not_matching_behavior": " (B)" if i % 2 else " (A)",
        }
        for i in range(n)
    ]


@pytest.fixture
def behaviours(tmp_path):
    for name in ("tidy", "bold"):
        rows = questions(name)
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "notes.txt").write_text("not a task")
    return tmp_path


def topic(folder, name, pos, neg, criteria=None):
    (folder / name).mkdir()
    (folder / name / "act_steer.json").write_text(json.dumps({"pos": pos, "neg": neg}))
    if criteria:
        (folder / name / "criteria.json").write_text(json.dumps([{"score": criteria}]))


class TestBehaviourTasks:
    def test_asks_what_it_does_not_learn_from(self, behaviours):
        found = behaviour_tasks(behaviours, learned=10, measured=8)
        assert [each.name for each in found] == ["bold", "tidy"]
        for task in found:
            assert len(task.contrasts) == 10
            assert [len(half) for half in task.halves] == [4, 4]
            asked = {each.question for each in task.questions}
            assert len(asked) == 8
            assert not asked & set(task.contrasts["question"])
            # Contrasts go towards the behaviour: the odd questions' answer is A.
            for row in task.contrasts:
                number = int(row["question"].split()[3])
                assert row["target"].endswith("(A)" if number % 2 else "(B)")

    def test_pool_is_turned_round_and_knows_it(self, behaviours):
        pool = behaviour_tasks(behaviours, learned=10, measured=8)[0].unlabelled
        signs = signed_changes(pool.pairs)
        assert signs.shape == (20, 2)
        assert (abs(signs).sum(1) == 1).all()
        assert {-1, 1} <= set(signs.sum(1).tolist())
        for row, sign in zip(pool.pairs, signs.sum(1), strict=True):
            number = int(row["question"].split()[3])
            shows = "(A)" if number % 2 else "(B)"
            assert row["target" if sign > 0 else "source"].endswith(shows)

    def test_of_a_folder_without_questions(self, tmp_path):
        with pytest.raises(ValueError, match=r"holds no \.json or \.jsonl file"):
            behaviour_tasks(tmp_path)
        with pytest.raises(FileNotFoundError, match="no folder"):
            behaviour_tasks(tmp_path / "none")

    def test_of_too_few_or_one_answer_only(self, tmp_path):
        path = tmp_path / "few.json"
        path.write_text(json.dumps(questions("few", 3)))
        with pytest.raises(ValueError, match="number of different questions"):
            behaviour_tasks(tmp_path)
        rows = [{**row, "answer_not_matching_behavior": row["answer_matching_behavior"]} for row in questions("same")]
        path.write_text(json.dumps(rows))
        with pytest.raises(ValueError, match="must differ"):
            behaviour_tasks(tmp_path)


class TestTopicTasks:
    def test_keeps_half_of_the_texts_to_measure_by(self, tmp_path):
        cats = [f"cat number {i}" for i in range(9)]
        topic(tmp_path, "cats", ["cat", *cats], [f"thing {i}" for i in range(8)], "It mentions cats.")
        topic(tmp_path, "dogs", [f"dog {i}" for i in range(8)], [f"tree {i}" for i in range(8)])
        cat, dog = topic_tasks(tmp_path)
        assert cat.behaviour == "It mentions cats."
        assert dog.behaviour == "The text is about dogs."
        assert cat.contrasts["target"][:] == cats[:8:2]
        assert cat.positive == tuple(cats[1:8:2])
        assert cat.unlabelled is dog.unlabelled

    def test_of_what_is_no_task(self, tmp_path):
        with pytest.raises(ValueError, match="holds no task"):
            topic_tasks(tmp_path)
        topic(tmp_path, "cats", [f"cat {i}" for i in range(8)], [])
        with pytest.raises(ValueError, match="number of texts of each kind"):
            topic_tasks(tmp_path)
        (tmp_path / "cats" / "act_steer.json").write_text("{")
        with pytest.raises(ValueError, match="is not JSON"):
            topic_tasks(tmp_path)
        (tmp_path / "cats" / "act_steer.json").write_text('{"pos": ["a"]}')
        with pytest.raises(ValueError, match="no list of texts under 'neg'"):
            topic_tasks(tmp_path)

    @pytest.mark.parametrize(
        "stated", ["[" * 5000, "[]", "{}", '[{"score": 3}]', "[3]", "null", '[{"score": "a", "score": "b"}]', b"\xff"]
    )
    def test_of_criteria_that_are_none(self, tmp_path, stated):
        topic(tmp_path, "cats", [f"cat {i}" for i in range(8)], [f"tree {i}" for i in range(8)])
        path = tmp_path / "cats" / "criteria.json"
        path.write_bytes(stated if isinstance(stated, bytes) else stated.encode())
        with pytest.raises(ValueError, match=r"criteria\.json") as error:
            topic_tasks(tmp_path)
        assert "\n" not in str(error.value)


@pytest.mark.parametrize("rows", [[{"question": 1}], [{"question": "q", "answer_matching_behavior": ["a"]}]])
def test_questions_of_another_shape_are_refused_with_the_file_s_name(tmp_path, rows):
    (tmp_path / "few.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match=r"few\.json"):
        behaviour_tasks(tmp_path)


class TestPublishedFiles:
    def test_of_behaviours(self):
        found = behaviour_tasks(folder_of("ab-behaviours"))
        for task in found:
            assert task.halves[0]
            assert task.halves[1]
            assert set(task.contrasts["question"][:]).isdisjoint(each.question for each in task.questions)

    def test_of_topics(self):
        for task in topic_tasks(folder_of("sae-ts-tasks")):
            assert task.behaviour
            assert set(task.positive).isdisjoint(task.contrasts["target"][:])
