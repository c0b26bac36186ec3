import numpy as np
import pytest
import torch

from ssae_lens.evals._decomposition import (
    NO_THRESHOLD,
    WITH_THRESHOLD,
    explained,
    inputs,
    read,
    strongest,
    used,
)
from studies.decomposition.measure import agreeing, rows_shown


def test_reads_an_sae_with_and_without_its_threshold(features):
    sae = features.sae
    rows = np.random.default_rng(0).normal(size=(5, 32)).astype(np.float32)
    plain = torch.from_numpy(rows) @ sae.W_enc + sae.b_enc - sae.b_dec @ sae.W_enc * sae.cfg.apply_b_dec_to_input
    plain = plain.detach().numpy()
    np.testing.assert_allclose(inputs(sae, rows), plain, atol=1e-5)
    np.testing.assert_allclose(read(sae, rows, NO_THRESHOLD), np.maximum(plain, 0), atol=1e-5)
    np.testing.assert_allclose(read(sae, rows, WITH_THRESHOLD), np.where(plain > 0.5, plain, 0), atol=1e-5)


def test_zero_has_the_code_of_the_bias(features):
    zero = np.zeros((1, 32))
    bias = np.linspace(-1, 1, 48)
    np.testing.assert_allclose(read(features.sae, zero)[0], np.where(bias > 0.5, bias, 0), atol=1e-6)


def test_strongest_by_size_without_what_is_zero():
    code = np.array([0.0, -3.0, 2.0, 0.0, 0.1])
    assert strongest(code, 2).tolist() == [1, 2]
    assert strongest(code, 5).tolist() == [1, 2, 4]
    assert used(code) == 2
    assert used(np.zeros(3)) == 0


def test_explained_is_a_share_of_squared_length():
    vector = np.array([3.0, 4.0])
    assert explained(vector, vector) == 1
    assert explained(vector, np.zeros(2)) == 0
    assert explained(vector, np.array([3.0, 0.0])) == pytest.approx(9 / 25)
    assert explained(vector, -vector) == -3


def test_signs_are_counted_where_changes_are_known():
    codes, changes = np.array([5.0, -4.0, 3.0, 2.0]), np.array([1.0, 1.0, 1.0, -1.0])
    known = np.array([True, True, False, True])
    assert agreeing(codes, changes, known, 4) == {"right": 1, "of": 3}
    assert agreeing(codes, changes, known, 1) == {"right": 1, "of": 1}


def test_an_empty_code_shows_the_zero_vectors_features():
    zero = np.array([0.0, 2.0, 1.0])
    assert rows_shown(np.zeros(3), zero, 5)[0] == {"feature": 1, "value": 0.0, "zero_value": 2.0}
    assert [row["feature"] for row in rows_shown(np.array([3.0, 0, 0]), zero, 5)] == [0]
