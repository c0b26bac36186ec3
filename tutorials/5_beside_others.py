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
# # 5. SSAE beside CAA and SAE-TS
#
# Four ways to a vector for positive sentiment, from what each of them needs, brought to one length, and measured alike: does it move what it
# should, what else does it move, and what does the text look like? This is one task of the comparison that `python -m studies steering`
# makes of fourteen, small enough to see every step. One task decides nothing: the table in the README has all.
#
# | | needs |
# |---|---|
# | **SSAE** | pairs in which several unknown things change; labels only to say which latent is which |
# | **CAA** | pairs that differ in the sentiment alone, and the knowledge that they do |
# | **SAE feature**, **SAE-TS** | an SAE of the model's activations, and a contrast to choose a feature by; SAE-TS also what hundreds of vectors do to the SAE's features |
# | **random** | nothing: the control that every method has to beat |

# %%
import warnings

import numpy as np
import pandas as pd
import plotly.express as px

import ssae_lens as sl
from ssae_lens import methods
from ssae_lens.base.assets import asset_path
from ssae_lens.evals.steering import built_in
from ssae_lens.evals.steering.builtin import flipped
from ssae_lens.evals.steering.scores import text_margins
from ssae_lens.hooks.likelihood import Likelihood
from ssae_lens.hooks.hook_points import layer_of
from ssae_lens.methods.sae_ts import Approximator, targeted
from ssae_lens.pretrained import load_sae
from ssae_lens.methods import cosine_table

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
TASK = "positive sentiment"  # or "past tense", "politeness", "negation", …: other tasks, other orders
task = built_in([TASK], n_pairs=360)[0]

# %% [markdown]
# ## What each is given
#
# The SSAE gets sentences in which one to three of fifteen attributes change at once:

# %%
pool = task.pool.pairs
for row in (0, 1):
    print(
        pool[row]["source"],
        pool[row]["target"],
        f"(changed, not told: {', '.join(pool[row]['changed'])})",
        sep="\n  → ",
    )

# %% [markdown]
# CAA gets the same kind of sentence, said twice with nothing but the sentiment changed:

# %%
contrasts = task.contrasts.select(range(48))
print(contrasts[0]["source"], contrasts[0]["target"], sep="\n  → ")

# %% [markdown]
# ## SSAE
#
# These are fewer pairs than it should have (take thousands); they keep the tutorial short.

# %%
shifts = sl.capture_shifts(model, pool, HOOK, position="mean", quiet=True)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    ssae = sl.sweep(shifts, d_sae=[16, 20], seeds=2, steps=1200, quiet=True).best
concepts = sl.match_concepts(ssae, shifts)
ours = concepts[task.concept]
print(f"{ssae.cfg.d_sae} latents; {task.concept} is latent {ours.latent}, fit {ours.fit or 0:.2f}")

# %% [markdown]
# If no latent fits (it says `None`), that is a result: steer with the one that fits best, and see.

# %%
vectors = {"SSAE": methods.ssae(ssae, shifts, task.concept, latent=ours.latent) * task.sign}

# %% [markdown]
# ## CAA, and a random direction

# %%
vectors["CAA"] = methods.caa(model, contrasts, HOOK, kind="tokens", quiet=True)
vectors["random"] = methods.random(vectors["CAA"], seed=1)

# %% [markdown]
# ## A feature of an SAE, and SAE-TS
#
# An SAE reads single tokens, so we read the tokens that differ. Of the features that differ most between the two sides, the one is taken that
# does most to the model's output (a feature may *detect* a thing without *doing* it). `sae_feature` is its decoder row. SAE-TS takes the
# direction that a map fitted to measured effects says raises that feature and little else; the map ships with the package.

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
# ## One length
#
# A method must not win by a longer vector. All are brought to one length, and scales count in mean lengths of activations.

# %%
norm = {"mean_residual_norm": vectors["CAA"].norms["mean_residual_norm"]}
vectors = {
    name: sl.SteeringVector(each.direction / each.direction.norm(), origin=each.origin, method=name, norms=norm)
    for name, each in vectors.items()
}
cosine_table(vectors).round(2)

# %% [markdown]
# The SSAE was told of no contrast and CAA of nothing else; their cosine says how much of the same they found.
#
# ## Does it move what it should?
#
# On held-out texts that none of them learned from: by how much likelier (nats a token) are those with the behaviour than those without,
# when the model is steered? Scale 0 is the unsteered model.


