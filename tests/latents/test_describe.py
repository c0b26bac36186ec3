"""Descriptions of latents."""

import json

import numpy as np
import pytest
from planted import HOOK, planted_ssae, planted_store

from ssae_lens.hooks import generate_sweep
from ssae_lens.latents.changed_words import differing_spans
from ssae_lens.latents.codes import codes_of
from ssae_lens.latents.describe import PROMPTS, describe_latents
from ssae_lens.metrics import density
from ssae_lens.models.tiny import tiny_model
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector


@pytest.fixture(scope="module")
def model():
    return tiny_model()


@pytest.fixture(scope="module")
def store():
    return planted_store(2500)  # more than is read at a time


@pytest.fixture(scope="module")
def ssae():
    return planted_ssae()


def test_pairs_and_sizes_are_those_of_all_codes(ssae, store):
    codes = codes_of(ssae, store)
    described = describe_latents(ssae, store, n_pairs=7)
    assert [each.latent for each in described] == list(range(5))
    for each, column, share in zip(described, codes.T, density(codes), strict=True):
        assert [pair.row for pair in each.positive] == np.argsort(-column, kind="stable")[:7].tolist()
        assert [pair.row for pair in each.negative] == np.argsort(column, kind="stable")[:7].tolist()
        assert [pair.code for pair in each.positive] == [column[pair.row] for pair in each.positive]
        assert each.mean_abs == pytest.approx(abs(column).mean(), rel=1e-5)
        assert each.density == pytest.approx(share)
        assert each.typical == pytest.approx((column**2).sum() / abs(column).sum(), rel=1e-5)
        assert each.promoted == each.suppressed == each.steered == []


def test_pairs_show_their_texts_and_where_they_differ(ssae, store):
    tense = describe_latents(ssae, store, latents=[1], n_pairs=3)[0]
    for pair in tense.positive:
        assert (pair.source, pair.target) == (store.texts[0][pair.row], store.texts[1][pair.row])
        assert "is" in [pair.source[start:end].split()[0] for start, end in pair.source_spans]
        assert "was" in [pair.target[start:end].split()[0] for start, end in pair.target_spans]


def test_one_row_of_a_pair_is_shown(ssae):
    described = describe_latents(ssae, planted_store(rows_per_pair=5), n_pairs=8)
    for each in described:
        pairs = [pair.row // 5 for pair in each.positive]
        assert len(pairs) == len(set(pairs)) == 8


def test_codes_of_the_other_sign_or_none_are_not_shown(ssae):
    shifts = np.abs(np.random.default_rng(0).normal(size=(20, 1))) * ssae.W_dec[0].detach().numpy()
    shifts[5:] = 0
    only = ShiftStore.from_arrays(np.zeros_like(shifts), shifts)
    first = describe_latents(ssae, only, latents=[0])[0]
    assert sorted(pair.row for pair in first.positive) == [0, 1, 2, 3, 4]
    assert first.negative == []
    assert first.positive[0].source == ""  # the store holds no texts


def test_tokens_and_texts_of_the_model(ssae, store, model):
    described = describe_latents(
        ssae, store, model, latents=[2, 0], n_tokens=4, steered=True, max_new_tokens=3, scales=[0.5]
    )
    assert [each.latent for each in described] == [2, 0]
    norm = np.linalg.norm(np.concatenate([store.source, store.target]), axis=1).mean()
    for each in described:
        assert len(each.promoted) == len(each.suppressed) == 4
        assert each.promoted[0][1] > 0 > each.suppressed[0][1]
        assert [text.scale for text in each.steered] == [0, 0, 0.5, 0.5]
        row = ssae.W_dec[each.latent].detach()
        alone = generate_sweep(
            model, PROMPTS, SteeringVector(0.5 * norm * row / row.norm(), HOOK), [0.0, 1.0], max_new_tokens=3
        )
        expected = {(row.prompt, row.scale / 2): row.text for row in alone.itertuples()}
        assert {(text.prompt, text.scale): text.text for text in each.steered} == expected


def test_it_is_plain_data(ssae, store, model):
    told = describe_latents(ssae, store, model, latents=[0])[0].to_dict()
    again = json.loads(json.dumps(told))
    assert again["positive"][0]["source_spans"] == [list(span) for span in told["positive"][0]["source_spans"]]


@pytest.mark.parametrize(
    ("source", "target", "lost", "gained"),
    [
        ("He is here.", "She is here.", ["He"], ["She"]),
        ("It is not red.", "It is red.", ["not"], []),
        ("Ab", "Ab", [], []),
        ("un chat noir", "a black cat", ["un chat noir"], ["a black cat"]),
        ("don't go", "do go", ["don't"], ["do"]),
        ("", "new", [], ["new"]),
    ],
)
def test_spans_are_the_words_that_differ(source, target, lost, gained):
    spans = differing_spans(source, target)
    assert [source[start:end] for start, end in spans[0]] == lost
    assert [target[start:end] for start, end in spans[1]] == gained


def test_bad_input(ssae, store, model):
    with pytest.raises(ValueError, match=r"latents is \[9\]; this SSAE has latents 0 to 4"):
        describe_latents(ssae, store, latents=[9])
    with pytest.raises(ValueError, match=r"latents is \[1.7\]; this SSAE has latents 0 to 4"):
        describe_latents(ssae, store, latents=[1.7])
    with pytest.raises(ValueError, match="give a ShiftStore, whose texts are read"):
        describe_latents(ssae, store.shifts)
    with pytest.raises(ValueError, match="no model to steer"):
        describe_latents(ssae, store, steered=True)
    with pytest.raises(ValueError, match="n_pairs is 0"):
        describe_latents(ssae, store, n_pairs=0)
    with pytest.raises(ValueError, match=r"shape \(2, 8\); the SSAE reads rows of d_in=32"):
        describe_latents(ssae, ShiftStore.from_arrays(np.zeros((2, 8)), np.ones((2, 8))))
    with pytest.raises(ValueError, match="32 dimensions and the model 'tiny-gpt2' has d_model=16"):
        describe_latents(ssae, store, tiny_model(d_model=16))


def test_descriptions_are_a_table_of_changed_words(ssae, store):
    described = describe_latents(ssae, store)
    table = described.table()
    assert table.loc[1, "changed_words"] == "is → was"
    assert table.loc[2, "changed_words"] == "king → queen"
    assert table["active"].tolist() == [each.density for each in described]
    lines = repr(described).splitlines()
    assert len(lines) == 1 + len(described)
    assert "is → was" in lines[2]
    assert "split-half" not in lines[0]  # nothing is known of it


def test_the_table_has_what_the_metadata_hold(store):
    ssae = planted_ssae()
    ssae.cfg.metadata.latents = [{"name": "<b>number</b>"}, {"name": None}, None]
    ssae.cfg.metadata.split_half = [0.9, 0.8, 0.7, 0.6, 0.5]
    described = describe_latents(ssae, store)
    assert [each.name for each in described] == ["<b>number</b>", "", "", "", ""]
    assert [each.split_half for each in described] == [0.9, 0.8, 0.7, 0.6, 0.5]
    html = described._repr_html_()
    assert "&lt;b&gt;number&lt;/b&gt;" in html
    assert "<b>" not in html
    assert "0.90" in repr(described)


def test_without_texts_the_table_has_numbers(ssae):
    described = describe_latents(ssae, planted_store(texts=None))
    assert all(each.changes == [] for each in described)
    assert len(repr(described).splitlines()) == 6
