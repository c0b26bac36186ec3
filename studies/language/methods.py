"""The methods of the studies by name, each from a corpus, a width and seeds to what it found, with its settings in words."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from ssae_lens.sae import SSAE
from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import best_of
from ssae_lens.training.config import SolverConfig
from studies import baselines
from studies.fitted_dictionary import Found, from_sae, linear
from studies.language.data import Data
from studies.saes import Architecture, sae

# The reference code's levels for its first version, by corpus, and for others.
V1_LEVELS = {"lang": 5.0, "binary": 11.0, "corr": 5.0, "truth": 11.0, "cat": 21.0}
V1_LEVEL = 5.0
# Of SAELens's SAEs, in batches of 256: by then they have seen each pair some hundred times.
SAE_STEPS = 1500


@dataclass(frozen=True)
class Method:
    """A method of the studies.

    Attributes
    ----------
    fit
        From data, corpus, width, seeds, steps and further settings to what each seed found; a method that draws nothing at
        random gives one answer.
    about
        How it is run, in words.
    labels
        Whether it is told the labels.
    steps
        How many steps it trains for; None is its own default.
    """

    fit: Callable[..., list[Found]]
    about: str
    labels: bool = False
    steps: int | None = None


def ours(
    data: Data,
    _corpus: str,
    width: int,
    seeds: Sequence[int],
    steps: int | None,
    *,
    joined: bool = True,
    **settings: Any,
) -> list[Found]:
    """Train our defaults."""
    return [from_sae(each) for each in trained(data.train.shifts, width, seeds, steps, joined=joined, **settings)]


def trained(
    shifts: Any, width: int, seeds: Sequence[int], steps: int | None, *, joined: bool = True, **settings: Any
) -> list[SSAE]:
    """Train as `sweep` does at one width, for each seed the best of its restarts, with all of them side by side."""
    given = settings if steps is None else {**settings, "steps": steps}
    restarts = SolverConfig().restarts_for(width)
    members = [seed + 1000 * each for seed in seeds for each in range(restarts)]
    found = sweep(shifts, d_sae=width, seeds=members, halves=False, device="cpu", quiet=True, **given)
    (setting,) = found.settings
    best = [begin + best_of(setting.outcomes[begin : begin + restarts]) for begin in range(0, len(members), restarts)]
    return [(found.merged if joined else found.ssae)(setting, member) for member in best]


def preset(name: str) -> Callable[..., list[Found]]:
    """Train as a version of the reference code does."""

    def fit(data: Data, corpus: str, width: int, seeds: Sequence[int], steps: int | None) -> list[Found]:
        given: dict[str, Any] = {"level": V1_LEVELS.get(corpus, V1_LEVEL)} if name == "v1" else {}
        given |= {} if steps is None else {"steps": steps}
        found = sweep(
            data.train.shifts,
            d_sae=width,
            seeds=list(seeds),
            preset=name,
            halves=False,
            device="cpu",
            quiet=True,
            **given,
        )
        return [from_sae(found.ssae(0, member)) for member in range(len(seeds))]

    return fit


def mean_difference(data: Data, *_: Any) -> list[Found]:
    """Take the mean shift of each concept by labels, and read by the least-squares inverse."""
    return [linear(data.mean_shifts, np.linalg.pinv(data.mean_shifts))]


def both_ways(shifts: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "2n d"]:
    """Return every shift and its opposite: for methods that centre, which would take away what all pairs share."""
    return np.concatenate([shifts, -shifts])


def _each(fit: Callable[..., Found]) -> Callable[..., list[Found]]:
    """Fit once for every seed."""
    return lambda data, _corpus, width, seeds, steps: [fit(data, width, seed=seed, steps=steps) for seed in seeds]


def _sae(architecture: Architecture) -> Callable[..., list[Found]]:
    def fit(data: Data, width: int, *, seed: int, steps: int | None) -> Found:
        given = {} if steps is None else {"steps": steps}
        return sae(data.train.shifts, width, architecture=architecture, active=data.most_changed, seed=seed, **given)

    return _each(fit)


def sae_of_activations(data: Data, width: int, *, architecture: Architecture, active: int, **given: Any) -> Found:
    """Train an SAE on the activations of both sides of the training pairs, centred; pairs are read by its difference."""
    rows = np.concatenate([data.train.source, data.train.target])
    centre = rows.mean(axis=0)
    found = sae(rows - centre, width, architecture=architecture, active=active, **given)
    return replace(
        found,
        encode=lambda rows: found.encode(rows - centre),
        # Offsets are the same on both sides of a pair.
        decode=lambda codes: found.decode(codes) - found.decode(np.zeros_like(codes[:1])),
        of_activations=True,
    )


def _sae_of_activations(architecture: Architecture) -> Callable[..., list[Found]]:
    def fit(data: Data, width: int, *, seed: int, steps: int | None) -> Found:
        given = {} if steps is None else {"steps": steps}
        return sae_of_activations(data, width, architecture=architecture, active=max(1, width // 2), seed=seed, **given)

    return _each(fit)


METHODS: dict[str, Method] = {
    "SSAE": Method(
        ours,
        "our defaults: sparsity minimised within a budget of the loss; the best of 4 fits a seed; wordings joined",
    ),
    "SSAE, not joined": Method(partial(ours, joined=False), "the same as it was trained: wordings not joined"),
    "SSAE, v1": Method(preset("v1"), "the reference code's first version, at its level for the corpus; fewer steps"),
    "SSAE, v2": Method(preset("v2"), "the reference code's later version, at its level .1; fewer steps"),
    "affine": Method(
        _each(lambda data, width, **given: baselines.affine(data.train.shifts, width, **given)),
        "the SSAE without its constraint",
    ),
    "PCA": Method(
        lambda data, _corpus, width, _seeds, _steps: [baselines.pca(both_ways(data.train.shifts), width)],
        "scikit-learn, of shifts both ways",
    ),
    "FastICA": Method(
        _each(lambda data, width, *, seed, **_: baselines.fast_ica(both_ways(data.train.shifts), width, seed=seed)),
        "scikit-learn, log cosh, of shifts both ways",
    ),
    "dictionary": Method(
        _each(
            lambda data, width, *, seed, **_: baselines.dictionary_learning(
                data.train.shifts, width, active=data.most_changed, seed=seed
            )
        ),
        "scikit-learn's online dictionary learning; told the most concepts that change",
    ),
    "SAE": Method(_sae("standard"), "SAELens's standard SAE, of shifts", steps=SAE_STEPS),
    "TopK": Method(_sae("topk"), "SAELens's TopK SAE, of shifts; told the most concepts that change", steps=SAE_STEPS),
    "AbsTopK": Method(
        _sae("abstopk"), "SAELens's AbsTopK SAE, of shifts; told the most concepts that change", steps=SAE_STEPS
    ),
    "SAE, activations": Method(
        _sae_of_activations("standard"), "SAELens's standard SAE, of activations", steps=SAE_STEPS
    ),
    "TopK, activations": Method(
        _sae_of_activations("topk"), "SAELens's TopK SAE, of activations; half the latents active", steps=SAE_STEPS
    ),
    "AbsTopK, activations": Method(
        _sae_of_activations("abstopk"),
        "SAELens's AbsTopK SAE, of activations; half the latents active",
        steps=SAE_STEPS,
    ),
    "mean difference": Method(mean_difference, "the mean shift of each concept, told the labels", labels=True),
    "random": Method(
        _each(lambda data, width, *, seed, **_: baselines.random_directions(data.train.shifts, width, seed=seed)),
        "random directions: a control",
    ),
}
