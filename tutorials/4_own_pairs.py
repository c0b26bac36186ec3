# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # 4. Your own pairs
#
# You have pairs of texts: drafts and edits, questions and paraphrases, two versions of a prompt. In each pair several concepts change, without labels. This
# tutorial goes from a file of pairs to shifts, an SSAE, changed words per latent, names, and a steered model. At the end it compares the result with the
# ground truth, which is known for these pairs.

# %%
import csv
import random
import tempfile
import warnings
from pathlib import Path

import numpy as np
import plotly.express as px
import torch

import ssae_lens as sl
from ssae_lens.latents.judges import LexicalJudge
from ssae_lens.shifts import spectrum_figure, summarise

folder = Path(tempfile.mkdtemp())
HOOK = "blocks.15.hook_resid_post"

# %% [markdown]
# ## A file of pairs
#
# We generate customers' remarks in which one to three of five concepts change. The file has the columns `source` and `target` only; the array `truth` keeps
# what changed, for the last section.
#
# Good pairs have two properties. Everything that does *not* change is the same on both sides (the item, the town, the phrasing). And the concepts change
# **independently**: two concepts that always change together get one latent, with any method.

# %%
CONCEPTS = {
    "sentiment": (("awful", "dreadful", "useless"), ("excellent", "wonderful", "splendid")),
    "tense": (("is", "is", "is"), ("was", "was", "was")),
    "person": (("our", "our", "our"), ("their", "their", "their")),
    "politeness": (("Listen,", "Look,", "Hey,"), ("Excuse me, but", "With respect,", "Pardon me, but")),
    "season": (("summer", "June", "July"), ("winter", "December", "January")),
}
ITEMS = ["camera", "lamp", "kettle", "printer", "chair", "radio", "coat", "clock", "table", "phone"]
PLACES = ["the office", "the kitchen", "the new shop", "the garage", "the library", "the old station"]

draw = random.Random(0)


def remark(values, item, location, forms):
    word = {name: CONCEPTS[name][values[name]][forms[name]] for name in CONCEPTS}
    return f"{word['politeness']} {word['person']} {item} from {location} {word['tense']} {word['sentiment']} in {word['season']}."


rows, truth = [], []
while len(rows) < 400:
    before = {name: draw.randrange(2) for name in CONCEPTS}
    changed = draw.sample(list(CONCEPTS), draw.randint(1, 3))
    after = {name: 1 - value if name in changed else value for name, value in before.items()}
    fillers = draw.choice(ITEMS), draw.choice(PLACES), {name: draw.randrange(3) for name in CONCEPTS}
    rows.append((remark(before, *fillers), remark(after, *fillers)))
    truth.append([after[name] - before[name] for name in CONCEPTS])
truth = np.array(truth)

