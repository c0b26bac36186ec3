"""SSAE: a decoder row of a Sparse Shift Autoencoder, with the sign and the length of the shifts in the data."""

import numpy as np

from ssae_lens.methods.contrast import Contrast, require_fit
from ssae_lens.sae import SSAE
from ssae_lens.sae.codes import codes_of, latent_number
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector


def ssae(ssae: SSAE, shifts: ShiftStore, concept: str = "", *, latent: int | None = None) -> SteeringVector:
    """Return a decoder row of an SSAE, as long as one change of its latent is in the data: v = s·c·W_dec[k].

    With h the latent's codes of the shifts, c = Σ hᵢ² / Σ |hᵢ|: the mean of |h| in which each code has itself as its weight,
    so that codes that are 0, or nearly, do not count as changes. A scale of 1 adds one change.

    - With a concept, both sums are over the pairs in which it changes, and s is the sign of Σ yᵢhᵢ, yᵢ = ±1 being the
      change. Without `latent`, the latent is that of the largest |Σ yᵢhᵢ| / (‖y‖‖h‖), where ‖h‖ is over all pairs.
    - With a latent alone, both sums are over all pairs and s is the sign of Σ hᵢ: the vector has the direction in
      which the pairs move on average, from source to target. Where they move both ways, the sign is arbitrary.

    Parameters
    ----------
    ssae
        A trained SSAE.
    shifts
        Captured pairs, of the model and hook that it was trained on.
    concept
        One that the pairs are labelled with; by default, without `latent`, the only one.
    latent
        The row's number.

    See Also
    --------
    SteeringVector.from_ssae : a row as it is.
    """
    if not isinstance(ssae, SSAE):
        raise ValueError(  # noqa: TRY004 - unusable input is a ValueError
            f"ssae is a {type(ssae).__name__}; give an SSAE, or use sae_feature for an SAE that reads activations."
        )
    require_fit(ssae, shifts)
    contrast = Contrast.of(shifts, concept) if concept or latent is None else Contrast.whole(shifts)
    if latent is None and not contrast.concept:
        raise ValueError("The shifts have no labels to choose a latent by; say which latent.")
    chosen = None if latent is None else latent_number(ssae, latent)
    towards, energy, squares, sizes = np.zeros((4, ssae.cfg.d_sae))
    for rows, source, target in shifts.blocks():
        codes = codes_of(ssae, target - source)
        signs = contrast.signs[rows]
        towards += signs @ codes
        energy += (codes**2).sum(0)
        squares += (codes[signs != 0] ** 2).sum(0)
        sizes += abs(codes[signs != 0]).sum(0)
    if chosen is None:
        chosen = int(np.argmax(abs(towards) / np.sqrt(np.where(energy > 0, energy, np.inf))))
    if not sizes[chosen]:
        raise ValueError(f"Latent {chosen} is 0 in all {len(contrast)} pairs; choose another, or other pairs.")
    size = np.sign(towards[chosen] or 1.0) * squares[chosen] / sizes[chosen]
    return SteeringVector(
        ssae.W_dec[chosen].detach() * float(size),
        shifts.origin.hook_name,
        origin=ssae.origin,
        method="ssae",
        concept=contrast.concept,
        norms=contrast.norms,
    )
