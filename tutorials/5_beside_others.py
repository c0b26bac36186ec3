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
# # 5. Comparison with CAA and SAE-TS
#
# Vectors for positive sentiment from five methods, at equal norm: how large is the intended effect, what are the side effects, and what is the generated text?
# This is one of the fourteen tasks of `python -m studies steering`, small enough to follow every step. The README has the results of all tasks.
#
# | method | input |
# |---|---|
# | **SSAE** | pairs in which several unknown concepts change; labels only to select a latent |
# | **CAA** | pairs that differ in the sentiment only |
# | **SAE feature**, **SAE-TS** | an SAE of the model's activations, and contrasts to select a feature; SAE-TS also the effects of hundreds of vectors on the SAE's features |
# | **random** | nothing: the control |

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.express as px

import ssae_lens as sl
from ssae_lens import methods
from ssae_lens.base.assets import asset_path
from ssae_lens.evals import built_in
from ssae_lens.evals.built_in_tasks import flipped
from ssae_lens.evals.text_scores import text_margins
from ssae_lens.hooks.likelihood import Likelihood
from ssae_lens.hooks.hook_points import layer_of
from ssae_lens.methods.sae_ts import Approximator, targeted
from ssae_lens.pretrained import load_sae
from ssae_lens.methods import cosine_table

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
TASK = "positive sentiment"  # or "past tense", "politeness", "negation", …; the ranking differs between tasks
task = built_in([TASK], n_pairs=360)[0]

# %% [markdown]
# ## The data
#
# The SSAE is trained on sentences in which one to three of fifteen attributes change:

# %%
pool = task.unlabelled.pairs
for row in (0, 1):
    print(
        pool[row]["source"],
        pool[row]["target"],
        f"(changed, not used in training: {', '.join(pool[row]['changed'])})",
        sep="\n  → ",
    )

# %% [markdown]
# CAA uses the same kind of sentence, with only the sentiment changed:

# %%
contrasts = task.contrasts.select(range(48))
print(contrasts[0]["source"], contrasts[0]["target"], sep="\n  → ")

# %% [markdown]
# ## SSAE
#
# 360 pairs keep the tutorial short; use thousands in practice.

