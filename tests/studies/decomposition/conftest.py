"""A tiny model with an SAE whose bias gives the zero vector a code, a task of a few texts, and an SSAE for its pairs."""

from dataclasses import replace

import pytest
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

from ssae_lens.evals import Task, UnlabelledPairs
from ssae_lens.evals.shipped_sae import ModelSAE
from ssae_lens.latents.concepts import Concept
from ssae_lens.models import tiny_model
from ssae_lens.pairs.schema import from_rows
from ssae_lens.sae import SSAE
from studies.decomposition import DecompositionSettings
from studies.decomposition.experiment import DecompositionExperiment

D, D_SAE, HOOK = 32, 48, "blocks.1.hook_resid_post"
PLACES = ("The man was", "She was", "He is", "They said that she was", "The king was", "We like the")


def sae_of(threshold, bias=1.0):
    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=D, d_sae=D_SAE))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        rows = torch.randn(D_SAE, D, generator=generator)
        sae.W_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        sae.W_enc.copy_(sae.W_dec.T)
        sae.b_enc.copy_(bias * torch.linspace(-1, 1, D_SAE))
        sae.threshold.fill_(threshold)
    sae.cfg.metadata.hook_name = HOOK
    return sae


@pytest.fixture(scope="session")
def model():
    return tiny_model("gpt2")


@pytest.fixture(scope="session")
def features():
    return ModelSAE(sae_of(0.5), HOOK)


@pytest.fixture(scope="session")
def task():
    rows = [{"source": f"{each} sad dog", "target": f"{each} happy dog", "changes": {"mood": 1}} for each in PLACES]
    rows += [{"source": f"{each} happy", "target": f"{each} sad", "changes": {"mood": -1}} for each in PLACES]
    pairs = from_rows(rows, ["mood"])
    contrasts = from_rows([{name: row[name] for name in ("source", "target")} for row in rows[: len(PLACES)]])
    return Task(
        "happiness",
        "The text says happy.",
        contrasts,
        negative=tuple(f"{each} sad." for each in PLACES),
        positive=tuple(f"{each} happy." for each in PLACES),
        judge=lambda texts: [0.0] * len(texts),
        unlabelled=UnlabelledPairs("moods", pairs, (2,)),
        concept="mood",
    )


@pytest.fixture(scope="session")
def settings():
    return DecompositionSettings(lengths=(0.5, 1.0), atoms=(1, 4), n_texts=4, shown=6)


@pytest.fixture(scope="session")
def experiment(model, features, settings):
    return DecompositionExperiment(model, features, settings)


@pytest.fixture(scope="session")
def ssae(model, features, task, settings):
    """Two latents, one along the task's own vector: what training would find."""
    vector = torch.from_numpy(DecompositionExperiment(model, features, settings).sides(task).vector)
    aside = torch.randn(D, generator=torch.Generator().manual_seed(1))
    rows = torch.stack([-vector / vector.norm(), aside / aside.norm()])
    return SSAE.from_weights(torch.linalg.pinv(rows), rows), {"mood": Concept("mood", [0], [-1.0])}


@pytest.fixture(scope="session")
def learned_once(ssae):
    return lambda *_args: ssae


@pytest.fixture(scope="session")
def two_tasks(task):
    return [task, replace(task, name="joy", unlabelled=None)]
