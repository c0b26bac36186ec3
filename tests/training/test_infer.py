"""Refinement of planted data: context-dependent parts, companions, split features, thresholds, and what is saved."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from split_features import split_shifts

from ssae_lens import SSAE
from ssae_lens.metrics import mcc_codes
from ssae_lens.training import infer, refine, sweep, train
from ssae_lens.training.infer import best_threshold, find_companions, find_groups

from .conftest import make_synthetic


def planted(n=3000, d=32, concepts=8, max_changed=3, context=0.0, seed=0):
    """Shifts of ±1 along orthonormal directions, each with a part that varies with the pair, and what changed."""
    generator = torch.Generator().manual_seed(seed)
    directions = torch.linalg.qr(torch.randn(d, concepts, generator=generator))[0].T
    order = torch.rand(n, concepts, generator=generator).argsort(1)
    changed = (order < torch.randint(1, max_changed + 1, (n, 1), generator=generator)).float()
    factors = changed * (torch.randint(0, 2, (n, concepts), generator=generator) * 2 - 1)
    bent = torch.randn(n, concepts, d, generator=generator) * context / d**0.5
    shifts = factors @ directions + torch.einsum("nk,nkd->nd", changed, bent)
    return shifts + 0.02 * torch.randn(n, d, generator=generator), factors, directions


def mcc(ssae, shifts, factors):
    return mcc_codes(ssae.encode(shifts), factors).score


def activity(n=4000, h=8, rate=0.25, seed=0):
    return (torch.rand(n, h, generator=torch.Generator().manual_seed(seed)) < rate).double()


class TestCompanions:
    def test_a_latent_that_is_active_only_beside_another_is_found(self):
        active = activity()
        active[:, 7] = active[:, 2] * activity(h=1, rate=0.5, seed=1)[:, 0]
        assert find_companions(active) == [7]

    def test_independent_latents_are_none(self):
        assert find_companions(activity()) == []

    def test_where_latents_are_never_alone_none_is_found(self):
        """With many changes in every pair, being never active alone says nothing."""
        assert find_companions(activity(n=500, h=24, rate=0.6)) == []


class TestGroups:
    def split(self, cosine, n=4000):
        """Return activity in which latents 0 and 1 take turns, and rows of which these two have a given cosine."""
        active = activity(n)
        first = torch.rand(n, generator=torch.Generator().manual_seed(5)) < 0.5
        concept = active[:, 0].clone()
        active[:, 0], active[:, 1] = concept * first, concept * ~first
        rows = torch.linalg.qr(torch.randn(32, 8, generator=torch.Generator().manual_seed(6)).double())[0].T
        rows = rows + 0.02 * torch.randn(8, 32, generator=torch.Generator().manual_seed(7)).double()
        rows[1] = cosine * rows[0] + (1 - cosine**2) ** 0.5 * rows[1]
        return active, rows

    def test_exclusive_latents_of_similar_rows_are_one_concept(self):
        groups = find_groups(*self.split(0.5))
        assert [group.latents for group in groups] == [[0, 1], *([k] for k in range(2, 8))]
        assert groups[0].signs == [1.0, 1.0]

    def test_opposite_rows_join_with_opposite_signs(self):
        assert find_groups(*self.split(-0.5))[0] == ([0, 1], [1.0, -1.0])

    def test_exclusive_latents_of_orthogonal_rows_stay_apart(self):
        assert [group.latents for group in find_groups(*self.split(0.0))] == [[k] for k in range(8)]

    def test_similar_latents_that_are_active_together_stay_apart(self):
        _, rows = self.split(0.5)
        assert [group.latents for group in find_groups(activity(), rows)] == [[k] for k in range(8)]

    def test_where_one_concept_changes_at_a_time_nothing_is_merged(self):
        active = torch.nn.functional.one_hot(torch.arange(4000) % 8, 8).double()
        _, rows = self.split(0.9)
        assert [group.latents for group in find_groups(active, rows)] == [[k] for k in range(8)]

    def test_parts_that_are_rare_are_merged_by_the_evidence_of_their_group(self):
        """Two rare parts that hardly could have met are joined through a third part, which is frequent."""
        active, rows = self.split(0.5)
        rare = torch.rand(4000, generator=torch.Generator().manual_seed(8)) < 0.1
        active[:, 2] = active[:, 1] * rare
        active[:, 1] = active[:, 1] * ~rare
        rows[2] = 0.5 * rows[0] + 0.75**0.5 * rows[2]
        assert find_groups(active, rows)[0].latents == [0, 1, 2]


def test_the_threshold_misclassifies_least():
    generator = torch.Generator().manual_seed(0)
    sizes = torch.rand(40, 3, generator=generator, dtype=torch.float64)
    active = ((sizes > 0.5).double() + 0.4 * torch.randn(40, 3, generator=generator).double()).clamp(0, 1)

    def errors(threshold, k):
        above = sizes[:, k] > threshold
        return float(torch.where(above, 1 - active[:, k], active[:, k]).sum())

    for k, threshold in enumerate(best_threshold(sizes, active).tolist()):
        everywhere = [errors(candidate, k) for candidate in [0.0, *sizes[:, k].tolist()]]
        assert errors(threshold, k) == pytest.approx(min(everywhere), abs=1e-9)


def test_a_latent_that_is_never_active_has_no_codes():
    sizes = torch.rand(20, 1, dtype=torch.float64)
    assert float(best_threshold(sizes, torch.zeros(20, 1).double())) > float(sizes.max())


def test_the_encoder_is_the_ridge_of_least_generalised_cross_validation():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(200, 6, generator=generator).double()
    values, vectors = torch.linalg.eigh(x.T @ x / 200)
    targets = x[:, :2] + torch.randn(200, 2, generator=generator).double()
    weights = vectors @ infer._ridge(x @ vectors, values, targets)

    def score(penalty):
        fitted = Ridge(alpha=200 * penalty, fit_intercept=False).fit(x.numpy(), targets.numpy())
        residual = targets.numpy() - fitted.predict(x.numpy())
        freedom = (values / (values + penalty)).sum().item()
        return (residual**2).sum() / (1 - freedom / 200) ** 2, fitted.coef_.T

    penalties = np.logspace(-6, 1, 15) * values.mean().item()
    np.testing.assert_allclose(weights.numpy(), min((score(p) for p in penalties), key=lambda s: s[0])[1], atol=1e-8)


class TestRefine:
    @pytest.fixture(scope="class")
    def parts(self):
        shifts, factors, directions = planted(context=0.5)
        torch.set_num_threads(1)
        trained = train(shifts, d_sae=10, budget=0.02, steps=600, seed=0, restarts=1, quiet=True)
        return trained, refine(trained, shifts), shifts, factors, directions

    def test_codes_are_nearer_the_concepts_on_other_shifts(self, parts):
        trained, refined, *_ = parts
        shifts, factors, _ = planted(n=1000, context=0.5, seed=0)
        assert mcc(trained, shifts, factors) < 0.97 < 0.985 < mcc(refined, shifts, factors)

    def test_rows_have_unit_length_and_are_the_directions(self, parts):
        _, refined, _, _, directions = parts
        torch.testing.assert_close(refined.W_dec.norm(dim=1), torch.ones(len(refined.W_dec)))
        assert ((refined.W_dec @ directions.T).abs().amax(0) > 0.98).all()

    def test_codes_are_zero_below_the_threshold_and_affine_above(self, parts):
        _, refined, shifts, factors, _ = parts
        codes, affine = refined.encode(shifts), shifts @ refined.W_enc + refined.b_enc
        inactive = affine.abs() <= refined.threshold
        assert inactive.any()
        assert (codes[inactive] == 0).all()
        torch.testing.assert_close(codes[~inactive], affine[~inactive])
        true = factors.abs().sum(1).mean()
        assert (codes != 0).float().sum(1).mean() == pytest.approx(true.item(), rel=0.3)

    def test_metadata_account_for_every_latent(self, parts):
        trained, refined, *_ = parts
        metadata = refined.cfg.metadata
        latents = [latent for group in metadata.merged_from for latent in group] + metadata.companions
        assert sorted(latents) == list(range(trained.cfg.d_sae))
        assert len(metadata.merged_from) == refined.cfg.d_sae
        assert metadata.slab == "signed"
        assert metadata.training["d_sae"] == refined.cfg.d_sae
        assert metadata.training["d_sae_trained"] == trained.cfg.d_sae
        assert refined.outcome.fvu == pytest.approx(refined.cfg.metadata.training["fvu"])

    def test_it_is_deterministic_and_leaves_its_input_alone(self, parts):
        trained, refined, shifts, *_ = parts
        before = {name: weight.clone() for name, weight in trained.state_dict().items()}
        for name, weight in refine(trained, shifts).state_dict().items():
            assert torch.equal(weight, refined.state_dict()[name]), name
        assert all(torch.equal(weight, before[name]) for name, weight in trained.state_dict().items())

    def test_units_do_not_matter(self, parts):
        trained, refined, shifts, *_ = parts
        scaled = refine(trained, 1e3 * shifts)
        torch.testing.assert_close(scaled.W_dec, refined.W_dec, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(scaled.threshold, 1e3 * refined.threshold, rtol=1e-3, atol=1e-3)

    def test_saelens_loads_it_with_its_threshold(self, parts, tmp_path):
        from sae_lens import SAE

        _, refined, shifts, *_ = parts
        refined.save_model(tmp_path)
        for loaded in (SAE.load_from_disk(tmp_path), SSAE.load_from_disk(tmp_path)):
            assert torch.equal(loaded.threshold, refined.threshold)
            assert torch.equal(loaded.encode(shifts), refined.encode(shifts))
        assert loaded.cfg.metadata.merged_from == refined.cfg.metadata.merged_from

    def test_folding_row_norms_keeps_codes_times_rows(self, parts):
        _, refined, shifts, *_ = parts
        scaled = SSAE.from_weights(
            refined.W_enc / 2, refined.W_dec * 2, refined.b_enc / 2, threshold=refined.threshold / 2
        )
        torch.testing.assert_close(scaled(shifts), refined(shifts))
        scaled.fold_W_dec_norm()
        torch.testing.assert_close(scaled(shifts), refined(shifts))
        torch.testing.assert_close(scaled.threshold, refined.threshold)

    def test_what_cannot_be_refined_is_an_error(self, parts):
        trained, refined, shifts, *_ = parts
        with pytest.raises(ValueError, match="has_threshold=True"):
            refine(refined, shifts)
        with pytest.raises(ValueError, match="There are 199 shifts and d_sae=10 latents"):
            refine(trained, shifts[:199])
        wide = SSAE.from_weights(torch.randn(32, 300), torch.randn(300, 32))
        with pytest.raises(ValueError, match="d_sae is 300; refinement takes at most 256"):
            refine(wide, torch.randn(6000, 32))


def test_the_slab_is_that_of_the_sizes():
    synthetic = make_synthetic(concepts=6)
    start = SSAE.from_weights(torch.linalg.pinv(synthetic.directions), synthetic.directions)
    refined = refine(
        start, synthetic.shifts + 0.03 * torch.randn(synthetic.shifts.shape, generator=torch.manual_seed(0))
    )
    assert refined.cfg.metadata.slab == "gaussian"
    assert mcc(refined, synthetic.shifts, synthetic.factors) > 0.99


def test_codes_that_are_sparse_already_are_kept():
    synthetic = make_synthetic(concepts=6)
    start = SSAE.from_weights(torch.linalg.pinv(synthetic.directions), synthetic.directions)
    assert infer.is_sparse(start.encode(synthetic.shifts))
    kept = refine(start, synthetic.shifts)
    assert all(torch.equal(weight, start.state_dict()[name]) for name, weight in kept.state_dict().items())
    assert kept.cfg.metadata.training["message"] == "Not refined: codes are sparse already."
    assert start.cfg.metadata.training is None
    assert not infer.is_sparse(start.encode(synthetic.shifts) + 0.1)


def test_where_content_differs_in_every_pair_nothing_is_refined():
    """One concept along one direction beside heavy-tailed content, as in pairs of single words."""
    generator = torch.Generator().manual_seed(0)
    content = torch.randn(400, 12, generator=generator) / torch.rand(400, 1, generator=generator).clamp(min=0.05)
    shifts = content + 2 * torch.randn(400, 1, generator=generator).sign() * torch.eye(12)[0]
    trained = train(shifts, d_sae=3, steps=200, restarts=1, quiet=True)
    kept = refine(trained, shifts)
    assert not kept.cfg.has_threshold
    assert "hardly better than random ones" in kept.outcome.message
    assert kept.cfg.metadata.training["message"] == kept.outcome.message
    assert "Not refined" not in trained.outcome.message


@pytest.mark.parametrize("freedom", [3.0, 1e6])
def test_factors_along_random_directions_gain_nothing_over_random_ones(freedom):
    """Elliptical data have no factors, heavy tails or not."""
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(2000, 16, generator=generator).double() @ torch.randn(16, 16, generator=generator).double()
    inputs /= torch.from_numpy(np.random.default_rng(0).chisquare(freedom, (2000, 1)) / freedom) ** 0.5
    rows, codes = infer._random_factors(inputs, 24)
    # Before small codes are made zero they have unit second moments, so that rows add up to the covariance.
    torch.testing.assert_close(rows[:16].T @ rows[:16], inputs.T @ inputs / 2000)
    rotation = torch.linalg.qr(torch.randn(16, 16, generator=generator).double()).Q
    _, gain = infer._chosen(inputs, rotation @ torch.linalg.cholesky(inputs.T @ inputs / 2000).T, codes[:, :16])
    assert gain < 1


def test_train_refines_on_request(tmp_path):
    shifts, factors, _ = planted(context=0.5)
    trained = train(shifts, d_sae=10, budget=0.02, steps=600, refine=True, out=tmp_path, restarts=1, quiet=True)
    assert trained.cfg.has_threshold
    assert mcc(trained, shifts, factors) > 0.985
    assert torch.equal(SSAE.load_from_disk(tmp_path).threshold, trained.threshold)
    assert f"{trained.cfg.metadata.training['active']:.1f} active" in trained.outcome.message
    assert trained.outcome.active == pytest.approx((trained.encode(shifts) != 0).float().sum(1).mean().item(), rel=1e-4)
    with pytest.raises(ValueError, match="refinement needs at least 20 shifts"):
        train(shifts[:100], d_sae=10, refine=True, quiet=True)


def test_split_features_are_merged():
    shifts = split_shifts()
    trained = train(shifts, d_sae=10, budget=0.01, steps=900, restarts=1, quiet=True)
    assert refine(trained, shifts).cfg.d_sae == 8


QUICK = {"steps": 200, "quiet": True, "seeds": 2, "budget": 0.05}


class TestInASweep:
    def test_the_best_is_refined(self, tmp_path):
        shifts, *_ = planted(n=600, context=0.5)
        swept = sweep(shifts, d_sae=[8, 10], out=tmp_path, **QUICK)
        assert swept.best.cfg.has_threshold
        seed = min(range(2), key=lambda member: swept.chosen.outcomes[member].fvu)
        saved = SSAE.load_from_disk(tmp_path)
        assert torch.equal(saved.threshold, swept.best.threshold)
        assert not swept.ssae(swept.chosen, seed).cfg.has_threshold

    def test_where_it_does_not_apply_split_features_are_merged(self):
        shifts, *_ = planted(n=200, context=0.5)
        swept = sweep(shifts, d_sae=[10, 11], **QUICK)
        assert not swept.best.cfg.has_threshold
        assert not sweep(shifts, d_sae=10, refine=False, **QUICK).best.cfg.has_threshold
        assert not sweep(shifts, d_sae=8, level=0.3, seeds=2, steps=10, halves=False, quiet=True).best.cfg.has_threshold

    def test_it_is_checked_before_training(self, tmp_path):
        shifts, *_ = planted(n=600)
        with pytest.raises(ValueError, match="refinement needs at least 20 shifts"):
            sweep(shifts, d_sae=[8, 31], refine=True, out=tmp_path / "new", **QUICK)
        with pytest.raises(ValueError, match="refine is True; it must be False with a level"):
            sweep(shifts, d_sae=8, refine=True, level=0.3, steps=10, quiet=True)
        assert not (tmp_path / "new").exists()
