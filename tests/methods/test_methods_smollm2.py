"""Vectors for sentiment and for French steer a real model: held-out texts say so, and nobody has to read any."""

import numpy as np
import pytest

from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.methods import caa, mean_shift, random
from ssae_lens.models import load_model
from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.schema import from_rows

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("smollm2")]

HOOK = "blocks.20.hook_resid_post"
SCALES = [-1.5, -1.2, -0.9, -0.6, -0.3, 0.0, 0.3, 0.6, 0.9, 1.2, 1.5]

ENGLISH_AND_FRENCH = [
    ("The dog runs across the field.", "Le chien court à travers le champ."),
    ("I bought bread and cheese this morning.", "J'ai acheté du pain et du fromage ce matin."),
    ("My brother works at the hospital.", "Mon frère travaille à l'hôpital."),
    ("The window of the kitchen is open.", "La fenêtre de la cuisine est ouverte."),
    ("They walked along the river for hours.", "Ils ont marché le long de la rivière pendant des heures."),
    ("The old teacher told us a story.", "Le vieux professeur nous a raconté une histoire."),
    ("There is snow on the mountains.", "Il y a de la neige sur les montagnes."),
    ("She forgot her umbrella at school.", "Elle a oublié son parapluie à l'école."),
    ("We will leave tomorrow after lunch.", "Nous partirons demain après le déjeuner."),
    ("The shop closes early on Sundays.", "Le magasin ferme tôt le dimanche."),
    ("His father speaks four languages.", "Son père parle quatre langues."),
    ("The apples in the basket are red.", "Les pommes dans le panier sont rouges."),
]
# Each text of the kind after its opposite. Those for sentiment share no word of praise or blame with what is learned from.
HELD_OUT = {
    "French": [
        ("The cat sleeps near the fire.", "Le chat dort près du feu."),
        ("We drank a glass of water.", "Nous avons bu un verre d'eau."),
        ("My sister lives in a small town.", "Ma sœur habite dans une petite ville."),
        ("It rained all night long.", "Il a plu toute la nuit."),
    ],
    "sentiment": [
        ("I hate this song.", "I love this song."),
        ("What a miserable day.", "What a perfect day."),
        ("The food was disgusting.", "The food was delicious."),
        ("She is a cruel neighbour.", "She is a kind neighbour."),
        ("He felt ashamed of his work.", "He felt proud of his work."),
        ("The hotel was dirty and noisy.", "The hotel was clean and cosy."),
        ("That was a stupid idea.", "That was a great idea."),
        ("Our team played badly.", "Our team played well."),
        ("The room smelled bad.", "The room smelled nice."),
        ("It was a sad ending.", "It was a happy ending."),
        ("The staff were rude to us.", "The staff were friendly to us."),
        ("My trip was a disaster.", "My trip was a success."),
    ],
}


@pytest.fixture(scope="module")
def model():
    return load_model("smollm2-135m")


@pytest.fixture(scope="module")
def pairs():
    sentences = load_pairs("sentences", "train", n=600)
    # One to three attributes change in each of these, and sentiment is one of them.
    some = [row for row, changed in enumerate(sentences["changed"]) if "sentiment" in changed][:40]
    french = [{"source": before, "target": after, "changes": {"French": 1}} for before, after in ENGLISH_AND_FRENCH]
    return {"French": from_rows(french), "sentiment": sentences.select(some)}


def preference(model, vector, scale, concept):
    """How much likelier a token of held-out texts of the kind is than one of their opposites, on average, in nats."""
    opposites, texts = zip(*HELD_OUT[concept], strict=True)
    with steer(model, vector, scale=scale):
        found = log_probabilities(model, [*texts, *opposites], quiet=True)
    return found[: len(texts)].mean() - found[len(texts) :].mean()


@pytest.mark.parametrize("concept", HELD_OUT)
def test_held_out_texts_become_likelier_than_their_opposites(model, pairs, concept):
    last = capture_shifts(model, pairs[concept], HOOK, position="last", quiet=True)
    vectors = [caa(model, pairs[concept], HOOK, kind="tokens", concept=concept, quiet=True), mean_shift(last, concept)]
    rises = []
    for vector in vectors:
        preferences = [preference(model, vector, scale, concept) for scale in SCALES]
        assert (np.diff(preferences) > 0).all(), (vector.method, preferences)
        rises.append(preferences[-1] - preferences[0])
    # As long as the longer of them.
    like = max(vectors, key=lambda vector: vector.direction.norm())
    for seed in range(3):
        low, high = (preference(model, random(like, seed=seed), scale, concept) for scale in (SCALES[0], SCALES[-1]))
        assert abs(high - low) < min(rises) / 3, (seed, high - low, rises)
