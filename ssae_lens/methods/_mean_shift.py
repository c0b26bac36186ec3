"""Mean shift: the mean of the signed shifts (difference of means)."""

from ssae_lens.methods.contrast import Contrast
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector


def mean_shift(shifts: ShiftStore, concept: str = "") -> SteeringVector:
    """Return the mean of the signed shifts: v = Σ yᵢδᵢ / n.

    The sum is over the n pairs in which the concept changes, yᵢ = ±1 is its change from source to target, and δᵢ the shift.
    A scale of 1 adds as much as these pairs move on average.

    Parameters
    ----------
    shifts
        Captured pairs.
    concept
        One that they are labelled with; by default the only one. Of pairs without labels, the vector goes from source to
        target.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens.base.provenance import Origin
    >>> origin = Origin("blocks.1.hook_resid_post", 2)
    >>> shifts = ShiftStore.from_arrays(torch.zeros(2, 2), torch.tensor([[1.0, 0], [1, 2]]), origin=origin)
    >>> mean_shift(shifts).direction
    tensor([1., 1.])
    """
    contrast = Contrast.of(shifts, concept)
    return contrast.vector(contrast.mean_shift, "mean_shift")
