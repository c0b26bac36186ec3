"""Matching concepts with latents, by labels and by a judge."""

import json

import numpy as np
import pytest
import torch
from planted import CONCEPTS, HOOK, SIZES, directions, planted_ssae, planted_store
from sae_lens.saes.sae import SAEMetadata

from ssae_lens.latents.concepts import Concept, Concepts
from ssae_lens.latents.describe import describe_latents
from ssae_lens.latents.judges import Answer, LexicalJudge
from ssae_lens.latents.match import match_concepts
from ssae_lens.latents.name import common_concepts
from ssae_lens.methods import ssae as ssae_vector
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector


@pytest.fixture(scope="module")
def store():
    return planted_store()


@pytest.fixture(scope="module")
def ssae():
    return planted_ssae(order=(2, 0, 1), signs=(-1, 1, -1))


@pytest.fixture(scope="module")
def found(ssae, store):
    return match_concepts(ssae, store)


def test_latents_signs_and_sizes_are_the_planted_ones(found):
    assert [found[name].latent for name in CONCEPTS] == [1, 2, 0, None]
    assert [found[name].sign for name in CONCEPTS[:3]] == [1, -1, -1]
    assert [abs(found[name].weights[0]) for name in CONCEPTS[:3]] == pytest.approx(SIZES, rel=0.01)
    assert all(found[name].fit > 0.99 and found[name].p_value < 0.01 for name in CONCEPTS[:3])


def test_what_is_in_no_latent_has_none(found):
    noise = found["noise"]
    assert noise.latent is None
    assert noise.fit is None
    assert noise.p_value > 0.05
    assert noise.runner_up_fit < 0.3


def test_it_is_what_steering_takes(found, ssae, store):
    for concept, size, direction in zip(CONCEPTS, SIZES, directions(), strict=False):
        vector = SteeringVector.from_ssae(ssae, found[concept])
        assert (vector.hook_name, vector.concept) == (HOOK, concept)
        np.testing.assert_allclose(vector.direction, size * direction, atol=0.05)
        same = ssae_vector(ssae, store, concept, latent=found[concept].latent)
        torch.testing.assert_close(vector.direction, same.direction)
    with pytest.raises(ValueError, match=r"No latent was matched to the concept 'noise' \(the nearest, latent \d"):
        SteeringVector.from_ssae(ssae, found["noise"])


def test_names_are_saved_with_the_ssae(found, ssae, tmp_path):
    found.attach(ssae)
    ssae.save_model(tmp_path)
    loaded = SSAE.load_from_disk(tmp_path)
    for concept in CONCEPTS[:3]:
        vector = SteeringVector.from_ssae(loaded, concept)
        assert vector.concept == concept
        assert torch.equal(vector.direction, SteeringVector.from_ssae(ssae, found[concept]).direction)
        assert loaded.cfg.metadata.latents[found[concept].latent]["fit"] == found[concept].fit
    with pytest.raises(ValueError, match=f"latent is 'noise'; this SSAE has latents 0 to .*, named .*{CONCEPTS[0]}"):
        SteeringVector.from_ssae(loaded, "noise")


class TestSeveralLatentsOfAConcept:
    """A concept whose pairs each use one of three directions, beside one of a single direction."""

    @pytest.fixture(scope="class")
    def split(self):
        rng = np.random.default_rng(0)
        labels = rng.integers(-1, 2, (600, 2))
        which = np.eye(3)[rng.integers(3, size=600)]
        codes = np.concatenate([labels[:, :1] * which * [4.0, 5.0, -6.0], 3.0 * labels[:, 1:]], axis=1)
        codes = np.concatenate([codes, rng.normal(size=(600, 1))], axis=1)
        ssae = SSAE.from_weights(torch.eye(5), torch.eye(5), metadata=SAEMetadata(hook_name=HOOK))
        shifts = (codes + 0.1 * rng.normal(size=codes.shape)).astype(np.float32)
        return ssae, shifts, labels, match_concepts(ssae, shifts, labels, concepts=["formality", "tense"])

    def test_its_latents_are_found_and_no_others(self, split):
        *_, found = split
        assert sorted(found["formality"].latents) == [0, 1, 2]
        assert found["tense"].latents == [3]
        assert found.of_latent(1) is found["formality"]

    def test_the_vector_is_the_mean_change(self, split):
        ssae, shifts, labels, found = split
        vector = SteeringVector.from_ssae(ssae, found["formality"]).direction.numpy()
        mean = (labels[:, :1] * shifts)[labels[:, 0] != 0].mean(0)
        assert vector @ mean / np.linalg.norm(vector) / np.linalg.norm(mean) > 0.99
        signs = dict(zip(found["formality"].latents, np.sign(found["formality"].weights), strict=True))
        assert signs == {0: 1, 1: 1, 2: -1}

    def test_the_fit_is_that_of_the_sum_within_its_interval(self, split):
        _, shifts, labels, found = split
        codes = shifts[:, :3] * [1, 1, -1]
        concept = found["formality"]
        assert concept.fit == pytest.approx(np.corrcoef(codes.sum(1), labels[:, 0])[0, 1], abs=1e-6)
        low, high = concept.interval
        assert low < concept.fit < high
        assert concept.fit > 0.9 > 0.7 > concept.runner_up_fit

    def test_all_are_saved_under_its_name(self, split):
        ssae, *_, found = split
        found.attach(ssae)
        torch.testing.assert_close(
            SteeringVector.from_ssae(ssae, "formality").direction,
            SteeringVector.from_ssae(ssae, found["formality"]).direction,
        )


