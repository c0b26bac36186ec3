"""The approximator: against NumPy's least squares, closed forms and brute force."""

import numpy as np
import pytest
import torch

from ssae_lens.base.provenance import Origin
from ssae_lens.methods.sae_ts import Approximator, Effects, Settings, fit_approximator
from ssae_lens.methods.sae_ts.approximator import PENALTIES, _adam, _left_out, _ridge

D, D_SAE = 8, 5
ORIGIN = Origin("blocks.1.hook_resid_post", D, "some model")


def world(n=60, noise=0.0, seed=0):
    """Effects that are linear in unit vectors, and noise."""
    random = np.random.default_rng(seed)
    x = random.normal(size=(n, D))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    M, b = random.normal(size=(D, D_SAE)), random.normal(size=D_SAE)
    y = x @ M + b + noise * random.normal(size=(n, D_SAE))
    return x, y, M, b


def effects_of(x, y):
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32)
    return Effects(x, y, torch.ones(len(x)), torch.ones(len(x)), torch.zeros(D_SAE), ORIGIN, "abc", 3.0, Settings(), {})


def split(n, seed=0, held_out=0.1):
    order = np.random.default_rng(seed).permutation(n)
    count = round(held_out * n)
    return order[count:], order[:count]


class TestRidge:
    def test_without_a_penalty_it_is_least_squares(self):
        x, y, *_ = world(noise=0.5)
        found = fit_approximator(effects_of(x, y), penalty=0.0)
        fitted, out = split(len(x))
        solved = np.linalg.lstsq(np.c_[x[fitted], np.ones(len(fitted))], y[fitted], rcond=None)[0]
        np.testing.assert_allclose(found.M, solved[:-1], atol=3e-3)  # in half precision
        np.testing.assert_allclose(found.b, solved[-1], atol=1e-5)
        predicted, mean = np.c_[x[out], np.ones(len(out))] @ solved, y[fitted].mean(0)
        r2 = 1 - ((y[out] - predicted) ** 2).sum() / ((y[out] - mean) ** 2).sum()
        assert found.r2 == pytest.approx(r2, abs=1e-5)
        assert (found.fitted["n_fitted"], found.fitted["held_out"]) == (54, sorted(out.tolist()))

    @pytest.mark.parametrize("n", [40, 6])
    def test_with_a_penalty_it_solves_the_normal_equations(self, n):
        """The offset bears no penalty; also where there are fewer vectors than numbers in each."""
        x, y, *_ = world(n=n, noise=0.5)
        M, b, _ = _ridge(torch.tensor(x), torch.tensor(y), 0.7)
        full = np.c_[x, np.ones(n)]
        solved = np.linalg.solve(full.T @ full + 0.7 * np.diag([1.0] * D + [0.0]), full.T @ y)
        np.testing.assert_allclose(M, solved[:-1], atol=1e-10)
        np.testing.assert_allclose(b, solved[-1], atol=1e-10)

    def test_leaving_one_out(self):
        x, y, *_ = world(n=12, noise=0.5)
        tensors = torch.tensor(x), torch.tensor(y)
        errors = []
        for row in range(12):
            rest = np.arange(12) != row
            M, b, _ = _ridge(tensors[0][rest], tensors[1][rest], 0.3)
            errors.append(((tensors[1][row] - tensors[0][row] @ M - b) ** 2).sum().item())
        u, s, _ = torch.linalg.svd(tensors[0] - tensors[0].mean(0), full_matrices=False)
        centred = tensors[1] - tensors[1].mean(0)
        assert _left_out(u, s, centred, u.T @ centred, 0.3) == pytest.approx(sum(errors), rel=1e-9)

    def test_the_penalty_is_the_best_of_those_tried(self):
        x, y, *_ = world(n=20, noise=1.0)
        M, _, chosen = _ridge(torch.tensor(x), torch.tensor(y), None)
        u, s, _ = np.linalg.svd(x - x.mean(0), full_matrices=False)
        u, s, centred = torch.tensor(u), torch.tensor(s), torch.tensor(y - y.mean(0))
        tried = [each * (s**2).mean().item() for each in PENALTIES]
        errors = [_left_out(u, s, centred, u.T @ centred, each) for each in tried]
        assert chosen == pytest.approx(tried[int(np.argmin(errors))])
        assert tried[0] < chosen
        assert M.norm() < _ridge(torch.tensor(x), torch.tensor(y), 0.0)[0].norm()

    def test_a_true_map_is_found_and_a_shuffled_one_is_not(self):
        x, y, M, b = world(n=200, noise=0.05)
        found = fit_approximator(effects_of(x, y))
        assert found.r2 > 0.98
        assert found.r2_shuffled < 0.05
        np.testing.assert_allclose(found.M, M, atol=0.05)
        np.testing.assert_allclose(found.b, b, atol=0.05)
        torch.testing.assert_close(
            found.predict(5 * torch.tensor(x[:3])), torch.tensor(y[:3]).float(), atol=0.3, rtol=0
        )

    def test_noise_alone_gives_nothing(self):
        x, _, *_ = world(n=80)
        found = fit_approximator(effects_of(x, np.random.default_rng(7).normal(size=(80, D_SAE))))
        assert found.r2 < 0.05


