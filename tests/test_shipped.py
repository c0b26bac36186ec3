"""What ships with the package: how large it is, what its card says, and whether it does what the card says."""

import json

import pytest
import torch
from sae_lens import SAE

from ssae_lens.base.assets import ASSETS, shipped
from ssae_lens.models import load_model
from ssae_lens.pretrained import load_sae

RELEASE, HOOK = "smollm2-135m-res", "blocks.15.hook_resid_post"
FOLDER = ASSETS / RELEASE / HOOK


def test_all_of_it_is_small():
    assert sum(each.stat().st_size for each in ASSETS.rglob("*") if each.is_file()) < 25e6


def test_it_is_whole():
    assert shipped() == {RELEASE: [HOOK]}
    names = {each.name for each in FOLDER.iterdir()}
    assert names == {
        "approximator.safetensors",
        "cfg.json",
        "effects.safetensors",
        "measured.json",
        "sae_weights.safetensors",
    }


def test_sae_lens_reads_it():
    ours, theirs = load_sae(RELEASE, HOOK), SAE.load_from_disk(FOLDER)
    assert torch.equal(ours.W_dec, theirs.W_dec)
    assert theirs.W_dec.dtype == torch.float32
    assert (theirs.cfg.metadata.hook_name, theirs.cfg.metadata.model_name) == (HOOK, "smollm2-135m")


def test_the_card_says_what_was_measured():
    card = (ASSETS / RELEASE / "README.md").read_text()
    measured = json.loads((FOLDER / "measured.json").read_text())
    for value in (f"{measured['tokens']:,}", f"{measured['explained_variance']:.3f}", f"{measured['l0']:.1f}"):
        assert value in card
    assert f"{measured['loss_recovered']:.3f}" in card
    assert f"{measured['sae_ts']['approximator']['r2']:.3f}" in card


@pytest.mark.slow
def test_it_explains_text_that_it_was_not_trained_on():
    model, sae = load_model("smollm2-135m"), load_sae(RELEASE, HOOK)
    text = (
        "The old harbour town wakes before dawn, when the first boats come in and the gulls begin to quarrel over what "
        "the men throw back. By eight the market is open, and there is a smell of coffee, diesel and fish. Nobody here "
        "remembers a year without storms, yet few families have ever thought of leaving."
    )
    with torch.inference_mode():
        activations = model(model.to_tokens(text), stop_at_layer=16)[0, 1:]
        codes = sae.encode(activations)
        error = (sae.decode(codes) - activations).square().sum()
        energy = (activations - activations.mean(0)).square().sum()
    assert 1 - error / energy > 0.5
    assert 10 < (codes > 0).sum(1).float().mean() < 90
