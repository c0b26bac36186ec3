"""SAELens's own SAEs, trained on shifts."""

import numpy as np
import pytest
import torch

from studies.saes import sae

SHIFTS = np.random.default_rng(0).standard_normal((40, 8)).astype(np.float32)


@pytest.mark.parametrize("architecture", ["standard", "topk", "abstopk"])
def test_the_callers_random_numbers_are_left_alone(architecture):
    before = torch.manual_seed(123).get_state()
    found = sae(SHIFTS, 6, architecture=architecture, active=2, seed=4, steps=5, batch_size=8)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(7)
    again = sae(SHIFTS, 6, architecture=architecture, active=2, seed=4, steps=5, batch_size=8)
    assert np.array_equal(found.directions, again.directions)
    other = sae(SHIFTS, 6, architecture=architecture, active=2, seed=5, steps=5, batch_size=8)
    assert not np.array_equal(found.directions, other.directions)
