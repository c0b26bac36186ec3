"""SSAEs to load and to share: releases that ship with the package, and repositories of the Hugging Face Hub.

`releases` lists what ships, `load_sae` loads an SAE of any architecture (``SSAE.from_pretrained`` loads an SSAE), and
`upload` puts SSAEs into a Hub repository with a model card.
"""

import html
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sae_lens
import yaml
from sae_lens import SAE
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

from ssae_lens.base import assets, hub
from ssae_lens.base.reading import read_json
from ssae_lens.sae import SSAE

MAX_CELL = 300


@dataclass(frozen=True)
class Release:
    """A release that ships with the package.

    Attributes
    ----------
    name, sae_ids
        The values of `release` and `sae_id` for ``SSAE.from_pretrained``.
    card
        The contents of ``card.json``.
    """

    name: str
    sae_ids: tuple[str, ...]
    card: dict[str, Any]


def releases() -> list[Release]:
    """Return the releases that ship with the package."""
    return [Release(name, tuple(ids), _card(name)) for name, ids in assets.shipped().items()]


def load_sae(release: str, sae_id: str, device: str = "cpu", dtype: str = "float32") -> SAE[Any]:
    """Load an SAE of any architecture: one that ships with the package, else one that ``SAE.from_pretrained`` loads.

    Parameters
    ----------
    release, sae_id
        A release and one of its SAEs, or a Hub repository ``user/name`` and a folder in it.
    device, dtype
        Device and dtype of the weights; shipped weights may be stored in half precision.
    """
    if release in assets.shipped():
        return SAE.load_from_disk(assets.asset_path(release, sae_id), device=device, dtype=dtype)
    if "/" not in release and release not in get_pretrained_saes_directory():
        raise ValueError(assets.no_release(release))
    with hub.explained(release, sae_id):
        return SAE.from_pretrained(release, sae_id, device=device, dtype=dtype)


def upload(
    saes: Mapping[str, SSAE | str | Path],
    repo_id: str,
    *,
    revision: str = "main",
    card: bool = True,
    licence: str = "",
    quiet: bool = False,
) -> str:
    """Upload SSAEs to a Hub repository, with a model card.

    After ``import ssae_lens``, ``SAE.from_pretrained(repo_id, sae_id)`` loads them.

    Parameters
    ----------
    saes
        SSAEs, or folders of ``save_model``, by id: the folder of each in the repository.
    repo_id
        ``user/name``; a public repository is created if there is none.
    revision
        The branch.
    card
        Write ``README.md``, replacing an existing one.
    licence
        The licence of the weights as the Hub writes it (``mit``, ``apache-2.0``, …); empty for none.
    quiet
        Show no progress.

    Returns
    -------
    url
        The address of the repository.
    """
    from huggingface_hub import HfApi, constants

    loaded = {sae_id: _loaded(sae_id, sae) for sae_id, sae in saes.items()}
    if not loaded:
        raise ValueError("saes is empty; it must hold at least one SSAE by its id.")
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo_id, re.ASCII):
        raise ValueError(f"repo_id is {repo_id!r}; it must be 'user/name'.")
    with hub.explained(repo_id):
        sae_lens.upload_saes_to_huggingface(
            dict(saes), repo_id, hf_revision=revision, show_progress=not quiet, add_default_readme=False
        )
        if card:
            HfApi().upload_file(
                path_or_fileobj=model_card(loaded, repo_id, licence).encode(),
                path_in_repo="README.md",
                repo_id=repo_id,
                revision=revision,
                commit_message="Add the model card",
            )
    return f"{constants.ENDPOINT}/{repo_id}"


def model_card(saes: Mapping[str, SSAE], repo_id: str, licence: str = "") -> str:
    """Return the README of a repository of SSAEs: their provenance and how to load them."""
    front: dict[str, Any] = {"library_name": "saelens", "tags": ["ssae", "steering", "sparse-shift-autoencoder"]}
    if licence:
        front["license"] = _one_line(licence)
    sections = "\n\n".join(_section(sae_id, ssae) for sae_id, ssae in saes.items())
    return f"""---
{yaml.safe_dump(front, sort_keys=False, width=10_000, allow_unicode=True).strip()}
---

# Sparse Shift Autoencoders

A Sparse Shift Autoencoder (SSAE) is trained on shifts: differences between a language model's activations on the two texts
of a pair, in which several unknown concepts change at once. Its codes are signed, and each unit-length row of its decoder is
a steering vector at the hook of the SSAE, in residual-stream units. It encodes shifts, not activations: splice it into a
model only with the error term.

## How to load

```python
import ssae_lens  # registers the architecture with SAELens
from sae_lens import SAE

ssae = SAE.from_pretrained({json.dumps(repo_id)}, {json.dumps(next(iter(saes)))})
vector = ssae.W_dec[0]  # direction of latent 0, at the hook ssae.cfg.metadata.hook_name
```

{sections}

## Licence

{_escaped(licence) if licence else "None is stated for these weights."} The model and the texts of the pairs have licences of
their own.
"""


def _card(release: str) -> dict[str, Any]:
    path = assets.ASSETS / release / "card.json"
    return read_json(path) if path.is_file() else {}


def _section(sae_id: str, ssae: SSAE) -> str:
    origin = ssae.origin
    rows = {
        "model": origin.model_name,
        "model class": origin.model_class,
        "weight processing": json.dumps(origin.processing) if origin.processing else "",
        "hook": origin.hook_name,
        "position": origin.position,
        "d_in": ssae.cfg.d_in,
        "latents": ssae.cfg.d_sae,
        "k (latents kept per shift)": "all" if ssae.cfg.k is None else ssae.cfg.k,
    }
    # The other metadata of training (level, pairs, seed, versions, …) have their own names.
    shown = {"model_name", "hook_name", "origin"}
    rows |= {key: value for key, value in ssae.cfg.metadata.items() if key not in shown}
    lines = [
        f"| {_escaped(name)} | {_escaped(value)} |" for name, value in rows.items() if value not in (None, "", {}, [])
    ]
    return "\n".join([f"## {_escaped(sae_id)}", "", "| | |", "|---|---|", *lines])


def _loaded(sae_id: str, sae: SSAE | str | Path) -> SSAE:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", sae_id, re.ASCII) or {"..", "."} & set(sae_id.split("/")):
        raise ValueError(
            f"The id {sae_id!r} cannot be a folder of the repository; it may hold letters, digits, '.', '-' and '_', "
            "such as 'blocks.12'."
        )
    return sae if isinstance(sae, SSAE) else SSAE.load_from_disk(sae)


def _escaped(value: object) -> str:
    """Return a value as text that Markdown shows literally and that stays in its table cell."""
    text = _one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    text = text if len(text) <= MAX_CELL else f"{text[:MAX_CELL]}…"
    return re.sub(r"([\\`*_\[\]|#~!:@])", r"\\\1", html.escape(text, quote=False))


def _one_line(text: str) -> str:
    return " ".join("".join(character if character.isprintable() else " " for character in text).split())
