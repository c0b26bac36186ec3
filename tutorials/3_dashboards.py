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
# # 3. Feature dashboards
#
# What is latent 7? A dashboard puts what can be seen of a latent in one place: the pairs it is strongest in with what differs in them, the
# distribution of its codes, the tokens its direction speaks for, its neighbours. This tutorial makes one in the notebook, then the
# page that you send to somebody else, and says how to read both.

# %%
import json
import tempfile
import warnings
from pathlib import Path

import ssae_lens as sl
from ssae_lens.dashboards import build_report, write_neuronpedia, write_report

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Something to look at
#
# Pairs of sentences in which one to three of fifteen attributes change. A few hundred are enough to see how dashboards work; for
# an SSAE that you want to use, take thousands.

# %%
pairs = sl.load_pairs("sentences", "train", n=400)
print(pairs[0]["source"], pairs[0]["target"], sep="\n→ ")
shifts = sl.capture_shifts(model, pairs, HOOK, position="mean", quiet=True)

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says, rightly, that pairs are few
    swept = sl.sweep(shifts, d_sae=[16, 20], seeds=2, steps=1200, out=folder / "run", quiet=True)
ssae = swept.best
swept.table()[["d_sae", "udr_decoders", "split_half_score", "loss", "sparsity"]].round(3)

# %% [markdown]
# ## All latents at a glance
#
# `sl.dashboard` gives a plotly figure; a notebook shows it where it is a cell's last value.

# %%
sl.dashboard(ssae, shifts)

# %% [markdown]
# What to look for:
#
# - **Strength**: a few latents far below the rest are what training had left over. Use fewer, or do not use those.
# - **Density**: the share of pairs in which a latent is active. Every code above a hundredth of its pair's largest counts, and pairs
#   leave small codes everywhere, so compare latents with one another: the number by itself says little.
# - **Cosines of decoder rows**: strong squares off the diagonal are two latents of one concept, or one concept made by two fillers.
#
# ## One latent
#
# The clearest one by labels, to see what a good one looks like. (Labels are not needed for any of this; these pairs have them.)

# %%
concepts = sl.match_concepts(ssae, shifts)
found = sorted((each for each in concepts.values() if each.latent is not None), key=lambda each: -each.fit)
print(
    f"{len(found)} of {len(concepts)} concepts have a latent that fits; the best is {found[0].concept!r} (fit {found[0].fit:.2f})."
)

sl.dashboard(ssae, shifts, latent=found[0].latent, concepts=concepts, model=model)

# %% [markdown]
# How to read it:
#
# - **Codes** of a latent that is one concept have three parts: most at zero, where the concept stays; a tail below, where it goes;
#   a tail above, where it comes.
# - **Strongest pairs**: what is bold differs between the two texts. Other things change in the same pairs too; look for what *all* of
#   them have in common. Positive codes and negative codes should show the same change in opposite ways.
# - **Tokens** promoted and suppressed are the direction read through the unembedding. At a layer in the middle they are a hint,
#   often a poor one: believe pairs over tokens.
#
# And the weakest latent, to see what a bad one looks like:

# %%
described = sl.describe_latents(ssae, shifts, model, quiet=True)
weakest = min(described, key=lambda each: each.mean_abs)
print(
    f"Latent {weakest.latent}: mean |code| {weakest.mean_abs:.2f}, active in {weakest.density:.0%} of pairs; matched with {concepts.of_latent(weakest.latent)}"
)
sl.dashboard(ssae, shifts, latent=weakest.latent, model=model)

# %% [markdown]
# ## The numbers behind it
#
# `describe_latents` is what dashboards, judges and files are made from: plain data.

# %%
best = described[found[0].latent]
for pair in best.positive[:3]:
    lost = [pair.source[a:b] for a, b in pair.source_spans]
    gained = [pair.target[a:b] for a, b in pair.target_spans]
    print(f"{pair.code:+6.2f}  {lost} → {gained}")

# %% [markdown]
# ## The page to send
#
# `build_report` gathers latents, training curves, the sweep and the spectrum of shifts; `write_report` writes one HTML file that
# holds all of it, plotly too, and asks nothing of the network. `report.html#latent-12` opens at a latent.
#
# On the command line: `ssae-lens dashboard my-ssae --shifts shifts.h5 --model smollm2-135m --out report.html`.

# %%
report = build_report(
    ssae,
    shifts,
    run=folder / "run",
    model=model,
    concepts=concepts,
    title="Fifteen attributes of sentences",
    quiet=True,
)
path = write_report(report, folder / "report.html")
print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## For other dashboards
#
# Neuronpedia's JSON of features. A latent of an SSAE codes *pairs*, not tokens: each "activation" is first text → second text, with the
# code at the words that differ.

# %%
written = write_neuronpedia(folder / "batch-0.json", ssae, shifts, described)
batch = json.loads(written.read_text())
print({name: batch[name] for name in ("model_id", "layer", "sae_set")}, len(batch["features"]), "features")
print("keys of a feature:", ", ".join(list(batch["features"][0])[:8]), "…")

# %% [markdown]
# ## Wrong turns
#
# **Reading one strong pair as the concept.** One to three things change in each pair; a single pair cannot tell them apart.
#
# **Taking the sign for granted.** A latent's sign is arbitrary; `concepts[...].sign` turns it as the labels have it.
#
# **Naming from promoted tokens.** They say what the direction does to the *last* layer's logits if nothing came between.
#
# **An SSAE with the wrong shifts.** The dashboard refuses what belongs to another hook:

# %%
elsewhere = sl.capture_shifts(model, pairs.select(range(8)), "blocks.5.hook_resid_post", position="mean", quiet=True)
try:
    sl.dashboard(ssae, elsewhere)
except ValueError as error:
    print(error)

# %% [markdown]
# Next: [4, from your own pairs to named concepts](4_own_pairs.ipynb).
