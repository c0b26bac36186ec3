"""`sae_feature`: a decoder row of any SAELens SAE; and two ways to choose one.

`features_by_activation` ranks the features by how differently they fire on the two sides of a contrast, and
`features_by_output` by how much they bring about the tokens that they stand for.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from sae_lens import SAE
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import Origin
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.hook_points import final_norm, layer_of, origin_of, record_activations, require_residual
from ssae_lens.methods.contrast import Contrast, require_fit
from ssae_lens.sae import SSAE
from ssae_lens.sae.codes import codes_of, latent_number, origin_of_sae, require_usable, rows_of
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.models.identity import Model

# Pairs encoded at a time: the codes of a block are as wide as the SAE.
BLOCK = 256
# Of the tokens that a feature promotes, how many are shown.
SHOWN = 5


def sae_feature(sae: Any, latent: int, shifts: ShiftStore | None = None, *, concept: str = "") -> SteeringVector:
    """Return a decoder row of an SAE, in residual units, at the SAE's hook: v = s·c·W_dec[j].

    Without shifts, s = c = 1: a scale of 1 adds one unit of the feature. With them, it adds one change of it: with dᵢ the
    difference of its activation between the sides of pair i, c = Σ dᵢ² / Σ |dᵢ|, which pairs in which it does not fire
    leave alone; and with a concept, s is the sign of Σ dᵢ from without to with. Otherwise s = 1: more of the feature.

    Parameters
    ----------
    sae
        An SAELens SAE of any architecture that reads and writes one place on the residual stream.
    latent
        The feature's number.
    shifts
        Captured pairs, of the SAE's model and hook. An SAE reads single tokens: capture one, such as the last, and no mean.
        An SAE that normalises each activation at run time needs them, for how long a row is depends on the activation.
    concept
        What the vector should do; with `shifts`, one that they are labelled with.
    """
    _require_sae(sae)
    latent = latent_number(sae, latent)
    row = rows_of(sae, [latent])[0]
    if shifts is None:
        if sae.cfg.normalize_activations != "none":
            raise ValueError(
                f"The SAE normalises each activation by {sae.cfg.normalize_activations!r}, so that the length of a row "
                "depends on the activations; give shifts captured at its hook."
            )
        origin = origin_of_sae(sae)
        if not origin.hook_name:
            raise ValueError(
                "The SAE does not say which hook it reads; set sae.cfg.metadata.hook_name, or give shifts."
            )
        return SteeringVector(row, origin=origin, method="sae_feature", concept=concept)
    require_fit(sae, shifts)
    contrast = Contrast.of(shifts, concept) if concept else Contrast.whole(shifts)
    towards = squares = sizes = 0.0
    for negative, positive in contrast.blocks(BLOCK):
        moved = (codes_of(sae, positive) - codes_of(sae, negative))[:, latent]
        towards += moved.sum()
        squares += (moved**2).sum()
        sizes += abs(moved).sum()
    if not sizes:
        raise ValueError(
            f"Feature {latent} does not change in any of {len(contrast)} pairs; give shifts in which it does, or none."
        )
    sign = -1.0 if concept and towards < 0 else 1.0
    return contrast.vector(row.double().numpy() * (sign * squares / sizes), "sae_feature")


def features_by_activation(sae: Any, shifts: ShiftStore, concept: str = "", *, n: int | None = 10) -> "pd.DataFrame":
    """Rank an SAE's features by how much more they fire with a concept than without: Σ (f(xᵢ⁺) − f(xᵢ⁻)) / n over the pairs.

    Parameters
    ----------
    sae, shifts, concept
        As in `sae_feature`; without a concept, the only one, or from source to target.
    n
        How many to give, the largest first; None for all.

    Returns
    -------
    pandas.DataFrame
        A row for each: ``latent``; ``difference``, in residual units; ``firing_with`` and ``firing_without``, in what share
        of the pairs' sides it fires at all.
    """
    import pandas as pd

    _require_sae(sae)
    require_fit(sae, shifts)
    contrast = Contrast.of(shifts, concept)
    difference, firing_with, firing_without = np.zeros((3, len(sae.W_dec)))
    for negative, positive in contrast.blocks(BLOCK):
        before, after = codes_of(sae, negative), codes_of(sae, positive)
        difference += (after - before).sum(0)
        firing_without += (before != 0).sum(0)
        firing_with += (after != 0).sum(0)
    columns = {"difference": difference, "firing_with": firing_with, "firing_without": firing_without}
    table = pd.DataFrame(
        {"latent": range(len(difference)), **{name: each / len(contrast) for name, each in columns.items()}}
    )
    return _best(table, "difference", n)


@torch.no_grad()
def features_by_output(
    model: "Model",
    sae: Any,
    latents: Iterable[int] | None = None,
    *,
    prompt: str = "From my experience,",
    factor: float = 10.0,
    top_tokens: int = 20,
    n: int | None = None,
    max_rows: int = 64,
    quiet: bool = False,
) -> "pd.DataFrame":
    """Rank an SAE's features by their output score: Arad et al., arXiv 2505.20063.

    The tokens that feature j stands for are the `top_tokens` of largest logit when its decoder row is read through the
    final norm, if the model has one, and the unembedding. At the last token of a neutral prompt, `factor` · a_max · W_dec[j]
    is added, where a_max is the largest activation of any feature there. With p the largest probability that one of those
    tokens then has as the next, and r its rank in the vocabulary V from 0, the score is (1 − r/|V|)·p. Features of low
    scores steer badly, however well they tell a concept.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, with its tokenizer.
    sae
        An SAELens SAE of its residual stream.
    latents
        Which features to score; by default all of them.
    prompt, factor, top_tokens
        As above; the defaults are the authors'.
    n
        How many to give, the best first; by default all that are scored.
    max_rows
        How many to try at once.
    quiet
        Show no progress.

    Returns
    -------
    pandas.DataFrame
        A row for each feature: ``latent``, ``output_score``, ``probability`` (p), ``rank`` (r), and ``promotes``, the first
        few of its tokens.
    """
    import pandas as pd

    checks.above("factor", factor, 0)
    for name, value in (("top_tokens", top_tokens), ("max_rows", max_rows)):
        checks.integer(name, value)
    _require_sae(sae)
    origin = hook_of_sae(model, sae)
    origin_of_sae(sae).require_same(origin, "The SAE is not of this model", ignoring=("hook_name",))
    chosen = [latent_number(sae, each) for each in (range(len(sae.W_dec)) if latents is None else latents)]
    if not chosen:
        raise ValueError("latents is empty; give at least one, or leave it out to score all.")
    tokenizer: Any = model.tokenizer
    if tokenizer is None:
        raise ValueError("The model has no tokenizer, which is needed to read the prompt; attach one.")
    tokens = model.to_tokens(prompt)
    with record_activations(model, [origin.hook_name]) as read:
        last = read(tokens)[origin.hook_name][0, -1:].float().cpu().numpy()
    # In units of the rows, so that run-time normalisation is in it.
    largest = float(codes_of(sae, last).max())
    checks.above("The largest activation at the end of the prompt", largest, 0, "Give another prompt.")
    scored = []
    with progress(total=len(chosen), unit="features", desc="Scoring", quiet=quiet) as bar:
        for start in range(0, len(chosen), max_rows):
            some = chosen[start : start + max_rows]
            rows = rows_of(sae, some)
            vectors = [SteeringVector(row, origin=origin) for row in rows]
            amount = factor * largest
            with steer(model, vectors, scale=amount, positions=-1, per_row=True, check=False, trace=False):
                probabilities = model(tokens.expand(len(some), -1))[:, -1].float().softmax(-1)
            promoted = _lens(model, rows).topk(min(top_tokens, probabilities.shape[1]), dim=-1).indices
            probability = probabilities.gather(1, promoted).amax(1, keepdim=True)
            rank = (probabilities > probability).sum(1)
            score = (1 - rank / probabilities.shape[1]) * probability[:, 0]
            promotes = [[tokenizer.decode([token]) for token in each] for each in promoted[:, :SHOWN].tolist()]
            scored += zip(some, score.tolist(), probability[:, 0].tolist(), rank.tolist(), promotes, strict=True)
            bar.update(len(some))
    columns = ["latent", "output_score", "probability", "rank", "promotes"]
    return _best(pd.DataFrame(scored, columns=columns), "output_score", n)


def hook_of_sae(model: "Model", sae: Any) -> Origin:
    """Return the hook of a model that an SAE reads, or raise if it is not an SAE of this model's residual stream."""
    hook_name = sae.cfg.metadata.hook_name
    if not hook_name:
        raise ValueError(
            "The SAE does not say which hook it reads; set sae.cfg.metadata.hook_name, as to 'blocks.3.hook_resid_post'."
        )
    origin = origin_of(model, hook_name)
    if sae.cfg.d_in != origin.d_model:
        raise ValueError(
            f"The SAE reads d_in={sae.cfg.d_in} numbers at {hook_name!r} and the model {origin.model_name!r} has "
            f"d_model={origin.d_model}; give an SAE of this model's residual stream."
        )
    if layer_of(origin.hook_name) is None:
        raise ValueError(
            f"The SAE reads {origin.hook_name!r}, which is outside of the blocks, where generation cannot be steered; give "
            "one at a hook of a block, as 'blocks.3.hook_resid_post'."
        )
    require_residual(model, origin.hook_name)
    return origin


def _lens(model: Any, rows: Float[Tensor, "n d_model"]) -> Float[Tensor, "n d_vocab"]:
    """Read directions as the model reads the end of its residual stream."""
    parameter = next(model.parameters())
    residual = rows.to(parameter.device, parameter.dtype)[None]
    return model.unembed(final_norm(model)(residual))[0].float()


def _best(table: "pd.DataFrame", by: str, n: int | None) -> "pd.DataFrame":
    if n is not None:
        checks.integer("n", n)
    return table.sort_values(by, ascending=False, kind="stable", ignore_index=True).head(len(table) if n is None else n)


def _require_sae(sae: Any) -> None:
    if isinstance(sae, SSAE):
        raise ValueError(  # noqa: TRY004 - unusable input is a ValueError
            "sae is an SSAE, which encodes shifts and not activations; use ssae_lens.methods.ssae."
        )
    if not isinstance(sae, SAE):
        raise ValueError(f"sae is a {type(sae).__name__}; give an SAE of SAELens's.")  # noqa: TRY004 - as above
    require_usable(sae)
