"""What follows training with a budget: decoder rows refitted to active codes, and split features merged.

Refitting. While codes are penalised, every shift keeps small codes of unrelated latents, and decoder rows compensate for
them. Least squares on the active codes gives rows without that, in the whole space of shifts and not only in the
directions of the input map.

Merging. A concept that is expressed in several ways ("Look," for "Excuse me, but", "Hey," for "Forgive me, but") is split
into a latent for each as soon as there are latents to spare. Split features differ from two concepts in two ways: they are
never active in one shift, where latents of different concepts sometimes are by chance; and they point much the same way.
Where no two latents are active together, as in pairs in which one thing changes at a time, the first criterion is empty and
nothing is merged.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, Shaped
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from ssae_lens.sae import SSAE
from ssae_lens.training.data import Rows, Stream, open_data
from ssae_lens.training.outcome import measure_fit, record_sizes

# Split features have decoder rows of at least this |cosine|, …
MIN_COSINE = 0.3
# … are active together in less than this fraction of the shifts in which two latents usually would be, …
MAX_CO_OCCURRENCE = 1 / 3
# … and so few would occur by chance with less than this probability.
ALPHA = 0.01
# Directions of the codes below this fraction of the strongest are rounding errors.
NEGLIGIBLE = 1e-6


def active_threshold(sizes: Float[Tensor, "n h"]) -> Float[Tensor, "1 h"]:
    """Return for each latent the ``|code|`` above which it is active: Otsu's (1979) split of its ``|codes|`` in two."""
    ordered = sizes.cpu().double().sort(dim=0).values
    total, n = ordered.cumsum(0), len(ordered)
    n_below = torch.arange(1, n, dtype=torch.float64)[:, None]
    above = total[-1] - total[:-1]
    between = n_below * (n - n_below) * (above / (n - n_below) - total[:-1] / n_below).square()
    return ordered.gather(0, between.argmax(0, keepdim=True)).to(sizes)


def active_mask(sizes: Float[Tensor, "n h"]) -> Bool[Tensor, "n h"]:
    """Return which ``|codes|`` are above their latent's `active_threshold`."""
    return sizes > active_threshold(sizes)


@torch.no_grad()
def refit_decoder(
    codes: Float[Tensor, "n h"], shifts: Float[Tensor, "n d"], rows: Float[Tensor, "h d"]
) -> Float[Tensor, "h d"]:
    """Return the decoder rows that reconstruct shifts best from the active codes; a latent without any keeps its row.

    The least squares are solved on the CPU: not every device has double precision.
    """
    device, (codes, shifts, rows) = rows.device, (tensor.cpu() for tensor in (codes, shifts, rows))
    active = torch.where(active_mask(codes.abs()), codes, torch.zeros_like(codes)).double()
    gram = active.T @ active
    fitted = torch.linalg.pinv(gram, rtol=NEGLIGIBLE, hermitian=True) @ (active.T @ shifts.double())
    alive = fitted.norm(dim=1, keepdim=True) > 0
    return torch.where(alive, fitted.to(rows.dtype), rows).to(device)


@torch.no_grad()
def merge_split_latents(ssae: SSAE, shifts: Any) -> SSAE:
    """Merge the split features of a concept into one latent: their codes are added, and decoder rows refitted.

    Parameters
    ----------
    ssae
        A linear SSAE trained with a budget, whose codes separate into active and inactive ones.
    shifts
        What it was trained on, as `train` takes it; of an iterator, the first batches.

    Returns
    -------
    SSAE
        One with fewer latents, whose metadata say under ``merged_from`` which latents of `ssae` each one is made of; or
        `ssae` itself where there is nothing to merge. The FVU, the active latents and the mean ``|code|`` in its outcome and
        metadata are its own, and ``training`` has its width as ``d_sae`` and that of `ssae` as ``d_sae_trained``.
    """
    require_linear(ssae)
    data = open_data(shifts, 1)
    sample = data.sample().to(ssae.W_enc)
    codes = ssae.encode(sample)
    groups = find_split_features(codes, ssae.W_dec)
    if len(groups) == ssae.cfg.d_sae:
        return ssae
    membership = torch.zeros(ssae.cfg.d_sae, len(groups)).to(ssae.W_enc)
    for number, latents in enumerate(groups):
        # The first latent of a group sets the sign.
        membership[latents, number] = (ssae.W_dec[latents] @ ssae.W_dec[latents[0]]).sign()
    rows = refit_decoder(codes @ membership, sample - ssae.b_dec, membership.T @ ssae.W_dec)
    lengths = torch.linalg.vector_norm(rows, dim=1).clamp(min=1e-12)
    merged = SSAE.from_weights(
        ssae.W_enc @ membership * lengths,
        rows / lengths[:, None],
        ssae.b_enc @ membership * lengths,
        ssae.b_dec,
        metadata=SAEMetadata(**ssae.cfg.metadata.__dict__),
        dtype=ssae.cfg.dtype,
        device=ssae.cfg.device,
        apply_b_dec_to_input=ssae.cfg.apply_b_dec_to_input,
    )
    merged.cfg.metadata.merged_from = groups
    update_training(merged, ssae, data)
    return merged


