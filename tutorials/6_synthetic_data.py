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
# # 6. Synthetic data: when concepts are identifiable
#
# When does an SSAE recover the concepts' directions from unlabelled pairs? A language model has no ground truth, so this tutorial uses synthetic shifts with
# known directions, and violates the assumptions one at a time. No language model is needed.
#
# Synthetic data consist of directions aₖ and shifts δ = Σ cₖaₖ, in each of which few codes cₖ are non-zero.

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.express as px

import ssae_lens as sl
from studies import baselines
from studies.baselines import FittedDictionary
from ssae_lens.evals.synthetic_data import SyntheticData, synthetic_shifts
from ssae_lens.metrics import mcc_codes, mcc_decoders

warnings.simplefilter("ignore")  # violated assumptions cause warnings

N_CONCEPTS, D_MODEL, STEPS = 10, 32, 1000
easy = synthetic_shifts(D_MODEL, N_CONCEPTS, n=6000)
print(easy.description, "→ shifts", easy.shifts.shape)
print("changed concepts in the first five shifts:", (easy.codes[:5] != 0).sum(axis=1))

# %% [markdown]
# ## All assumptions hold
#
# Training uses `easy.train`, an array of shifts.

# %%
ssae = sl.train(easy.train, d_sae=N_CONCEPTS, steps=STEPS, quiet=True)
print(ssae.outcome.message)

# %% [markdown]
# Concepts are identifiable up to permutation and sign. We match latents with concepts one to one; the mean |correlation| of matched codes is the **MCC** (mean
# correlation coefficient), which is 1 for perfect recovery. Compare it with its value without structure, here for shuffled codes.

# %%
codes = FittedDictionary.from_sae(ssae).encode(easy.test)
shuffled = np.random.default_rng(0).permutation(easy.test_codes)
print(
    f"MCC of codes    {mcc_codes(codes, easy.test_codes).score:.3f}   (with shuffled codes {mcc_codes(codes, shuffled).score:.3f})"
)
print(f"MCC of decoders {mcc_decoders(ssae.W_dec.detach().numpy(), easy.directions).score:.3f}")

# %% [markdown]
# The cosines of all decoder rows with all true directions. After perfect recovery, each row and column has one dark cell.


# %%
def abs_cosines(rows, directions):
    rows, directions = (matrix / np.linalg.norm(matrix, axis=1, keepdims=True) for matrix in (rows, directions))
    return abs(rows @ directions.T)


def heat_map(rows, directions, title):
    return px.imshow(
        abs_cosines(rows, directions),
        zmin=0,
        zmax=1,
        color_continuous_scale="Blues",
        labels={"x": "true concept", "y": "latent", "color": "|cosine|"},
        title=title,
        template="plotly_white",
    )


heat_map(ssae.W_dec.detach().numpy(), easy.directions, "SSAE")

# %% [markdown]
# ## Sparsity is essential
#
# The same model without the constraint reconstructs equally well (any basis of the subspace does) and recovers nothing. Reconstruction says nothing about
# identification.

# %%
unconstrained = baselines.affine(easy.train, N_CONCEPTS, steps=STEPS)
test = easy.test
for name, model in (("SSAE", FittedDictionary.from_sae(ssae)), ("no constraint", unconstrained)):
    reconstruction = model.decode(model.encode(test))
    fvu = ((test - reconstruction) ** 2).sum() / (test**2).sum()
    print(f"{name:<14} FVU {fvu:.3f}   MCC {mcc_codes(model.encode(test), easy.test_codes).score:.3f}")

heat_map(unconstrained.directions, easy.directions, "The same model without the constraint")

# %% [markdown]
# ## Violated assumptions
#
# Each row below violates one assumption. The SSAE is compared with FastICA, which assumes independence instead of sparsity, and with the unconstrained
# model. The score is the MCC of decoders, since steering uses directions. The last column names the best method, which is not always the SSAE.


# %%
def score(model, data) -> float:
    # A concept without a direction counts 0: FastICA has no more directions than dimensions.
    return float(mcc_decoders(model.directions, data.directions).per_factor.mean())


def dense(n=6000):
    """Shifts in which every concept changes."""
    draw = np.random.default_rng(5)
    codes, directions = draw.normal(size=(n, N_CONCEPTS)), easy.directions
    shifts = (codes @ directions).astype(np.float32)
    return SyntheticData(
        shifts, codes.astype(np.float32), directions, "dense", "every concept changes in every pair", N_CONCEPTS
    )


