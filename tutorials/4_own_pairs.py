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
# # 4. From your own pairs to named concepts
#
# You have pairs of texts: drafts and edits, questions and rewordings, two versions of a prompt. In each pair several things changed,
# and nobody wrote down which. This tutorial goes all the way: a file of pairs → shifts → an SSAE → what its latents are → names → a
# steered model. At the end it cheats and looks at the truth, which here is known, to see how well that went.

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
from ssae_lens.latents.name import changed_words
from ssae_lens.shifts import spectrum_figure, summarise

folder = Path(tempfile.mkdtemp())
HOOK = "blocks.15.hook_resid_post"

# %% [markdown]
# ## A file of pairs
#
# We make one, so that the tutorial needs no download: remarks of customers, in which one to three of five things change. The
# file has two columns, `source` and `target`, and nothing else; what changed is kept apart in `truth`, and not looked at until the end.
#
# Two things make such pairs good. Everything that does *not* change is the same on both sides (the item, the town, the wording). And
# the concepts change **independently** of each other: two that always change together are one concept to any method.

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


def said(values, item, place, kinds):
    word = {name: CONCEPTS[name][values[name]][kinds[name]] for name in CONCEPTS}
    return f"{word['politeness']} {word['person']} {item} from {place} {word['tense']} {word['sentiment']} in {word['season']}."


rows, truth = [], []
while len(rows) < 400:
    before = {name: draw.randrange(2) for name in CONCEPTS}
    changed = draw.sample(list(CONCEPTS), draw.randint(1, 3))
    after = {name: 1 - value if name in changed else value for name, value in before.items()}
    fillers = draw.choice(ITEMS), draw.choice(PLACES), {name: draw.randrange(3) for name in CONCEPTS}
    rows.append((said(before, *fillers), said(after, *fillers)))
    truth.append([after[name] - before[name] for name in CONCEPTS])
truth = np.array(truth)

with (folder / "remarks.csv").open("w", newline="") as file:
    csv.writer(file).writerows([("source", "target"), *rows])
print(*(folder / "remarks.csv").read_text().splitlines()[:4], sep="\n")

# %%
pairs = sl.load_pairs(folder / "remarks.csv")  # or a JSON-lines file, a datasets.Dataset, a name on the Hub
pairs

# %% [markdown]
# ## From pairs to shifts
#
# Both texts of each pair go through the model, and what passes at the hook is kept. **Where in the text** matters as much as the layer:
# these texts change anywhere, so the mean over tokens is read. `position="last"`, the default, would see what the last token has made
# of it all.

# %%
model = sl.load_model("smollm2-135m")
shifts = sl.capture_shifts(model, pairs, HOOK, position="mean", path=folder / "remarks.h5", quiet=True)
shifts

# %% [markdown]
# Look before you train. The spectrum says how many directions the shifts live in: a cliff after a handful is what
# we hope for; a slow slope means that much else changes.

# %%
spectrum_figure(summarise(shifts, leading=24, quiet=True))

# %% [markdown]
# ## An SSAE, its width chosen without labels
#
# `sweep` trains every width and seed, fits each to either half of the pairs as well, and keeps the width of which most is found
# again in both halves (`split_half_score`).

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    swept = sl.sweep(shifts, d_sae=[4, 6, 9], seeds=2, steps=1200, quiet=True)
ssae = swept.best
print(f"Kept: {ssae.cfg.d_sae} latents. {swept.chosen.outcomes[0].message}")
swept.table()[["d_sae", "udr_decoders", "split_half_score", "loss", "sparsity", "status"]].round(3)

# %% [markdown]
# ## What are they?
#
# The words that a latent's strongest pairs lose and gain, counted so that words of other concepts, which go either way, drop out. No
# label is looked at.

# %%
described = sl.describe_latents(ssae, shifts, model, n_pairs=20, quiet=True)
for each in described:
    lost, gained = changed_words(each)
    print(
        f"latent {each.latent}   "
        f"{', '.join(w for w, _ in lost[:5]) or '–'}  →  {', '.join(w for w, _ in gained[:5]) or '–'}"
    )

