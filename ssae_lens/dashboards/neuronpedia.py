"""Files that other dashboards read: Neuronpedia's JSON of features, and SAEDashboard's set of vectors.

Both are as SAEDashboard 0.8.0 writes them (`NeuronpediaDashboardBatch.to_dict` and `VectorSet.save`); its
`export_neuronpedia_dashboards` turns the former into what Neuronpedia imports. Neither package is needed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ssae_lens.base.files import writing
from ssae_lens.dashboards.drawing import jsonable
from ssae_lens.dashboards.latents import Latents
from ssae_lens.hooks.generation import named_vectors
from ssae_lens.hooks.hook_points import layer_of
from ssae_lens.metrics import correlations
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.latents.describe import LatentDescription
    from ssae_lens.sae import SSAE

# How many rows SAEDashboard's tables of a feature have.
TOP = 3
# What the two texts of a pair are parted by, as a token.
ARROW = " → "
# Words with the space before them, as language models have tokens.
PIECES = re.compile(r"\s*(?:\w+|[^\w\s]|$)")


def write_neuronpedia(
    path: str | Path,
    ssae: "SSAE",
    shifts: ShiftStore,
    descriptions: "Iterable[LatentDescription]" = (),
    *,
    model_id: str = "",
    sae_set: str = "ssae",
    overwrite: bool = False,
) -> Path:
    """Write latents as Neuronpedia's JSON of features.

    A latent codes a pair of texts and not a token: its activations are pairs, first text, arrow, second text, with the code
    at each word of the second text that the first has not (or, where it has all, at the arrow). Codes have signs; pairs of
    negative codes follow those of positive ones.

    Parameters
    ----------
    path
        The file; SAEDashboard's tools look for ``batch-0.json``.
    ssae
        The SSAE.
    shifts
        A store of shifts of its hook.
    descriptions
        What `describe_latents` gives, for pairs and tokens; latents without one have neither.
    model_id
        Neuronpedia's name for the model; by default the store's.
    sae_set
        Neuronpedia's name for the set.
    overwrite
        Whether a file of other contents may be replaced.
    """
    latents = Latents(ssae, shifts)
    if latents.broken.any():
        raise ValueError(f"Latent {int(latents.broken.argmax())} holds what is not a number; train the SSAE again.")
    origin = shifts.origin
    said = {latents.require(each.latent): each for each in descriptions}
    codes = latents.codes
    assert codes is not None
    related = correlations(codes, codes) if len(codes) > 1 else np.zeros((len(latents), len(latents)))
    shared = {"n_prompts_total": len(shifts), "dataset": str(shifts.pairs.get("name", ""))}
    features = [_feature(latents, latent, related[latent], said.get(latent)) | shared for latent in range(len(latents))]
    batch = {"model_id": model_id or origin.model_name, "layer": layer_of(origin.hook_name) or 0, "sae_set": sae_set}
    contents = batch | {"sae_id_suffix": None, "features": jsonable(features, digits=6)}
    return _write(path, contents, overwrite=overwrite)


def write_vector_set(
    path: str | Path,
    vectors: Iterable[SteeringVector] | Mapping[str, SteeringVector],
    *,
    prepend_bos: bool = True,
    context_size: int = 128,
    dataset_path: str = "",
    overwrite: bool = False,
) -> Path:
    """Write vectors as SAEDashboard's `VectorSet.load` reads them.

    Parameters
    ----------
    path
        The file.
    vectors
        Vectors of one hook by name, or several, which are then called by their concepts, else by their methods.
    prepend_bos, context_size, dataset_path
        On what text SAEDashboard is to show them.
    overwrite
        Whether a file of other contents may be replaced.
    """
    by_name = named_vectors(vectors)
    first_name, first = next(iter(by_name.items()))
    for name, each in by_name.items():
        first.origin.require_same(
            each.origin, f"{first_name!r} and {name!r} are not of one set", ignoring=("position",)
        )
    layer = layer_of(first.hook_name)
    if layer is None:
        raise ValueError(
            f"The hook {first.hook_name!r} lies in no block; SAEDashboard wants one, as 'blocks.3.hook_resid_post'."
        )
    config = {
        "d_in": first.d_model,
        "d_vectors": len(by_name),
        "vector_names": list(by_name),
        "model_name": first.origin.model_name,
        "hook_name": first.hook_name,
        "hook_layer": layer,
        "hook_head_index": None,
        "prepend_bos": prepend_bos,
        "context_size": context_size,
        "dataset_path": dataset_path,
        "dtype": "float32",
        "device": "cpu",
        "model_from_pretrained_kwargs": {},
    }
    contents = {"vectors": [each.direction.tolist() for each in by_name.values()], "config": config}
    return _write(path, contents, overwrite=overwrite)


def _write(path: str | Path, value: Any, *, overwrite: bool) -> Path:
    """Write JSON for programs: without the line of its own that each number of a vector would have."""
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(value, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return Path(path)


def _feature(
    latents: Latents, latent: int, related: Float[np.ndarray, " k"], said: "LatentDescription | None"
) -> dict[str, Any]:
    row = latents.decoder[latent]
    aligned = np.argsort(-row, kind="stable")[:TOP]
    others = [int(each) for each in np.argsort(-related, kind="stable") if each != latent][:TOP]
    edges, counts = latents.histogram(latent)
    activations = [] if said is None else _activations(said)
    return {
        "feature_index": latent,
        "neuron_alignment_indices": aligned,
        "neuron_alignment_values": row[aligned],
        "neuron_alignment_l1": abs(row[aligned]) / (abs(row).sum() or 1),
        "correlated_neurons_indices": [],
        "correlated_neurons_l1": [],
        "correlated_neurons_pearson": [],
        "correlated_features_indices": others,
        # SAEDashboard keeps the cosine under this name.
        "correlated_features_l1": [_cosine(latents, latent, other) for other in others],
        "correlated_features_pearson": related[others],
        "neg_str": [] if said is None else [token for token, _ in said.suppressed],
        "neg_values": [] if said is None else [logit for _, logit in said.suppressed],
        "pos_str": [] if said is None else [token for token, _ in said.promoted],
        "pos_values": [] if said is None else [logit for _, logit in said.promoted],
        "frac_nonzero": latents.density[latent],
        "freq_hist_data_bar_values": (edges[:-1] + edges[1:]) / 2,
        "freq_hist_data_bar_heights": counts,
        "logits_hist_data_bar_heights": [],
        "logits_hist_data_bar_values": [],
        "n_tokens_in_prompt": max((len(each["tokens"]) for each in activations), default=0),
        "decoder_weights_dist": [],
        "activations": activations,
        "vector": row,
    }


def _cosine(latents: Latents, latent: int, other: int) -> float:
    """Return the cosine of two latents' codes over all pairs."""
    assert latents.codes is not None
    a, b = latents.codes[:, latent].astype(np.float64), latents.codes[:, other].astype(np.float64)
    return float(a @ b / ((np.linalg.norm(a) * np.linalg.norm(b)) or 1))


def _activations(said: "LatentDescription") -> list[dict[str, Any]]:
    """Return the strongest pairs, of the largest codes as SAEDashboard has its top activations."""
    shown = []
    for pairs, low, high in ((said.positive, -1, None), (said.negative, None, 0)):
        codes = [pair.code for pair in pairs]
        for pair in pairs:
            first, second = PIECES.findall(pair.source)[:-1], PIECES.findall(pair.target)[:-1]
            at = _within(second, pair.target_spans) or [-1]
            marks = [0.0] * len(first) + [pair.code if place in at else 0.0 for place in range(-1, len(second))]
            shown.append(
                {
                    "bin_min": min(codes) if low is None else low,
                    "bin_max": max(codes) if high is None else high,
                    "bin_contains": -1,
                    "tokens": [*first, ARROW, *second],
                    "values": marks,
                    "qualifying_token_index": len(first) + 1 + at[0],
                }
            )
    return shown


def _within(pieces: list[str], spans: list[tuple[int, int]]) -> list[int]:
    """Return the numbers of the pieces whose last character lies within a span."""
    found, end = [], 0
    for number, piece in enumerate(pieces):
        end += len(piece)
        if any(start < end <= stop for start, stop in spans):
            found.append(number)
    return found
