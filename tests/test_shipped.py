"""What ships with the package: how large it is, what its card says, and whether it does what the card says."""

import json

import pytest
import torch
from sae_lens import SAE

from ssae_lens import SSAE, SteeringVector, capture_shifts, load_pairs
from ssae_lens.base.assets import ASSETS, shipped
from ssae_lens.metrics import mcc_codes
from ssae_lens.models import load_model
from ssae_lens.pretrained import load_sae

RELEASE, HOOK = "smollm2-135m-res", "blocks.15.hook_resid_post"
FOLDER = ASSETS / RELEASE / HOOK


def test_all_of_it_is_small():
    assert sum(each.stat().st_size for each in ASSETS.rglob("*") if each.is_file()) < 25e6


def test_it_is_whole():
    assert shipped() == {RELEASE: [HOOK], "smollm2-135m-ssae": [HOOK]}
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


@pytest.fixture(scope="module")
def ssae():
    return SSAE.from_pretrained("smollm2-135m-ssae", HOOK)


def test_the_ssae_is_refined_and_named(ssae):
    latents = ssae.cfg.metadata.latents
    names = {entry["name"] for entry in latents if entry["name"]}
    assert names == set(ssae.cfg.metadata.concepts)
    assert len(latents) == len(ssae.cfg.metadata.merged_from) == ssae.cfg.d_sae
    assert (ssae.threshold > 0).all()
    vector = SteeringVector.from_ssae(ssae, "tense")
    entry = next(entry for entry in latents if entry["name"] == "tense")
    assert vector.direction.norm().item() == pytest.approx(entry["scale"], rel=1e-5)


def test_the_card_of_the_ssae_has_its_numbers(ssae):
    card = (ASSETS / "smollm2-135m-ssae" / "README.md").read_text()
    for number, entry in enumerate(ssae.cfg.metadata.latents):
        name, scale = (entry["name"], f"{entry['scale']:.2f}") if entry["name"] else ("–", "–")
        line = f"| {name} | {number} | {scale} | {ssae.threshold[number].item():.2f} | {entry['split_half']:.3f} |"
        assert line in card


@pytest.mark.slow
def test_the_ssae_reads_held_out_pairs_as_its_card_says(ssae):
    model = load_model("smollm2-135m")
    pairs = load_pairs("sentences", "test", n=150)
    shifts = capture_shifts(model, pairs, HOOK, position="mean", quiet=True)
    codes = ssae.encode(torch.from_numpy(shifts.shifts)).detach()
    assert mcc_codes(codes, shifts.labels).score > 0.94
    active, changed = (codes != 0).float().sum(1).mean(), abs(shifts.labels).sum(1).mean()
    assert active.item() == pytest.approx(changed, rel=0.3)


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
