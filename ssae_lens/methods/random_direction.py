"""Random direction: the control for the other methods."""

import numpy as np

from ssae_lens.base import checks
from ssae_lens.steering_vector import SteeringVector


def random(like: SteeringVector, *, seed: int = 0) -> SteeringVector:
    """Return a control for a vector: as long, at the same hooks, of a direction drawn at random.

    v = ‖like‖ · g/‖g‖ with g of independent standard normal numbers, so that no direction is likelier than another. It
    measures what adding any vector of that length does.

    Parameters
    ----------
    like
        What it is to be compared with.
    seed
        What the direction is drawn from.

    Examples
    --------
    >>> calm = SteeringVector([3.0, 4.0], "blocks.1.hook_resid_post")
    >>> round(random(calm).direction.norm().item(), 4)
    5.0
    """
    checks.integer("seed", seed, minimum=0)
    generator = np.random.default_rng(seed)
    drawn = {hook: generator.standard_normal(like.d_model) for hook in like.hook_names}
    directions = {
        hook: each * (float(like.directions[hook].norm()) / np.linalg.norm(each)) for hook, each in drawn.items()
    }
    norms = {hook: like.at(hook).norms for hook in like.hook_names}
    return SteeringVector(directions, origin=like.origin, method="random", norms=norms)
