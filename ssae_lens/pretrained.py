"""SSAEs to load and to share: the releases that ship with the package, and the Hugging Face Hub.

`releases` lists what ships, `load_sae` loads one of any architecture (``SSAE.from_pretrained`` loads an SSAE), `upload` puts
SSAEs into a Hub repository with a model card.
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

LONGEST_CELL = 300


@dataclass(frozen=True)
class Release:
    """A release that ships with the package.

    Attributes
    ----------
    name
        What ``SSAE.from_pretrained`` takes for `release`.
    sae_ids
        What it takes for `sae_id`.
    card
        What the release's ``card.json`` says of it.
    """

    name: str
    sae_ids: tuple[str, ...]
    card: dict[str, Any]


def releases() -> list[Release]:
    """List the releases that ship with the package."""
    found = []
    for name, ids in assets.shipped().items():
        card = assets.ASSETS / name / "card.json"
        says = read_json(card) if card.is_file() else {}
        found.append(Release(name, tuple(ids), says))
    return found


def load_sae(release: str, sae_id: str, device: str = "cpu", dtype: str = "float32") -> SAE[Any]:
    """Load an SAE of any architecture: one that ships with the package, else what ``SAE.from_pretrained`` loads.

    Parameters
    ----------
    release, sae_id
        A release and one of its SAEs, or a Hub repository ``user/name`` and a folder in it.
    device, dtype
        Where the weights go, and as what; shipped ones may be stored in half precision.
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
    """Put SSAEs into a Hub repository, by SAELens's own helper, with a model card.

    Whoever has done ``import ssae_lens`` then loads them by ``SAE.from_pretrained(repo_id, sae_id)``.

    Parameters
    ----------
    saes
        Each SSAE, or the folder that ``save_model`` wrote, under its id: its folder in the repository.
    repo_id
        ``user/name``; made, public, where there is none.
    revision
        The branch.
    card
        Write ``README.md``, over one that is there.
    licence
        The weights' licence as the Hub writes it (``mit``, ``apache-2.0``, …); the card names none if it is empty.
    quiet
        Show no progress.

    Returns
    -------
    url
        The repository's address.
    """
    from huggingface_hub import HfApi, constants

    loaded = {sae_id: _loaded(sae_id, sae) for sae_id, sae in saes.items()}
    if not loaded:
        raise ValueError("There is nothing to upload: saes is empty; give at least one SSAE under its id.")
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
    """Write the README of a repository of SSAEs: what they are, where they come from, how to load them."""
    front: dict[str, Any] = {"library_name": "saelens", "tags": ["ssae", "steering", "sparse-shift-autoencoder"]}
    if licence:
        front["license"] = _one_line(licence)
    sections = "\n\n".join(_section(sae_id, ssae) for sae_id, ssae in saes.items())
    return f"""---
{yaml.safe_dump(front, sort_keys=False, width=10_000, allow_unicode=True).strip()}
---

# Sparse Shift Autoencoders

A Sparse Shift Autoencoder (SSAE) is trained on shifts: differences between a language model's activations on the two texts
of a pair, in which several unknown concepts change at once. Its codes are signed, and each row of its decoder, of unit
length, is a steering vector at the hook it was trained at, in residual-stream units. It encodes shifts, not activations:
splice it into a model only with the error term.

## How to load

```python
import ssae_lens  # makes the architecture known to SAELens
from sae_lens import SAE
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory

ssae = SAE.from_pretrained({json.dumps(repo_id)}, {json.dumps(next(iter(saes)))})
vector = ssae.W_dec[0]  # concept 0, to be added at ssae.cfg.metadata.hook_name
```

{sections}

## Licence

{_escaped(licence) if licence else "None is stated for these weights."} The model that they were trained on, and the
texts, have their own.
"""


def _section(sae_id: str, ssae: SSAE) -> str:
    origin = ssae.origin
    rows = {
        "model": origin.model_name,
        "model class": origin.model_class,
        "weights processed": json.dumps(origin.processing) if origin.processing else "",
        "hook": origin.hook_name,
        "position": origin.position,
        "width of the hook": ssae.cfg.d_in,
        "latents": ssae.cfg.d_sae,
        "latents kept for a shift": "all" if ssae.cfg.k is None else ssae.cfg.k,
    }
    said = {"model_name", "hook_name", "origin"}
    # What training wrote down (level, pairs and their fingerprint, seed, versions, …) is shown under its own names.
    rows |= {key: value for key, value in ssae.cfg.metadata.items() if key not in said}
    lines = [
        f"| {_escaped(name)} | {_escaped(value)} |" for name, value in rows.items() if value not in (None, "", {}, [])
    ]
    return "\n".join([f"## {_escaped(sae_id)}", "", "| | |", "|---|---|", *lines])


def _loaded(sae_id: str, sae: SSAE | str | Path) -> SSAE:
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", sae_id, re.ASCII) or {"..", "."} & set(sae_id.split("/")):
        raise ValueError(
            f"The id {sae_id!r} cannot be a folder of the repository; give letters, digits, '.', '-' and '_', "
            "such as 'blocks.12'."
        )
    return sae if isinstance(sae, SSAE) else SSAE.load_from_disk(sae)


def _escaped(value: object) -> str:
    """Return a value as text that Markdown shows as it is and that stays in its table cell."""
    text = _one_line(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
    text = text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…"
    return re.sub(r"([\\`*_\[\]|#~!:@])", r"\\\1", html.escape(text, quote=False))


def _one_line(text: str) -> str:
    return " ".join("".join(each if each.isprintable() else " " for each in text).split())
