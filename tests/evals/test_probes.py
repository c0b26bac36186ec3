"""k-sweep probes on shifts in which the answer is known."""

import json

import numpy as np
import pytest
from planted import D, planted_ssae, planted_store
from sklearn.linear_model import LogisticRegression

from ssae_lens.evals import ProbeResult, probes
from ssae_lens.evals.pair_features import PairFeatures, readers
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore


@pytest.fixture(scope="module")
def stores():
    return planted_store(400, noise=0.5), planted_store(200, seed=9, noise=0.5)


@pytest.fixture(scope="module")
def result(stores):
    return probes(planted_ssae(), *stores, ks=(1, 2, 50), quiet=True)


def cell(result, **wanted):
    (found,) = [each for each in result.cells if wanted.items() <= each["cell"].items()]
    return found


@pytest.mark.parametrize("concept", ["tense", "gender", "number"])
def test_one_code_tells_what_one_code_is(result, concept):
    one = cell(result, concept=concept, features="SSAE codes", k=1, shuffled=False)
    assert one["accuracy"] > 0.97
    assert one["matthews"] > 0.94
    assert one["correlation"] > 0.9


def test_a_concept_in_nothing_is_at_chance(result):
    for features in ("SSAE codes", "raw shifts"):
        scores = cell(result, concept="noise", features=features, k=1, shuffled=False)
        assert abs(scores["accuracy"] - 0.5) < 4 * np.sqrt(0.25 / scores["n_test"])


def test_shuffled_labels_are_at_chance(result):
    control = [each for each in result.cells if each["cell"]["shuffled"]]
    assert len(control) == len(result.cells) / 2
    pairs = control[0]["n_test"] * 4  # of four concepts, each with its own draw of pairs
    assert abs(np.mean([each["accuracy"] for each in control]) - 0.5) < 4 * np.sqrt(0.25 / pairs)
    assert abs(np.mean([each["matthews"] for each in control])) < 8 * np.sqrt(0.25 / pairs)


def test_no_more_features_than_there_are(result):
    assert [each["cell"]["k"] for each in result.cells if each["cell"]["features"] == "SSAE codes"][:3] == [None, 1, 2]
    assert {each["cell"]["k"] for each in result.cells if each["cell"]["features"] == "raw shifts"} == {None, 1, 2}


def test_scores_are_those_of_an_independent_fit(stores):
    """The same from scikit-learn and NumPy, written out: turned shifts, standardised, the two largest coefficients."""
    kept = cell(
        probes(None, *stores, ks=(2,), concepts=["gender"], quiet=True), features="raw shifts", k=2, shuffled=False
    )
    sides = []
    for store in stores:
        label = store.labels[:, 1]
        changed, same = np.flatnonzero(label), np.flatnonzero(label == 0)
        n = min(len(changed), len(same))
        rng = np.random.default_rng([0, 1])
        rows = np.concatenate([rng.choice(changed, n, replace=False), rng.choice(same, n, replace=False)])
        turned = np.where(label[rows] < 0, -1, 1)[:, None]
        sides.append((turned * (store.target - store.source)[rows].astype(float), label[rows] != 0))
    (x, y), (held_x, held_y) = sides
    centre, spread = x.mean(0), x.std(0)
    x, held_x = (x - centre) / spread, (held_x - centre) / spread
    top = np.argsort(-abs(LogisticRegression(max_iter=1000, class_weight="balanced").fit(x, y).coef_[0]))[:2]
    logits = (
        LogisticRegression(max_iter=1000, class_weight="balanced").fit(x[:, top], y).decision_function(held_x[:, top])
    )
    said = logits > 0
    counts = [((said == a) & (held_y == b)).sum() for a, b in ((1, 1), (0, 0), (1, 0), (0, 1))]
    tp, tn, fp, fn = map(float, counts)
    assert kept["accuracy"] == pytest.approx((tp + tn) / len(said))
    root = np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    assert kept["matthews"] == pytest.approx((tp * tn - fp * fn) / root)
    assert kept["correlation"] == pytest.approx(np.corrcoef(logits, held_y)[0, 1], abs=1e-4)


def test_pairs_turned_round_are_read_from_target_to_source():
    """Whatever the features: those of an encoder with a bias are not simply the negative."""
    store = planted_store(2100)
    ssae = planted_ssae()
    ssae.b_enc.data += 3
    rows = np.arange(5, 2095)
    by_name = {**readers(ssae, None, store), "abs": lambda source, target: abs(target) - abs(source)}
    features = PairFeatures.of(store, by_name, rows)
    assert set(features.backward) == {"SSAE codes"}
    some = np.array([0, 7, 2080])
    swapped = ShiftStore.from_arrays(store.target, store.source, origin=store.origin)
    for concept in range(3):
        turned = store.labels[rows][some, concept] < 0
        for name, read in by_name.items():
            forth = read(store.source[rows][some], store.target[rows][some])
            back = read(swapped.source[rows][some], swapped.target[rows][some])
            np.testing.assert_allclose(
                features.oriented(name, concept, some), np.where(turned[:, None], back, forth), atol=1e-4
            )


