"""Planted split features are merged, and what only resembles them is not; decoder rows are refitted to active codes."""

import numpy as np
import pytest
import torch
from scipy.stats import poisson
from split_features import CONCEPTS, WAYS, D, N, split_features, split_shifts

from ssae_lens import SSAE
from ssae_lens.training import merge_split_latents, sweep, train
from ssae_lens.training.merge import (
    ALPHA,
    MAX_CO_OCCURRENCE,
    MIN_COSINE,
    active_mask,
    find_split_features,
    mutually_exclusive,
    refit_decoder,
)

from .conftest import make_synthetic


def test_exclusion_is_counted_and_weighed_by_poissons_law():
    fires = split_features()[0] != 0
    found = mutually_exclusive(fires)
    together, share = fires.T.double() @ fires.double(), fires.double().mean(0)
    upper = [(i, j) for i in range(10) for j in range(i + 1, 10)]
    ratios = [float(together[i, j] / (N * share[i] * share[j])) for i, j in upper]
    usual = np.sort(ratios)[(len(ratios) - 1) // 2]
    for i, j in upper:
        due = N * float(share[i] * share[j]) * usual
        rare = poisson.cdf(float(together[i, j]), due) < ALPHA
        assert bool(found[i, j]) == bool(found[j, i]) == bool(rare and together[i, j] < MAX_CO_OCCURRENCE * due)
    assert {(i, j) for i, j in upper if found[i, j]} == {(0, 1), (0, 2), (1, 2)}


def test_split_features_are_found():
    assert find_split_features(*split_features()) == [[0, 1, 2], *([each] for each in range(3, 10))]


def test_latents_that_exclude_each_other_but_point_elsewhere_are_several():
    """Values of one attribute, each a direction of its own, stay apart."""
    assert find_split_features(*split_features(alike=0.4)) == [[each] for each in range(10)]
    assert 0.4**2 < MIN_COSINE < 0.8**2


def test_latents_that_are_alike_but_fire_together_are_several():
    codes, rows = split_features()
    rows[4] = rows[3] + 0.5 * rows[4]
    assert find_split_features(codes, rows)[1:] == [[each] for each in range(3, 10)]


def test_every_two_of_a_concept_must_go_together():
    """Of a chain of three the two nearest are merged, and the third is not."""
    codes, rows = split_features()
    basis = torch.linalg.qr(torch.randn(D, 3, generator=torch.Generator().manual_seed(1)))[0].T
    rows[0], rows[1], rows[2] = basis[0], basis[0] + 0.9 * basis[1], 0.8 * basis[1] + basis[2]
    found = find_split_features(codes, rows)
    assert [0, 1] in found
    assert [2] in found


def test_where_one_thing_changes_at_a_time_nothing_is_merged():
    """No two latents fire together there, whatever they are of."""
    assert find_split_features(*split_features(max_changed=1)) == [[each] for each in range(10)]


class TestMerging:
    @pytest.fixture
    def parts(self):
        codes, rows = split_features()
        shifts = codes @ rows
        return SSAE.from_weights(torch.linalg.pinv(rows), rows), shifts, codes, rows

    def test_codes_add_up_and_the_row_is_the_mean_shift(self, parts):
        ssae, shifts, codes, rows = parts
        merged = merge_split_latents(ssae, shifts)
        assert merged.cfg.d_sae == CONCEPTS
        assert merged.cfg.metadata.merged_from == [[0, 1, 2], *([each] for each in range(3, 10))]
        up = codes[:, WAYS] * torch.tensor([1.0, 1, -1])
        mean = (up.sum(1, keepdim=True) * shifts).sum(0) / up.abs().sum()
        # Other concepts are not quite averaged out of a mean over pairs.
        assert torch.cosine_similarity(merged.W_dec[0], mean, dim=0) > 0.99
        shared = (rows[:3] * torch.tensor([1.0, 1, -1])[:, None]).sum(0)
        assert torch.cosine_similarity(merged.W_dec[0], shared, dim=0) > 0.999
        torch.testing.assert_close(merged.W_dec.norm(dim=1), torch.ones(CONCEPTS))
        found = merged.encode(shifts).detach()
        torch.testing.assert_close(found[:, 0] / found[:, 0].abs().max(), up.sum(1), atol=1e-4, rtol=0)
        torch.testing.assert_close(found[:, 1:], codes[:, 3:], atol=1e-3, rtol=0)
        assert not merged.encode(torch.zeros(D)).any()

    def test_it_is_saved_and_loaded(self, parts, tmp_path):
        merged = merge_split_latents(*parts[:2])
        merged.save_model(tmp_path)
        loaded = SSAE.load_from_disk(tmp_path)
        assert torch.equal(loaded.W_dec, merged.W_dec)
        assert loaded.cfg.metadata.merged_from[0] == [0, 1, 2]

    def test_nothing_to_merge_is_the_same_ssae(self, parts):
        codes, rows = split_features(alike=0.2)
        ssae = SSAE.from_weights(torch.linalg.pinv(rows), rows)
        assert merge_split_latents(ssae, codes @ rows) is ssae

    def test_codes_that_do_not_add_up(self, parts):
        ssae, shifts, *_ = parts
        ssae.cfg.k = 2
        with pytest.raises(ValueError, match=r"k=2.*only the codes of a linear SSAE"):
            merge_split_latents(ssae, shifts)
        ssae.cfg.k, ssae.cfg.normalize_activations = None, "layer_norm"
        with pytest.raises(
            ValueError, match=r"normalize_activations='layer_norm', but only the codes of a linear SSAE"
        ):
            merge_split_latents(ssae, shifts)


def test_sweeps_merge_the_best_and_nothing_under_a_level():
    shifts = split_shifts()
    given = {"d_sae": 10, "seeds": 2, "halves": False, "steps": 800, "device": "cpu", "quiet": True}
    swept = sweep(shifts, **given)
    assert swept.ssae(0).cfg.d_sae == 10
    assert swept.best.cfg.d_sae == CONCEPTS
    assert torch.equal(swept.best.W_dec, swept.finished(swept.chosen, 0 if swept.best.outcome.seed == 0 else 1).W_dec)
    assert sweep(shifts, level=0.5, **given).best.cfg.d_sae == 10


ROWS, H, WIDTH = 400, 3, 7


@pytest.fixture
def codes():
    generator = torch.Generator().manual_seed(0)
    large = torch.randn(ROWS, H, generator=generator).sign() * (2 + torch.rand(ROWS, H, generator=generator))
    few = torch.rand(ROWS, H, generator=generator) < 0.2
    return torch.where(few, large, torch.zeros(ROWS, H)), 0.3 * torch.randn(ROWS, H, generator=generator)


def test_active_codes_are_split_by_otsus_rule(codes):
    sizes = sum(codes).abs()
    found = active_mask(sizes)
    for latent in range(H):
        column = sizes[:, latent].double().numpy()
        spreads = {}
        for t in column[column < column.max()]:
            low, high = column[column <= t], column[column > t]
            spreads[t] = len(low) * low.var() + len(high) * high.var()
        assert np.array_equal(found[:, latent].numpy(), column > min(spreads, key=spreads.get))
    assert torch.equal(found, codes[0] != 0)


def test_rows_are_least_squares_of_active_codes(codes):
    large, small = codes
    rows = torch.randn(H, WIDTH)
    shifts = large @ rows + 0.1 * torch.randn(ROWS, WIDTH)
    found = refit_decoder(large + small, shifts, torch.zeros(H, WIDTH))
    standing = np.where(large != 0, large + small, 0).astype(np.float64)
    wanted = np.linalg.lstsq(standing, shifts.double().numpy(), rcond=None)[0]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
    assert torch.cosine_similarity(found, rows).min() > 0.99


def test_a_dead_latent_keeps_its_row(codes):
    dead = torch.cat([codes[0], torch.zeros(ROWS, 1)], dim=1)
    rows = torch.randn(H + 1, WIDTH)
    found = refit_decoder(dead, codes[0] @ rows[:H], rows)
    torch.testing.assert_close(found, rows, rtol=0, atol=1e-5)
    assert torch.equal(found[-1], rows[-1])


def test_training_by_budget_ends_with_it_and_training_by_level_does_not():
    synthetic = make_synthetic(n=2000, most=1)
    for more, closer in (({}, True), ({"level": 0.7}, False)):
        ssae = train(synthetic.shifts, d_sae=5, restarts=1, steps=150, device="cpu", quiet=True, **more)
        codes = ssae.encode(synthetic.shifts)
        again = refit_decoder(codes, synthetic.shifts, ssae.W_dec)
        agrees = torch.cosine_similarity(again, ssae.W_dec).min() > 1 - 1e-5
        assert bool(agrees) == closer
