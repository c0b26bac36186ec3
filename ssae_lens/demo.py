"""The demonstration: unlabelled pairs in which several things change, their steering vectors, a steered sentence."""

import torch

from ssae_lens.hooks import capture_shifts, steer
from ssae_lens.metrics import correlations, hungarian
from ssae_lens.models import load_model
from ssae_lens.pairs import load_pairs
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import train
from ssae_lens.vector import SteeringVector

MODEL = "smollm2-135m"
HOOK = "blocks.15.hook_resid_post"
PAIRS, LATENTS, NEW_TOKENS = 400, 16, 24
CONCEPT, PROMPT, SCALE = "tense", "The old gardener", 2.0


def run(*, quiet: bool = False) -> None:
    """Load SmolLM2, capture pairs, train an SSAE, and steer one sentence with one of its decoder rows."""
    print(f"1. Opening {MODEL}, a language model of 135 million parameters.")
    model = load_model(MODEL)
    pairs = load_pairs("sentences", "train", n=PAIRS)
    row = pairs[0]
    print(f"2. {len(pairs)} pairs of sentences; in each, one to three things change, and nothing says which:")
    print(f"     {row['source']}\n   → {row['target']}")
    shifts = capture_shifts(model, pairs, HOOK, position="mean", quiet=quiet)
    print(f"3. An SSAE of {LATENTS} latents learns from their shifts at {HOOK}.")
    ssae = train(shifts, d_sae=LATENTS, quiet=quiet)
    print(f"   {ssae.outcome.message}")
    latent, sign, fit = latent_of(ssae, shifts, CONCEPT)
    print(f"4. Labels, looked at only now: latent {latent} follows {CONCEPT} (correlation {sign * fit:.2f}).")
    vector = SteeringVector.from_ssae(ssae, latent) * sign
    print(f"5. Steering “{PROMPT}” along it, at {SCALE:g} times the mean shift:")
    length = float(torch.from_numpy(shifts.shifts).norm(dim=1).mean())
    for name, scale in (("unsteered", 0.0), ("towards the past", SCALE), ("towards the present", -SCALE)):
        print(f"   {name:>20}: {continued(model, vector, scale * length)}")


def latent_of(ssae: SSAE, shifts: ShiftStore, concept: str) -> tuple[int, int, float]:
    """Give the latent whose codes follow a concept's labels, its sign, and the correlation's size."""
    assert shifts.labels is not None
    codes = ssae.encode(torch.from_numpy(shifts.shifts)).detach()
    match = hungarian(correlations(codes, shifts.labels))
    which = list(shifts.concepts).index(concept)
    return int(match.latents[which]), int(match.signs[which]), float(match.per_factor[which])


def continued(model: object, vector: SteeringVector, scale: float) -> str:
    """Give the prompt's greedy continuation under steering, on one line."""
    with steer(model, vector, scale=scale):  # pyright: ignore[reportArgumentType]
        text = model.generate(PROMPT, max_new_tokens=NEW_TOKENS, do_sample=False, verbose=False)  # pyright: ignore[reportAttributeAccessIssue]
    return " ".join(str(text).split())
