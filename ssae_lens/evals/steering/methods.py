"""The methods of the comparison by name: how each learns its vector on a `Lab`, and what it is given.

A method that has nothing to go by for a task raises a ValueError, which stands in its row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ssae_lens import methods as makers
from ssae_lens.base.files import fingerprint
from ssae_lens.evals.steering.lab import Lab
from ssae_lens.evals.steering.measure import Way
from ssae_lens.evals.steering.saes import Features
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.methods import sae_ts
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

LABELS = "labelled contrasts of the task"
UNLABELLED = "pairs in which several concepts change, unlabelled; labels only to say which latent is which"


@dataclass(frozen=True)
class Method:
    """A method of the comparison: how it makes a way to steer, and what it is given for it."""

    make: Callable[[Lab, Task], Way]
    given: str


def caa(lab: Lab, task: Task, kind: str = "tokens", hook: str = "") -> Way:
    """Return contrastive activation addition's vector, at the study's hook or another."""
    if kind == "answer" and not task.questions:
        raise ValueError("it reads the letter of an answer, and the task has no questions")
    return Way(lab.of_one_length(lab.caa(task, kind).at(hook or lab.hook)))


def ssae(lab: Lab, task: Task) -> Way:
    """Return the row of the latent that is the task's concept; where none fits, of the one that fits it best."""
    latent = lab.latent(task)  # every task counts, those on which the SSAE failed too
    row = makers.ssae(lab.ssae(task), lab.pool(task), task.concept, latent=latent)
    return Way(lab.of_one_length(row * task.sign))


def mean_shift(lab: Lab, task: Task) -> Way:
    """Return the mean shift of the SSAE's own pairs, with their labels; of the contrasts, where there are no such pairs."""
    if task.pool is None:
        return Way(lab.of_one_length(makers.mean_shift(lab.contrasts(task))))
    return Way(lab.of_one_length(makers.mean_shift(lab.pool(task), task.concept) * task.sign))


def random(lab: Lab, task: Task) -> Way:
    """Return a direction drawn at random, another for each task."""
    seed = int(fingerprint([task.name, lab.settings.seed]), 16)
    return Way(lab.of_one_length(makers.random(lab.caa(task, "tokens").at(lab.hook), seed=seed)))


def prompting(_lab: Lab, task: Task) -> Way:
    """Ask for the behaviour in words."""
    if not task.prefix:
        raise ValueError("the task has no words that ask for it")
    return Way(prefix=task.prefix)


def _of_contrasts(maker: Callable[[ShiftStore], SteeringVector]) -> Callable[[Lab, Task], Way]:
    return lambda lab, task: Way(lab.of_one_length(maker(lab.contrasts(task))))


def _of_feature(maker: Callable[[Features, int], SteeringVector]) -> Callable[[Lab, Task], Way]:
    def make(lab: Lab, task: Task) -> Way:
        if lab.features is None:
            raise ValueError(f"no SAE of {lab.model.cfg.model_name} ships with the package; give one")
        return Way(lab.of_one_length(maker(lab.features, lab.feature(task, lab.features))))

    return make


def _of_approximator(maker: Callable[[Any, Features, int], SteeringVector]) -> Callable[[Lab, Task], Way]:
    def make(features: Features, latent: int) -> SteeringVector:
        if features.approximator is None:
            raise ValueError("no map of effects lies beside the SAE; make one with fit_approximator")
        return maker(features.approximator, features, latent)

    return _of_feature(make)


EFFECTS = f"{LABELS}, to choose a feature; an SAE, and a map of what vectors do to its features"
METHODS: dict[str, Method] = {
    "SSAE": Method(ssae, UNLABELLED),
    "CAA": Method(caa, f"{LABELS}; mean over tokens"),
    "CAA, answer": Method(lambda lab, task: caa(lab, task, "answer"), f"{LABELS}; letter of the answer"),
    "mean shift": Method(mean_shift, "the SSAE's own pairs, with labels of what changes in each"),
    "PCA": Method(_of_contrasts(makers.pca), LABELS),
    "linear probe": Method(_of_contrasts(makers.linear_probe), LABELS),
    "SAE feature": Method(
        _of_feature(lambda features, latent: makers.sae_feature(features.sae, latent)),
        f"{LABELS}, to choose a feature; an SAE",
    ),
    "SAE-TS": Method(_of_approximator(lambda found, _features, latent: sae_ts.targeted(found, latent)), EFFECTS),
    "SAE-TS, pinv": Method(
        _of_approximator(lambda found, _features, latent: sae_ts.pseudo_inverse(found, latent)), EFFECTS
    ),
    "SAE-TS, rotation": Method(
        _of_approximator(lambda found, features, latent: sae_ts.rotated(found, features.sae, latent)), EFFECTS
    ),
    "random": Method(random, "nothing: a control of the same length"),
    "prompting": Method(prompting, "words before the prompt that ask for the behaviour"),
    "unsteered": Method(lambda _lab, _task: Way(), "nothing"),
}
