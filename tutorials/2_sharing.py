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
# # 2. Loading and sharing an SSAE with SAELens
#
# An SSAE is an architecture of SAELens: SAELens's classes load it, its files have SAELens's format, and SAELens's hooks splice it into a model. This
# tutorial trains a small SSAE, saves and loads it, inspects its metadata, uses it in two ways, and prepares it for the Hugging Face Hub.

# %%
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pandas as pd
import plotly.express as px
import torch
from datasets import Dataset
from IPython.display import Markdown
from sae_lens import SAE, HookedSAETransformer

import ssae_lens as sl  # registers the architecture "ssae" with SAELens
from ssae_lens.pretrained import load_sae, model_card, releases

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## Pretrained SAEs in the package
#
# The package includes an ordinary SAE of SmolLM2 for comparisons. `load_sae` takes a release and an id, as `SAE.from_pretrained` does, and looks in the
# package before it uses the network.

# %%
for release in releases():
    print(release.name, release.sae_ids)
sae = load_sae("smollm2-135m-res", HOOK)
print(type(sae).__name__, sae.cfg.architecture(), sae.cfg.d_in, "→", sae.cfg.d_sae)

# %% [markdown]
# From the Hub, any repository with `<sae_id>/cfg.json` and weights loads with
#
# ```python
# ssae = SAE.from_pretrained("user/their-ssaes", "blocks.15.hook_resid_post")
# ```
#
# ## Training a small SSAE
#
# The corpus `binary` has nouns in English and French, masculine and feminine. In each pair the language, the gender or both change, without labels for
# training. (The first token of a sequence has an unusual activation, so we put the word at the end of a short text.)

# %%
words = sl.load_pairs("binary")
nouns = sl.load_pairs(
    Dataset.from_list([{**row, **{side: f"1, 2, 3: {row[side]}" for side in ("source", "target")}} for row in words])
)
shifts = sl.capture_shifts(model, nouns, HOOK, quiet=True)
ssae = sl.sweep(shifts, d_sae=[2, 4], seeds=2, steps=600, quiet=True).best
print(nouns[0]["source"], "→", nouns[0]["target"], "|", len(shifts), "pairs |", ssae.cfg.d_sae, "latents")

# %% [markdown]
# ## Saving and loading

# %%
ssae.save_model(folder / "my-ssae")
print(sorted(path.name for path in (folder / "my-ssae").iterdir()))

loaded = SAE.load_from_disk(folder / "my-ssae")  # SAELens's own class
print(type(loaded).__name__)
assert torch.equal(loaded.W_dec, ssae.W_dec)

# %% [markdown]
# The metadata record the model, the hook and the training, which prevents use with the wrong model.

# %%
metadata = loaded.cfg.metadata
pd.Series(
    {
        "model": metadata.model_name,
        "class": metadata.model_class_name,
        "hook": metadata.hook_name,
        "position": metadata.position,
        "labels of its pairs (not used)": ", ".join(metadata.concepts),
        "training": metadata.training["message"],
    }
).to_frame("metadata")

# %% [markdown]
# ## Use 1: a decoder row as a steering vector
#
# Rows have unit norm, in residual-stream units. `match_concepts` matches rows with concepts; here by labels, which this corpus has.

# %%
concepts = sl.match_concepts(loaded, shifts)
matched = [concept for concept in concepts.values() if concept.latent is not None]
concepts

# %% [markdown]
# In the next figure every point is a pair. Its position is given by the codes of two latents, and its colour by the labels, which training did not use.

# %%
with torch.no_grad():
    codes = loaded.encode(torch.from_numpy(shifts.shifts)).numpy()
changed = [" and ".join(name for name, change in zip(shifts.concepts, row) if change) for row in shifts.labels]
px.scatter(
    x=codes[:, matched[0].latent],
    y=codes[:, matched[-1].latent],
    color=changed,
    opacity=0.6,
    title=f"Codes of two latents on {len(shifts)} pairs of nouns",
    labels={"x": f"code of {matched[0].concept}", "y": f"code of {matched[-1].concept}", "color": "changed"},
    template="plotly_white",
)

