"""Identifiability of an SSAE whose latents are known."""

import json

import numpy as np
import pytest
import torch
from planted import CONCEPTS, HOOK, directions, planted_ssae, planted_store

from ssae_lens.evals import identifiability
from ssae_lens.evals._identifiability import scores_of_codes
from ssae_lens.evals.synthetic_data import synthetic_shifts
from ssae_lens.metrics import dci, mcc_codes
from ssae_lens.sae import SSAE


@pytest.fixture(scope="module")
def result():
    return identifiability(planted_ssae(), planted_store(), shuffles=50)


def test_latents_and_signs_are_the_planted_ones(result):
    table = result.table.set_index("concept")
    assert list(table.index) == CONCEPTS
    # Latents are number, tense and gender, in this order, the first reversed.
    assert table.loc[["tense", "gender", "number"], "latent"].tolist() == [1, 2, 0]
    assert table.loc[["tense", "gender", "number"], "sign"].tolist() == [1, 1, -1]
    assert (table.loc[["tense", "gender", "number"], "correlation"] > 0.95).all()
    assert (table.loc[["tense", "gender", "number"], "cosine"] > 0.95).all()
    assert (table.loc[["tense", "gender", "number"], "p"] <= 1 / 51 + 1e-9).all()
    assert (table["low"] <= table["correlation"]).all()
    assert (table["correlation"] <= table["high"] + 1e-9).all()


def test_a_concept_in_nothing_is_at_chance(result):
    noise = result.table.set_index("concept").loc["noise"]
    assert noise["correlation"] < 0.2
    assert noise["p"] > 0.02
    assert noise["ridge"] < 0.3
    assert result.about["mcc_shuffled"] == pytest.approx(result.about["mcc_chance"], abs=0.05)


def test_scores_are_those_of_the_metrics(result):
    store = planted_store()
    codes = planted_ssae().encode(torch.from_numpy(np.asarray(store.shifts))).detach().numpy()
    assert result.about["mcc"] == pytest.approx(mcc_codes(codes, store.labels).score, abs=1e-6)
    assert result.about["disentanglement"] == pytest.approx(dci(codes, store.labels).disentanglement, abs=1e-6)
    assert "disentanglement" not in scores_of_codes(codes[:8], store.labels[:8])


def test_rows_of_one_pair_are_averaged():
    by_row = identifiability(planted_ssae(), planted_store(300), shuffles=20)
    by_pair = identifiability(planted_ssae(), planted_store(300, rows_per_pair=3), shuffles=20)
    assert (by_row.about["pairs"], by_pair.about["pairs"]) == (300, 100)


def test_arrays_with_true_codes_and_directions():
    data = synthetic_shifts(16, 4, n=500)
    ssae = SSAE.from_weights(torch.linalg.pinv(torch.from_numpy(data.directions)), torch.from_numpy(data.directions))
    result = identifiability(ssae, data.test, data.test_codes, directions=data.directions, shuffles=20)
    assert result.about["mcc"] == pytest.approx(1, abs=1e-4)
    assert result.about["mcc_rows"] == pytest.approx(1, abs=1e-4)
    assert result.about["mcc_ridge"] > 0.99
    assert result.table["concept"].tolist() == ["0", "1", "2", "3"]


def test_fewer_latents_than_concepts():
    rows = torch.tensor(directions()[:1], dtype=torch.float32)
    ssae = SSAE.from_weights(rows.T.contiguous(), rows)
    ssae.cfg.metadata.hook_name = HOOK
    result = identifiability(ssae, planted_store(), shuffles=20)
    assert result.table["latent"].isna().sum() == 3
    assert "none" in result.text()


def test_it_is_a_table_a_text_a_figure_and_files(result, tmp_path):
    assert repr(result) == result.text()
    assert "MCC of codes" in result.text()
    assert {trace.name for trace in result.figure().data} == {"own latent", "ridge trained on the labels"}
    result.save(tmp_path)
    saved = json.loads((tmp_path / "identifiability.json").read_text())
    assert saved["mcc"] == result.about["mcc"]
    assert len(saved["table"]) == len(CONCEPTS)
    assert "plotly" in (tmp_path / "identifiability.html").read_text(encoding="utf-8")


def test_bad_input():
    store = planted_store(labels=None, concepts=[])
    with pytest.raises(ValueError, match="have no labels"):
        identifiability(planted_ssae(), store)
    with pytest.raises(ValueError, match="give a row for each shift"):
        identifiability(planted_ssae(), store, np.ones((3, 2)))
    with pytest.raises(ValueError, match="3 names for 4 columns"):
        identifiability(planted_ssae(), store, planted_store().labels, concepts=CONCEPTS[:3])
    with pytest.raises(ValueError, match="shuffles is 3"):
        identifiability(planted_ssae(), planted_store(), shuffles=3)
    with pytest.raises(ValueError, match="hook_name"):
        identifiability(planted_ssae(hook_name="blocks.0.hook_resid_pre"), planted_store())
