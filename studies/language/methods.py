"""The methods of the study by name, each a function of data, a width and seeds that fits dictionaries."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from ssae_lens.sae import SSAE
from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import best_of
from ssae_lens.training.config import SolverConfig
from studies import baselines
from studies.baselines import BASELINES, Architecture, FittedDictionary
from studies.language.data import LanguageData

# The levels of the reference code's first version, by corpus, and for other corpora.
V1_LEVELS = {"lang": 5.0, "binary": 11.0, "corr": 5.0, "truth": 11.0, "cat": 21.0}
V1_LEVEL = 5.0
# Steps of SAELens's SAEs, in batches of 256: about a hundred passes over the pairs.
SAE_STEPS = 1500
SAES: dict[str, Architecture] = {"SAE": "standard", "TopK": "topk", "AbsTopK": "abstopk", "JumpReLU": "jumprelu"}


@dataclass(frozen=True)
class LanguageMethod:
    """A method of the study.

    Attributes
    ----------
    fit
        A function of data, corpus, width, seeds, steps and more settings that returns a dictionary for each seed, or one if
        the method is deterministic.
    about
        Its settings in words.
    uses_labels
        Whether it uses the labels.
    steps
        The number of training steps; None is the default of the method.
    """

    fit: Callable[..., list[FittedDictionary]]
    about: str
    uses_labels: bool = False
    steps: int | None = None


def train_ssaes(
    shifts: Any, width: int, seeds: Sequence[int], steps: int | None, *, finished: bool = True, **settings: Any
) -> list[SSAE]:
    """Train as `sweep` does at one width; return for each seed the best of its restarts."""
    settings |= {} if steps is None else {"steps": steps}
    restarts = SolverConfig().restarts_for(width)
    all_seeds = [seed + 1000 * restart for seed in seeds for restart in range(restarts)]
    result = sweep(shifts, d_sae=width, seeds=all_seeds, halves=False, device="cpu", quiet=True, **settings)
    (setting,) = result.settings
    starts = range(0, len(all_seeds), restarts)
    best = [start + best_of(setting.outcomes[start : start + restarts]) for start in starts]
    return [(result.finished if finished else result.ssae)(setting, member) for member in best]


def _ssae(
    data: LanguageData, _corpus: str, width: int, seeds: Sequence[int], steps: int | None, **settings: Any
) -> list[FittedDictionary]:
    ssaes = train_ssaes(data.train.shifts, width, seeds, steps, **settings)
    return [FittedDictionary.from_sae(ssae) for ssae in ssaes]


def _preset(
    name: str, data: LanguageData, corpus: str, width: int, seeds: Sequence[int], steps: int | None
) -> list[FittedDictionary]:
    """Train as a version of the reference code does."""
    settings: dict[str, Any] = {"level": V1_LEVELS.get(corpus, V1_LEVEL)} if name == "v1" else {}
    settings |= {} if steps is None else {"steps": steps}
    shared = {"seeds": list(seeds), "halves": False, "device": "cpu", "quiet": True}
    result = sweep(data.train.shifts, d_sae=width, preset=name, **shared, **settings)
    return [FittedDictionary.from_sae(result.ssae(0, member)) for member in range(len(seeds))]


def sae_of_activations(
    data: LanguageData, width: int, *, architecture: Architecture, active: int, **settings: Any
) -> FittedDictionary:
    """Train an SAE on the centred activations of both sides; the codes of a pair are the difference of its sides' codes."""
    activations = np.concatenate([data.train.source, data.train.target])
    centre = activations.mean(axis=0)
    fitted = baselines.sae(activations - centre, width, architecture=architecture, active=active, **settings)
    return replace(
        fitted,
        encode=lambda rows: fitted.encode(rows - centre),
        # The offset of the decoder cancels in the difference of two sides.
        decode=lambda codes: fitted.decode(codes) - fitted.decode(np.zeros_like(codes[:1])),
        of_activations=True,
    )


def _each_seed(fit: Callable[..., FittedDictionary], *, once: bool = False) -> Callable[..., list[FittedDictionary]]:
    """Call a function of data, width, seed and steps (None: the default) for each seed, or once if it is deterministic."""

    def fit_all(data: LanguageData, _corpus: str, width: int, seeds: Sequence[int], steps: int | None) -> Any:
        options = {} if steps is None else {"steps": steps}
        return [fit(data, width, seed=seed, **options) for seed in (seeds[:1] if once else seeds)]

    return fit_all


def _baseline(name: str) -> LanguageMethod:
    method, about = BASELINES[name]
    centres = name in ("PCA", "FastICA")

    def fit(data: LanguageData, width: int, **options: Any) -> FittedDictionary:
        shifts = data.train.shifts
        # Methods that centre get all shifts and their opposites, which keeps the mean shift.
        rows = np.concatenate([shifts, -shifts]) if centres else shifts
        return method(rows, width, active=data.max_changed, **options)

    about = f"{about}; of shifts and their opposites" if centres else about
    return LanguageMethod(_each_seed(fit, once=name == "PCA"), about, steps=SAE_STEPS if name in SAES else None)


def _activations(name: str) -> LanguageMethod:
    def fit(data: LanguageData, width: int, **options: Any) -> FittedDictionary:
        return sae_of_activations(data, width, architecture=SAES[name], active=max(1, width // 2), **options)

    about = f"SAELens's {SAES[name]} SAE, of activations; of TopK, half of the latents are active"
    return LanguageMethod(_each_seed(fit), about, steps=SAE_STEPS)


def _mean_difference(data: LanguageData, *_: Any) -> list[FittedDictionary]:
    """Take the mean shift of each concept by labels, and encode by the pseudo-inverse."""
    return [FittedDictionary.linear(data.mean_shifts, np.linalg.pinv(data.mean_shifts))]


METHODS: dict[str, LanguageMethod] = {
    "SSAE": LanguageMethod(
        _ssae,
        "our defaults: minimal sparsity within a budget of the loss; best of 4 fits a seed; refined where possible",
    ),
    "SSAE, not refined": LanguageMethod(partial(_ssae, refine=False), "the same, split latents merged but not refined"),
    "SSAE, as trained": LanguageMethod(partial(_ssae, finished=False), "the same, neither refined nor merged"),
    "SSAE, v1": LanguageMethod(
        partial(_preset, "v1"), "the reference code's first version, at its level for the corpus; fewer steps"
    ),
    "SSAE, v2": LanguageMethod(
        partial(_preset, "v2"), "the reference code's later version, at its level .1; fewer steps"
    ),
    **{name: _baseline(name) for name in BASELINES if name != "random"},
    **{f"{name}, activations": _activations(name) for name in SAES},
    "mean difference": LanguageMethod(_mean_difference, "the mean shift of each concept, by labels", uses_labels=True),
    "random": _baseline("random"),
}
