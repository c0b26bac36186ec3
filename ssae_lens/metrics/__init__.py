"""Metrics: scores of arrays, with their intervals and what chance gives.

All take torch tensors or numpy arrays and return numbers or numpy arrays.
"""

from ssae_lens.metrics._cosines import (
    UDR,
    RunPair,
    cosines,
    latent_stability,
    mcc_decoders,
    steered_cosines,
    steered_cosines_frobenius,
    udr,
)
from ssae_lens.metrics._dci import DCI, dci
from ssae_lens.metrics.controls import Control, control_rotated, control_shuffled, expected_chance
from ssae_lens.metrics.intervals import (
    Interval,
    PairedTest,
    bootstrap_interval,
    sign_flip_test,
    wilson_interval,
)
from ssae_lens.metrics.matching import Match, correlations, hungarian, mcc_codes, mcc_max
from ssae_lens.metrics.reconstruction import active_codes, density, mean_abs, r2_centred, r2_uncentred
from ssae_lens.metrics.scores import Steerability, harmonic_mean, p_match, propensity, steerability

__all__ = [
    "DCI",
    "UDR",
    "Control",
    "Interval",
    "Match",
    "PairedTest",
    "RunPair",
    "Steerability",
    "active_codes",
    "bootstrap_interval",
    "control_rotated",
    "control_shuffled",
    "correlations",
    "cosines",
    "dci",
    "density",
    "expected_chance",
    "harmonic_mean",
    "hungarian",
    "latent_stability",
    "mcc_codes",
    "mcc_decoders",
    "mcc_max",
    "mean_abs",
    "p_match",
    "propensity",
    "r2_centred",
    "r2_uncentred",
    "sign_flip_test",
    "steerability",
    "steered_cosines",
    "steered_cosines_frobenius",
    "udr",
    "wilson_interval",
]