def require_linear(ssae: SSAE) -> None:
    """Raise unless the codes of an SSAE can be added."""
    norms = {name: getattr(ssae.cfg, name) for name in ("code_norm", "input_norm", "normalize_activations")}
    others = {"k": ssae.cfg.k, "has_threshold": ssae.cfg.has_threshold}
    if ssae.cfg.k is not None or ssae.cfg.has_threshold or set(norms.values()) != {"none"}:
        options = ", ".join(f"{name}={value!r}" for name, value in {**others, **norms}.items())
        raise ValueError(f"The SSAE has {options}, but only the codes of a linear SSAE can be added.")


def find_split_features(codes: Float[Tensor, "n h"], rows: Float[Tensor, "h d"]) -> list[list[int]]:
    """Return the latents grouped by concept: every two of a group exclude each other and have similar rows."""
    rows = rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True).clamp(min=1e-12)
    cosines = (rows @ rows.T).abs().cpu()
    split = (cosines >= MIN_COSINE) & mutually_exclusive(active_mask(codes.abs()))
    groups = [[latent] for latent in range(len(rows))]
    group_of = list(range(len(rows)))
    first, second = torch.nonzero(split.triu(1), as_tuple=True)
    for pair in cosines[first, second].argsort(descending=True, stable=True).tolist():
        one, other = sorted((group_of[int(first[pair])], group_of[int(second[pair])]))
        if one != other and split[groups[one]][:, groups[other]].all():
            for latent in groups[other]:
                group_of[latent] = one
            groups[one], groups[other] = groups[one] + groups[other], []
    return [sorted(group) for group in groups if group]


def mutually_exclusive(active: Bool[Tensor, "n h"]) -> Bool[Tensor, "h h"]:
    """Return which two latents are active together more rarely than two latents of these data usually are.

    The count of so few shifts is Poisson distributed: P(X ≤ x) at a mean of m is the upper regularised gamma function
    Q(x + 1, m).
    """
    observed, independent, usual = co_occurrence(active)
    expected = independent * usual
    p_values = torch.special.gammaincc(observed + 1, expected.clamp(min=1e-12))
    return (observed < MAX_CO_OCCURRENCE * expected) & (p_values < ALPHA)


def co_occurrence(
    active: Shaped[Tensor, "n h"],
) -> tuple[Float[Tensor, "h h"], Float[Tensor, "h h"], Float[Tensor, ""]]:
    """Return how many shifts two latents are active in together, how many if independent, and the usual ratio of the two.

    Sparse changes exclude each other a little: the usual ratio is the median over pairs of latents.
    """
    active = active.cpu().double()
    observed, density = active.T @ active, active.mean(0)
    independent = len(active) * density[:, None] * density
    enough = torch.ones_like(observed, dtype=torch.bool).triu(1) & (independent > 1)
    usual = (observed[enough] / independent[enough]).median().clamp(max=1) if enough.any() else torch.tensor(0.0)
    return observed, independent, usual


def update_training(merged: SSAE, ssae: SSAE, data: Rows | Stream, verb: str = "Merged") -> None:
    """Set the outcome and the training metadata of a merged or refined SSAE to what holds for itself."""
    fit = measure_fit(merged, data.measured())
    # The loss and the sparsity of the constrained problem are those of the latents as trained.
    training = {k: v for k, v in (ssae.cfg.metadata.training or {}).items() if k not in ("loss", "sparsity")}
    training |= {"d_sae": merged.cfg.d_sae, "d_sae_trained": ssae.cfg.d_sae}
    training |= {"fvu": fit.fvu, "active": fit.active, "mean_abs": fit.mean_abs}
    training["message"] = f"{verb}: {fit.summary(data.n)}."
    if ssae.outcome is not None:
        merged.outcome = ssae.outcome.with_fit(fit, data.n)
        training["message"] = merged.outcome.message
    merged.cfg.metadata.training = training
    record_sizes(merged, fit.typical, data.norms)
