"""How effects at one layer relate to later ones: what is left of a vector further on, and what its features' effects say.

Vectors are added at the SAE's hook while the model reads plain texts; the change is read at later hooks and at the output.
"""

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.hook_points import layer_of
from ssae_lens.methods.sae_ts.scales import Losses
from studies.findings.arrays import estimate, rank_correlation, same_geometry
from studies.findings.material import Material, unit

Numbers = dict[str, Any]


def hooks_of(material: Material) -> list[str]:
    """Return the hooks to read: the SAE's own, and those after it that the settings ask for."""
    blocks = [int(share * (material.model.cfg.n_layers - 1)) for share in material.settings.layers]
    own = layer_of(material.hook) or 0
    return list(dict.fromkeys([material.hook, *(f"blocks.{b}.hook_resid_post" for b in blocks if b > own)]))


def measure(material: Material) -> Numbers:
    """Add vectors at the scales that their effects were measured at, and see what becomes of them."""
    rows = material.fitted[: material.settings.carried]
    effects = material.effects
    units, scales = unit(effects.vectors[rows]), effects.scales[rows]
    hooks = hooks_of(material)
    moved, sizes, apart, output, kl = _moved(material, units, scales, hooks)
    shipped = effects.effects[rows].numpy()
    found = []
    for name in hooks:
        mean = moved[name]
        along = (unit(mean) * units).sum(1).numpy()
        # 1 where the change is the same at every token, and 0 where it has no direction in common.
        steady = (mean.square().sum(1) / apart[name]).numpy()
        found.append(
            {
                "hook": name,
                "cosine": estimate(along),
                "steady": estimate(steady),
                "size": estimate(sizes[name].numpy()),
                "geometry": same_geometry(shipped, mean.numpy()),
            }
        )
    longest = np.linalg.norm(shipped, axis=1)
    return {
        "vectors": len(rows),
        "layers": found,
        "of_vectors": same_geometry(shipped, (units * scales[:, None]).numpy()),
        "output": same_geometry(shipped, output.numpy()),
        "output_of_vectors": same_geometry((units * scales[:, None]).numpy(), output.numpy()),
        "direct": estimate(_direct(material, units, output)),
        "size_and_kl": estimate(np.stack([longest, kl.numpy()], 1), rank_correlation),
    }


@torch.no_grad()
def _direct(
    material: Material, units: Float[Tensor, "n d"], output: Float[Tensor, "n vocab"]
) -> Float[np.ndarray, " n"]:
    """Correlate, over the vocabulary, what each vector would do to next tokens by itself with what it does."""
    alone = units @ material.model.W_U.detach().float().cpu()
    pairs = [(each - each.mean(1, keepdim=True)) for each in (alone, output)]
    return (unit(pairs[0]) * unit(pairs[1])).sum(1).numpy()


@torch.no_grad()
def _moved(
    material: Material, units: Float[Tensor, "n d"], scales: Float[Tensor, " n"], hooks: list[str]
) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor], Float[Tensor, "n vocab"], Float[Tensor, " n"]]:
    """Return per vector and hook the mean change, its relative size, its mean square; and the output's."""
    model: Any = material.model
    texts = Losses(model, material.hook, material.effects.settings.texts)
    tokens, real = texts.tokens.to(model.cfg.device), texts.real.clone()
    real[:, 0] = False

    def read() -> tuple[dict[str, Tensor], Tensor]:
        logits, cache = model.run_with_cache(
            tokens, return_type="logits", names_filter=lambda name: name in hooks, padding_side="right"
        )
        return {name: cache[name].float().cpu()[real] for name in hooks}, logits.float().log_softmax(-1).cpu()[real]

    plain, expected = read()
    means: dict[str, list[Tensor]] = {name: [] for name in hooks}
    sizes: dict[str, list[Tensor]] = {name: [] for name in hooks}
    apart: dict[str, list[Tensor]] = {name: [] for name in hooks}
    output, kl = [], []
    for vector, scale in zip(material.vectors(units), scales.tolist(), strict=True):
        with steer(model, vector, scale=scale, check=False):
            now, told = read()
        for name in hooks:
            change = now[name] - plain[name]
            means[name].append(change.mean(0))
            sizes[name].append((change.norm(dim=1) / plain[name].norm(dim=1)).mean())
            apart[name].append(change.square().sum(1).mean())
        output.append((told - expected).mean(0))
        kl.append((expected.exp() * (expected - told)).sum(1).mean())
    stacked = [{name: torch.stack(each) for name, each in some.items()} for some in (means, sizes, apart)]
    return stacked[0], stacked[1], stacked[2], torch.stack(output), torch.stack(kl)
