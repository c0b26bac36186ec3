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
# # 6. Synthetic worlds: when concepts can be found, and when not
#
# An SSAE promises the directions of concepts from pairs that nobody labelled. When does it keep that? In a language model nobody
# knows the truth, so here we make worlds in which it is known, and break the assumptions one at a time. No language model is needed.
#
# A world is made of directions aₖ and of shifts δ = Σ cₖaₖ, in each of which a few codes cₖ are not zero.

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.express as px

import ssae_lens as sl
from studies import baselines
from studies.fitted_dictionary import from_sae
from studies.synthetic import World, world
from ssae_lens.metrics import mcc_codes, mcc_decoders

warnings.simplefilter("ignore")  # worlds made to break the method make it complain, rightly

CONCEPTS, WIDE, STEPS = 10, 32, 1000
easy = world(WIDE, CONCEPTS, n=6000)
print(easy.description, "→ shifts", easy.shifts.shape)
print("concepts that change in the first five:", (easy.codes[:5] != 0).sum(axis=1))

# %% [markdown]
# ## It holds
#
# Training sees `easy.train`, an array of shifts, and nothing else.

# %%
ssae = sl.train(easy.train, d_sae=CONCEPTS, steps=STEPS, quiet=True)
print(ssae.outcome.message)

# %% [markdown]
# Concepts come out in any order and with either sign: nothing in shifts could tell. So latents are matched with concepts one to
# one, and the mean |correlation| of matched codes is the **MCC**: 1 is all found. It is always to be read beside what it gives
# where there is nothing to find, here against shuffled codes.

# %%
codes = from_sae(ssae).encode(easy.test)
shuffled = np.random.default_rng(0).permutation(easy.test_codes)
print(
    f"MCC of codes    {mcc_codes(codes, easy.test_codes).score:.3f}   (against shuffled codes {mcc_codes(codes, shuffled).score:.3f})"
)
print(f"MCC of decoders {mcc_decoders(ssae.W_dec.detach().numpy(), easy.directions).score:.3f}")

# %% [markdown]
# The picture of it: cosines of every latent's decoder row with every true direction. One dark square in each row and column, and
# nothing else, is what "identified up to order and sign" looks like.


# %%
def cosines(ours, true):
    unit = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (ours, true)]
    return abs(unit[0] @ unit[1].T)


def picture(ours, true, title):
    return px.imshow(
        cosines(ours, true),
        zmin=0,
        zmax=1,
        color_continuous_scale="Blues",
        labels={"x": "true concept", "y": "latent", "color": "|cosine|"},
        title=title,
        template="plotly_white",
    )


picture(ssae.W_dec.detach().numpy(), easy.directions, "An SSAE of unlabelled shifts")

# %% [markdown]
# ## What does the work is sparsity
#
# The same weights, input and optimiser without the constraint reconstruct as well (there are as many latents as concepts: any basis
# of the space will do) and find nothing. Reconstruction tells you nothing about identification.

# %%
free = baselines.affine(easy.train, CONCEPTS, steps=STEPS)
held = easy.test
for name, answer in (("SSAE", from_sae(ssae)), ("without the constraint", free)):
    rebuilt = answer.decode(answer.encode(held))
    explained = 1 - ((held - rebuilt) ** 2).sum() / (held**2).sum()
    found = mcc_codes(answer.encode(held), easy.test_codes).score
    print(f"{name:<24} energy explained {explained:.3f}   MCC {found:.3f}")

picture(free.directions, easy.directions, "The same without the constraint")

# %% [markdown]
# ## It breaks
#
# Each knob below breaks one assumption. Beside the SSAE stands FastICA, which assumes that concepts are independent instead of
# sparse, and the fit without the constraint. The score is the MCC of decoders: directions are what one steers with. The best of each row
# is printed beside it; it is not always ours.


# %%
def score(answer, there) -> float:
    # A concept that is left without a direction counts 0: FastICA has no more directions than dimensions.
    return float(mcc_decoders(answer.directions, there.directions).per_factor.mean())


def dense(n=6000):
    """Every concept changes in every pair: nothing is sparse."""
    draw = np.random.default_rng(5)
    codes, directions = draw.normal(size=(n, CONCEPTS)), easy.directions
    shifts = (codes @ directions).astype(np.float32)
    return World(shifts, codes.astype(np.float32), directions, "dense", "every concept changes in every pair", CONCEPTS)