def test_a_plain_string_names_one_concept(ssae, store):
    shifts, labels = store.shifts, store.labels[:, :1]
    assert list(match_concepts(ssae, shifts, labels, concepts="tense")) == ["tense"]
    with pytest.raises(ValueError, match="concepts is 5; it must be a text or a list of texts"):
        match_concepts(ssae, shifts, labels, concepts=5)


def test_labels_may_be_given(ssae, store):
    turned = match_concepts(ssae, store.shifts, -store.labels[:, :2], concepts=["past", "male"])
    assert [(each.latent, each.sign) for each in turned.values()] == [(1, -1), (2, 1)]
    unnamed = match_concepts(ssae, store, torch.from_numpy(store.labels[:, :1]))
    assert unnamed["0"].latent == 1


def test_a_concept_that_changes_alike_in_all_pairs(ssae):
    labels = np.tile([[1, 0, 0]], (40, 1))
    shifts = 4 * labels @ directions() + 0.3 * np.random.default_rng(0).normal(size=(40, 32))
    concept = match_concepts(ssae, shifts.astype(np.float32), labels[:, :1], concepts=["tense"])["tense"]
    assert (concept.latents, concept.weights) == ([1], [pytest.approx(4, rel=0.05)])
    never = match_concepts(ssae, shifts.astype(np.float32), labels[:, 1:2], concepts=["gender"])["gender"]
    assert (never.latent, never.p_value) == (None, 1)


def test_a_poor_fit_is_none_however_sure(ssae, store):
    """With many pairs chance is ruled out long before a latent is the concept's."""
    rng = np.random.default_rng(0)
    labels = np.where(rng.random((300, 1)) < 0.3, store.labels[:, :1], rng.integers(-1, 2, (300, 1)))
    assert match_concepts(ssae, store, labels, min_fit=0.1)["0"].latent == 1
    poor = match_concepts(ssae, store, labels, min_fit=0.6)["0"]
    assert (poor.latent, poor.runner_up) == (None, 1)
    assert poor.p_value < 0.05