class TestAdam:
    def test_it_comes_to_least_squares(self):
        x, y, M, _ = world(n=64)
        found = fit_approximator(effects_of(x, y), "adam", lr=0.05, epochs=150)
        assert found.r2 > 0.99
        np.testing.assert_allclose(found.M, M, atol=0.1)
        assert found.fitted["method"] == "adam"

    def test_where_it_begins(self):
        """Uniform weights of variance 2 / d_sae, and no offset."""
        x, y = torch.zeros(4, 200), torch.zeros(4, 300)
        M, b = _adam(x, y, 0, lr=1e-12, epochs=1, batch_size=4)
        assert M.var().item() == pytest.approx(2 / 300, rel=0.02)
        assert M.abs().max().item() == pytest.approx((6 / 300) ** 0.5, rel=1e-3)
        assert b.abs().max() < 1e-9

    def test_the_seed_decides(self):
        x, y, *_ = world(noise=0.1)
        first, again = (fit_approximator(effects_of(x, y), "adam", epochs=2) for _ in range(2))
        assert torch.equal(first.M, again.M)
        assert not torch.equal(first.M, fit_approximator(effects_of(x, y), "adam", epochs=2, seed=1).M)


def test_what_half_precision_fills_is_not_inverted():
    """A map fitted to few vectors is of low rank until it is rounded; its inverse is of that rank again."""
    random = np.random.default_rng(0)
    exact = random.normal(size=(32, 3)) @ random.normal(size=(3, 48))
    M = torch.tensor(exact).half().float()
    assert np.linalg.matrix_rank(M) == 32
    found = Approximator(M, torch.zeros(48), ORIGIN, "abc", 1.0, 0.5, 0.0, {})
    assert np.linalg.matrix_rank(found.inverse, tol=1e-5) == 3
    np.testing.assert_allclose(found.inverse, np.linalg.pinv(exact, rcond=1e-9), atol=1e-4)


class TestFiles:
    def test_there_and_back(self, tmp_path):
        found = fit_approximator(effects_of(*world()[:2]))
        found.save(tmp_path / "approximator.safetensors")
        loaded = Approximator.load(tmp_path / "approximator.safetensors")
        for name in ("M", "b"):
            assert torch.equal(getattr(loaded, name), getattr(found, name))
        for name in ("origin", "sae", "mean_norm", "r2", "r2_shuffled", "fitted"):
            assert getattr(loaded, name) == getattr(found, name)

    def test_of_another_kind_or_cut_short(self, tmp_path):
        path = tmp_path / "effects.safetensors"
        effects_of(*world()[:2]).save(path)
        with pytest.raises(ValueError, match=r"holds no approximator, but ssae_lens\.sae_ts\.effects"):
            Approximator.load(path)
        fit_approximator(effects_of(*world()[:2])).save(path, overwrite=True)
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(ValueError, match="not a whole safetensors file"):
            Approximator.load(path)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"method": "lasso"}, "method is 'lasso'"),
        ({"held_out": 0.0}, "held_out is 0.0 of 60 vectors"),
        ({"held_out": 1.0}, "held_out is 1.0"),
        ({"held_out": 0.99}, "held_out is 0.99"),
        ({"penalty": -1.0}, "penalty is -1.0"),
        ({"method": "adam", "epochs": 0}, "epochs is 0"),
        ({"method": "adam", "lr": 0.0}, "lr is 0.0"),
    ],
)
def test_bad_input(options, words):
    with pytest.raises(ValueError, match=words):
        fit_approximator(effects_of(*world()[:2]), **options)


def test_too_few_vectors():
    some = effects_of(*world(n=3)[:2])
    with pytest.raises(ValueError, match="of 3 vectors"):
        fit_approximator(some, held_out=0.4)


def test_effects_that_never_change():
    found = fit_approximator(effects_of(world()[0], np.zeros((60, D_SAE))))
    assert not found.M.any()
    assert found.r2 == 1.0
