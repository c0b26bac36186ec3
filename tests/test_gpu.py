"""What is done on a GPU is what is done on the CPU: loading, capture, training, steering, likelihoods.

These run where a GPU is shown to them: `CUDA_VISIBLE_DEVICES=0 pytest tests/test_gpu.py`.
"""

import numpy as np
import pytest
import torch

from ssae_lens.evals.synthetic_data import synthetic_shifts
from ssae_lens.hooks import capture_shifts, generate_sweep, steer
from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.metrics import mcc_codes
from ssae_lens.models import tiny_model
from ssae_lens.pairs import load_pairs
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.training import refine, sweep, train
from ssae_lens.training.config import SOLVERS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU is shown to the tests")
HOOK = "blocks.1.hook_resid_post"
TEXTS = ["The man said that he was happy.", "She saw the dog", "Paris is warm today."]
DEVICES = ("cpu", "cuda")


@pytest.fixture(scope="module")
def small():
    return synthetic_shifts(d=16, n_concepts=5, n=3000, seed=0)


@pytest.fixture(params=["hooked", "bridge"])
def models(request):
    return [tiny_model("llama", request.param, device=device) for device in DEVICES]


def test_a_gpu_is_used_where_nothing_is_said():
    model = tiny_model("gpt2")
    assert {each.device.type for each in model.parameters()} == {"cuda"}
    assert torch.device(model.cfg.device).type == "cuda"


def test_capture(models):
    pairs = load_pairs("gender").select(range(12))
    ours, theirs = (capture_shifts(model, pairs, HOOK, position="mean", quiet=True).shifts for model in models)
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


def test_steered_logits_and_likelihoods(models):
    vector = SteeringVector(torch.ones(32), HOOK)
    logits, found = [], []
    for model in models:
        with steer(model, vector, scale=3.0, positions="prompt", operator="add_keep_norm"):
            logits.append(model(TEXTS[0]).detach().cpu())
        with steer(model, vector, scale=3.0):
            found.append(log_probabilities(model, TEXTS, prompts="He said: ", quiet=True))
    torch.testing.assert_close(*logits, atol=1e-3, rtol=1e-3)
    np.testing.assert_allclose(*found, atol=1e-3)


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "top_p": 0.9}, {"temperature": 1.0, "top_k": 20}])
def test_generation(models, sampling):
    vectors = {"a": SteeringVector(torch.ones(32), HOOK), "b": SteeringVector(torch.arange(32.0), HOOK)}
    ours, theirs = (
        generate_sweep(model, TEXTS, vectors, [0, 2], max_new_tokens=5, quiet=True, **sampling).text.tolist()
        for model in models
    )
    assert ours == theirs


@pytest.mark.parametrize("solver", SOLVERS)
def test_training_finds_the_concepts(small, solver, tmp_path):
    ssae = train(small.train, d_sae=5, solver=solver, device="cuda", out=tmp_path, quiet=True)
    codes = ssae.encode(torch.as_tensor(small.test).to(ssae.W_enc.device)).detach().cpu().numpy()
    assert mcc_codes(codes, small.test_codes).score > 0.98
    assert torch.equal(SSAE.load_from_disk(tmp_path, device="cuda").W_dec.cpu(), ssae.W_dec.cpu())


def test_refinement_is_that_of_the_cpu():
    data = synthetic_shifts(d=16, n_concepts=5, n=3000, context_dependence=0.2, seed=0)
    trained = train(data.train, d_sae=5, device="cpu", quiet=True)
    ours, theirs = (
        refine(SSAE.from_weights(trained.W_enc, trained.W_dec, device=each), data.train) for each in DEVICES
    )
    assert theirs.W_dec.device.type == "cuda"
    torch.testing.assert_close(ours.W_dec, theirs.W_dec.cpu(), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(ours.threshold, theirs.threshold.cpu(), atol=1e-4, rtol=1e-3)


@pytest.mark.filterwarnings("ignore:The constraint is infeasible")
@pytest.mark.parametrize("solver", SOLVERS)
def test_an_interrupted_run_goes_on(small, solver, tmp_path, monkeypatch):
    from ssae_lens.training.training_group import TrainingGroup

    step = TrainingGroup.step
    given = {"d_sae": 5, "solver": solver, "steps": 60, "restarts": 1, "device": "cuda", "quiet": True}
    whole = train(small.train, **given)

    def interrupted(self, number, batch):
        if number == 35:
            raise KeyboardInterrupt
        step(self, number, batch)

    monkeypatch.setattr(TrainingGroup, "step", interrupted)
    with pytest.raises(KeyboardInterrupt):
        train(small.train, out=tmp_path, checkpoint_every=10, **given)
    monkeypatch.setattr(TrainingGroup, "step", step)
    again = train(small.train, out=tmp_path, checkpoint_every=10, **given)
    torch.testing.assert_close(again.W_dec, whole.W_dec, atol=1e-4, rtol=1e-4)


def test_a_sweep_chooses_the_width(small):
    found = sweep(small.train, d_sae=[3, 5], seeds=2, device="cuda", quiet=True)
    assert found.chosen.d_sae == 5
    assert found.best.cfg.d_in == 16
