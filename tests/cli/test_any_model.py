"""Every command that takes a model takes one that no HookedTransformer can be made of."""

import torch
from typer.testing import CliRunner

from ssae_lens import SSAE, ShiftStore, SteeringVector
from ssae_lens.cli import app

HOOK = "blocks.1.hook_resid_post"


def run(*words):
    done = CliRunner().invoke(app, [str(each) for each in words])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_capture_steer_and_dashboard(gemma3, tmp_path):
    store, ssae, vector = tmp_path / "a.h5", tmp_path / "ssae", tmp_path / "v.safetensors"
    run("capture", gemma3, "gender", "--n", 8, "--hook", HOOK, "--out", store, "--quiet")
    with ShiftStore.open(store) as opened:
        assert opened.origin.model_class == "TransformerBridge"
        origin = opened.origin
    SteeringVector(torch.ones(32), HOOK, origin=origin).save(vector)
    steered = run("steer", gemma3, "--vector", vector, "--prompt", "The man", "--max-new-tokens", 2, "--quiet")
    assert "v × 1" in steered
    made = SSAE.from_weights(torch.eye(32)[:, :2], torch.eye(32)[:2])
    made.cfg.metadata.hook_name = HOOK
    made.save_model(ssae)
    out = tmp_path / "out.html"
    run("dashboard", ssae, "--shifts", store, "--model", gemma3, "--out", out, "--quiet")
    assert out.is_file()
