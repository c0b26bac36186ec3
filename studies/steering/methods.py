"""The methods of the comparison by name: how each makes an intervention from a `LearningCache`, and what it is given.

A method that cannot make one for a task raises a ValueError, which is shown in its row.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ssae_lens import methods as makers
from ssae_lens.base.checksums import fingerprint
from ssae_lens.evals.experiment import Intervention
from ssae_lens.evals.shipped_sae import ModelSAE
from ssae_lens.evals.tasks import Task
from ssae_lens.methods import sae_ts
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from studies.steering.learning import LearningCache

LABELS = "labelled contrasts of the task"
UNLABELLED = "pairs in which several concepts change, unlabelled; labels only to say which latent is which"
Maker = Callable[["LearningCache", Task], Intervention]


@dataclass(frozen=True)
class SteeringMethod:
    """A method of the comparison: how it makes an intervention, and what it is given for that."""

    make: Maker
    given: str


def caa(cache: "LearningCache", task: Task, kind: str = "tokens", hook: str = "") -> Intervention:
    """Return contrastive activation addition's vector, at the study's hook or another."""
    if kind == "answer" and not task.questions:
        raise ValueError("it reads the letter of an answer, and the task has no questions")
    return Intervention(cache.unit(cache.caa(task, kind).at(hook or cache.hook)))


def ssae(cache: "LearningCache", task: Task) -> Intervention:
    """Return the row of the latent that is the task's concept; if none fits, of the one that fits it best."""
    latent = cache.latent(task)  # tasks on which the SSAE failed count too
    row = makers.ssae(cache.ssae(task), cache.unlabelled(task), task.concept, latent=latent)
    return Intervention(cache.unit(row * task.sign))


def mean_shift(cache: "LearningCache", task: Task) -> Intervention:
    """Return the mean shift of the SSAE's own pairs, with their labels; without such pairs, of the contrasts."""
    if task.unlabelled is None:
        return Intervention(cache.unit(makers.mean_shift(cache.contrasts(task))))
    return Intervention(cache.unit(makers.mean_shift(cache.unlabelled(task), task.concept) * task.sign))


def random(cache: "LearningCache", task: Task) -> Intervention:
    """Return a random direction, another for each task."""
    seed = int(fingerprint([task.name, cache.settings.seed]), 16)
    return Intervention(cache.unit(makers.random(cache.caa(task, "tokens").at(cache.hook), seed=seed)))


def prompting(_cache: "LearningCache", task: Task) -> Intervention:
    """Ask for the behaviour in words."""
    if not task.prefix:
        raise ValueError("the task has no words that ask for it")
    return Intervention(prefix=task.prefix)


def _of_contrasts(maker: Callable[[ShiftStore], SteeringVector]) -> Maker:
    return lambda cache, task: Intervention(cache.unit(maker(cache.contrasts(task))))


def _of_feature(maker: Callable[[ModelSAE, int], SteeringVector]) -> Maker:
    def make(cache: "LearningCache", task: Task) -> Intervention:
        if cache.sae is None:
            raise ValueError(f"no SAE of {cache.model.cfg.model_name} ships with the package; give one")
        return Intervention(cache.unit(maker(cache.sae, cache.feature(task, cache.sae))))

    return make


def _of_approximator(maker: Callable[[Any, ModelSAE, int], SteeringVector]) -> Maker:
    def make(sae: ModelSAE, latent: int) -> SteeringVector:
        if sae.approximator is None:
            raise ValueError("no map of effects lies beside the SAE; make one with fit_approximator")
        return maker(sae.approximator, sae, latent)

    return _of_feature(make)


EFFECTS = f"{LABELS}, to choose a feature; an SAE, and a map of what vectors do to its features"
METHODS: dict[str, SteeringMethod] = {
    "SSAE": SteeringMethod(ssae, UNLABELLED),
    "CAA": SteeringMethod(caa, f"{LABELS}; mean over tokens"),
    "CAA, answer": SteeringMethod(lambda cache, task: caa(cache, task, "answer"), f"{LABELS}; letter of the answer"),
    "mean shift": SteeringMethod(mean_shift, "the SSAE's own pairs, with labels of what changes in each"),
    "PCA": SteeringMethod(_of_contrasts(makers.pca), LABELS),
    "linear probe": SteeringMethod(_of_contrasts(makers.linear_probe), LABELS),
    "SAE feature": SteeringMethod(
        _of_feature(lambda sae, latent: makers.sae_feature(sae.sae, latent)),
        f"{LABELS}, to choose a feature; an SAE",
    ),
    "SAE-TS": SteeringMethod(_of_approximator(lambda effects, _, latent: sae_ts.targeted(effects, latent)), EFFECTS),
    "SAE-TS, pinv": SteeringMethod(
        _of_approximator(lambda effects, _, latent: sae_ts.pseudo_inverse(effects, latent)), EFFECTS
    ),
    "SAE-TS, rotation": SteeringMethod(
        _of_approximator(lambda effects, sae, latent: sae_ts.rotated(effects, sae.sae, latent)), EFFECTS
    ),
    "random": SteeringMethod(random, "nothing: a control of the same length"),
    "prompting": SteeringMethod(prompting, "words before the prompt that ask for the behaviour"),
    "unsteered": SteeringMethod(lambda _cache, _task: Intervention(), "nothing"),
}