def test_a_part_that_shares_no_text_is_held_out():
    store = planted_store(300)
    texts = ([f"a {row // 3}" for row in range(300)], [f"b {row}" for row in range(300)])
    known = {"labels": store.labels, "concepts": store.concepts, "origin": store.origin}
    grouped = ShiftStore.from_arrays(store.source, store.target, texts=texts, **known)
    seen = {}

    def spy(source, target):
        seen.setdefault(len(seen), source)
        return target - source

    result = probes(None, grouped, features={"spied": spy}, ks=(1,), held_out=0.3, quiet=True)
    row_of = {tuple(row): i for i, row in enumerate(store.source)}
    parts = [{row_of[tuple(row)] // 3 for row in seen[call]} for call in (0, 2)]
    assert parts[0] & parts[1] == set()
    assert len(parts[0] | parts[1]) == 100
    assert 0.2 < len(parts[1]) / 100 < 0.4
    assert result.about["held_out"] == 0.3


def test_an_sae_is_read_on_both_sides(stores):
    """Of an SAE whose codes are the activations' first numbers, the difference of codes is that of the numbers."""
    train, _ = stores
    sae = SSAE.from_weights(np_eye(), np_eye().T)
    found = readers(None, sae, train)
    np.testing.assert_allclose(found["SAE codes"](train.source[:5], train.target[:5]), train.shifts[:5, :4], atol=1e-5)
    result = probes(None, *stores, sae=sae, ks=(1,), concepts="number", quiet=True)
    assert result.about["widths"] == {"SAE codes": 4, "raw shifts": D}


def np_eye():
    import torch

    return torch.eye(D)[:, :4]


def test_it_reads_as_a_table_a_text_a_figure_and_a_file(result, tmp_path):
    table = result.table
    assert set(table["k"]) == {"all", "1", "2"}
    mean = np.mean([cell(result, concept=c, features="SSAE codes", k=1, shuffled=False)["accuracy"] for c in CONCEPTS])
    row = table[(table["features"] == "SSAE codes") & (table["k"] == "1") & ~table["shuffled"]].iloc[0]
    assert row["accuracy"] == pytest.approx(mean)
    assert f"{mean:.3f}" in result.text()
    assert len(result.figure().data) == 2 * (len(CONCEPTS) + 2)
    result.save(tmp_path)
    again = json.loads((tmp_path / "probes.json").read_text())
    assert ProbeResult(again["cells"], again).table.equals(table)


CONCEPTS = ["tense", "gender", "number", "noise"]


def test_where_it_is_beaten_is_said():
    def cells(features, value):
        told = {"concept": "a", "features": features, "shuffled": False, "k": 1, "seed": 0}
        return {"cell": told, "accuracy": value, "matthews": value, "correlation": value, "n_train": 9, "n_test": 9}

    about = {"widths": {"SSAE codes": 4, "raw shifts": 4}, "ks": [1]}
    assert ProbeResult([cells("SSAE codes", 0.8), cells("raw shifts", 0.9)], about).where_baselines_win() == [
        "k=1: raw shifts 0.900, SSAE codes 0.800"
    ]
    assert ProbeResult([cells("SSAE codes", 0.9), cells("raw shifts", 0.8)], about).where_baselines_win() == []


def test_bad_input(stores):
    train, test = stores
    unlabelled = ShiftStore.from_arrays(train.source, train.target)
    with pytest.raises(ValueError, match="The shifts have no labels"):
        probes(None, unlabelled)
    with pytest.raises(ValueError, match="'gendre'; it must be one of"):
        probes(None, train, test, concepts=["gendre"])
    with pytest.raises(ValueError, match="ks is 0"):
        probes(None, train, test, ks=(0,))
    with pytest.raises(ValueError, match="no texts to split by"):
        probes(None, planted_store(texts=None))
    with pytest.raises(ValueError, match="test is labelled with"):
        probes(None, train, planted_store(labels=test.labels[:, :1].repeat(300 // 200 + 1, 0)[:300], concepts=["x"]))
    with pytest.raises(ValueError, match="hook_name"):
        probes(planted_ssae(hook_name="blocks.0.hook_resid_pre"), train, test)
    steady = {"labels": np.ones((300, 1), dtype=int), "concepts": ["gender"]}
    with pytest.raises(ValueError, match="No concept of gender has 10 pairs"):
        probes(None, planted_store(**steady), planted_store(**steady))
    some = planted_store()
    some.labels[:, 3] = 1
    with pytest.warns(UserWarning, match="noise left out"):
        assert {each["cell"]["concept"] for each in probes(None, some, test, ks=(1,)).cells} == set(CONCEPTS[:3])
