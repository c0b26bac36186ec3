"""`layer_sweep`: SSAEs of several hooks, captured in one pass, and a table that compares them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.hooks import capture_shifts
from ssae_lens.latents.concepts import Concepts
from ssae_lens.latents.match import match_concepts
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.training import sweep

if TYPE_CHECKING:
    import pandas as pd
    from datasets import Dataset

    from ssae_lens.models.identity import Model


@dataclass(frozen=True)
class LayerSweep:
    """SSAEs of several hooks.

    Attributes
    ----------
    ssaes, shifts, concepts
        By hook name: the best SSAE of the hook's sweep, the captured shifts, and the matched concepts, if there are labels.
    """

    ssaes: dict[str, SSAE]
    shifts: dict[str, ShiftStore]
    concepts: dict[str, Concepts]
    _rows: list[dict[str, Any]]

    def table(self) -> "pd.DataFrame":
        """Return a row for each hook.

        ``latents``, of the best SSAE; ``reproduced``, ``split_half_score``, ``fvu`` and ``active`` as in a sweep's table;
        and with labels ``matched``, the concepts that have a latent, and ``mean_fit``, the mean of their |correlations| over
        all concepts, which counts a concept without a latent as zero. Both are of the pairs trained on.
        """
        import pandas as pd

        return pd.DataFrame(self._rows).set_index("hook")

    def vector(self, concept: str) -> SteeringVector:
        """Return one vector of a concept, with a direction at every hook where it has a latent."""
        found = [
            SteeringVector.from_ssae(self.ssaes[hook], concepts[concept])
            for hook, concepts in self.concepts.items()
            if concepts[concept].latents
        ]
        if not found:
            raise ValueError(f"No hook has a latent of the concept {concept!r}; see .concepts for the nearest ones.")
        return SteeringVector(
            {vector.hook_name: vector.direction for vector in found},
            origin=found[0].origin,
            method=found[0].method,
            concept=concept,
            norms={vector.hook_name: vector.norms for vector in found},
        )

    def __repr__(self) -> str:
        return self.table().to_string(float_format=lambda value: f"{value:.3g}")


def layer_sweep(
    model: "Model",
    pairs: "Dataset",
    hooks: Sequence[str | int],
    d_sae: int | Sequence[int],
    *,
    seeds: int = 5,
    path: str | Path | None = None,
    position: str | int = "mean",
    quiet: bool = False,
    **options: Any,
) -> LayerSweep:
    """Capture shifts at several hooks in one pass, train a sweep on each, and compare them.

    Parameters
    ----------
    model, pairs, position
        As in `capture_shifts`.
    hooks
        Hook names, or numbers of blocks for ``blocks.N.hook_resid_post``.
    d_sae, seeds, options
        As in `sweep`.
    path
        A folder for the shifts of each hook, from which an interrupted capture resumes; by default they are in memory.
    quiet
        Show no progress.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.pairs import load_pairs
    >>> found = layer_sweep(
    ...     tiny_model(), load_pairs("gender"), [0, 1], 3, seeds=2, steps=50, budget=0.5, refine=False, quiet=True
    ... )
    >>> found.table().index.tolist()
    ['blocks.0.hook_resid_post', 'blocks.1.hook_resid_post']
    """
    names = [hook if isinstance(hook, str) else f"blocks.{checks.as_int(hook)}.hook_resid_post" for hook in hooks]
    if not names or len(set(names)) < len(names):
        raise ValueError(f"hooks is {list(hooks)!r}; give one or several different hooks or blocks.")
    stores = capture_shifts(model, pairs, names, position=position, path=path, quiet=quiet)
    ssaes, concepts, rows = {}, {}, []
    for hook, store in stores.items():
        swept = sweep(store, d_sae=d_sae, seeds=seeds, quiet=quiet, **options)
        ssaes[hook] = ssae = swept.best
        chosen, training = swept.chosen, ssae.cfg.metadata.training or {}
        row = {"hook": hook, "latents": ssae.cfg.d_sae, "reproduced": chosen.reproduced}
        row |= {"split_half_score": chosen.split_half_score, "fvu": training["fvu"], "active": training["active"]}
        if store.labels is not None:
            concepts[hook] = match_concepts(ssae, store)
            fits = [concept.fit or 0.0 for concept in concepts[hook].values()]
            row |= {"matched": sum(fit > 0 for fit in fits), "mean_fit": sum(fits) / len(fits)}
        rows.append(row)
    return LayerSweep(ssaes, dict(stores), concepts, rows)
