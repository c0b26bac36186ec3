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
# # 2. Loading a pretrained SSAE the SAELens way, and sharing one
#
# An SSAE is a citizen of SAELens: the same classes load it, the same files hold it, the same hooks splice it into a model. This
# tutorial trains a small one, saves it, loads it as anybody would, looks at what it knows of itself, uses it in both ways that
# there are, and prepares it for the Hugging Face Hub.

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

import ssae_lens as sl  # this import makes the architecture "ssae" known to SAELens
from ssae_lens.pretrained import load_sae, model_card, releases

model = sl.load_model("smollm2-135m")
HOOK = "blocks.15.hook_resid_post"
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## What ships with the package
#
# For comparisons an ordinary SAE of SmolLM2 is in the package. `load_sae` takes what `SAE.from_pretrained` takes, a release and an id,
# and looks at what ships before it asks the network.

# %%
for release in releases():
    print(release.name, release.sae_ids)
sae = load_sae("smollm2-135m-res", HOOK)
print(type(sae).__name__, sae.cfg.architecture(), sae.cfg.d_in, "→", sae.cfg.d_sae)

# %% [markdown]
# From the Hub, with a network, it is one line, of any repository that holds `<sae_id>/cfg.json` and weights:
#
# ```python
# ssae = SAE.from_pretrained("user/their-ssaes", "blocks.15.hook_resid_post")
# ```
#
# ## A small SSAE of our own
#
# Nouns in English and French, masculine and feminine. In each pair the language, the gender or both change, and nothing tells the
# SSAE which. (In a text of one word that word is the *first* token, whose activation is unlike all others; so the word is put at
# the end of a short text.)

# %%
words = sl.load_pairs("binary")
nouns = sl.load_pairs(
    Dataset.from_list([{**row, **{side: f"1, 2, 3: {row[side]}" for side in ("source", "target")}} for row in words])
)
shifts = sl.capture_shifts(model, nouns, HOOK, quiet=True)
ssae = sl.sweep(shifts, d_sae=[2, 4], seeds=2, steps=600, quiet=True).best
print(nouns[0]["source"], "→", nouns[0]["target"], "|", len(shifts), "pairs |", ssae.cfg.d_sae, "latents")

# %% [markdown]
# ## Saving, and loading as SAELens does

# %%
ssae.save_model(folder / "my-ssae")
print(sorted(each.name for each in (folder / "my-ssae").iterdir()))

loaded = SAE.load_from_disk(folder / "my-ssae")  # SAELens's own class, no name of ours in the call
print(type(loaded).__name__)
assert torch.equal(loaded.W_dec, ssae.W_dec)

# %% [markdown]
# Its metadata say where it belongs and how it was made; that is what stands between you and somebody else's vector in the wrong model.

# %%
told = loaded.cfg.metadata
pd.Series(
    {
        "model": told.model_name,
        "class": told.model_class_name,
        "hook": told.hook_name,
        "position": told.position,
        "labels of its pairs (not read)": ", ".join(told.concepts),
        "training ended": told.training["message"],
    }
).to_frame("said by the file")

# %% [markdown]
# ## Use 1: a row of the decoder is a steering vector
#
# Rows have unit length and residual-stream units. `match_concepts` says which row is what; with labels here, since this corpus has them.

# %%
concepts = sl.match_concepts(loaded, shifts)
known = [each for each in concepts.values() if each.latent is not None]
concepts

# %% [markdown]
# Every point is a pair, its place the codes of two latents, its colour what really changed in it, which training never saw.

# %%
with torch.no_grad():
    codes = loaded.encode(torch.from_numpy(shifts.shifts)).numpy()
changed = [" and ".join(name for name, change in zip(shifts.concepts, row) if change) for row in shifts.labels]
px.scatter(
    x=codes[:, known[0].latent],
    y=codes[:, known[-1].latent],
    color=changed,
    opacity=0.6,
    title=f"{len(shifts)} pairs of nouns, read by two latents",
    labels={"x": f"code of {known[0].concept}", "y": f"code of {known[-1].concept}", "color": "changed"},
    template="plotly_white",
)

