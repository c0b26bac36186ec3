"""SAE-TS: steering vectors that target features of an SAE (Chalnev et al. 2024, https://arxiv.org/abs/2411.02193).

`measure_effects` steers by many vectors and measures what each does to the features of the text; `fit_approximator` fits a
linear map from vectors to effects; `targeted`, `pseudo_inverse` and `rotated` make vectors from the map, and `compare`
measures whether they do better than the SAE's own decoder rows. With the SAE and map that ship, the column of M alone
(``targeted(…, bias=0)``) did best; see docs/findings.md.

    effects = measure_effects(model, sae, sae.W_dec[:1000], path="effects.safetensors")
    approximator = fit_approximator(effects)
    with steer(model, targeted(approximator, 1234), scale=60.0): ...
"""

from ssae_lens.methods.sae_ts.approximator import Approximator, fit_approximator
from ssae_lens.methods.sae_ts.effects import Effects, measure_effects
from ssae_lens.methods.sae_ts.settings import Settings
from ssae_lens.methods.sae_ts.steered import Scales, find_scales
from ssae_lens.methods.sae_ts.vectors import compare, pseudo_inverse, rotated, targeted

__all__ = [
    "Approximator",
    "Effects",
    "Scales",
    "Settings",
    "compare",
    "find_scales",
    "fit_approximator",
    "measure_effects",
    "pseudo_inverse",
    "rotated",
    "targeted",
]
