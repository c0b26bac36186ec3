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
# tutorial goes from a file of pairs to shifts, an SSAE, the words that change with each latent, and a steered model. At the end it compares the result with
# the ground truth, which is known for these pairs.

# %%
import csv
import random
import tempfile
from pathlib import Path

import numpy as np
import plotly.express as px
import torch

import ssae_lens as sl
from ssae_lens.latents.judges import LocalJudge
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
while len(rows) < 600:
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
pairs = sl.load_pairs(
    folder / "remarks.csv"
)  # or a DataFrame, a list of (source, target), chat messages, a Hub data set
pairs

# %% [markdown]
# ## Capturing shifts
#
# `capture_shifts` runs both texts of each pair through the model and stores the activations at the hook. The **position** matters as much as the layer. By
# default, activations are averaged over tokens, since a change can occur anywhere.

# %%
model = sl.load_model("smollm2-135m")
shifts = sl.capture_shifts(model, pairs, HOOK, path=folder / "remarks.h5", quiet=True)
shifts

# %% [markdown]
# Before training, look at the spectrum of the shifts. A steep drop after a few directions is favourable; a slow decay means that much else changes.

# %%
spectrum_figure(summarise(shifts, leading=24, quiet=True))

# %% [markdown]
# ## Training
#
# `sweep` trains every width and seed, fits each width to both halves of the pairs, and selects the width with the most latents reproduced in both. Take about
# twice as many latents as you expect concepts. The best SSAE is refined: spare latents are merged or removed, and codes are exactly zero where a latent is
# inactive.

# %%
swept = sl.sweep(shifts, d_sae=[8, 12, 16], quiet=True)
ssae = swept.best
print(f"{ssae.cfg.d_sae} latents. {ssae.outcome.message}")
swept.table()[["d_sae", "reproduced", "split_half_score", "udr_decoders", "fvu", "active", "status"]].round(3)

# %% [markdown]
# ## What was found
#
# For each latent, the words that are replaced by others where its code is positive, over all pairs. Words that change in either direction about equally often
# belong to other concepts and are omitted. Neither labels nor a model are used. A latent with a low `split-half` is not determined by the pairs; latents that
# are active in a percent of them are rests of the others.

# %%
described = sl.describe_latents(ssae, shifts, quiet=True)
described

# %% [markdown]
# The words name the latents well enough. A judge can propose names instead: `LocalJudge()` asks SmolLM2, and `EndpointJudge("gpt-4o-mini")` an
# OpenAI-compatible endpoint. Without `candidates` it chooses among some fifty common concepts, and a latent without a likely one stays `unnamed`. The small
# model is right about some and wrong about others, so read its names with the words above.

# %%
named = sl.match_concepts(ssae, shifts, judge=LocalJudge(quiet=True), descriptions=described)
named

# %% [markdown]
# ## Steering
#
# A vector made from a latent's number is as long as one typical change of it in the pairs, and points where its codes are positive. We take the latent of the
# frequent change *is → was*. `kl_budget` finds the scale at which steering changes the probabilities of the next token by a given amount, here half a nat.

# %%
PROMPTS = ["The new table in the kitchen", "My neighbour told me that"]
past = next(each for each in described if {"is", "was"} <= {word for change in each.changes for word in change[:2]})
towards_past = past.changes[0].after == "was"
vector = sl.SteeringVector.from_ssae(ssae, past.latent, concept="tense") * (1 if towards_past else -1)
print(f"latent {past.latent}: {past.label}")
table = sl.generate_sweep(model, PROMPTS, vector, sl.kl_budget(0.5), max_new_tokens=16, quiet=True)
table[["prompt", "scale", "text"]]

# %% [markdown]
# ## Comparison with the ground truth
#
# With labels, `match_concepts` matches latents with concepts by the correlation of codes with signed changes. A concept that is expressed in several ways can
# have several latents; one without a significant and sufficiently large correlation has none.

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

# %% [markdown]
# ## Common mistakes
#
# **The wrong position.** The same pairs at the last token, the full stop:

# %%
last = sl.capture_shifts(model, pairs, HOOK, position="last", quiet=True)
at_last = sl.sweep(last, d_sae=[8, 12, 16], quiet=True).best
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
# **Too few pairs.** You need a few dozen per concept. Refinement needs twenty pairs per latent; below that, splits stay.
#
# **Most concepts change in most pairs.** Then latents mix them. Change one to three of several.
#
# **Encoding activations.** The encoder is for *shifts*. The code of a single activation has no meaning.
#
# Next: [5, comparison with CAA and SAE-TS](5_beside_others.ipynb).
