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
# Can an SAE explain a steering vector by its features? [Mayne et al. (2024)](https://arxiv.org/abs/2411.08790) give two reasons why its code misleads. This tutorial
# checks both on SmolLM2 and an SAE of it, tries two remedies, and compares with an SSAE, an autoencoder *of shifts*.
#
# 1. A steering vector is out of distribution: it is not an activation, and its code reflects the SAE's bias and thresholds.
# 2. A steering vector has *negative* components, features that it reduces. A non-negative code cannot represent them.

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
import torch

import ssae_lens as sl
from ssae_lens.evals import built_in
from ssae_lens.methods import mean_shift
from ssae_lens.pretrained import load_sae

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
sae = load_sae("smollm2-135m-res", HOOK)
print(f"{type(sae).__name__}: {sae.cfg.d_sae} features of {HOOK}")

# %% [markdown]
# ## A steering vector, and activations
#
# The vector is the mean shift of sentences from the third to the first person (they → we), as in CAA. For comparison we use the activations of the tokens of
# such sentences.

# %%
task = built_in(["first person"], n_pairs=360)[0]
contrasts = sl.capture_shifts(model, task.contrasts.select(range(48)), HOOK, position="mean", quiet=True)
vector = mean_shift(contrasts)
v = vector.direction
with torch.no_grad():
    per_text = [model.run_with_cache(text, names_filter=HOOK)[1][HOOK][0, 1:] for text in task.contrasts["source"][:16]]
activations = torch.cat(per_text)
print(vector)
print(f"{len(activations)} activations of single tokens")

# %% [markdown]
# ## Reason 1: out of distribution

# %%
figure = go.Figure(go.Histogram(x=activations.norm(dim=1).numpy(), nbinsx=60, name="activations"))
figure.add_vline(x=float(v.norm()), line_color="crimson", annotation_text="the steering vector")
figure.update_layout(title="Norms", xaxis_title="norm", yaxis_title="tokens", template="plotly_white")
figure.update_xaxes(rangemode="tozero")

# %% [markdown]
# The SAE's code of the vector, compared with its code of the zero vector:


# %%
@torch.no_grad()
def encode(x):
    return sae.encode(torch.as_tensor(x, dtype=torch.float32))


@torch.no_grad()
def reconstruct(x):
    return sae.decode(sae.encode(x))


zero = torch.zeros_like(v)
distance = (reconstruct(v) - reconstruct(zero)).norm()
print(
    f"active features: {int((encode(v) > 0).sum())} for the vector, {int((encode(zero) > 0).sum())} for the zero vector"
)
print(f"norm of the difference of their reconstructions: {distance:.2f}; norm of the vector: {v.norm():.2f}")
print(f"norm of the zero vector's reconstruction: {reconstruct(zero).norm():.2f}, from the bias")

# %% [markdown]
# With thresholds, an SAE returns an empty code for a short vector; without, it returns the code of its bias. Compare with the zero vector first.
#
# A rescaled vector has a code, but which scale is right? At 1 the vector has the mean norm of activations.

# %%
length, unit = float(activations.norm(dim=1).mean()), v / v.norm()


def top(codes, n=20):
    best = codes.topk(n)
    return {int(feature) for feature, value in zip(best.indices, best.values) if value > 0}


at_one = top(encode(unit * length))
rows = []
for factor in (float(v.norm()) / length, 0.1, 0.2, 0.4, 1.0, 2.0, 4.0):
    code = encode(unit * length * factor)
    rows.append(
        {
            "norm / activation": round(factor, 3),
            "active features": int((code > 0).sum()),
            "of the top 20, shared with scale 1": len(top(code) & at_one),
        }
    )
median = int((encode(activations) > 0).sum(1).float().median())
print(f"an activation has {median} active features (median)")
table = pd.DataFrame(rows)
table.set_index("norm / activation")

# %%
figure = px.line(
    table,
    x="norm / activation",
    y="active features",
    log_x=True,
    markers=True,
    title="The code depends on the norm of the vector",
    template="plotly_white",
)
figure.add_hline(y=median, line_dash="dot", annotation_text="activations")

# %% [markdown]
# ## Reason 2: negative components
#
# The cosines of the vector with all decoder rows. About half of them are negative, as for any difference of means.

# %%
rows_unit = torch.nn.functional.normalize(sae.W_dec.detach().float(), dim=1)
cosines = rows_unit @ (v / v.norm())
negative = cosines < 0
strongest = cosines.abs().topk(50).indices
print(
    f"negative cosines: {negative.float().mean():.0%} of all rows, {negative[strongest].float().mean():.0%} of the 50 with the largest |cosine|"
)
lost = float((cosines[negative] ** 2).sum() / (cosines**2).sum())
print(f"share of the summed cos² that a non-negative code cannot represent: {lost:.0%}")
px.histogram(
    x=cosines.numpy(),
    nbins=80,
    title="Cosine of the steering vector with decoder rows",
    labels={"x": "cosine"},
    template="plotly_white",
)

# %% [markdown]
# ## Remedy 1: encode in distribution
#
# Add the vector to activations, and take the *difference* of the codes. The SAE then encodes what it was trained on, the bias cancels, and a feature that is
# reduced has a negative difference.

