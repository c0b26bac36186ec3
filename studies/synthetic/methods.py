"""The methods of the study by name, each a function of synthetic data, a width, a seed and a number of steps."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from ssae_lens.evals.synthetic_data import SyntheticData
from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import train
from studies.baselines import BASELINES, FittedDictionary

L1_LEVELS = (0.5, 0.65, 0.8)
# Baselines converge sooner and train for this share of the steps, SAELens's SAEs at this learning rate.
SHARE_OF_STEPS = 0.4
SAE_RATE = 1e-2


@dataclass(frozen=True)
class SyntheticMethod:
    """A method of the study: a function of data, width, seed and steps, and its settings in words."""

    fit: Callable[[SyntheticData, int, int, int], FittedDictionary]
    about: str


def _ssae(data: SyntheticData, width: int, seed: int, steps: int) -> FittedDictionary:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the scores show a budget that cannot be met
        ssae = train(data.train, d_sae=width, seed=seed, steps=steps, refine=None, device="cpu", quiet=True)
    return FittedDictionary.from_sae(ssae)


def _l1(data: SyntheticData, width: int, seed: int, steps: int) -> FittedDictionary:
    """Train with the constraint of the paper, at the level on which three seeds agree most."""
    result = sweep(
        data.train,
        d_sae=width,
        level=L1_LEVELS,
        sparsity="l1",
        seeds=[seed + 1000 * number for number in range(3)],
        steps=round(SHARE_OF_STEPS * steps),
        halves=False,
        device="cpu",
        quiet=True,
    )
    return FittedDictionary.from_sae(result.best)


def _baseline(name: str) -> SyntheticMethod:
    method, about = BASELINES[name]
    rate = {"lr": SAE_RATE} if name in ("SAE", "TopK", "AbsTopK", "JumpReLU") else {}

    def fit(data: SyntheticData, width: int, seed: int, steps: int) -> FittedDictionary:
        steps = round(SHARE_OF_STEPS * steps)
        return method(data.train, width, active=data.max_changed, seed=seed, steps=steps, **rate)

    return SyntheticMethod(fit, about)


METHODS: dict[str, SyntheticMethod] = {
    "SSAE": SyntheticMethod(
        _ssae, "our defaults: minimal sparsity within a budget of the loss, refined where possible"
    ),
    "SSAE, L1": SyntheticMethod(_l1, f"the L1 constraint of the paper; level of {L1_LEVELS} by UDR over 3 seeds"),
    **{name: _baseline(name) for name in BASELINES},
}