# %% [markdown]
# ## Names
#
# A judge turns that into names. `LexicalJudge` uses no model: it picks, among the names you offer, the one whose words stand in what
# changed, and tells by the sides they stand on which way the latent goes. `LocalJudge()` asks SmolLM2, and `EndpointJudge("gpt-4o-mini")`
# any OpenAI-compatible endpoint. Give `candidates` where you have an idea of what may be there, as here; without them some forty common
# concepts are tried.

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
# A latent that the judge cannot name is `unnamed`: look at its pairs before you use it (tutorial 3). A name that comes more than once is
# a finding too: that concept is made by different words in these pairs (*awful* always became *excellent*, *useless* always *splendid*),
# each with a direction of its own, and the SSAE found the words. Their sum is the concept.
#
# ## Steering with one
#
# The scale of a named concept is the size of one change in the pairs, so each vector adds one change; vectors add up. A latent's sign is
# arbitrary. The judge's `sign` says whether the words that its candidate goes to are gained or lost, and turns the vector that way.

# %%
PROMPTS = ["The new table in the kitchen", "My neighbour told me that"]
norms = {"mean_residual_norm": float(np.linalg.norm(shifts.source, axis=1).mean())}


def base(name):
    return name.partition(" (")[0]


names = [base(name) for name in named]
chosen = "sentiment" if "sentiment" in names else next(name for name in names if name in CANDIDATES)
parts = [sl.SteeringVector.from_ssae(ssae, each, norms=norms) for name, each in named.items() if base(name) == chosen]
vector = parts[0]
for each in parts[1:]:
    vector = vector + each
table = sl.generate_sweep(model, PROMPTS, vector, [-0.3, 0.0, 0.3], unit="residual", max_new_tokens=16, quiet=True)
print(f"steered along {chosen}: the sum of {len(parts)} latents")
table[["prompt", "scale", "text"]]

# %% [markdown]
# ## How well did it go?
#
# Now the truth. With labels, `match_concepts` matches latents and concepts one to one by the correlation of codes with signed changes. A
# concept gets no latent where chance would do as well, or where nothing fits.

# %%
by_labels = sl.match_concepts(ssae, shifts, truth, concepts=list(CONCEPTS))
by_labels

# %%
codes = ssae.encode(torch.from_numpy(shifts.shifts)).detach().numpy()
correlations = np.corrcoef(codes.T, truth.T)[: codes.shape[1], codes.shape[1] :]
px.imshow(
    correlations,
    x=list(CONCEPTS),
    y=[f"latent {k}" for k in range(len(codes.T))],
    zmin=-1,
    zmax=1,
    color_continuous_scale="RdBu",
    text_auto=".2f",
    title="Correlation of each latent's codes with what really changed",
    template="plotly_white",
)

# %%
truly = [list(CONCEPTS)[k] for k in abs(correlations).argmax(axis=1)]
right = [base(named.of_latent(latent).concept) == name for latent, name in enumerate(truly) if named.of_latent(latent)]
found = [name for name, each in by_labels.items() if each.latent is not None]
print(f"{len(found)} of {len(CONCEPTS)} concepts have a latent of their own: {', '.join(found)}.")
print(f"{sum(right)} of {len(right)} latents were named, without labels, as the concept they correlate with most.")

# %% [markdown]
# ## Wrong turns
#
# **The last token, where the change stands earlier.** The same pairs, read at the full stop:

# %%
last = sl.capture_shifts(model, pairs, HOOK, position="last", quiet=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    at_last = sl.sweep(last, d_sae=[ssae.cfg.d_sae], seeds=2, steps=1200, quiet=True).best
fits = {
    "mean over tokens": by_labels,
    "last token": sl.match_concepts(at_last, last, truth, concepts=list(CONCEPTS)),
}
for name, found in fits.items():
    print(f"{name:<17} fits: " + "  ".join(f"{each.concept} {each.fit or 0:.2f}" for each in found.values()))

# %% [markdown]
# Whichever came out better on this model and these texts: try both, and let `split_half_score` decide, which needs no labels.
#
# **Concepts that change together.** If every polite remark were also in winter, there would be one latent for both. Check the design of
# your pairs before blaming the method.
#
# **Too few pairs.** Some tens for each concept are the least; `sweep` warns, and halves stop agreeing.
#
# **Reading activations with it.** An SSAE's encoder reads *shifts*. The code of a single text's activation means nothing.
#
# Next: [5, SSAE beside CAA and SAE-TS](5_beside_others.ipynb).
