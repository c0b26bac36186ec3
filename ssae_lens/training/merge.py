"""Latents that are wordings of one concept, found without labels and joined.

A concept that is said in several ways ("Look," for "Excuse me, but", "Hey," for "Forgive me, but") gets a latent for each,
as soon as there are latents to spare: each is found again in any half of the shifts, and none of them is the concept. Two
things tell such latents from two concepts: they never fire in one shift, where latents of different concepts do by chance;
and they point much the same way. Where no two latents fire together, as of pairs in which one thing changes at a time, the
first says nothing, and none are joined.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from ssae_lens.sae import SSAE
from ssae_lens.training.data import Rows, Stream, open_data
from ssae_lens.training.outcome import measure_fit
from ssae_lens.training.refit import active_mask, refitted

# Rows are alike from this |cosine| on.
ALIKE = 0.3
# Latents exclude each other that fire together in less than this share of the shifts in which latents usually would, …
RARELY = 1 / 3
# … if so few would be rarer than this by chance.
SURE = 0.01


@torch.no_grad()
def merge_split_latents(ssae: SSAE, shifts: Any) -> SSAE:
    """Join latents that are wordings of one concept: their codes are added up, and rows fitted anew.

    Parameters
    ----------
    ssae
        An SSAE that is linear and was trained by budget, so that codes stand out.
    shifts
        What it was trained on, as `train` takes it; of an iterator, the first batches.

    Returns
    -------
    SSAE
        One with fewer latents, whose metadata say under ``wordings`` which latents of the one given each is made of; or the
        one given, where there is nothing to join. Its outcome and its metadata have the FVU, the active latents and the mean
        ``|code|`` as measured on itself, and under ``training`` its own width as ``d_sae``, that of the one given as
        ``d_sae_trained``.
    """
    norms = {name: getattr(ssae.cfg, name) for name in ("code_norm", "input_norm", "normalize_activations")}
    if ssae.cfg.k is not None or set(norms.values()) != {"none"}:
        has = ", ".join(f"{name}={value!r}" for name, value in {"k": ssae.cfg.k, **norms}.items())
        raise ValueError(f"The SSAE has {has}: only codes of a linear SSAE can be added up.")
    data = open_data(shifts, 1)
    rows = data.sample().to(ssae.W_enc)
    codes = ssae.encode(rows)
    found = wordings(codes, ssae.W_dec)
    if len(found) == ssae.cfg.d_sae:
        return ssae
    together = torch.zeros(ssae.cfg.d_sae, len(found)).to(ssae.W_enc)
    for number, latents in enumerate(found):
        # The first of them says which way is up.
        together[latents, number] = (ssae.W_dec[latents] @ ssae.W_dec[latents[0]]).sign()
    joined = refitted(codes @ together, rows - ssae.b_dec, together.T @ ssae.W_dec)
    lengths = torch.linalg.vector_norm(joined, dim=1).clamp(min=1e-12)
    made = SSAE.from_weights(
        ssae.W_enc @ together * lengths,
        joined / lengths[:, None],
        ssae.b_enc @ together * lengths,
        ssae.b_dec,
        metadata=SAEMetadata(**ssae.cfg.metadata.__dict__),
        dtype=ssae.cfg.dtype,
        device=ssae.cfg.device,
        apply_b_dec_to_input=ssae.cfg.apply_b_dec_to_input,
    )
    _describe(made, ssae, found, data)
    return made


def _describe(merged: SSAE, ssae: SSAE, found: list[list[int]], data: Rows | Stream) -> None:
    """Return a merged SSAE the metadata and the outcome of what it is, not of what it was merged from."""
    merged.cfg.metadata.wordings = found
    fit = measure_fit(merged, data.measured())
    # The loss and the sparsity of the problem are those of the latents as they were trained.
    trained = {k: v for k, v in (ssae.cfg.metadata.training or {}).items() if k not in ("loss", "sparsity")}
    own: dict[str, Any] = {"d_sae": merged.cfg.d_sae, "d_sae_trained": ssae.cfg.d_sae}
    own |= {"fvu": fit.fvu, "active": fit.active, "mean_abs": fit.mean_abs}
    own["message"] = f"Merged: {fit.summary(data.n)}."
    if ssae.outcome is not None:
        merged.outcome = ssae.outcome.of_fit(fit, data.n)
        own["message"] = merged.outcome.message
    merged.cfg.metadata.training = {**trained, **own}


def wordings(codes: Float[Tensor, "n h"], rows: Float[Tensor, "h d"]) -> list[list[int]]:
    """Sort latents into concepts: every two of those that stand together exclude each other and are alike."""
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=1e-12)
    cosines = (rows @ rows.T).abs().cpu()
    one = (cosines >= ALIKE) & excluding(active_mask(codes.abs()))
    found = [[latent] for latent in range(len(rows))]
    place = list(range(len(rows)))
    first, second = torch.nonzero(one.triu(1), as_tuple=True)
    for pair in cosines[first, second].argsort(descending=True, stable=True).tolist():
        ours, theirs = place[int(first[pair])], place[int(second[pair])]
        if ours != theirs and one[found[ours]][:, found[theirs]].all():
            ours, theirs = sorted((ours, theirs))
            for latent in found[theirs]:
                place[latent] = ours
            found[ours], found[theirs] = found[ours] + found[theirs], []
    return [sorted(each) for each in found if each]


def excluding(fires: Bool[Tensor, "n h"]) -> Bool[Tensor, "h h"]:
    """Say which two latents fire together more rarely than latents here usually do, if both go by their own shares.

    A count of so few shifts is Poisson's: P(X ≤ x) at a mean of m is the upper regularised gamma function Q(x + 1, m).
    """
    fires = fires.cpu().double()
    both, share = fires.T @ fires, fires.mean(0)
    by_chance = len(fires) * share[:, None] * share
    above = torch.ones_like(both, dtype=torch.bool).triu(1) & (by_chance > 1)
    # Sparse changes exclude each other a little: what is usual is half of the pairs' share of chance.
    usual = (both[above] / by_chance[above]).median().clamp(max=1) if above.any() else torch.tensor(0.0)
    due = by_chance * usual
    rare = torch.special.gammaincc(both + 1, due.clamp(min=1e-12)) < SURE
    return (both < RARELY * due) & rare
