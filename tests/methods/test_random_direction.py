import numpy as np
import pytest
import torch

from ssae_lens.methods import mean_shift, random
from ssae_lens.steering_vector import SteeringVector


def test_it_is_as_long_and_at_the_same_place(store):
    like = mean_shift(store, "tense")
    control = random(like, seed=3)
    assert control.direction.norm().item() == pytest.approx(like.direction.norm().item(), rel=1e-6)
    assert (control.origin, control.norms) == (like.origin, like.norms)
    assert (control.method, control.concept) == ("random", "")
    assert torch.equal(control.direction, random(like, seed=3).direction)
    assert not torch.equal(control.direction, random(like, seed=4).direction)


def test_no_direction_is_likelier_than_another():
    d, draws = 5, 1000
    like = SteeringVector(torch.ones(d), "blocks.0.hook_resid_post")
    units = np.stack([random(like, seed=seed).direction.double().numpy() for seed in range(draws)]) / d**0.5
    # Of an isotropic unit vector: mean 0 and covariance I/d; the bounds are five standard errors.
    assert abs(units.mean(0)).max() < 5 / (d * draws) ** 0.5
    assert abs(units.T @ units / draws - np.eye(d) / d).max() < 5 * (2 / draws) ** 0.5 / d


def test_each_hook_has_its_own():
    like = SteeringVector({"blocks.0.hook_resid_post": torch.ones(4), "blocks.1.hook_resid_post": 2 * torch.ones(4)})
    control = random(like)
    first, second = (control.directions[hook] for hook in like.hook_names)
    assert (first.norm().item(), second.norm().item()) == pytest.approx((2, 4))
    assert abs(torch.cosine_similarity(first, second, dim=0).item()) < 0.99


def test_a_seed_is_a_whole_number():
    with pytest.raises(ValueError, match="seed is -1"):
        random(SteeringVector([1.0], "blocks.0.hook_resid_post"), seed=-1)
