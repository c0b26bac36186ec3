"""Scales by a budget of change, against divergences computed by hand."""

import pytest
import torch

from ssae_lens.hooks import generate_sweep, kl_budget, steer
from ssae_lens.hooks.divergence import Divergence, neutral_texts
from ssae_lens.models import load_model
from ssae_lens.models.tiny import tiny_model
from ssae_lens.pairs import load_pairs
from ssae_lens.sae import SSAE
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.1.hook_resid_post"
TEXTS = ["The man was old.", "He saw the dog and the king", "I said that"]


@pytest.fixture(scope="module", params=["hooked", "bridge"])
def model(request):
    return tiny_model("gpt2", request.param)


@pytest.fixture(scope="module")
def vector():
    return SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(0)), HOOK, concept="one")


def by_hand(model, vector, scale, texts=TEXTS, **options):
    """The mean KL(steered ‖ unsteered) over tokens but the first, text by text and in double precision."""
    values = []
    for text in texts:
        tokens = model.to_tokens(text)
        with torch.no_grad():
            base = model(tokens).double()[0, 1:].softmax(-1)
            with steer(model, vector, scale=scale, check=False, **options):
                steered = model(tokens).double()[0, 1:].softmax(-1)
        values.append((steered * (steered / base).log()).sum(-1))
    return torch.cat(values).mean().item()


def test_the_divergence_is_that_computed_by_hand(model, vector):
    divergence = Divergence(model, TEXTS)
    assert divergence() == pytest.approx(0, abs=1e-6)
    expected = by_hand(model, vector, 0.7)
    with steer(model, vector, scale=0.7):
        assert divergence() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("options", [{}, {"operator": "rotate"}, {"operator": "add_keep_norm"}, {"unit": "residual"}])
@pytest.mark.parametrize("negative", [False, True])
def test_the_scale_has_the_budget(model, vector, options, negative):
    steering = steer(model, vector, scale=kl_budget(0.05, TEXTS, negative=negative), **options)
    assert (steering.scale < 0) == negative
    assert by_hand(model, vector, steering.scale, **options) == pytest.approx(0.05, rel=0.02)


def test_each_vector_has_its_own_scale(model, vector):
    both = {"one": vector, "ten": 10 * vector}
    table = generate_sweep(model, "The man", both, kl_budget(0.05, TEXTS), max_new_tokens=2, quiet=True)
    one, ten = table["scale"]
    assert one == pytest.approx(10 * ten, rel=0.02)
    assert table["text"].nunique() == 1


def test_what_cannot_be(model, vector):
    with pytest.raises(ValueError, match="nats is 0"):
        kl_budget(0)
    with pytest.raises(ValueError, match="prompts is empty"):
        kl_budget(1.0, [])
    with pytest.raises(ValueError, match="scale is a KL budget and operator is 'ablate'; it must be one of add,"):
        steer(model, vector, scale=kl_budget(), operator="ablate")
    with pytest.raises(ValueError, match=r"No scale has a divergence of 100 nats: .* Give a lower budget"):
        steer(model, vector, scale=kl_budget(100.0, TEXTS), operator="rotate")


def test_neutral_texts_are_distinct():
    assert len(set(neutral_texts())) == len(neutral_texts()) >= 30


@pytest.mark.slow
@pytest.mark.xdist_group("smollm2")
@pytest.mark.parametrize(("nats", "name"), [(0.3, "person"), (1.0, "tense")])
def test_the_budget_holds_on_held_out_prompts_of_smollm2(nats, name):
    model = load_model("smollm2-135m", device="cpu")
    ssae = SSAE.from_pretrained("smollm2-135m-ssae", "blocks.15.hook_resid_post")
    questions = list(dict.fromkeys(load_pairs("truth")["question"][:]))
    divergence = Divergence(model, questions[1::2][:50])
    with steer(model, SteeringVector.from_ssae(ssae, name), scale=kl_budget(nats, questions[::2][:50])):
        assert divergence() == pytest.approx(nats, rel=0.2)
