"""Methods that make a `SteeringVector`, one file each; `cosine_table` compares what they make.

Methods take captured pairs (a `ShiftStore`) or, like `caa`, capture them themselves.
"""

from ssae_lens.methods.caa import caa, equalise_norms
from ssae_lens.methods.cosine_table import cosine_table
from ssae_lens.methods.linear_probe import linear_probe
from ssae_lens.methods.mean_shift import mean_shift
from ssae_lens.methods.pca import pca
from ssae_lens.methods.random_direction import random
from ssae_lens.methods.sae_feature import features_by_activation, features_by_output, sae_feature
from ssae_lens.methods.ssae import ssae

__all__ = [
    "caa",
    "cosine_table",
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
