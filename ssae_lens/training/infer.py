"""Refinement of an SSAE by sparse inference: without companions of concepts, and with split features merged.

The codes of a linear encoder contain what varies with context. `refine` fits a sparse factor model with correlated noise
(`ssae_lens.training.sparse_factors`) from the SSAE's own solution, removes companions, merges split features, and returns an
SSAE again: decoder rows by least squares on the posterior codes, an affine encoder by ridge regression to them, and for each
latent a threshold below which its codes are zero.
"""

import copy
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from sae_lens.saes.sae import SAEMetadata
from scipy.stats import poisson
from torch import Tensor

from ssae_lens.sae import SSAE
from ssae_lens.training.data import Rows, Stream, open_data
from ssae_lens.training.merge import (
    active_mask,
    co_occurrence,
    merge_split_latents,
    require_linear,
    update_training,
)
from ssae_lens.training.sparse_factors import (
    Posterior,
    Slab,
    SparseFactors,
    fit,
    gaussian_log_likelihood,
    posterior_of,
    start,
)

# Inference is in the leading principal directions of the shifts: so many, or so many times as many as there are latents.
MIN_DIRECTIONS, DIRECTIONS_PER_LATENT = 64, 2
# The fewest shifts per latent, the most latents, and the most shifts that the model is fitted to.
MIN_SHIFTS_PER_LATENT, MAX_LATENTS, MAX_SHIFTS = 20, 256, 20_000
# Iterations of EM for the choice of the slab, after it, and after the removal of companions.
CHOOSING, REFINING, SETTLING = 3, 5, 2
# Every fifth shift is held out for the choice of the slab.
HELD_OUT = 5
# A companion is active alone less than this fraction as often as is usual, with a probability below ALPHA by chance.
COMPANION, ALPHA = 0.1, 0.01
# Codes are sparse if the noise of inactive ones is below this fraction of their root mean square.
SPARSE = 0.01
# By how much the log-likelihood of a held-out shift must exceed that of a Gaussian and of factors along random directions.
MIN_GAIN = 4.0
# The co-occurrence of split features of a concept relative to independence, and the largest evidence from exclusion alone:
# values of one attribute exclude each other, too.
SPLIT, MAX_EXCLUSION = 0.05, 5.0


class LatentGroup(NamedTuple):
    """Latents that are split features of one concept, with the sign of each."""

    latents: list[int]
    signs: list[float]