with (folder / "remarks.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("source", "target"), *rows])
print(*(folder / "remarks.csv").read_text().splitlines()[:4], sep="\n")

# %%
pairs = sl.load_pairs(folder / "remarks.csv")  # or a JSON-lines file, a datasets.Dataset, a data set of the Hub
pairs

# %% [markdown]
# ## Capturing shifts
#
# `capture_shifts` runs both texts of each pair through the model and stores the activations at the hook. The **position** matters as much as the layer. These
# texts change anywhere, so we average over tokens. The default, `position="last"`, reads the last token only.

# %%
model = sl.load_model("smollm2-135m")
shifts = sl.capture_shifts(model, pairs, HOOK, position="mean", path=folder / "remarks.h5", quiet=True)
shifts

# %% [markdown]
# Before training, look at the spectrum of the shifts. A steep drop after a few directions is favourable; a slow decay means that much else changes.

# %%
spectrum_figure(summarise(shifts, leading=24, quiet=True))

# %% [markdown]
# ## Training
#
# `sweep` trains every width and seed, fits each width to both halves of the pairs, and selects the width with the highest `split_half_score`: latents
# reproduced in both halves minus those that are not. (We silence its warning that 400 pairs are few.)

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    swept = sl.sweep(shifts, d_sae=[4, 6, 9], seeds=2, steps=1200, quiet=True)
ssae = swept.best
print(f"Selected: {ssae.cfg.d_sae} latents. {swept.chosen.outcomes[0].message}")
swept.table()[["d_sae", "udr_decoders", "split_half_score", "fvu", "active", "status"]].round(3)

# %% [markdown]
# ## Changed words
#
# For each latent, the words that are replaced by others where its code is positive, over all pairs. Words that change in either direction about equally often
# belong to other concepts and are omitted. No labels are used.

# %%
described = sl.describe_latents(ssae, shifts, model, n_pairs=20, quiet=True)
described

# %% [markdown]
# ## Names
#
# A judge chooses a name for each latent. `LexicalJudge` uses no model: it takes the candidate whose words occur among the changed words, and the sign from the
# sides on which they occur. `LocalJudge()` asks SmolLM2, and `EndpointJudge("gpt-4o-mini")` an OpenAI-compatible endpoint. Without `candidates`, some forty
# common concepts are used.
#
# The candidates below contain the words of the data, which makes naming easy. With your own pairs, write them from the changed words above.

# %%
CANDIDATES = {
    "sentiment": ("awful, dreadful, useless", "excellent, wonderful, splendid"),
    "tense": ("is", "was"),
    "person": ("our", "their"),
    "politeness": ("listen, look, hey", "excuse, respect, pardon"),
    "season": ("summer, June, July", "winter, December, January"),
    "colour": ("red, blue", "green, yellow"),
    "size": ("small, little", "large, big"),
}
named = sl.match_concepts(ssae, shifts, judge=LexicalJudge(), candidates=CANDIDATES, descriptions=described)
named

# %% [markdown]
# An `unnamed` latent matched no candidate; look at its pairs before you use it (tutorial 3). A name that occurs several times is a split concept: it has several
# surface forms in these pairs (*awful* always becomes *excellent*, *useless* always *splendid*), and each has its own latent. Their sum is the vector of the
# concept.
#
# ## Steering
#
# The `scale` of a named concept is the size of a typical change in the pairs, so a vector at scale 1 adds one change. Vectors can be added. The judge's
# `sign` orients the vector towards the second word list of its candidate.

# %%
PROMPTS = ["The new table in the kitchen", "My neighbour told me that"]
norms = {"mean_residual_norm": float(np.linalg.norm(shifts.source, axis=1).mean())}


def base(name):
    return name.partition(" (")[0]


names = [base(name) for name in named]
chosen = "sentiment" if "sentiment" in names else next(name for name in names if name in CANDIDATES)
parts = [
    sl.SteeringVector.from_ssae(ssae, concept, norms=norms) for name, concept in named.items() if base(name) == chosen
]
vector = parts[0]
for part in parts[1:]:
    vector = vector + part
table = sl.generate_sweep(model, PROMPTS, vector, [-0.3, 0.0, 0.3], unit="residual", max_new_tokens=16, quiet=True)
print(f"steered along {chosen}: the sum of {len(parts)} latents")
table[["prompt", "scale", "text"]]

# %% [markdown]
# ## Comparison with the ground truth
#
# With labels, `match_concepts` matches latents and concepts one to one by the correlation of codes with signed changes. A concept without a significant or
# sufficiently large correlation has no latent.

# %%
by_labels = sl.match_concepts(ssae, shifts, truth, concepts=list(CONCEPTS))
by_labels

# %%
codes = ssae.encode(torch.from_numpy(shifts.shifts)).detach().numpy()
correlations = np.corrcoef(codes.T, truth.T)[: codes.shape[1], codes.shape[1] :]
px.imshow(
    correlations,
    x=list(CONCEPTS),
    y=[f"latent {latent}" for latent in range(len(codes.T))],
    zmin=-1,
    zmax=1,
    color_continuous_scale="RdBu",
    text_auto=".2f",
    title="Correlation of codes with the true changes",
    template="plotly_white",
)

# %%
closest = [list(CONCEPTS)[column] for column in abs(correlations).argmax(axis=1)]
correct = [
    base(named.of_latent(latent).concept) == name for latent, name in enumerate(closest) if named.of_latent(latent)
]
matched = [name for name, concept in by_labels.items() if concept.latent is not None]
print(f"{len(matched)} of {len(CONCEPTS)} concepts are matched with a latent: {', '.join(matched)}.")
print(
    f"{sum(correct)} of {len(correct)} latents have, without labels, the name of the concept that they correlate with most."
)

# %% [markdown]
# Read both counts with the figure above: a concept that is split over several latents counts as matched, although no single latent represents all of it.
#
# ## Common mistakes
#
# **The wrong position.** The same pairs at the last token, the full stop:

# %%
last = sl.capture_shifts(model, pairs, HOOK, position="last", quiet=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    at_last = sl.sweep(last, d_sae=[ssae.cfg.d_sae], seeds=2, steps=1200, quiet=True).best
fits = {
    "mean over tokens": by_labels,
    "last token": sl.match_concepts(at_last, last, truth, concepts=list(CONCEPTS)),
}
for name, result in fits.items():
    print(f"{name:<17} fits: " + "  ".join(f"{concept.concept} {concept.fit or 0:.2f}" for concept in result.values()))

# %% [markdown]
# Try both positions, and choose by `split_half_score`, which needs no labels.
#
# **Concepts that change together.** If every polite remark were also in winter, one latent would represent both. Check the design of your pairs first.
#
# **Too few pairs.** You need a few dozen per concept; `sweep` warns below that, and the halves disagree.
#
# **Encoding activations.** The encoder is for *shifts*. The code of a single activation has no meaning.
#
# Next: [5, comparison with CAA and SAE-TS](5_beside_others.ipynb).
