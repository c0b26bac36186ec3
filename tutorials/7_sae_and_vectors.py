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
# # 7. Why an SAE misreads a steering vector
#
# It is tempting to ask an SAE what a steering vector means: encode it, and read off the features. [Mayne et al. (2024)](https://arxiv.org/abs/2411.08790)
# show that the answer is not to be trusted, for two reasons. This tutorial looks for both in SmolLM2 and a real SAE of it, tries what can be
# done, and shows what an autoencoder *of shifts* does instead.
#
# 1. A steering vector is not an activation. It lies where the SAE has never been, and what the SAE says there is its bias and its thresholds.
# 2. A steering vector has *negative* parts, features it takes away. A code that is never below zero cannot say so.

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch

import ssae_lens as sl
from ssae_lens.evals.steering import built_in
from ssae_lens.methods import mean_shift
from ssae_lens.pretrained import load_sae

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
sae = load_sae("smollm2-135m-res", HOOK)
print(f"{type(sae).__name__}: {sae.cfg.d_sae} features of {HOOK}")

# %% [markdown]
# ## A steering vector, and real activations
#
# The mean shift of sentences said twice, first in the third person and then in the first (they → we): CAA's vector. Activations of the tokens of such
# sentences stand beside it.

# %%
task = built_in(["first person"], n_pairs=360)[0]
contrasts = sl.capture_shifts(model, task.contrasts.select(range(48)), HOOK, position="mean", quiet=True)
vector = mean_shift(contrasts)
v = vector.direction
with torch.no_grad():
    read = [model.run_with_cache(text, names_filter=HOOK)[1][HOOK][0, 1:] for text in task.contrasts["source"][:16]]
activations = torch.cat(read)
print(vector)
print(f"{len(activations)} activations of single tokens")

# %% [markdown]
# ## Reason 1: it is not where the SAE has been

# %%
figure = go.Figure(go.Histogram(x=activations.norm(dim=1).numpy(), nbinsx=60, name="activations"))
figure.add_vline(x=float(v.norm()), line_color="crimson", annotation_text="the steering vector")
figure.update_layout(title="Lengths", xaxis_title="norm", yaxis_title="tokens", template="plotly_white")
figure.update_xaxes(rangemode="tozero")

# %% [markdown]
# So what does the SAE say of it, and what does it say of *nothing*, the zero vector?


# %%
@torch.no_grad()
def code(x):
    return sae.encode(torch.as_tensor(x, dtype=torch.float32))


@torch.no_grad()
def given_back(x):
    return sae.decode(sae.encode(x))


zero = torch.zeros_like(v)
apart = (given_back(v) - given_back(zero)).norm()
print(f"active features: {int((code(v) > 0).sum())} for the vector, {int((code(zero) > 0).sum())} for the zero vector")
print(f"what it gives back for the two differs by {apart:.2f}; the vector has length {v.norm():.2f}")
print(f"what it gives back for the zero vector has length {given_back(zero).norm():.2f}: its bias")

# %% [markdown]
# An SAE with thresholds says nothing of a vector too short to pass them; one without says what its bias says. Either way it is what
# it says of *nothing* that has to be looked at first.
#
# Scaled up, the vector is heard. But which scale is the right one? At a length of 1 it is as long as an activation is on average.

# %%
length, unit = float(activations.norm(dim=1).mean()), v / v.norm()


def top(codes, n=20):
    best = codes.topk(n)
    return {int(feature) for feature, value in zip(best.indices, best.values) if value > 0}


at_one = top(code(unit * length))
rows = []
for factor in (float(v.norm()) / length, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0):
    said = code(unit * length * factor)
    rows.append(
        {
            "length / activation": round(factor, 3),
            "active features": int((said > 0).sum()),
            "of its strongest 20, those of length 1": len(top(said) & at_one),
        }
    )
usual = int((code(activations) > 0).sum(1).float().median())
print(f"a token's activation has {usual} active features (median)")
pd.DataFrame(rows).set_index("length / activation")

# %%
shown = pd.DataFrame(rows)
figure = px.line(
    shown,
    x="length / activation",
    y="active features",
    log_x=True,
    markers=True,
    title="What the SAE reads depends on how long the vector is made",
    template="plotly_white",
)
figure.add_hline(y=usual, line_dash="dot", annotation_text="a token's activation")

# %% [markdown]
# ## Reason 2: negative parts have no code
#
# The cosine of the vector with every decoder row. A vector made by subtraction points *against* about as many rows as it points along.

# %%
rows_unit = torch.nn.functional.normalize(sae.W_dec.detach().float(), dim=1)
cosines = rows_unit @ (v / v.norm())
negative = cosines < 0
strongest = cosines.abs().topk(50).indices
print(
    f"{negative.float().mean():.0%} of all rows, and {negative[strongest].float().mean():.0%} of the 50 most aligned, point against the vector"
)
lost = float((cosines[negative] ** 2).sum() / (cosines**2).sum())
print(f"share of the summed cos² that a code of one sign cannot say: {lost:.0%}")
px.histogram(
    x=cosines.numpy(),
    nbins=80,
    title="Cosine of the steering vector with decoder rows",
    labels={"x": "cosine"},
    template="plotly_white",
)

# %% [markdown]
# ## Remedy 1: encode where activations are
#
# Add the vector to real activations and take the *difference* of the codes. Now the SAE reads what it was trained on, the bias cancels, and a
# feature that fires less shows as negative.

