"""The methods: one file for each way to make a `SteeringVector`.

All take what they learn from as captured pairs (`ShiftStore`) or, like `caa`, capture it themselves.
"""

from ssae_lens.methods.caa import caa, equalise_norms
from ssae_lens.methods.linear_probe import linear_probe
from ssae_lens.methods.mean_shift import mean_shift
from ssae_lens.methods.pca import pca
from ssae_lens.methods.random_direction import random
from ssae_lens.methods.sae_feature import features_by_activation, features_by_output, sae_feature
from ssae_lens.methods.ssae import ssae

__all__ = [
    "caa",
    "equalise_norms",
    "features_by_activation",
    "features_by_output",
    "linear_probe",
    "mean_shift",
    "pca",
    "random",
    "sae_feature",
    "ssae",
]
