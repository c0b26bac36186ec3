"""Methods that make a `SteeringVector`, one file each; `cosine_table` compares what they make.

Methods take captured pairs (a `ShiftStore`) or, like `caa`, capture them themselves.
"""

from ssae_lens.methods._caa import caa, equalise_norms
from ssae_lens.methods._cosine_table import cosine_table
from ssae_lens.methods._linear_probe import linear_probe
from ssae_lens.methods._mean_shift import mean_shift
from ssae_lens.methods._pca import pca
from ssae_lens.methods._sae_feature import features_by_activation, features_by_output, sae_feature
from ssae_lens.methods._ssae import ssae
from ssae_lens.methods.random_direction import random

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
