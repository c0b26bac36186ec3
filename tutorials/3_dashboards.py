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
# # 3. Dashboards
#
# A dashboard shows a latent's strongest pairs with their differences, the distribution of its codes, the tokens that its direction promotes, and its
# nearest latents. This tutorial shows one in the notebook, writes a report to share, and explains how to read both.

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
# ## An SSAE to look at
#
# We use pairs of sentences in which one to three of fifteen attributes change. A few hundred pairs suffice for this tutorial; use thousands for an SSAE
# that you want to rely on.

# %%
pairs = sl.load_pairs("sentences", "train", n=400)
print(pairs[0]["source"], pairs[0]["target"], sep="\n→ ")
shifts = sl.capture_shifts(model, pairs, HOOK, position="mean", quiet=True)

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # sweep warns that there are few pairs
    swept = sl.sweep(shifts, d_sae=[16, 20], seeds=2, steps=1200, out=folder / "run", quiet=True)
ssae = swept.best
swept.table()[["d_sae", "udr_decoders", "split_half_score", "fvu", "active"]].round(3)

# %% [markdown]
# `udr_decoders` is the agreement of seeds, `split_half_score` the number of latents reproduced in both halves of the pairs minus those that are not, `fvu`
# the fraction of variance unexplained, and `active` the number of active latents per pair.
#
# ## Overview
#
# `sl.dashboard` returns a plotly figure, which a notebook shows if it is the last value of a cell.

# %%
sl.dashboard(ssae, shifts)

# %% [markdown]
# How to read it:
#
# - **Strength**: latents far below the others are left over from training. Use fewer latents, or do not use those.
# - **Density**: the share of pairs in which a latent is active. A code counts as active above a hundredth of the largest in its pair, and small codes are
#   frequent; so compare latents with each other rather than reading the absolute value.
# - **Cosines of decoder rows**: large values off the diagonal are two latents of one concept.
#
# ## One latent
#
# First, the latent that fits its label best. (A dashboard needs no labels; these pairs have them.)

# %%
concepts = sl.match_concepts(ssae, shifts)
matched = sorted(
    (concept for concept in concepts.values() if concept.latent is not None), key=lambda concept: -concept.fit
)
print(
    f"{len(matched)} of {len(concepts)} concepts have a latent; the best is {matched[0].concept!r} (fit {matched[0].fit:.2f})."
)

sl.dashboard(ssae, shifts, latent=matched[0].latent, concepts=concepts, model=model)

# %% [markdown]
# How to read it:
#
# - **Codes** of a latent for one concept have three parts: most are zero (the concept does not change), a negative tail (it is removed) and a positive tail
#   (it is added).
# - **Strongest pairs**: bold text differs between the two texts. Other concepts change in the same pairs, so look for what *all* of them share. Positive and
#   negative codes should show the same change in opposite directions.
# - **Tokens** promoted and suppressed are the logit lens of the direction. At a middle layer they are a weak hint; trust the pairs more.
#
# Second, the weakest latent:

# %%
described = sl.describe_latents(ssae, shifts, model, quiet=True)
weakest = min(described, key=lambda description: description.mean_abs)
print(
    f"Latent {weakest.latent}: mean |code| {weakest.mean_abs:.2f}, active in {weakest.density:.0%} of pairs; matched with {concepts.of_latent(weakest.latent)}"
)
sl.dashboard(ssae, shifts, latent=weakest.latent, model=model)

# %% [markdown]
# ## The underlying data
#
# `describe_latents` returns the data that dashboards, judges and files use.

# %%
best = described[matched[0].latent]
for pair in best.positive[:3]:
    removed = [pair.source[a:b] for a, b in pair.source_spans]
    added = [pair.target[a:b] for a, b in pair.target_spans]
    print(f"{pair.code:+6.2f}  {removed} → {added}")

# %% [markdown]
# ## A report to share
#
# `build_report` collects latents, training curves, the sweep and the spectrum of shifts. `write_report` writes one self-contained HTML file.
# `report.html#latent-12` opens at latent 12.
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
# ## Export for other dashboards
#
# `write_neuronpedia` writes Neuronpedia's JSON of features. A latent of an SSAE encodes *pairs*, not tokens; each "activation" is first text → second text,
# with the code at the words that differ.

# %%
exported = write_neuronpedia(folder / "batch-0.json", ssae, shifts, described)
batch = json.loads(exported.read_text())
print({name: batch[name] for name in ("model_id", "layer", "sae_set")}, len(batch["features"]), "features")
print("keys of a feature:", ", ".join(list(batch["features"][0])[:8]), "…")

# %% [markdown]
# ## Common mistakes
#
# **Interpreting one strong pair.** One to three concepts change in each pair; a single pair cannot separate them.
#
# **Ignoring the sign.** The sign of a latent is arbitrary; `concepts[...].sign` aligns it with the labels.
#
# **Naming a latent by promoted tokens.** They ignore all later layers.
#
# **The wrong shifts.** `dashboard` refuses shifts of another hook:

# %%
elsewhere = sl.capture_shifts(model, pairs.select(range(8)), "blocks.5.hook_resid_post", position="mean", quiet=True)
try:
    sl.dashboard(ssae, elsewhere)
except ValueError as error:
    print(error)

# %% [markdown]
# Next: [4, your own pairs](4_own_pairs.ipynb).
