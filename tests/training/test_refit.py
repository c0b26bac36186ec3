import numpy as np
import pytest
import torch

from ssae_lens.training import train
from ssae_lens.training.refit import active_mask, refitted

from .conftest import make_world

N, H, D = 400, 3, 7


@pytest.fixture
def codes():
    generator = torch.Generator().manual_seed(0)
    large = torch.randn(N, H, generator=generator).sign() * (2 + torch.rand(N, H, generator=generator))
    few = torch.rand(N, H, generator=generator) < 0.2
    return torch.where(few, large, torch.zeros(N, H)), 0.3 * torch.randn(N, H, generator=generator)


def test_what_stands_out_is_parted_by_otsus_rule(codes):
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


def test_rows_are_least_squares_of_what_stands_out(codes):
    large, small = codes
    rows = torch.randn(H, D)
    shifts = large @ rows + 0.1 * torch.randn(N, D)
    found = refitted(large + small, shifts, torch.zeros(H, D))
    standing = np.where(large != 0, large + small, 0).astype(np.float64)
    wanted = np.linalg.lstsq(standing, shifts.double().numpy(), rcond=None)[0]
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-5)
    assert torch.cosine_similarity(found, rows).min() > 0.99


def test_a_dead_latent_keeps_its_row(codes):
    dead = torch.cat([codes[0], torch.zeros(N, 1)], dim=1)
    rows = torch.randn(H + 1, D)
    found = refitted(dead, codes[0] @ rows[:H], rows)
    torch.testing.assert_close(found, rows, rtol=0, atol=1e-5)
    assert torch.equal(found[-1], rows[-1])


def test_training_by_budget_ends_with_it_and_training_by_level_does_not():
    world = make_world(n=2000, most=1)
    for more, closer in (({}, True), ({"level": 0.7}, False)):
        ssae = train(world.shifts, d_sae=5, restarts=1, steps=150, device="cpu", quiet=True, **more)
        codes = ssae.encode(world.shifts)
        again = refitted(codes, world.shifts, ssae.W_dec)
        agrees = torch.cosine_similarity(again, ssae.W_dec).min() > 1 - 1e-5
        assert bool(agrees) == closer