# %%
# What the blocks before the steered one give is read once, and kept.
BLOCK = layer_of(HOOK) or 0
held_out = Likelihood(model, [*task.with_it[:12], *task.without[:12]], from_layer=BLOCK)


def margin() -> float:
    return float(text_margins(held_out).mean())


unsteered, scales = margin(), [-0.2, 0.2, 0.35]
rows = [{"method": name, "scale": 0.0, "margin": unsteered} for name in vectors]
for name, vector in vectors.items():
    for scale in scales:
        with sl.steer(model, vector, scale=scale, unit="residual"):
            rows.append({"method": name, "scale": scale, "margin": margin()})
dose = pd.DataFrame(rows).sort_values("scale", kind="stable")
px.line(
    dose,
    x="scale",
    y="margin",
    color="method",
    markers=True,
    title=f"{task.name.capitalize()}: with against without, by how much of each vector is added",
    labels={"scale": "scale, in mean activation lengths", "margin": "nats a token"},
    template="plotly_white",
)

# %%
slopes = {name: np.polyfit(some["scale"], some["margin"], 1)[0] for name, some in dose.groupby("method", sort=False)}
summary = pd.DataFrame({"slope": slopes}).loc[list(vectors)]
summary.round(3)

# %% [markdown]
# ## What else does it move?
#
# The same on other attributes: sentences said both ways, all else equal, which this vector should leave alone. At scale 0.2, the mean
# |change| of their margins against the unsteered model:

# %%
OTHERS = [each for each in ("tense", "gender", "certainty", "weather") if each != task.concept][:3]
sides = [flipped(pool["content"][-2:], name) for name in OTHERS]
said = [Likelihood(model, [*with_it, *without], from_layer=BLOCK) for without, with_it in sides]


def margins() -> np.ndarray:
    return np.array([text_margins(both).mean() for both in said])


before = margins()
for name, vector in vectors.items():
    with sl.steer(model, vector, scale=0.2, unit="residual"):
        summary.loc[name, "side effect"] = abs(margins() - before).mean()
summary["slope / side effect"] = summary["slope"] / summary["side effect"]
summary.round(3)

# %% [markdown]
# ## And the text?

# %%
texts = sl.generate_sweep(
    model, "The shop at the corner", vectors, [0.2, 0.35], unit="residual", max_new_tokens=18, quiet=True
)
texts[["vector", "scale", "text"]]

# %% [markdown]
# ## The outcome, whatever it is

# %%
order = summary["slope"].sort_values(ascending=False)
print("By what they move, best first: " + ", ".join(f"{name} ({value:+.2f})" for name, value in order.items()))
for name in ("CAA", "SAE feature", "SAE-TS", "random"):
    ahead = (
        "moves it more than the SSAE's"
        if summary.loc[name, "slope"] > summary.loc["SSAE", "slope"]
        else "moves it no more"
    )
    clean = (
        "and less else" if summary.loc[name, "side effect"] < summary.loc["SSAE", "side effect"] else "and no less else"
    )
    print(f"  {name:<12} {ahead}, {clean}.")

# %% [markdown]
# One task, one seed, few texts: such an order may change with any of them. What does not change is what each *needs*. With clean
# contrasts of the one concept you care about, CAA is simple and hard to beat, and you should use it. An SSAE is for when you have no such
# contrasts, or for all fifteen concepts of these pairs at once: the rows for the other fourteen are already there.

# %%
also = [each for each in concepts.values() if each.latent is not None]
print(
    f"The same {len(pool)} unlabelled pairs gave vectors for {len(also)} of {len(concepts)} concepts: {', '.join(each.concept for each in also)}"
)

# %% [markdown]
# ## Wrong turns
#
# **Comparing vectors as they come.** A CAA vector may be ten times as long as a unit row; at "scale 1" the longer one wins.
#
# **Choosing the scale on the prompts you report.** `python -m studies steering` chooses on one half of the prompts and reports the other.
#
# **Judging SAE-TS by this SAE.** It is small, and so is the map; its card says so.

# %%
measured = (asset_path("smollm2-135m-res", HOOK).parent / "README.md").read_text()
print(*[line for line in measured.splitlines() if "R²" in line or "targeted vector raises" in line], sep="\n")

# %% [markdown]
# Next: [6, synthetic worlds](6_worlds.ipynb).
