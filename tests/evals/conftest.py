"""A tiny model, a task whose behaviour is one token, and the vector that is known to bring it about."""

import numpy as np
import pytest
import torch

from ssae_lens.evals import Intervention, SteeringSettings, Task
from ssae_lens.models import tiny_model
from ssae_lens.pairs.schema import from_rows
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.2.hook_resid_post"
WORD = " happy"


def share_of_word(texts):
    """Half a text's characters or more in the word: 1."""
    return np.array([min(1.0, 2 * text.count(WORD) * len(WORD) / max(1, len(text))) for text in texts])


@pytest.fixture(scope="session")
def model():
    return tiny_model("gpt2")


@pytest.fixture(scope="session")
def token(model):
    (found,) = model.tokenizer(WORD, add_special_tokens=False)["input_ids"]
    return found


@pytest.fixture(scope="session")
def task():
    """Texts that end in the word, or in another."""
    places = ["The man was", "She was", "He is", "They said that she was", "The king was", "We like the"]
    rows = [{"source": f"{each} sad dog", "target": f"{each}{WORD} dog"} for each in places]
    return Task(
        "happiness",
        "The text says happy.",
        from_rows(rows),
        negative=tuple(f"{each} sad" for each in places),
        positive=tuple(f"{each}{WORD}" for each in places),
        prefix="Say happy. ",
        judge=share_of_word,
        choosing=("The man", "She"),
        reporting=("A boy", "The queen"),
        elsewhere=("In London", "1, 2"),
    )


@pytest.fixture(scope="session")
def settings():
    return SteeringSettings(
        scales=(0.5, 3.0),
        multipliers=(-1.0, 0.0, 1.0),
        step=1.0,
        max_new_tokens=4,
        temperature=0.0,
    )


@pytest.fixture(scope="session")
def norms(model):
    _, cache = model.run_with_cache("The man said that he was happy.")
    return {"mean_residual_norm": cache[HOOK][0, 1:].norm(dim=-1).mean().item()}


@pytest.fixture(scope="session")
def planted(model, token, norms):
    """The word's column of the unembedding, added where the last block ends: only the final norm comes after."""
    column = model.W_U[:, token]
    return Intervention(SteeringVector(column / column.norm(), HOOK, norms=norms))


@pytest.fixture(scope="session")
def aimless(model, norms):
    """Directions drawn at random, of the same length."""
    generator = torch.Generator().manual_seed(0)
    drawn = torch.randn(20, model.cfg.d_model, generator=generator)
    return [Intervention(SteeringVector(each / each.norm(), HOOK, norms=norms)) for each in drawn]
