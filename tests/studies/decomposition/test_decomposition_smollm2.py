import numpy as np
import pytest
import torch

from ssae_lens.evals import built_in
from ssae_lens.evals._decomposition import NO_THRESHOLD, WITH_THRESHOLD, inputs, read, strongest
from ssae_lens.evals.shipped_sae import load_shipped_sae
from ssae_lens.models import load_model
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import train
from studies.decomposition.experiment import DecompositionExperiment
from studies.decomposition.settings import QUICK

pytestmark = pytest.mark.slow


def test_the_papers_finding_with_the_sae_that_ships():
    model = load_model("smollm2-135m")
    features = load_shipped_sae(model)
    assert features is not None
    experiment = DecompositionExperiment(model, features, QUICK)
    (task,) = built_in(["positive sentiment"], n_pairs=100)
    vector = experiment.sides(task).vector
    # Shorter than any activation, as they find.
    assert np.linalg.norm(vector) < experiment.norms.min() / 5
    # The zero vector has no code here, unlike theirs: the bias stays below the threshold that this SAE was given.
    zero = np.zeros_like(vector)[None]
    assert not read(features.sae, zero, WITH_THRESHOLD).any()
    assert 0 < inputs(features.sae, zero).max() < features.sae.threshold.min().item()
    # Without it, bias decides: the vector's strongest features are the zero vector's.
    first, own = (set(strongest(read(features.sae, x, NO_THRESHOLD)[0], 5).tolist()) for x in (zero, vector[None]))
    assert len(first & own) >= 4


def test_an_ssaes_code_of_zero_is_zero():
    shifts = torch.randn(400, 6, generator=torch.Generator().manual_seed(0)) @ torch.randn(6, 24)
    store = ShiftStore.from_arrays(torch.zeros_like(shifts), shifts)
    ssae = train(store, d_sae=6, steps=200, quiet=True)
    assert ssae.encode(torch.zeros(1, 24)).abs().max() <= 1e-6
    assert ssae.decode(torch.zeros(1, 6)).abs().max() <= 1e-6
