"""Export to other dashboards: Neuronpedia's JSON of features, and SAEDashboard's set of vectors.

Both have the format of SAEDashboard 0.8.0 (`NeuronpediaDashboardBatch.to_dict` and `VectorSet.save`), whose
`export_neuronpedia_dashboards` converts the former for Neuronpedia. Neither package is needed.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ssae_lens.base.files import writing
from ssae_lens.dashboards.drawings import jsonable
from ssae_lens.dashboards.latents import Latents
from ssae_lens.hooks.generate import named_vectors
from ssae_lens.hooks.hook_points import layer_of
from ssae_lens.latents.describe import LatentDescription
from ssae_lens.metrics import correlations, cosines
from ssae_lens.sae.codes import latent_number
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.sae import SSAE

# Rows of SAEDashboard's tables of a feature.
N_ROWS = 3
# The token between the two texts of a pair.
ARROW = " → "
# Words with the space before them, as tokens of language models have it.
WORDS = re.compile(r"\s*(?:\w+|[^\w\s]|$)")


def write_neuronpedia(
    path: str | Path,
    ssae: "SSAE",
    shifts: ShiftStore,
    descriptions: Iterable[LatentDescription] = (),
    *,
    model_id: str = "",
    sae_set: str = "ssae",
    overwrite: bool = False,
) -> Path:
    """Write latents as Neuronpedia's JSON of features.

    A latent has a code for a pair of texts, not for a token. Its activations are therefore pairs (first text, arrow, second
    text) with the code at each word that only the second text has, or at the arrow if there is none. Pairs with negative
    codes follow those with positive codes.

    Parameters
    ----------
    path
        The file; SAEDashboard's tools look for ``batch-0.json``.
    ssae
        The SSAE.
    shifts
        Shifts at its hook.
    descriptions
        The result of `describe_latents`, for pairs and tokens; latents without a description have neither.
    model_id
        Neuronpedia's name of the model; by default that of the store.
    sae_set
        Neuronpedia's name of the set.
    overwrite
        Whether to replace an existing file of other contents.
    """
    latents = Latents(ssae, shifts)
    if latents.broken.any():
        raise ValueError(f"Latent {int(latents.broken.argmax())} holds NaN or infinity; train the SSAE again.")
    described = {latent_number(ssae, description.latent): description for description in descriptions}
    codes = latents.codes
    assert codes is not None
    related = correlations(codes, codes) if len(codes) > 1 else np.zeros((len(latents), len(latents)))
    columns = codes.T.astype(np.float64)
    alike = cosines(columns, columns)
    shared = {"n_prompts_total": len(shifts), "dataset": str(shifts.pairs.get("name", ""))}
    features = [_feature(latents, i, related[i], alike[i], described.get(i)) | shared for i in range(len(latents))]
    origin = shifts.origin
    contents = {
        "model_id": model_id or origin.model_name,
        "layer": layer_of(origin.hook_name) or 0,
        "sae_set": sae_set,
        "sae_id_suffix": None,
        "features": jsonable(features, digits=6),
    }
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
        Vectors of one hook by name, or several, which are named by their concepts or methods.
    prepend_bos, context_size, dataset_path
        The text on which SAEDashboard shows them.
    overwrite
        Whether to replace an existing file of other contents.
    """
    by_name = named_vectors(vectors)
    first_name, first = next(iter(by_name.items()))
    for name, vector in by_name.items():
        message = f"{first_name!r} and {name!r} are not of one set"
        first.origin.require_same(vector.origin, message, ignoring=("position",))
    layer = layer_of(first.hook_name)
    if layer is None:
        raise ValueError(
            f"The hook {first.hook_name!r} is in no block; SAEDashboard needs one, such as 'blocks.3.hook_resid_post'."
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
    contents = {"vectors": [vector.direction.tolist() for vector in by_name.values()], "config": config}
    return _write(path, contents, overwrite=overwrite)


def _write(path: str | Path, contents: Any, *, overwrite: bool) -> Path:
    # Without indentation, which would put each number of a vector on a line of its own.
    with writing(path, overwrite=overwrite) as temporary:
        temporary.write_text(json.dumps(contents, ensure_ascii=False, allow_nan=False), encoding="utf-8")
    return Path(path)


def _feature(
    latents: Latents,
    latent: int,
    related: Float[np.ndarray, " k"],
    alike: Float[np.ndarray, " k"],
    description: LatentDescription | None,
) -> dict[str, Any]:
    description = description or LatentDescription(latent, positive=[], negative=[])
    row = latents.decoder[latent]
    aligned = np.argsort(-row, kind="stable")[:N_ROWS]
    others = [int(other) for other in np.argsort(-related, kind="stable") if other != latent][:N_ROWS]
    edges, counts = latents.histogram(latent)
    activations = _activations(description)
    return {
        "feature_index": latent,
        "neuron_alignment_indices": aligned,
        "neuron_alignment_values": row[aligned],
        "neuron_alignment_l1": abs(row[aligned]) / (abs(row).sum() or 1),
        "correlated_neurons_indices": [],
        "correlated_neurons_l1": [],
        "correlated_neurons_pearson": [],
        "correlated_features_indices": others,
        # SAEDashboard stores the cosine under this name.
        "correlated_features_l1": alike[others],
        "correlated_features_pearson": related[others],
        "neg_str": [token for token, _ in description.suppressed],
        "neg_values": [logit for _, logit in description.suppressed],
        "pos_str": [token for token, _ in description.promoted],
        "pos_values": [logit for _, logit in description.promoted],
        "frac_nonzero": latents.density[latent],
        "freq_hist_data_bar_values": (edges[:-1] + edges[1:]) / 2,
        "freq_hist_data_bar_heights": counts,
        "logits_hist_data_bar_heights": [],
        "logits_hist_data_bar_values": [],
        "n_tokens_in_prompt": max((len(item["tokens"]) for item in activations), default=0),
        "decoder_weights_dist": [],
        "activations": activations,
        "vector": row,
    }


def _activations(description: LatentDescription) -> list[dict[str, Any]]:
    """Return the top activating pairs as activations of SAEDashboard."""
    activations = []
    for pairs, low, high in ((description.positive, -1, None), (description.negative, None, 0)):
        codes = [pair.code for pair in pairs]
        for pair in pairs:
            first, second = WORDS.findall(pair.source)[:-1], WORDS.findall(pair.target)[:-1]
            changed = _within(second, pair.target_spans) or [-1]  # -1 is the arrow
            marks = [pair.code if i in changed else 0.0 for i in range(-1, len(second))]
            activations.append(
                {
                    "bin_min": min(codes) if low is None else low,
                    "bin_max": max(codes) if high is None else high,
                    "bin_contains": -1,
                    "tokens": [*first, ARROW, *second],
                    "values": [0.0] * len(first) + marks,
                    "qualifying_token_index": len(first) + 1 + changed[0],
                }
            )
    return activations


def _within(words: list[str], spans: list[tuple[int, int]]) -> list[int]:
    """Return the numbers of the words whose last character is within a span."""
    ends = np.cumsum([len(word) for word in words])
    return [i for i, end in enumerate(ends) if any(start < end <= stop for start, stop in spans)]