VIOLATIONS = {
    "none": {},
    "noise: a tenth of the shifts' variance (10 dB)": {"noise_db": 10},
    "changes correlated at .9": {"correlation": 0.9},
    "concepts always change in twos": {"correlation": 1.0, "value_correlation": 1.0},
    "one to all ten change in a pair": {"max_changed": N_CONCEPTS},
    "all ten change in every pair": None,
    "context-dependent directions, 50 %": {"context_dependence": 0.5},
    "nearly parallel directions (condition 1000)": {"condition": 1000},
    "more concepts than dimensions (20 in 16)": {"d": 16, "n_concepts": 20},
}

results = []
for name, settings in VIOLATIONS.items():
    data = (
        dense()
        if settings is None
        else synthetic_shifts(**{"d": D_MODEL, "n_concepts": N_CONCEPTS, "n": 6000, **settings})
    )
    width = data.codes.shape[1]
    models = {
        "SSAE": FittedDictionary.from_sae(sl.train(data.train, d_sae=width, steps=STEPS, quiet=True)),
        "FastICA": baselines.fast_ica(data.train, width),
        "no constraint": baselines.affine(data.train, width, steps=STEPS // 2),
    }
    results.append({"violation": name, **{method: score(model, data) for method, model in models.items()}})

table = pd.DataFrame(results).set_index("violation")
table.assign(best=table.idxmax(axis=1)).round(3)

# %%
long = table.reset_index().melt("violation", var_name="method", value_name="MCC of decoders")
figure = px.scatter(
    long,
    x="MCC of decoders",
    y="violation",
    color="method",
    template="plotly_white",
    title="Ten concepts, one violated assumption at a time",
)
figure.update_xaxes(range=[0, 1.02]).update_yaxes(autorange="reversed", title="").update_traces(marker_size=10)

# %% [markdown]
# How to read it:
#
# - **Concepts that always change together** get one direction with every method. Correlated *changes* are less severe: some pairs change one without the other.
# - **Sparsity on some pairs suffices.** Any number of concepts may change, as long as some pairs change few. If all concepts change in every pair, with
#   Gaussian values, no linear method can identify them.
# - **A context-dependent concept** has no single direction; methods recover an average.
# - **Nearly parallel directions** are hard to separate, and with more concepts than dimensions no linear method is exact.
#
# `python -m studies synthetic` measures thirty such data sets with five seeds and eight methods.

# %% [markdown]
# ## Without ground truth
#
# Two measures need no labels. **Seed stability** (UDR): directions that the data determine agree across seeds. **Split-half stability**
# (`split_half_score`): the number of latents reproduced in both halves of the pairs, minus those that are not. `sweep` computes both for several widths, and
# selects the width with the highest `split_half_score`.

# %%
swept = sl.sweep(easy.train, d_sae=[6, N_CONCEPTS, 16], seeds=3, steps=STEPS, quiet=True)
stability = swept.table()[["d_sae", "udr_decoders", "split_half_score"]]
stability["MCC (unknown to sweep)"] = [
    score(FittedDictionary.from_sae(swept.ssae(row)), easy) if width >= N_CONCEPTS else float("nan")
    for row, width in enumerate(stability["d_sae"])
]
print(f"Selected without ground truth: d_sae={swept.chosen.d_sae}; there are {N_CONCEPTS} concepts.")
stability.round(3)

# %% [markdown]
# ## Common mistakes
#
# **Relying on reconstruction.** See above: it is equally good without identification.
#
# **Too many latents.** Latents beyond the number of concepts fit noise or parts of concepts. Choose the width by `split_half_score`.
#
# **A slack level.** In the paper's formulation one sets a `level` of sparsity. If it is too high, it constrains nothing, and the outcome says so. By default
# sparsity is minimised subject to a bound on the loss, and there is no level to set.

# %%
loose = sl.train(easy.train, d_sae=N_CONCEPTS, level=0.98, sparsity="l1", steps=STEPS, quiet=True)
print(loose.outcome.status, "–", loose.outcome.message)
print(
    f"MCC of decoders {score(FittedDictionary.from_sae(loose), easy):.3f}, with the default {score(FittedDictionary.from_sae(ssae), easy):.3f}"
)

# %% [markdown]
# Next: [7, SAEs and steering vectors](7_sae_and_vectors.ipynb).