# %%
difference = (encode(activations + v) - encode(activations)).mean(0)
print(
    f"of the {len(top(difference))} features that increase most, {len(top(difference) & top(encode(v)))} are in the code of the vector,"
)
print(f"and {len(top(difference) & at_one)} in that of the vector at the norm of activations")
print(
    f"{float((difference.clamp(max=0)).abs().sum() / difference.abs().sum()):.0%} of the change is features that decrease"
)

# %% [markdown]
# ## Remedy 2: signed pursuit
#
# Without the encoder: write the vector as a signed combination of few decoder rows, by orthogonal matching pursuit.


# %%
def pursue(x, atoms, steps):
    """Orthogonal matching pursuit: select the row with the largest |inner product| with the residual, and refit all weights."""
    selected, residual = [], x.clone()
    for _ in range(steps):
        selected.append(int((atoms @ residual).abs().argmax()))
        weights = torch.linalg.lstsq(atoms[selected].T, x[:, None]).solution[:, 0]
        residual = x - weights @ atoms[selected]
    return selected, weights, 1 - float(residual @ residual / (x @ x))


selected, weights, explained = pursue(v, rows_unit, 20)
direct = 1 - float(((reconstruct(v) - v) ** 2).sum() / (v**2).sum())
print(
    f"20 signed rows explain {explained:.0%} of the vector's variance; {int((weights < 0).sum())} weights are negative"
)
print(f"the SAE's reconstruction of the vector explains {direct:.0%}" + (" (worse than zero)" if direct < 0 else ""))

# %% [markdown]
# ## An SSAE
#
# An SSAE is trained on differences of activations, and a steering vector *is* one. Its codes are signed, and the zero vector has the zero code. We train it on
# unlabelled sentences in which one to three of fifteen attributes change, among them the person.

# %%
shifts = sl.capture_shifts(model, task.unlabelled.pairs, HOOK, position="mean", quiet=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ssae = sl.sweep(shifts, d_sae=[16, 20], seeds=2, steps=1200, quiet=True).best

with torch.no_grad():
    h, h_zero, rebuilt = ssae.encode(v), ssae.encode(torch.zeros_like(v)), ssae.decode(ssae.encode(v))
print(f"largest |code| of the zero vector: {h_zero.abs().max():.1e}")
print(f"codes of v and −v are opposite: {bool(torch.allclose(ssae.encode(-v), -h, atol=1e-4))}")
print(f"{ssae.cfg.d_sae} latents explain {1 - float(((rebuilt - v) ** 2).sum() / (v**2).sum()):.0%} of the vector")

# %% [markdown]
# Does its code name the right concept? Labels match latents with attributes:

# %%
concepts = sl.match_concepts(ssae, shifts)
names = [(concepts.of_latent(k).concept if concepts.of_latent(k) else f"latent {k}") for k in range(ssae.cfg.d_sae)]
share = (h.detach() ** 2 / (h.detach() ** 2).sum()).numpy()
print(
    f"strongest latent: {names[int(share.argmax())]}, {share.max():.0%} of the squared code; the vector is for {task.concept}"
)
px.bar(
    x=names,
    y=h.detach().numpy(),
    title="The SSAE's code of the steering vector",
    labels={"x": "", "y": "code"},
    template="plotly_white",
)

# %% [markdown]
# ## Side by side

# %%
pd.DataFrame(
    {
        "norm of the zero vector's reconstruction": [
            f"{float(reconstruct(zero).norm()):.2f}",
            f"{float(ssae.decode(h_zero).detach().norm()):.2f}",
        ],
        "variance explained": [f"{direct:.0%}", f"{1 - float(((rebuilt - v) ** 2).sum() / (v**2).sum()):.0%}"],
        "active codes": [int((encode(v) > 0).sum()), int((h.abs() > 0.01 * h.abs().max()).sum())],
        "signed": ["no", "yes"],
    },
    index=["SAE, of activations", "SSAE, of shifts"],
)

# %% [markdown]
# The comparison favours the SSAE: the SAE has thousands of features for all text, the SSAE some twenty for what changes in one kind of pair, and this vector comes
# from such pairs. An SSAE cannot represent a concept that no pair shows; it then explains little of the vector:

# %%
generator = torch.Generator().manual_seed(0)
noise = torch.randn(len(v), generator=generator) * v.norm() / len(v) ** 0.5
with torch.no_grad():
    rebuilt = ssae.decode(ssae.encode(noise))
print(f"explained of a random direction: {1 - float(((rebuilt - noise) ** 2).sum() / (noise**2).sum()):.0%}")

# %% [markdown]
# ## Common mistakes
#
# **Reading the top features of a steering vector's code.** Compare with the zero vector first.
#
# **Rescaling the vector until the features look right.** The code depends on the scale, and every scale has one.
#
# **Encoding an activation with an SSAE.** It is for shifts.
#
# **Relying on an SSAE that did not recover the concept.** Check the fit of its latents (`concepts`, above), or `split_half_score` without labels. With `"positive sentiment"`
# instead of `"first person"`, 360 pairs are too few.
#
# `python -m studies decomposition` measures this over many vectors, with intervals.