WORLDS = {
    "as assumed": {},
    "noise as strong as a tenth of the shifts (10 dB)": {"noise_db": 10},
    "changes of two concepts correlated at .9": {"correlation": 0.9},
    "concepts come in pairs that always change together": {"correlation": 1.0, "value_correlation": 1.0},
    "one to all ten change in a pair": {"most_changed": CONCEPTS},
    "all ten change in every pair": None,
    "half of each shift bends with its context": {"bend": 0.5},
    "nearly parallel directions (condition 1000)": {"condition": 1000},
    "more concepts than dimensions (20 in 16)": {"d": 16, "n_concepts": 20},
}

results = []
for name, broken in WORLDS.items():
    there = dense() if broken is None else world(**{"d": WIDE, "n_concepts": CONCEPTS, "n": 6000, **broken})
    width = there.codes.shape[1]
    answers = {
        "SSAE": from_sae(sl.train(there.train, d_sae=width, steps=STEPS, quiet=True)),
        "FastICA": baselines.fast_ica(there.train, width),
        "no constraint": baselines.affine(there.train, width, steps=STEPS // 2),
    }
    results.append({"world": name, **{each: score(answer, there) for each, answer in answers.items()}})

table = pd.DataFrame(results).set_index("world")
table.assign(best=table.idxmax(axis=1)).round(3)

# %%
long = table.reset_index().melt("world", var_name="method", value_name="MCC of decoders")
figure = px.scatter(
    long,
    x="MCC of decoders",
    y="world",
    color="method",
    template="plotly_white",
    title="Ten concepts, one assumption broken at a time",
)
figure.update_xaxes(range=[0, 1.02]).update_yaxes(autorange="reversed", title="").update_traces(marker_size=10)

# %% [markdown]
# How to read it:
#
# - **Always together is one.** No method can part two concepts that no pair ever parts. Correlated *changes* alone are not that:
#   pairs in which one changes without the other are few, but they are there.
# - **Sparse means sometimes few.** That any number *may* change is not the end, as long as some pairs change few. Where all change in every
#   pair, and their values are Gaussian, no linear method has anything to go by.
# - **A direction must be one.** If a concept moves activations in a way that depends on the context, its direction is an average.
# - **Directions must be apart, and have room.** Nearly parallel ones are hard to tell from each other, and more concepts than dimensions
#   leave no exact answer to anything linear.
#
# `python -m studies synthetic` measures thirty worlds, five seeds each, beside eight methods.

# %% [markdown]
# ## How would you know, without the truth?
#
# Two signs need no labels. **Seeds**: train several times; directions that the data determine come out each time (UDR). **Halves**:
# train on either half of the pairs, and count the latents that both halves give, less those that only one has (`split_half_score`).
# `sweep` computes both, for several widths side by side, and keeps the width with the most split_half_score latents.

# %%
swept = sl.sweep(easy.train, d_sae=[6, CONCEPTS, 16], seeds=3, steps=STEPS, quiet=True)
signs = swept.table()[["d_sae", "udr_decoders", "split_half_score"]]
signs["MCC (not seen by sweep)"] = [
    score(from_sae(swept.ssae(row)), easy) if width >= CONCEPTS else float("nan")
    for row, width in enumerate(signs["d_sae"])
]
print(f"Chosen without looking at the truth: d_sae={swept.chosen.d_sae}; there are {CONCEPTS} concepts.")
signs.round(3)

# %% [markdown]
# ## Wrong turns
#
# **Trusting reconstruction.** See above: it is as good where nothing was found.
#
# **A wide SSAE "to be safe".** Beyond the concepts that are there, latents follow what is left: noise, or parts of concepts. Let
# halves decide.
#
# **A level that does not bind.** With the paper's formulation one gives a `level` of sparsity, and one that is too high constrains
# nothing; the outcome says so. By default there is no level to get wrong: sparsity is what is minimised, and the loss is bounded.

# %%
loose = sl.train(easy.train, d_sae=CONCEPTS, level=0.98, sparsity="l1", steps=STEPS, quiet=True)
print(loose.outcome.status, "–", loose.outcome.message)
print(f"MCC of decoders {score(from_sae(loose), easy):.3f}, of the default {score(from_sae(ssae), easy):.3f}")

# %% [markdown]
# Next: [7, why an SAE misreads a steering vector](7_sae_and_vectors.ipynb).