# %%
shifts = sl.capture_shifts(model, pool, HOOK, position="mean", quiet=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ssae = sl.sweep(shifts, d_sae=[16, 20], seeds=2, steps=1200, quiet=True).best
concepts = sl.match_concepts(ssae, shifts)
ours = concepts[task.concept]
print(f"{ssae.cfg.d_sae} latents; {task.concept} is latent {ours.latent}, fit {ours.fit or 0:.2f}")

# %% [markdown]
# If no latent fits (`None`), the next cell uses the one with the highest correlation.

# %%
vectors = {"SSAE": methods.ssae(ssae, shifts, task.concept, latent=ours.latent) * task.sign}

# %% [markdown]
# ## CAA, and a random direction

# %%
vectors["CAA"] = methods.caa(model, contrasts, HOOK, kind="tokens", quiet=True)
vectors["random"] = methods.random(vectors["CAA"], seed=1)

# %% [markdown]
# ## SAE feature, and SAE-TS
#
# An SAE encodes single tokens, so we read the tokens that differ. Among the features with the largest difference between the two sides, we take the one with
# the largest effect on the model's output (a feature may *detect* a concept without *causing* it). `sae_feature` returns its decoder row. SAE-TS returns the
# direction that, according to the effect approximator in the package, raises this feature and few others.

# %%
sae = load_sae("smollm2-135m-res", HOOK)
tokens = sl.capture_shifts(model, contrasts, HOOK, position="changed", quiet=True)
differing = methods.features_by_activation(sae, tokens, n=12)
acting = methods.features_by_output(model, sae, differing["latent"], n=3, quiet=True)
feature = int(acting["latent"].iloc[0])
print(f"feature {feature} promotes {acting['promotes'].iloc[0]}")

approximator = Approximator.load(asset_path("smollm2-135m-res", HOOK) / "approximator.safetensors")
vectors["SAE feature"] = methods.sae_feature(sae, feature)
vectors["SAE-TS"] = targeted(approximator, feature)
acting

# %% [markdown]
# ## Equal norms
#
# A longer vector must not be an advantage. We normalise all vectors, and measure scales in mean activation norms.

# %%
norm = {"mean_residual_norm": vectors["CAA"].norms["mean_residual_norm"]}
vectors = {
    name: sl.SteeringVector(vector.direction / vector.direction.norm(), origin=vector.origin, method=name, norms=norm)
    for name, vector in vectors.items()
}
cosine_table(vectors).round(2)

# %% [markdown]
# ## Intended effect
#
# On held-out texts: the log-likelihood margin (nats per token) of texts with the behaviour over texts without, under steering. Scale 0 is the unsteered
# model.


# %%
# The output of the blocks before the hook is computed once, and cached.
BLOCK = layer_of(HOOK) or 0
held_out = Likelihood(model, [*task.positive[:12], *task.negative[:12]], from_layer=BLOCK)


def margin() -> float:
    return float(text_margins(held_out).mean())


unsteered, scales = margin(), [-0.2, 0.2, 0.35]
rows = [{"method": name, "scale": 0.0, "margin": unsteered} for name in vectors]
for name, vector in vectors.items():
    for scale in scales:
        with sl.steer(model, vector, scale=scale, unit="residual"):
            rows.append({"method": name, "scale": scale, "margin": margin()})
effects = pd.DataFrame(rows).sort_values("scale", kind="stable")
px.line(
    effects,
    x="scale",
    y="margin",
    color="method",
    markers=True,
    title=f"{task.name.capitalize()}: log-likelihood margin by steering strength",
    labels={"scale": "scale, in mean activation norms", "margin": "nats per token"},
    template="plotly_white",
)

# %%
slopes = {
    name: np.polyfit(group["scale"], group["margin"], 1)[0] for name, group in effects.groupby("method", sort=False)
}
summary = pd.DataFrame({"slope": slopes}).loc[list(vectors)]
summary.round(3)

# %% [markdown]
# ## Side effects
#
# The same for other attributes, which the vector should not change: the mean |change| of their margins at scale 0.2, against the unsteered model.

# %%
OTHERS = [name for name in ("tense", "gender", "certainty", "weather") if name != task.concept][:3]
sides = [flipped(pool["content"][-2:], name) for name in OTHERS]
likelihoods = [Likelihood(model, [*positive, *negative], from_layer=BLOCK) for negative, positive in sides]


def margins() -> np.ndarray:
    return np.array([text_margins(likelihood).mean() for likelihood in likelihoods])


before = margins()
for name, vector in vectors.items():
    with sl.steer(model, vector, scale=0.2, unit="residual"):
        summary.loc[name, "side effect"] = abs(margins() - before).mean()
summary["slope / side effect"] = summary["slope"] / summary["side effect"]
summary.round(3)

# %% [markdown]
# ## Generated text

# %%
texts = sl.generate_sweep(
    model, "The shop at the corner", vectors, [0.2, 0.35], unit="residual", max_new_tokens=18, quiet=True
)
texts[["vector", "scale", "text"]]

# %% [markdown]
# ## Summary

# %%
order = summary["slope"].sort_values(ascending=False)
print("By slope, largest first: " + ", ".join(f"{name} ({value:+.2f})" for name, value in order.items()))
for name in ("CAA", "SAE feature", "SAE-TS", "random"):
    effect = "a larger" if summary.loc[name, "slope"] > summary.loc["SSAE", "slope"] else "no larger"
    side = "smaller" if summary.loc[name, "side effect"] < summary.loc["SSAE", "side effect"] else "no smaller"
    print(f"  {name:<12} has {effect} effect than the SSAE, and {side} side effects.")

# %% [markdown]
# The ranking depends on the task, the seed and the texts. The required *input* does not. With clean contrasts of one concept, use CAA. Use an SSAE if you have none, or
# for all fifteen concepts of these pairs at once:

# %%
matched = [concept.concept for concept in concepts.values() if concept.latent is not None]
print(
    f"The same {len(pool)} unlabelled pairs gave vectors for {len(matched)} of {len(concepts)} concepts: {', '.join(matched)}"
)

# %% [markdown]
# ## Common mistakes
#
# **Comparing vectors of different norms.** A CAA vector can be ten times as long as a unit row; at scale 1 the longer one wins.
#
# **Choosing the scale on the prompts that you report.** `python -m studies steering` chooses on one half of the prompts and reports the other.
#
# **Generalising from this SAE to SAE-TS.** The SAE and its effect approximator are small; see its card:

# %%
card = (asset_path("smollm2-135m-res", HOOK).parent / "README.md").read_text()
print(*[line for line in card.splitlines() if "R²" in line or "targeted vector raises" in line], sep="\n")

# %% [markdown]
# Next: [6, synthetic data](6_synthetic_data.ipynb).
