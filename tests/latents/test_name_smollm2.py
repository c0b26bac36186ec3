"""Names that SmolLM2 gives to known directions, of captured pairs."""

import numpy as np
import pytest
import torch

from ssae_lens.hooks import capture_shifts
from ssae_lens.latents.describe import describe_latents
from ssae_lens.latents.judges import LocalJudge
from ssae_lens.latents.match import match_concepts
from ssae_lens.models import load_model
from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.sentences import ATTRIBUTES
from ssae_lens.sae import SSAE
from studies.language.naming import naming_accuracy

HOOK = "blocks.15.hook_resid_post"


@pytest.mark.slow
def test_names_are_right_far_more_often_than_by_chance():
    """Each latent reads and writes along one attribute's mean shift, so that all there is to go wrong is the name."""
    model = load_model("smollm2-135m")
    shifts = capture_shifts(model, load_pairs("sentences", "train", n=400), HOOK, position="mean", quiet=True)
    rows = torch.from_numpy(np.linalg.lstsq(shifts.labels.astype(np.float32), shifts.shifts, rcond=None)[0])
    W_dec = rows / rows.norm(dim=1, keepdim=True)
    ssae = SSAE.from_weights(torch.linalg.pinv(W_dec), W_dec)
    labelled = match_concepts(ssae, shifts)
    assert [each.latent for each in labelled.values()] == list(range(len(ATTRIBUTES)))
    told = describe_latents(ssae, shifts, n_pairs=24, quiet=True)
    judge = LocalJudge(model, quiet=True)
    named = match_concepts(ssae, shifts, judge=judge, candidates=ATTRIBUTES, descriptions=told, quiet=True)
    found = naming_accuracy(named, labelled, n_candidates=len(ATTRIBUTES))
    assert found[-1]["right_low"] > 2 * found[-1]["right_chance"]