# %%
moved = (code(activations + v) - code(activations)).mean(0)
print(
    f"of the {len(top(moved))} features that rise most, {len(top(moved) & top(code(v)))} are in the reading of the vector as it is,"
)
print(f"and {len(top(moved) & at_one)} in that of the vector made as long as an activation")
print(f"{float((moved.clamp(max=0)).abs().sum() / moved.abs().sum()):.0%} of the change is features that fire less")

# %% [markdown]
# ## Remedy 2: pursue it with signs
#
# Or leave the encoder aside and write the vector as few decoder rows, each with a sign, by orthogonal matching pursuit.


# %%
def pursue(x, atoms, steps):
    """Orthogonal matching pursuit: take the row that the rest lies along most, fit all taken rows anew, go on."""
    taken, rest = [], x.clone()
    for _ in range(steps):
        taken.append(int((atoms @ rest).abs().argmax()))
        weights = torch.linalg.lstsq(atoms[taken].T, x[:, None]).solution[:, 0]
        rest = x - weights @ atoms[taken]
    return taken, weights, 1 - float(rest @ rest / (x @ x))


taken, weights, explained = pursue(v, rows_unit, 20)
direct = 1 - float(((given_back(v) - v) ** 2).sum() / (v**2).sum())
print(f"20 signed rows explain {explained:.0%} of the vector; {int((weights < 0).sum())} of them are negative")
print(
    f"the SAE's own reconstruction of the vector explains {direct:.0%}"
    + (" (worse than nothing)" if direct < 0 else "")
)

# %% [markdown]
# ## An autoencoder of shifts
#
# An SSAE is trained on differences of activations. A steering vector *is* one. Its codes have signs, and nothing has the code of nothing. This one
# learns from unlabelled sentences in which one to three of fifteen attributes change, the person among them.

# %%
pool = sl.capture_shifts(model, task.pool.pairs, HOOK, position="mean", quiet=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ssae = sl.sweep(pool, d_sae=[16, 20], seeds=2, steps=1200, quiet=True).best

with torch.no_grad():
    h, h_zero, back = ssae.encode(v), ssae.encode(torch.zeros_like(v)), ssae.decode(ssae.encode(v))
print(f"code of the zero vector: largest |code| {h_zero.abs().max():.1e}")
print(f"codes of v and of −v are opposite: {bool(torch.allclose(ssae.encode(-v), -h, atol=1e-4))}")
print(f"explained of the vector with {ssae.cfg.d_sae} latents: {1 - float(((back - v) ** 2).sum() / (v**2).sum()):.0%}")

# %% [markdown]
# And does it read the vector as what it is? Labels, looked at now, say which latent is which attribute.

# %%
concepts = sl.match_concepts(ssae, pool)
names = [(concepts.of_latent(k).concept if concepts.of_latent(k) else f"latent {k}") for k in range(ssae.cfg.d_sae)]
share = (h.detach() ** 2 / (h.detach() ** 2).sum()).numpy()
print(
    f"strongest latent: {names[int(share.argmax())]}, {share.max():.0%} of the code's energy; the vector was made for {task.concept}"
)
px.bar(
    x=names,
    y=h.detach().numpy(),
    title="What the SSAE says of the steering vector",
    labels={"x": "", "y": "code"},
    template="plotly_white",
)

# %% [markdown]
# ## All of it, side by side

# %%
pd.DataFrame(
    {
        "given back for the zero vector": [
            f"{float(given_back(zero).norm()):.2f}",
            f"{float(ssae.decode(h_zero).detach().norm()):.2f}",
        ],
        "energy of the vector explained": [f"{direct:.0%}", f"{1 - float(((back - v) ** 2).sum() / (v**2).sum()):.0%}"],
        "active codes": [int((code(v) > 0).sum()), int((h.abs() > 0.01 * h.abs().max()).sum())],
        "says 'less'": ["no", "yes"],
    },
    index=["SAE, of activations", "SSAE, of shifts"],
)

# %% [markdown]
# It is no fair race, and not meant as one: the SAE has thousands of features of everything in text, the SSAE some twenty of what changes in
# one kind of pair, and this vector was made from such pairs. A vector for something that no pair shows is not in its span, and it can say so only by explaining little:

# %%
generator = torch.Generator().manual_seed(0)
noise = torch.randn(len(v), generator=generator) * v.norm() / len(v) ** 0.5
with torch.no_grad():
    rebuilt = ssae.decode(ssae.encode(noise))
print(f"explained of a random direction: {1 - float(((rebuilt - noise) ** 2).sum() / (noise**2).sum()):.0%}")

# %% [markdown]
# ## Wrong turns
#
# **Encoding a steering vector with an SAE and reading the top features.** Compare with the zero vector first.
#
# **Scaling the vector until the reading looks right.** It depends on the scale, and any scale has a reading.
#
# **Encoding an activation with an SSAE.** The same mistake the other way round: it reads shifts.
#
# **Believing an SSAE that has not found the concept.** It reads a vector in terms of what it has; look at the fit of its latents first
# (`concepts`, above), and at `split_half_score` where there are no labels. With `"positive sentiment"` in the place of `"first person"` you can
# see what 360 pairs are too few for.
#
# `python -m studies decomposition` measures this over many vectors, with intervals.
