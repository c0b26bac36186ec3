"""Three numbers that are all called MCC (mean correlation coefficient), each under a name of its own.

`mcc_codes` compares codes with true factors, `mcc_max` is its greedy cousin of the SSAE's later code, `mcc_decoders`
compares directions. What chance gives each is in `controls.py`.
"""

from dataclasses import replace

from jaxtyping import Shaped

from ssae_lens.metrics.arrays import Array, as_matrix, same_width
from ssae_lens.metrics.correlation import Kind, correlations
from ssae_lens.metrics.cosines import cosines
from ssae_lens.metrics.matching import Match, best_latents, hungarian


def mcc_codes(
    codes: Shaped[Array, "n k"], factors: Shaped[Array, "n c"], *, kind: Kind = "pearson", seed: int = 0
) -> Match:
    """Match latents with factors one to one, and average the |correlations|.

    Permutation, scale and sign of the latents do not matter: a code that is the factors up to these scores 1. The mean
    is over the factors: a factor left without a latent counts 0, and spare latents cost nothing.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example.
    kind
        ``pearson``, ``spearman`` or ``rdc``.
    seed
        Of the random features of ``rdc``.

    See Also
    --------
    control_shuffled : the same with the rows of the factors shuffled.
    expected_chance : what independent codes give.
    """
    return hungarian(correlations(codes, factors, kind=kind, seed=seed))


def mcc_max(
    codes: Shaped[Array, "n k"],
    factors: Shaped[Array, "n c"],
    *,
    kind: Kind = "pearson",
    signed: bool = True,
    seed: int = 0,
) -> Match:
    """Return each factor the latent that correlates best with it, and average the correlations.

    The "MCC" of the SSAE's later code. It is the largest of k numbers, so it **grows with width** whatever was learned
    (by about √(2 ln k / n) from nothing), and one latent may stand for several factors: compare only equal widths, and
    beside `control_shuffled`.

    Parameters
    ----------
    codes, factors
        Row i of both is the same example; there, single texts and 0/1 labels.
    kind
        ``pearson``, ``spearman`` or ``rdc``.
    signed
        As there: a latent that falls where the factor rises does not count. False takes |correlations|, which suits
        signed codes.
    seed
        Of the random features of ``rdc``.
    """
    return best_latents(correlations(codes, factors, kind=kind, seed=seed), signed=signed)


def mcc_decoders(decoder: Shaped[Array, "k d"], directions: Shaped[Array, "c d"]) -> Match:
    """Match decoder rows with directions one to one, and average the |cosines|: SAELens's `mean_correlation_coefficient`.

    As there, the mean is over the matched pairs, min(k, c) of them. With another seed's decoder for `directions` this is
    a score of stability, not of truth. The "MCC" of the SSAE's first version is close to it: its rows are centred
    before the cosine, which is ``mcc_codes(decoder.T, directions.T)``.

    See Also
    --------
    control_rotated : the same with the directions turned at random.
    """
    decoder, directions = as_matrix("decoder", decoder), as_matrix("directions", directions)
    same_width("decoder", decoder, "directions", directions)
    match = hungarian(cosines(decoder, directions))
    return replace(match, score=float(match.per_factor.sum()) / min(match.matrix.shape))
