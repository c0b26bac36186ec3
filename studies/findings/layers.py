"""Later layers: what becomes of a vector after the layer where it is added, and how that relates to its effects.

Vectors are added at the hook of the SAE while the model reads plain texts; the change is read at later hooks and the output.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.hooks._steer import steer
from ssae_lens.methods.sae_ts.steered import Losses
from ssae_lens.metrics import cosines
from studies.findings.inputs import FindingsInputs, Numbers, estimate, rank_correlation, ratio, unit


def measure(inputs: FindingsInputs) -> Numbers:
    """Add vectors at the scales of their effects, and measure the change at each hook."""
    rows = inputs.fitted[: inputs.settings.carried]
    units, scales = unit(inputs.effects.vectors[rows]), inputs.effects.scales[rows]
    changes, output, kl = changes_of(inputs, units, scales)
    effects, added = inputs.effects.effects[rows].numpy(), (units * scales[:, None]).numpy()
    layers = [
        {
            "hook": hook,
            "cosine": estimate((unit(change["mean"]) * units).sum(1).numpy()),
            # 1 where the change is the same at all tokens, 0 where the changes have no direction in common.
            "shared": estimate((change["mean"].square().sum(1) / change["squared_norm"]).numpy()),
            "relative_norm": estimate(change["relative_norm"].numpy()),
            "geometry": same_geometry(effects, change["mean"].numpy()),
        }
        for hook, change in changes.items()
    ]
    effect_norms = np.linalg.norm(effects, axis=1)
    return {
        "vectors": len(rows),
        "layers": layers,
        "geometry_of_vectors": same_geometry(effects, added),
        "geometry_of_output": same_geometry(effects, output.numpy()),
        "geometry_of_vectors_and_output": same_geometry(added, output.numpy()),
        "correlation_with_direct_effect": estimate(_direct(inputs, units, output)),
        "effect_norm_and_kl": estimate(np.stack([effect_norms, kl.numpy()], 1), rank_correlation),
    }


def same_geometry(
    first: Float[np.ndarray, "n d"], other: Float[np.ndarray, "n e"], *, resamples: int = 500, seed: int = 0
) -> dict[str, float]:
    """Return the correlation, over pairs of rows, of their cosines in one space with their cosines in another.

    The interval is a bootstrap over rows (a row that is drawn twice forms no pair with itself).
    """
    one, two = (centred_cosines(rows) for rows in (first, other))
    n = len(one)

    def correlation(drawn: np.ndarray) -> float:
        a, b = np.triu_indices(n, 1)
        i, j = drawn[a], drawn[b]
        different = i != j
        x, y = (table[i[different], j[different]] for table in (one, two))
        x, y = x - x.sum() / max(1, len(x)), y - y.sum() / max(1, len(y))
        return ratio(float(x @ y), float(np.sqrt((x @ x) * (y @ y))))

    rng = np.random.default_rng(seed)
    resampled = [correlation(rng.integers(n, size=n)) for _ in range(resamples)]
    low, high = np.quantile(resampled, (0.025, 0.975))
    return {"estimate": correlation(np.arange(n)), "low": float(low), "high": float(high)}


def centred_cosines(rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    """Return the cosines of all pairs of rows, after subtracting their mean."""
    rows = np.asarray(rows, dtype=np.float64)
    return cosines(rows - rows.mean(0), rows - rows.mean(0))


@torch.no_grad()
def _direct(
    inputs: FindingsInputs, units: Float[Tensor, "n d"], output: Float[Tensor, "n vocab"]
) -> Float[np.ndarray, " n"]:
    """Correlate, over the vocabulary, the direct effect of each vector (v·W_U) with the change of the output."""
    direct = units @ inputs.model.W_U.detach().float().cpu()
    first, other = (rows - rows.mean(1, keepdim=True) for rows in (direct, output))
    return (unit(first) * unit(other)).sum(1).numpy()


@torch.no_grad()
def changes_of(
    inputs: FindingsInputs, units: Float[Tensor, "n d"], scales: Float[Tensor, " n"]
) -> tuple[dict[str, dict[str, Tensor]], Float[Tensor, "n vocab"], Float[Tensor, " n"]]:
    """Return for each hook the mean change, its relative norm and mean squared norm; then those of the output.

    Of the output, it is the mean change of the log probabilities, and the KL divergence.
    """
    model: Any = inputs.model
    texts = Losses(model, inputs.hook, inputs.effects.settings.texts)
    tokens, real = texts.tokens.to(model.cfg.device), texts.real.clone()
    real[:, 0] = False

    def run() -> tuple[dict[str, Tensor], Tensor]:
        logits, cache = model.run_with_cache(
            tokens, return_type="logits", names_filter=lambda name: name in inputs.hooks, padding_side="right"
        )
        activations = {hook: cache[hook].float().cpu()[real] for hook in inputs.hooks}
        return activations, logits.float().log_softmax(-1).cpu()[real]

    unsteered, expected = run()
    names = ("mean", "relative_norm", "squared_norm")
    changes: dict[str, dict[str, list[Tensor]]] = {hook: {name: [] for name in names} for hook in inputs.hooks}
    output, kl = [], []
    for vector, scale in zip(inputs.vectors(units), scales.tolist(), strict=True):
        with steer(model, vector, scale=scale, check=False):
            steered, log_probabilities = run()
        for hook, change in changes.items():
            difference = steered[hook] - unsteered[hook]
            change["mean"].append(difference.mean(0))
            change["relative_norm"].append((difference.norm(dim=1) / unsteered[hook].norm(dim=1)).mean())
            change["squared_norm"].append(difference.square().sum(1).mean())
        output.append((log_probabilities - expected).mean(0))
        kl.append((expected.exp() * (expected - log_probabilities)).sum(1).mean())
    stacked = {hook: {name: torch.stack(rows) for name, rows in change.items()} for hook, change in changes.items()}
    return stacked, torch.stack(output), torch.stack(kl)
