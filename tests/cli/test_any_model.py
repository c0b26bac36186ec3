"""Every command that takes a model takes one that no HookedTransformer can be made of."""

import pytest
import torch
from stand_ins import stand_ins
from typer.testing import CliRunner

from ssae_lens import SSAE, ShiftStore, SteeringVector
from ssae_lens.cli import app

HOOK = "blocks.1.hook_resid_post"


@pytest.fixture(scope="module")
def gemma3(tmp_path_factory):
    from transformers import AutoConfig, AutoModelForCausalLM

    from ssae_lens.models.tiny import tiny_tokenizer

    tokenizer, folder = tiny_tokenizer(), tmp_path_factory.mktemp("folders") / "gemma3"
    tokenizer.model_max_length = 1024
    config = AutoConfig.for_model(
        "gemma3_text",
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        max_position_embeddings=1024,
        initializer_range=0.2,
        pad_token_id=tokenizer.pad_token_id,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


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


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("study", "words"), [("language", ["--study", "levels"]), ("steering", ["--quick"])])
def test_studies(gemma3, tmp_path, study, words):
    with stand_ins(tmp_path / "stand-ins"):
        run("eval", study, "--model", gemma3, *words, "--out", tmp_path / "out", "--quiet")
    assert (tmp_path / "out" / "run.yaml").is_file()