@torch.no_grad()
def refine(ssae: SSAE, shifts: Any) -> SSAE:
    """Refine an SSAE by sparse inference with a learned noise covariance.

    Parameters
    ----------
    ssae
        A linear SSAE trained with a budget, not merged: ``sweep(…).ssae(…)`` or the result of `train`.
    shifts
        What it was trained on, as `train` takes it; of an iterator, the first batches.

    Returns
    -------
    SSAE
        One whose codes are zero below a threshold per latent, with one latent per concept. Its metadata have
        ``merged_from``, the latents of `ssae` that each is made of, ``companions``, those that were removed, and
        ``slab``: ``"signed"`` where changes have one size, ``"gaussian"`` otherwise (chosen by held-out likelihood).

        Nothing is refined if codes are sparse already (there is no noise and no context dependence), or if sparse factors
        predict held-out shifts hardly better than random ones do (as on single words, where content differs in every
        pair). Then it is `ssae` with split features merged (`merge_split_latents`), and its
        message says why.

    Raises
    ------
    ValueError
        If there are fewer than 20 shifts per latent, more than 256 latents, or codes that are not linear.

    Notes
    -----
    A companion is a latent that is hardly ever active alone, though latents of these data usually sometimes are: a
    context-dependent part of another concept. Two latents are split features of one concept if the evidence that they
    exclude each other and that their rows are similar outweighs the prior, log ``d_sae``.
    """
    require_linear(ssae)
    data = open_data(shifts, 1)
    sample, d_sae = data.sample(), ssae.cfg.d_sae
    check_refinable(len(sample), d_sae)
    sample = sample[:: -(-len(sample) // MAX_SHIFTS)]
    codes = ssae.encode(sample.to(ssae.W_enc))
    if is_sparse(codes):
        return _not_refined(ssae, data, "codes are sparse already")
    scaled = _scaled(sample.to(codes.device if codes.device.type == "cuda" else "cpu", torch.float64))
    codes = torch.where(active_mask(codes.abs()), codes, torch.zeros_like(codes)).to(scaled.shifts)
    leading = scaled.directions[:, : max(MIN_DIRECTIONS, DIRECTIONS_PER_LATENT * d_sae)]
    inputs = scaled.shifts @ leading
    model, gain = _chosen(inputs, (ssae.W_dec.to(scaled.shifts) / scaled.scale) @ leading, codes)
    if gain < MIN_GAIN:
        return _not_refined(ssae, data, "its factors predict held-out shifts hardly better than random ones do")
    model, kept = _without_companions(fit(model, inputs, REFINING), inputs)
    posterior = posterior_of(model, inputs)
    # Rows are compared after directions are balanced, so that a few of large shifts do not decide alone.
    groups = find_groups(posterior.active, model.rows * scaled.values[: leading.shape[1]].clamp(min=1e-12) ** -0.25)
    membership = torch.zeros(len(kept), len(groups)).to(inputs)
    for number, group in enumerate(groups):
        membership[group.latents, number] = torch.tensor(group.signs).to(inputs)
    refined = _as_ssae(ssae, scaled, posterior, membership)
    metadata = refined.cfg.metadata
    metadata.merged_from = [[kept[latent] for latent in group.latents] for group in groups]
    metadata.companions = sorted(set(range(d_sae)) - set(kept))
    metadata.slab = model.slab
    update_training(refined, ssae, data, "Refined")
    return refined


def check_refinable(n_shifts: int, d_sae: int) -> None:
    """Raise unless there are enough shifts for the latents, and few enough latents."""
    if n_shifts < MIN_SHIFTS_PER_LATENT * d_sae:
        raise ValueError(
            f"There are {n_shifts} shifts and d_sae={d_sae} latents; refinement needs at least {MIN_SHIFTS_PER_LATENT} "
            "shifts for each. Capture more pairs, or lower d_sae."
        )
    if d_sae > MAX_LATENTS:
        raise ValueError(f"d_sae is {d_sae}; refinement takes at most {MAX_LATENTS} latents. Lower d_sae.")


def is_sparse(codes: Float[Tensor, "n h"]) -> bool:
    """Return whether most latents' codes are nearly zero for most shifts, so that there is nothing to refine."""
    noise = codes.abs().median(dim=0).values / 0.6745
    return bool((noise < SPARSE * codes.square().mean(0).sqrt()).double().mean() > 0.5)


def find_companions(active: Float[Tensor, "n h"]) -> list[int]:
    """Return the latents that are hardly ever active without another, though latents of these data usually sometimes are."""
    others_off = (1 - active).clamp(min=1e-6).log()
    alone = (active * (others_off.sum(1, keepdim=True) - others_off).exp()).sum(0)
    total = active.sum(0)
    usual = (alone / total.clamp(min=1e-12)).median()
    rare = torch.from_numpy(poisson.cdf(alone.cpu().numpy(), (usual * total).cpu().numpy())) < ALPHA
    return torch.nonzero(rare & (alone < COMPANION * usual * total).cpu()).flatten().tolist()


def find_groups(active: Float[Tensor, "n h"], rows: Float[Tensor, "h p"]) -> list[LatentGroup]:
    """Return the latents grouped by concept.

    Groups are joined, the most evident first, while the evidence is positive: the log Bayes factor of their co-occurrence
    (Poisson, at a rate of `SPLIT` for split features of one concept, and the usual rate for two concepts), plus that of
    the largest |cosine| of their rows (uniform for split features; for two concepts a half-normal with the spread of
    latents that do co-occur), less log h.
    """
    together, independent, usual = co_occurrence(active)
    h = len(together)
    unit_rows = torch.nn.functional.normalize(rows.cpu(), dim=1)
    cosines = unit_rows @ unit_rows.T
    upper = torch.ones(h, h, dtype=torch.bool).triu(1)
    groups = [LatentGroup([latent], [1.0]) for latent in range(h)]
    if usual <= SPLIT:  # hardly any two latents are ever active together, so exclusion says nothing
        return groups
    exclusion = together * (SPLIT / usual).log() + (usual - SPLIT) * independent
    unrelated = cosines[upper & (independent > 1) & (together > usual * independent / 2)]
    spread = (unrelated.abs().median() / 0.6745).clamp(min=1e-3) if len(unrelated) else torch.tensor(0.1)
    nearest, signed = cosines.abs(), cosines.clone()
    while len(groups) > 1:
        similarity = (spread * (torch.pi / 2) ** 0.5).log() + nearest.square() / (2 * spread**2)
        evidence = exclusion.clamp(max=MAX_EXCLUSION) + similarity - torch.tensor(float(h)).log()
        best = evidence.masked_fill(~torch.ones_like(evidence, dtype=torch.bool).triu(1), -float("inf")).argmax()
        one, other = divmod(int(best), len(groups))
        if evidence[one, other] <= 0:
            break
        sign = 1.0 if signed[one, other] >= 0 else -1.0
        joined, added = groups[one], groups.pop(other)
        groups[one] = LatentGroup(
            joined.latents + added.latents, joined.signs + [sign * member for member in added.signs]
        )
        exclusion = _joined(exclusion, one, other, lambda a, b: a + b)
        nearest = _joined(nearest, one, other, torch.maximum)
        signed = _joined(signed, one, other, lambda a, b, sign=sign: a + sign * b)
    return groups


def best_threshold(sizes: Float[Tensor, "n h"], active: Float[Tensor, "n h"]) -> Float[Tensor, " h"]:
    """Return for each latent the threshold on its ``|codes|`` that misclassifies least of its posterior activity."""
    ordered, order = sizes.sort(dim=0)
    gain = 2 * active.gather(0, order) - 1
    # Errors if the first i of the ordered codes are inactive, but for a constant: Σ_{j<i} (2 P(active) − 1).
    errors = torch.cat([torch.zeros_like(gain[:1]), gain.cumsum(0)])
    n_below = errors.argmin(0, keepdim=True)
    below = torch.cat([torch.zeros_like(ordered[:1]), ordered]).gather(0, n_below)
    above = torch.cat([ordered, ordered[-1:] * 2]).gather(0, n_below)
    return ((below + above) / 2)[0]


class _Scaled(NamedTuple):
    """Shifts of unit mean square in every dimension, and the eigenvalues and eigenvectors of their second moment.

    A dimension of enormous activations, as models have some, would otherwise decide what is similar.
    """

    shifts: Float[Tensor, "n d"]
    scale: Float[Tensor, " d"]
    values: Float[Tensor, " r"]
    directions: Float[Tensor, "d r"]


def _scaled(shifts: Float[Tensor, "n d"]) -> _Scaled:
    """Return shifts with each dimension scaled to unit mean square, and their principal directions, the largest first."""
    scale = shifts.square().mean(0).sqrt()
    scale = scale.clamp(min=1e-6 * float(scale.max()))
    shifts = shifts / scale
    values, vectors = torch.linalg.eigh(shifts.T @ shifts / len(shifts))
    kept = values.flip(0) > 1e-9 * values[-1]
    return _Scaled(shifts, scale, values.flip(0)[kept], vectors.flip(1)[:, kept])


def _not_refined(ssae: SSAE, data: Rows | Stream, reason: str) -> SSAE:
    """Return the SSAE with split features merged, and a message that says why it was not refined."""
    merged = copy.deepcopy(merge_split_latents(ssae, data))
    metadata, detail = merged.cfg.metadata, f"Not refined: {reason}."
    if merged.outcome is not None:
        merged.outcome = merged.outcome.with_details(detail)
    training = metadata.training or {}
    metadata.training = training | {"message": f"{training.get('message', '')} {detail}".strip()}
    return merged


def _chosen(
    inputs: Float[Tensor, "n p"], rows: Float[Tensor, "h p"], codes: Float[Tensor, "n h"]
) -> tuple[SparseFactors, float]:
    """Return the model of the slab under which held-out shifts are most likely, and its gain over Gaussian and random."""
    held_out = torch.zeros(len(inputs), dtype=torch.bool, device=inputs.device)
    held_out[::HELD_OUT] = True
    fitted, held = inputs[~held_out], inputs[held_out]

    def fits(rows: Tensor, codes: Tensor) -> list[tuple[float, SparseFactors]]:
        slabs: tuple[Slab, Slab] = ("signed", "gaussian")
        models = [fit(start(fitted, rows, codes, slab), fitted, CHOOSING) for slab in slabs]
        return [(posterior_of(model, held).log_likelihood.mean().item(), model) for model in models]

    score, best = max(fits(rows, codes[~held_out]), key=lambda scored: scored[0])
    control = max(score for score, _ in fits(*_random_factors(fitted, len(rows))))
    return best, score - max(control, gaussian_log_likelihood(fitted, held))


def _random_factors(inputs: Float[Tensor, "n p"], h: int) -> tuple[Float[Tensor, "h p"], Float[Tensor, "n h"]]:
    """Return rows and codes as good as the leading principal directions, randomly rotated after whitening: the control."""
    values, directions = torch.linalg.eigh(inputs.T @ inputs / len(inputs))
    n_directions = min(h, int((values > 1e-9 * values[-1]).sum()))
    lengths, leading = values.flip(0)[:n_directions].sqrt(), directions.flip(1)[:, :n_directions]
    random = torch.randn(n_directions, h, generator=torch.Generator().manual_seed(0), dtype=inputs.dtype)
    rotation = torch.cat([torch.linalg.qr(part).Q for part in random.split(n_directions, dim=1)], dim=1).to(inputs)
    codes = inputs @ (leading / lengths) @ rotation
    return ((leading * lengths) @ rotation).T, torch.where(active_mask(codes.abs()), codes, torch.zeros_like(codes))


def _without_companions(model: SparseFactors, inputs: Float[Tensor, "n p"]) -> tuple[SparseFactors, list[int]]:
    """Return the model after companions were removed, and the latents that are left."""
    kept = list(range(len(model.rows)))
    while companions := find_companions(posterior_of(model, inputs).active):
        kept = [latent for number, latent in enumerate(kept) if number not in companions]
        model = fit(model.without(companions), inputs, SETTLING)
    return fit(model, inputs, SETTLING), kept


def _joined(matrix: Float[Tensor, "g g"], one: int, other: int, combine: Any) -> Float[Tensor, "g-1 g-1"]:
    """Return a symmetric matrix over groups after `other` has joined `one`."""
    matrix = matrix.clone()
    matrix[one] = combine(matrix[one], matrix[other])
    matrix[:, one] = combine(matrix[:, one], matrix[:, other])
    keep = [i for i in range(len(matrix)) if i != other]
    return matrix[keep][:, keep]


def _as_ssae(ssae: SSAE, scaled: _Scaled, posterior: Posterior, membership: Float[Tensor, "h g"]) -> SSAE:
    """Return an SSAE with the rows, the affine encoder and the thresholds that posterior codes determine."""
    codes = posterior.codes @ membership
    active = (posterior.active @ membership.abs()).clamp(max=1)
    rows = torch.linalg.pinv(codes.T @ codes, rtol=1e-9, hermitian=True) @ (codes.T @ scaled.shifts) * scaled.scale
    lengths = rows.norm(dim=1).clamp(min=1e-12)
    encoder = scaled.directions @ _ridge(scaled.shifts @ scaled.directions, scaled.values, codes * lengths)
    threshold = best_threshold((scaled.shifts @ encoder).abs(), active)
    return SSAE.from_weights(
        (encoder / scaled.scale[:, None]).to(ssae.W_enc),
        (rows / lengths[:, None]).to(ssae.W_enc),
        metadata=SAEMetadata(**ssae.cfg.metadata.__dict__),
        dtype=ssae.cfg.dtype,
        device=ssae.cfg.device,
        threshold=threshold,
    )


def _ridge(inputs: Float[Tensor, "n r"], values: Float[Tensor, " r"], targets: Float[Tensor, "n g"]) -> Tensor:
    """Return the ridge regression in principal directions, its penalty chosen by generalised cross-validation."""
    n = len(inputs)
    projected, energy = inputs.T @ targets / n, targets.square().sum() / n
    best: tuple[float, Tensor] | None = None
    for penalty in torch.logspace(-6, 1, 15).to(values) * values.mean():
        weights = projected / (values + penalty)[:, None]
        error = energy - 2 * (weights * projected).sum() + (weights.square() * values[:, None]).sum()
        score = (error / (1 - (values / (values + penalty)).sum() / n).clamp(min=1e-6) ** 2).item()
        if best is None or score < best[0]:
            best = score, weights
    assert best is not None
    return best[1]