# %%
vector = sl.SteeringVector.from_ssae(loaded, matched[0])  # one typical change, with the sign of the labels
print(vector)
with sl.steer(model, vector, scale=2.0):
    print(model.generate("The name of the", max_new_tokens=12, temperature=0.0, verbose=False))

# %% [markdown]
# ## Use 2: spliced into a model, with the error term
#
# `add_sae` puts an SAE into the forward pass. An SSAE encodes *shifts* and does not reconstruct activations. SAELens's error term restores the difference, so
# that nothing changes until a code is edited. Adding α to code k then adds exactly α · `W_dec[k]`, so both uses are equivalent:

# %%
spliced = HookedSAETransformer(model.cfg, tokenizer=model.tokenizer)
spliced.load_state_dict(model.state_dict())
tokens = model.to_tokens("The old gardener went")
plain = model(tokens)

STEP, LATENT = 3.0, matched[0].latent
spliced.add_sae(loaded, use_error_term=True)
unedited = spliced(tokens)


def add_step(codes, hook):
    codes[..., LATENT] += STEP
    return codes


by_code = spliced.run_with_hooks(tokens, fwd_hooks=[(f"{HOOK}.hook_sae_acts_post", add_step)])
spliced.reset_saes()
with sl.steer(model, sl.SteeringVector.from_ssae(loaded, LATENT), scale=STEP):
    by_vector = model(tokens)

print(f"spliced without an edit, and plain model:  largest difference of logits {(unedited - plain).abs().max():.1e}")
print(
    f"edited code, and steering vector:          largest difference of logits {(by_code - by_vector).abs().max():.1e}"
)
print(f"edited code, and plain model:              largest difference of logits {(by_code - plain).abs().max():.2f}")

# %% [markdown]
# ## Sharing
#
# `upload` writes SSAEs to a Hub repository with SAELens's helper, and a model card:
#
# ```python
# from ssae_lens.pretrained import upload
#
# upload({"blocks.15.hook_resid_post": "my-ssae"}, "me/my-ssaes", licence="mit")
# ```
#
# or `ssae-lens upload my-ssae me/my-ssaes`, after `hf auth login`. A preview of the card:

# %%
Markdown(model_card({HOOK: loaded}, "me/my-ssaes", "mit").partition("---\n\n")[2])

# %% [markdown]
# For users without SAELens, share the vectors alone: a few kilobytes each, as safetensors, or as GGUF for llama.cpp.

# %%
for name, concept in concepts.items():
    if concept.latent is not None:
        row = sl.SteeringVector.from_ssae(loaded, concept)
        row.save(folder / f"{name}.safetensors")
        row.to_gguf(folder / f"{name}.gguf")
print({path.name: path.stat().st_size for path in sorted(folder.glob("*.*"))})

# %% [markdown]
# ## Common mistakes
#
# **Loading without `import ssae_lens`.** The import registers the architecture:

# %%
code = f"from sae_lens import SAE; SAE.load_from_disk({str(folder / 'my-ssae')!r})"
process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
print(process.stderr.strip().splitlines()[-1])

# %% [markdown]
# **Splicing without the error term.** The activations are then replaced by reconstructions of an autoencoder of shifts. The SSAE warns. The effect on the
# loss of a sentence:

# %%
text = model.to_tokens("The old gardener went down to the river to look for his boat, but the boat was gone.")
with torch.no_grad(), warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    spliced.add_sae(loaded, use_error_term=False)
    loss = float(spliced(text, return_type="loss"))
    spliced.reset_saes()
    print(f"loss {float(model(text, return_type='loss')):.2f} plain, {loss:.2f} spliced without the error term")
print([str(warning.message) for warning in caught if "SSAE" in str(warning.message)][:1])

# %% [markdown]
# **Using it with another model.** The error names both sides:

# %%
try:
    sl.steer(sl.load_model("smollm2-135m", "bridge"), vector)
except ValueError as error:
    print(error)

# %% [markdown]
# Next: [3, dashboards](3_dashboards.ipynb).
