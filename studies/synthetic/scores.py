"""How what a method found in a world is scored."""

import numpy as np

from ssae_lens.evals.synthetic_data import World
from ssae_lens.metrics import mcc_codes, mcc_decoders, r2_uncentred
from studies.fitted_dictionary import Found


def scores(found: Found, world: World) -> dict[str, float]:
    """Score an answer on the shifts held out.

    MCC of codes, the same against shuffled labels (a control), MCC of decoders, and the share of energy explained.
    """
    codes = found.encode(world.test)
    order = np.random.default_rng(0).permutation(len(codes))
    return {
        "mcc_codes": mcc_codes(codes, world.test_codes).score,
        "mcc_shuffled": mcc_codes(codes, world.test_codes[order]).score,
        "mcc_decoders": mcc_decoders(found.directions, world.directions).score,
        "r2": r2_uncentred(world.test, found.decode(codes)),
    }