# %%
vector = sl.SteeringVector.from_ssae(loaded, known[0])  # one change of it, in the direction of the labels
print(vector)
with sl.steer(model, vector, scale=2.0):
    print(model.generate("The name of the", max_new_tokens=12, temperature=0.0, verbose=False))

# %% [markdown]
# ## Use 2: spliced into a model, with the error term
#
# `add_sae` puts an SAE into the forward pass. An SSAE encodes *shifts*: what it makes of an activation as such is no reconstruction
# of it. With SAELens's error term what it misses is given back, so that nothing changes until a code does; and adding α to code k
# then adds exactly α · `W_dec[k]`. Both uses are one:

# %%
spliced = HookedSAETransformer(model.cfg, tokenizer=model.tokenizer)
spliced.load_state_dict(model.state_dict())
tokens = model.to_tokens("The old gardener went")
plain = model(tokens)

ALPHA, LATENT = 3.0, known[0].latent
spliced.add_sae(loaded, use_error_term=True)
untouched = spliced(tokens)


def more(codes, hook):
    codes[..., LATENT] += ALPHA
    return codes


by_code = spliced.run_with_hooks(tokens, fwd_hooks=[(f"{HOOK}.hook_sae_acts_post", more)])
spliced.reset_saes()
with sl.steer(model, sl.SteeringVector.from_ssae(loaded, LATENT), scale=ALPHA):
    by_vector = model(tokens)

print(
    f"spliced, no edit, against the plain model:   largest difference of logits {(untouched - plain).abs().max():.1e}"
)
print(
    f"an edited code against the steering vector:  largest difference of logits {(by_code - by_vector).abs().max():.1e}"
)
print(f"(the edit itself changed logits by up to     {(by_code - plain).abs().max():.2f})")

# %% [markdown]
# ## Sharing it
#
# `upload` sends SSAEs to a Hub repository by SAELens's own helper, with a model card that says what can be known:
#
# ```python
# from ssae_lens.pretrained import upload
#
# upload({"blocks.15.hook_resid_post": "my-ssae"}, "me/my-ssaes", licence="mit")
# ```
#
# or `ssae-lens upload my-ssae me/my-ssaes`. It needs a login (`hf auth login`). The card it would write:

# %%
Markdown(model_card({HOOK: loaded}, "me/my-ssaes", "mit").partition("---\n\n")[2])

# %% [markdown]
# For those who do not use SAELens, share the vectors alone: a few kilobytes, as safetensors, or as GGUF for llama.cpp.

# %%
for name, each in concepts.items():
    if each.latent is not None:
        one = sl.SteeringVector.from_ssae(loaded, each)
        one.save(folder / f"{name}.safetensors")
        one.to_gguf(folder / f"{name}.gguf")
print({each.name: each.stat().st_size for each in sorted(folder.glob("*.*"))})

# %% [markdown]
# ## Wrong turns
#
# **Forgetting `import ssae_lens`.** SAELens learns of the architecture when the package is imported, and not before:

# %%
code = f"from sae_lens import SAE; SAE.load_from_disk({str(folder / 'my-ssae')!r})"
done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
print(done.stderr.strip().splitlines()[-1])

# %% [markdown]
# **Splicing without the error term.** The activations are then replaced by what an encoder of shifts makes of them. SAELens cannot
# know better; the SSAE warns. What it does to the loss of an ordinary sentence:

# %%
text = model.to_tokens("The old gardener went down to the river to look for his boat, but the boat was gone.")
with torch.no_grad(), warnings.catch_warnings(record=True) as warned:
    warnings.simplefilter("always")
    spliced.add_sae(loaded, use_error_term=False)
    bare = float(spliced(text, return_type="loss"))
    spliced.reset_saes()
    print(f"loss {float(model(text, return_type='loss')):.2f} plain, {bare:.2f} spliced without the error term")
print([str(each.message) for each in warned if "SSAE" in str(each.message)][:1])

# %% [markdown]
# **Loading it for a model that it is not of.** The vector knows, and says both sides:

# %%
try:
    sl.steer(sl.load_model("smollm2-135m", "bridge"), vector)
except ValueError as error:
    print(error)

# %% [markdown]
# Next: [3, feature dashboards](3_dashboards.ipynb).
