"""The methods of the study by name, each as it runs there, with the settings that it was given in words."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass

from ssae_lens.evals.synthetic_data import World
from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import train
from studies import baselines
from studies.fitted_dictionary import Found, from_sae
from studies.saes import Architecture, sae

L1_LEVELS = (0.5, 0.65, 0.8)
# What has converged by a part of the steps gets that part; SAELens's SAEs do at this rate, and find no less.
PART = 0.4
SAE_RATE = 1e-2


@dataclass(frozen=True)
class Method:
    """A method of the study: from a world's training shifts, a width, a seed and a number of steps to what it found."""

    fit: Callable[[World, int, int, int], Found]
    about: str


def ours(world: World, width: int, seed: int, steps: int) -> Found:
    """Train as `train` does where nothing is said."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a budget that cannot be met is seen in the scores
        return from_sae(train(world.train, d_sae=width, seed=seed, steps=steps, device="cpu", quiet=True))


def l1_by_level(world: World, width: int, seed: int, steps: int) -> Found:
    """Train under the paper's constraint, the level chosen by the agreement of three seeds."""
    seeds = [seed + 1000 * each for each in range(3)]
    found = sweep(
        world.train,
        d_sae=width,
        level=L1_LEVELS,
        sparsity="l1",
        seeds=seeds,
        steps=round(PART * steps),
        halves=False,
        device="cpu",
        quiet=True,
    )
    return from_sae(found.best)


def _sae(architecture: Architecture) -> Callable[[World, int, int, int], Found]:
    return lambda world, width, seed, steps: sae(
        world.train,
        width,
        architecture=architecture,
        active=world.most_changed,
        seed=seed,
        steps=round(PART * steps),
        lr=SAE_RATE,
    )


METHODS: dict[str, Method] = {
    "SSAE": Method(ours, "our defaults: sparsity minimised within a budget of the loss"),
    "SSAE, L1": Method(l1_by_level, f"the paper's L1 constraint; level of {L1_LEVELS} by UDR over 3 seeds"),
    "affine": Method(
        lambda world, width, seed, steps: baselines.affine(world.train, width, seed=seed, steps=round(PART * steps)),
        "the SSAE without its constraint",
    ),
    "PCA": Method(lambda world, width, _seed, _steps: baselines.pca(world.train, width), "scikit-learn"),
    "FastICA": Method(
        lambda world, width, seed, _steps: baselines.fast_ica(world.train, width, seed=seed), "scikit-learn, log cosh"
    ),
    "dictionary": Method(
        lambda world, width, seed, _steps: baselines.dictionary_learning(
            world.train, width, active=world.most_changed, seed=seed
        ),
        "scikit-learn's online dictionary learning; told the most concepts that change",
    ),
    "SAE": Method(_sae("standard"), "SAELens's standard SAE; codes have one sign"),
    "TopK": Method(_sae("topk"), "SAELens's TopK SAE; told the most concepts that change; codes have one sign"),
    "AbsTopK": Method(_sae("abstopk"), "SAELens's AbsTopK SAE; told the most concepts that change"),
    "random": Method(
        lambda world, width, seed, _steps: baselines.random_directions(world.train, width, seed=seed),
        "random directions: a control",
    ),
}
