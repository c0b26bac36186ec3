"""Codes of stores and arrays."""

import numpy as np
import pytest
import torch
from planted import D, planted_ssae, planted_store

from ssae_lens.latents.codes import blocks_of_codes, codes_of


@pytest.fixture(scope="module")
def ssae():
    return planted_ssae()


def test_they_are_the_encoder_s(ssae):
    store = planted_store()
    expected = store.shifts.astype(np.float64) @ ssae.W_enc.detach().double().numpy()
    for shifts in (store, store.shifts, torch.from_numpy(store.shifts)):
        np.testing.assert_allclose(codes_of(ssae, shifts), expected, atol=1e-4)


def test_blocks_cover_everything_in_order(ssae):
    shifts = np.random.default_rng(0).normal(size=(5000, D)).astype(np.float32)
    blocks = list(blocks_of_codes(ssae, shifts))
    assert [rows.start for rows, _ in blocks] == [0, 2048, 4096]
    np.testing.assert_array_equal(np.concatenate([codes for _, codes in blocks]), codes_of(ssae, shifts))


def test_what_does_not_fit_is_named(ssae):
    with pytest.raises(ValueError, match=r"d_in=32.*give shifts of its own hook"):
        codes_of(ssae, np.zeros((3, 8), dtype=np.float32))
    with pytest.raises(ValueError, match=r"shifts is a list; give a ShiftStore"):
        codes_of(ssae, [[0.0] * D])
    with pytest.raises(ValueError, match=r"blocks\.7\.hook_resid_post.*blocks\.1\.hook_resid_post"):
        codes_of(planted_ssae(hook_name="blocks.7.hook_resid_post"), planted_store())
    with pytest.raises(ValueError, match="NaN"):
        codes_of(ssae, np.full((3, D), np.nan, dtype=np.float32))
