"""Generation of many steered texts at once: prompts × vectors × scales as rows of batches."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ssae_lens.base import checks
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.decoding import Sampler, generate_rows, new_rows
from ssae_lens.hooks.divergence import KLBudget
from ssae_lens.hooks.gate import Gate
from ssae_lens.hooks.token_positions import Positions
from ssae_lens.models.identity import require_model
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.models.identity import Model


def generate_sweep(
    model: "Model",
    prompts: str | Sequence[str],
    vectors: SteeringVector | Iterable[SteeringVector] | Mapping[str, SteeringVector],
    scales: float | Sequence[float] | KLBudget,
    *,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    top_k: int | None = None,
    top_p: float = 1.0,
    n_samples: int = 1,
    seed: int = 0,
    stop_tokens: Sequence[int] | None = None,
    prepend_bos: bool | None = None,
    max_rows: int = 64,
    positions: Positions = "all",
    operator: Literal["add", "ablate", "ablate_add", "clamp", "add_keep_norm", "rotate"] = "add",
    unit: Literal["vector", "residual", "shift"] = "vector",
    gate: Gate | None = None,
    check: bool = True,
    quiet: bool = False,
) -> "pd.DataFrame":
    """Generate steered continuations of every prompt, with every vector, at every scale.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge with a tokenizer.
    prompts
        One text or several.
    vectors
        One vector, several by name, or several, which are named by their concepts, else by their methods.
    scales
        Any numbers; 0 is unsteered for ``operator="add"``. For a `kl_budget`, each vector's scale is found first.
    max_new_tokens
        Maximum number of tokens to generate for a text.
    temperature, top_k, top_p
        Sampling; a temperature of 0 takes the likeliest token each time.
    n_samples, seed
        Number of samples for each prompt, vector and scale. A prompt's sample has its own random numbers, which depend on
        `seed` alone: not on the rest of the batch, nor on the vector or scale, so that texts differ only by these.
    stop_tokens
        Tokens that end a text; default: the tokenizer's end of sequence. `[]` for none.
    prepend_bos
        As in `model.to_tokens`; default: the model's.
    max_rows
        Maximum number of texts in a batch.
    positions, operator, unit, gate, check
        As in `steer`.
    quiet
        Show no progress.

    Returns
    -------
    pandas.DataFrame
        One row per text: ``prompt``, ``vector``, ``scale``, ``sample``, ``text`` (the continuation), ``n_tokens`` and
        ``stopped`` (by a stop token, which is not in the text).

    Examples
    --------
    >>> import torch
    >>> from ssae_lens.models import tiny_model
    >>> vector = SteeringVector(torch.ones(32), "blocks.1.hook_resid_post", concept="ones")
    >>> table = generate_sweep(tiny_model("gpt2"), ["The man", "I"], vector, [0, 4], max_new_tokens=3)
    >>> table[["prompt", "vector", "scale"]].values.tolist()
    [['The man', 'ones', 0.0], ['The man', 'ones', 4.0], ['I', 'ones', 0.0], ['I', 'ones', 4.0]]
    """
    import pandas as pd

    require_model(model)
    prompts = checks.text_list("prompts", prompts)
    by_name = named_vectors([vectors] if isinstance(vectors, SteeringVector) else vectors)
    steering: Any = {"operator": operator, "unit": unit, "gate": gate, "check": check}
    if isinstance(scales, KLBudget):
        found = steer(model, list(by_name.values()), scale=scales, per_row=True, trace=False, **steering).scale
        steered = list(zip(by_name, np.atleast_1d(found).tolist(), strict=True))
    else:
        steered = list(itertools.product(by_name, _numbers(scales)))
    tokenizer: Any = model.tokenizer
    if tokenizer is None:
        raise ValueError("The model has no tokenizer, which a sweep needs to read prompts; set one.")
    rows = new_rows(
        model,
        prompts,
        steered,
        max_new_tokens=max_new_tokens,
        n_samples=n_samples,
        seed=seed,
        prepend_bos=prepend_bos,
    )
    generate_rows(
        model,
        rows,
        by_name,
        Sampler(temperature, top_k, top_p),
        stop_tokens={tokenizer.eos_token_id} if stop_tokens is None else set(stop_tokens),
        max_rows=max_rows,
        quiet=quiet,
        positions=positions,
        **steering,
    )
    return pd.DataFrame(
        {
            "prompt": row.prompt,
            "vector": row.vector,
            "scale": row.scale,
            "sample": row.sample,
            "text": tokenizer.decode(row.generated, skip_special_tokens=True),
            "n_tokens": len(row.generated),
            "stopped": row.stopped,
        }
        for row in rows
    )


def _numbers(scales: Any) -> list[float]:
    listed = [float(scale) for scale in np.atleast_1d(np.asarray(scales, dtype=float))]
    if not listed or not np.isfinite(listed).all():
        raise ValueError(f"scales is {scales!r}; give one number or several, all finite, or a kl_budget.")
    return listed


def named_vectors(vectors: Iterable[SteeringVector] | Mapping[str, SteeringVector]) -> dict[str, SteeringVector]:
    """Return vectors by name: their keys in a mapping, or else their concepts, methods or numbers."""
    values: Any = vectors.values() if isinstance(vectors, Mapping) else vectors
    listed = list(values) if isinstance(values, Iterable) else [values]
    if not listed:
        raise ValueError("vectors is empty; give at least one.")
    if not all(isinstance(vector, SteeringVector) for vector in listed):
        raise ValueError(f"vectors is {vectors!r}; give SteeringVector objects, in a list or by name.")
    if isinstance(vectors, Mapping):
        names = [str(name) for name in vectors]
    else:
        names = [vector.concept or vector.method or str(number) for number, vector in enumerate(listed)]
        if len(set(names)) < len(names):
            names = [f"{name} ({number})" for number, name in enumerate(names)]
    return dict(zip(names, listed, strict=True))
