"""`decomposition` of vectors that are known sums of decoder rows."""

import json

import numpy as np
import pytest
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

from ssae_lens.evals import decomposition
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector

D, HOOK = 16, "blocks.1.hook_resid_post"


@pytest.fixture(scope="module")
def sae():
    made = JumpReLUSAE(JumpReLUSAEConfig(d_in=D, d_sae=D))
    with torch.no_grad():
        made.W_dec.copy_(torch.eye(D))
        made.W_enc.copy_(torch.eye(D))
        made.threshold.fill_(2.0)
    made.cfg.metadata.hook_name = HOOK
    return made


def vector_of(**at):
    direction = torch.zeros(D)
    for index, value in at.items():
        direction[int(index[1:])] = value
    return SteeringVector(direction, HOOK, concept="planted")


def row(result, by, length=None):
    table = result.table
    rows = table[(table["by"] == by) & ((table["length"] - length).abs() < 1e-4 if length else True)]
    return rows.iloc[0]


def test_an_encoder_loses_negative_and_small_parts_and_a_signed_pursuit_does_not(sae):
    result = decomposition(vector_of(_1=3.0, _2=-4.0, _5=1.0), sae, lengths=[100.0])
    norm = 26**0.5
    plain, bare = row(result, "SAE", norm), row(result, "SAE, no threshold", norm)
    assert (plain["active"], plain["explained"]) == (1, pytest.approx(9 / 26, abs=1e-5))
    assert bare["active"] == 2
    # At a larger length the threshold hides nothing.
    assert row(result, "SAE", 100.0)["explained"] == pytest.approx(10 / 26, abs=1e-5)
    assert row(result, "signed pursuit")["explained"] == pytest.approx(1)
    assert row(result, "signed pursuit")["active"] == 3
    assert row(result, "pursuit without signs")["explained"] == pytest.approx(10 / 26)
    assert result.cells[4]["features"][0]["feature"] == 2


def test_an_ssae_has_one_encoder(sae):
    ssae = SSAE.from_weights(torch.eye(D), torch.eye(D))
    result = decomposition(vector_of(_1=3.0, _2=-4.0), ssae)
    assert row(result, "SSAE")["explained"] == pytest.approx(1)
    assert "SAE" not in set(result.table["by"])


def test_it_is_a_text_a_figure_and_files(sae, tmp_path):
    vectors = {"one": vector_of(_1=3.0), "other": vector_of(_2=5.0)}
    result = decomposition(vectors, sae)
    assert repr(result) == result.text()
    assert all(name in result.text() for name in ("one", "other", "signed pursuit", "R²"))
    assert len(result.figure().data) == 5
    result.save(tmp_path)
    saved = json.loads((tmp_path / "decomposition.json").read_text())
    assert len(saved["table"]) == len(result.table) == 10
    assert np.isfinite(result.table["cosine"]).all()


def test_bad_input(sae):
    with pytest.raises(ValueError, match="reads d_in=16"):
        decomposition(SteeringVector(torch.ones(3), HOOK), sae)
    with pytest.raises(ValueError, match="give an SAE of its hook"):
        decomposition(SteeringVector(torch.ones(D), "blocks.0.hook_resid_pre"), sae)
    with pytest.raises(ValueError, match="max_atoms is 0"):
        decomposition(vector_of(_1=1.0), sae, max_atoms=0)
    with pytest.raises(ValueError, match="lengths is -1"):
        decomposition(vector_of(_1=1.0), sae, lengths=[-1.0])