def test_rows_of_a_pair_count_as_one(ssae):
    """Twelve rows that say the same are one observation: five of them cannot be told from chance, sixty could."""
    few = planted_store(5, seed=1).labels[:, :1].repeat(12, axis=0)
    shifts = 4.0 * few @ directions()[:1]
    known = {"labels": few, "concepts": ["tense"], "texts": None}
    together = planted_store(60, **known, row_ids=np.arange(60) // 12)
    apart = planted_store(60, **known)
    for store in (together, apart):
        store.__dict__["shifts"] = shifts.astype(np.float32)
        store._data["target"][:] = store._data["source"] + shifts
    assert match_concepts(ssae, apart)["tense"].p_value < 0.05
    assert match_concepts(ssae, together)["tense"].p_value > 0.05


class Told:
    """A judge that says what it was told to, one answer for each latent."""

    name = "told"

    def __init__(self, said):
        self.said = list(said)
        self.questions = []

    def answer(self, questions):
        self.questions += questions
        return [Answer(self.said.pop(0)) for _ in questions]


def test_a_judge_names_without_labels(ssae, store):
    by_judge = match_concepts(
        ssae, store, judge=LexicalJudge(), candidates={"number": ("one", "many"), "royal": ("king", "queen")}
    )
    assert by_judge.by == "lexical"
    assert by_judge["number"].latent == 0
    assert by_judge["royal"].latent == 2
    assert abs(by_judge["royal"].weights[0]) == pytest.approx(describe_latents(ssae, store, latents=[2])[0].typical)
    assert len(by_judge) == len(by_judge.descriptions) == 5


def test_a_name_that_several_latents_have_goes_to_the_strongest(ssae, store):
    told = describe_latents(ssae, store, latents=[0, 1, 2])
    judge = Told(["size", "size", None])
    named = match_concepts(ssae, store, judge=judge, candidates=[], descriptions=told)
    assert {name: each.latent for name, each in named.items()} == {"size": 0, "size (1)": 1, "unnamed (2)": 2}
    assert named["size"].confidence is None
    assert judge.questions[0].options == ()
    assert "king" in judge.questions[2].prompt


class Weighing:
    """A judge that weighs two options for each latent: clearly for the first, hardly for the second."""

    name = "weighing"

    def answer(self, questions):
        weights = ([4.0, 0.0], [0.1, 0.3])
        return [
            Answer(each.options[int(np.argmax(given))], dict(zip(each.options, given, strict=True)))
            for each, given in zip(questions, weights, strict=True)
        ]


def test_an_uncertain_name_of_a_judge_is_none(ssae, store):
    told = describe_latents(ssae, store, latents=[0, 1])
    given = {"judge": Weighing(), "candidates": ["a", "b"], "descriptions": told}
    named = match_concepts(ssae, store, **given, min_confidence=0.7)
    assert {name: each.latent for name, each in named.items()} == {"a": 0, "unnamed (1)": 1}
    assert named["unnamed (1)"].confidence == pytest.approx(1 / (1 + np.exp(-0.2)))
    assert named.to_json()["rule"] == named.rule == "unnamed below a confidence of 0.7"
    assert repr(named).endswith("by weighing; unnamed below a confidence of 0.7")
    every = match_concepts(ssae, store, **given)
    assert every.rule.endswith("0.5")  # of two options the better one always has half
    assert {name: each.latent for name, each in every.items()} == {"a": 0, "b": 1}


def test_names_less_likely_than_all_others_together_are_not_given_by_default(ssae, store):
    """Of eight options with nearly the same score the best one has a confidence of .13."""

    class Undecided:
        name = "undecided"

        def answer(self, questions):
            return [Answer(each.options[0], dict.fromkeys(each.options, 0.0)) for each in questions]

    told = describe_latents(ssae, store, latents=[0, 1])
    named = match_concepts(ssae, store, judge=Undecided(), candidates=list("abcdefgh"), descriptions=told)
    assert list(named) == ["unnamed (0)", "unnamed (1)"]
    assert [each.confidence for each in named.values()] == pytest.approx([1 / 8] * 2)


def test_it_reads_as_a_table_and_as_json(found):
    text = repr(found)
    assert "tense" in text
    assert "none" in text.splitlines()[-2]
    table = found.table()
    assert table.loc["gender", "latents"] == [2]
    assert [len(latents) for latents in table["latents"]] == [1, 1, 1, 0]
    again = json.loads(json.dumps(found.to_json()))
    assert again["by"] == "labels"
    assert again["concepts"][0]["latents"] == [1]
    assert found.of_latent(0) is found["number"]
    assert found.of_latent(4) is None
    assert len(repr(Concepts([Concept("a", [1], [1.0])], "labels")).splitlines()) == 3


def test_bad_input(ssae, store, found):
    with pytest.raises(ValueError, match="no labels and no judge"):
        match_concepts(ssae, store.shifts)
    with pytest.raises(ValueError, match=r"labels has shape \(10, 4\); \(300, 4\) is expected"):
        match_concepts(ssae, store, store.labels[:10])
    with pytest.raises(ValueError, match="changes are -1, 0 or 1"):
        match_concepts(ssae, store, 2 * store.labels)
    with pytest.raises(ValueError, match="d_in=32"):
        match_concepts(ssae, np.zeros((300, 8), dtype=np.float32), store.labels)
    with pytest.raises(ValueError, match="hook_name"):
        match_concepts(planted_ssae(hook_name="blocks.0.hook_resid_pre"), store)
    with pytest.raises(ValueError, match="a judge reads texts"):
        match_concepts(ssae, store.shifts, judge=LexicalJudge())
    with pytest.raises(KeyError, match="Did you mean 'gender'"):
        found["gendre"]
    assert "gender" in found
    assert found.get("x") is None


def test_common_concepts_name_those_of_the_corpora():
    from ssae_lens.pairs.sentences import ATTRIBUTES

    common = common_concepts()
    assert {name: common[name] for name in ATTRIBUTES} == ATTRIBUTES
    assert {"language", "truth"} <= common.keys()
