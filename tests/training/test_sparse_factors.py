"""Posteriors and moments against enumeration with SciPy's normal density, and EM's monotone likelihood."""

import itertools

import numpy as np
import pytest
import torch
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from ssae_lens.training import sparse_factors
from ssae_lens.training.sparse_factors import SparseFactors, fit, gaussian_log_likelihood, posterior_of, start

H, P = 3, 4


def small_model(slab, h=H, p=P, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(p, p, generator=generator, dtype=torch.float64)
    return SparseFactors(
        rows=2 * torch.randn(h, p, generator=generator, dtype=torch.float64),
        size_variance=torch.tensor([0.05, 0.1, 0.2][:h], dtype=torch.float64) * (1 if slab == "signed" else 8),
        rate=torch.tensor([0.1, 0.3, 0.2][:h], dtype=torch.float64),
        noise=mixing @ mixing.T + torch.eye(p, dtype=torch.float64),
        slab=slab,
    )


def enumerated(model, x):
    """Every support and every choice of signs with its posterior weight, and the sizes' mean and covariance."""
    rows, variance, rate = (tensor.numpy() for tensor in (model.rows, model.size_variance, model.rate))
    noise = model.noise.numpy()
    configurations = []
    for size in range(len(rows) + 1):
        for support in map(list, itertools.combinations(range(len(rows)), size)):
            off = [k for k in range(len(rows)) if k not in support]
            choices = list(itertools.product((1.0, -1.0), repeat=size)) if model.slab == "signed" else [(0.0,) * size]
            for signs in map(np.array, choices):
                mean, covariance = signs @ rows[support], noise + rows[support].T * variance[support] @ rows[support]
                log_p = np.log(rate[support]).sum() + np.log(1 - rate[off]).sum() - np.log(len(choices))
                log_p += multivariate_normal.logpdf(x, mean, covariance)
                # Conditioning of a joint Gaussian of sizes and shift.
                gain = variance[support, None] * rows[support] @ np.linalg.inv(covariance)
                sizes = signs + gain @ (x - mean)
                left = np.diag(variance[support]) - gain @ (rows[support].T * variance[support])
                configurations.append((support, signs, log_p, sizes, left))
    return configurations


@pytest.mark.parametrize("slab", ["signed", "gaussian"])
def test_the_posterior_is_that_of_enumeration(slab):
    model = small_model(slab)
    x = torch.randn(5, P, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2
    posterior = posterior_of(model, x)
    codes, active = np.zeros((5, H)), np.zeros((5, H))
    second, cross, spread = np.zeros((H, H)), np.zeros((H, P)), np.zeros(H)
    for i, shift in enumerate(x.numpy()):
        configurations = enumerated(model, shift)
        evidence = logsumexp([log_p for _, _, log_p, _, _ in configurations])
        assert posterior.log_likelihood[i].item() == pytest.approx(evidence, abs=1e-9)
        for support, signs, log_p, sizes, left in configurations:
            weight = np.exp(log_p - evidence)
            codes[i, support] += weight * (signs if slab == "signed" else sizes)
            active[i, support] += weight
            second[np.ix_(support, support)] += weight * (np.outer(sizes, sizes) + left)
            cross[support] += weight * np.outer(sizes, shift)
            spread[support] += weight * ((sizes - signs) ** 2 + np.diag(left))
    # Supports of negligible probability are left out of the moments.
    for name, expected in {
        "codes": codes, "active": active, "second": second, "cross": cross, "spread": spread
    }.items():  # fmt: skip
        np.testing.assert_allclose(getattr(posterior, name), expected, atol=2e-2, rtol=5e-3, err_msg=name)


@pytest.mark.parametrize("slab", ["signed", "gaussian"])
def test_without_cuts_the_posterior_is_exact(slab, monkeypatch):
    monkeypatch.setattr(sparse_factors, "NEGLIGIBLE", 0.0)
    model = small_model(slab, seed=2)
    x = torch.randn(3, P, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    posterior = posterior_of(model, x)
    second = np.zeros((H, H))
    for shift in x.numpy():
        configurations = enumerated(model, shift)
        evidence = logsumexp([log_p for _, _, log_p, _, _ in configurations])
        for support, _, log_p, sizes, left in configurations:
            second[np.ix_(support, support)] += np.exp(log_p - evidence) * (np.outer(sizes, sizes) + left)
    np.testing.assert_allclose(posterior.second, second, atol=1e-10)


def planted(slab, n=1500, h=8, p=16, seed=0):
    """Rows, codes, and shifts in correlated noise."""
    generator = torch.Generator().manual_seed(seed)
    rows = 4 * torch.nn.functional.normalize(torch.randn(h, p, generator=generator, dtype=torch.float64), dim=1)
    chosen = torch.rand(n, h, generator=generator).argsort(1)[:, :3]
    count = torch.randint(1, 4, (n, 1), generator=generator)
    active = torch.zeros(n, h, dtype=torch.float64).scatter_(1, chosen, (torch.arange(3) < count).double())
    sizes = torch.randn(n, h, generator=generator, dtype=torch.float64)
    codes = active * (sizes.sign() if slab == "signed" else sizes)
    noise = torch.randn(n, 4, generator=generator, dtype=torch.float64) @ torch.randn(
        4, p, generator=generator, dtype=torch.float64
    )
    noise = 0.4 * noise + 0.1 * torch.randn(n, p, generator=generator, dtype=torch.float64)
    return rows, codes, codes @ rows + noise


@pytest.mark.parametrize("slab", ["signed", "gaussian"])
def test_an_iteration_raises_the_likelihood(slab, monkeypatch):
    """It does so strictly where nothing is cut, shrunk or bounded."""
    for name, value in {"NEGLIGIBLE": 0.0, "SHRINKAGE": 0.0, "MIN_NOISE": 1e-9, "SIZE_VARIANCE": (1e-6, 10.0)}.items():
        monkeypatch.setattr(sparse_factors, name, value)
    rows, codes, shifts = planted(slab, n=300, h=3, p=6)
    model = start(shifts, torch.nn.functional.normalize(rows + 0.5, dim=1), codes, slab)
    likelihoods = []
    for _ in range(6):
        likelihoods.append(posterior_of(model, shifts).log_likelihood.mean().item())
        model = fit(model, shifts, 1)
    assert (np.diff(likelihoods) > 0).all()


@pytest.mark.parametrize("slab", ["signed", "gaussian"])
def test_planted_rows_are_recovered_from_a_poor_start(slab):
    rows, codes, shifts = planted(slab)
    generator = torch.Generator().manual_seed(5)
    rough = rows / 4 + 0.12 * torch.randn(rows.shape, generator=generator, dtype=torch.float64)
    linear = shifts @ torch.linalg.pinv(rough)
    rough_codes = torch.where(linear.abs() > 2, linear, torch.zeros_like(linear))
    model = fit(start(shifts, rough, rough_codes, slab), shifts, 10)
    before = torch.nn.functional.cosine_similarity(rough, rows).abs()
    after = torch.nn.functional.cosine_similarity(model.rows, rows).abs()
    assert before.min() < 0.95
    assert after.min() > 0.995
    found = posterior_of(model, shifts)
    agreement = ((found.active > 0.5) == (codes != 0)).double().mean()
    assert agreement > (0.999 if slab == "signed" else 0.95)


def test_removal_keeps_the_others():
    model = small_model("signed").without([1])
    assert torch.equal(model.rows, small_model("signed").rows[[0, 2]])
    assert model.rate.tolist() == [0.1, 0.2]
    assert len(model.size_variance) == 2


def test_the_gaussian_is_that_of_the_shrunk_covariance():
    shifts = torch.randn(300, P, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    covariance = sparse_factors._regularised(shifts.T @ shifts / 300, shifts).numpy()
    expected = multivariate_normal.logpdf(shifts[:50].numpy(), np.zeros(P), covariance).mean()
    assert gaussian_log_likelihood(shifts, shifts[:50]) == pytest.approx(expected)
