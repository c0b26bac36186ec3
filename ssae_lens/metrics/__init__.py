"""Metrics of arrays: scores, their confidence intervals, and their values at chance.

All take torch tensors or numpy arrays and return numbers or numpy arrays.
"""

from ssae_lens.metrics._cosines import (
    UDR,
    cosines,
    latent_stability,
    mcc_decoders,
    steered_cosines,
    steered_cosines_frobenius,
    udr,
)
from ssae_lens.metrics._dci import DCI, dci
from ssae_lens.metrics.controls import (
    Control,
    Interval,
    PairedTest,
    bootstrap_interval,
    control_rotated,
    control_shuffled,
    expected_chance,
    sign_flip_test,
    wilson_interval,
)
from ssae_lens.metrics.matching import Match, correlations, hungarian, mcc_codes, mcc_max
from ssae_lens.metrics.scores import (
    Steerability,
    active_codes,
    density,
    harmonic_mean,
    mean_abs,
    p_match,
    propensity,
    r2_centred,
    r2_uncentred,
    steerability,
)

__all__ = [
    "DCI",
    "UDR",
    "Control",
    "Interval",
    "Match",
    "PairedTest",
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
