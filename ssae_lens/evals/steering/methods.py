"""The methods of the comparison by name: how each learns its vector on a `Lab`, and what it is given.

A method that has nothing to go by for a task raises a ValueError, which stands in its row.
"""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ssae_lens import methods as makers
from ssae_lens.base.files import fingerprint
from ssae_lens.base.origin import Origin
from ssae_lens.evals.matching import match_concepts
from ssae_lens.evals.steering.local_judges import mean_activations
from ssae_lens.evals.steering.measure import Way
from ssae_lens.evals.steering.prompts import NEUTRAL
from ssae_lens.evals.steering.saes import Features, shipped_features
from ssae_lens.evals.steering.settings import Settings
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.sites import origin_of, reading, resolve_hook
from ssae_lens.methods import sae_ts
from ssae_lens.methods.codes import codes_of
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore
from ssae_lens.training.sweep import sweep
from ssae_lens.vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.hooks.sites import Model

LABELS = "labelled contrasts of the task"
UNLABELLED = "pairs in which several concepts change, unlabelled; labels only to say which latent is which"
# Of an SAE's features, how many of those that differ most are tried for their effect on the output.
CANDIDATES = 20


class Lab:
    """What methods learn with: a model, a hook, and what was captured and trained there so far."""

    def __init__(
        self,
        model: "Model",
        hook: str = "",
        settings: Settings | None = None,
        *,
        features: Features | None = None,
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.settings = settings or Settings()
        self.hook = resolve_hook(model, hook or f"blocks.{model.cfg.n_layers // 2}.hook_resid_post")
        self.features = features or shipped_features(model)
        self.quiet = quiet
        self._kept: dict[Any, Any] = {}

    def hooks(self, task: Task) -> list[str]:
        """Give the study's hook and, for a task that is steered at several, those of the other layers."""
        if task.name not in self.settings.layer_tasks:
            return [self.hook]
        blocks = (int(depth * self.model.cfg.n_layers) for depth in self.settings.depths)
        return list(dict.fromkeys([self.hook, *(f"blocks.{block}.hook_resid_post" for block in blocks)]))

    def caa(self, task: Task, kind: Any) -> SteeringVector:
        """Give contrastive activation addition's vector at all of these hooks, read in one pass."""

        def make() -> SteeringVector:
            return makers.caa(self.model, task.contrasts, self.hooks(task), kind=kind, quiet=self.quiet)

        return self._once(("caa", task.fingerprint, kind), make)

    def contrasts(self, task: Task) -> ShiftStore:
        """Capture a task's labelled contrasts."""
        return self._once(("contrasts", task.fingerprint), lambda: self._capture(task.contrasts, task.position))

    def pool(self, task: Task) -> ShiftStore:
        """Capture the pairs in which several concepts change."""
        if task.pool is None:
            raise ValueError("the task has no pairs in which several concepts change")
        pairs = task.pool.pairs
        return self._once(("pool", id(task.pool)), lambda: self._capture(pairs, task.position))

    def ssae(self, task: Task) -> SSAE:
        """Learn an SSAE from these pairs, without their labels; agreement of seeds chooses its width."""
        return self._once(("ssae", id(task.pool)), lambda: self._learn(task))

    def latent(self, task: Task) -> Any:
        """Say which latent is the task's concept."""
        matches = self._once(("matches", id(task.pool)), lambda: match_concepts(self.ssae(task), self.pool(task)))
        return matches[task.concept]

    def feature(self, task: Task, features: Features) -> int:
        """Choose an SAE's feature: of those that differ most between the contrasts, the one of most effect on the output."""
        return self._once(("feature", task.fingerprint), lambda: self._feature(task, features))

    def norm(self, hook_name: str) -> float:
        """Give the mean norm of activations in neutral prose, the first tokens left out."""
        return self._once(("norm", hook_name), lambda: self._norm(hook_name))

    def origin(self, hook_name: str) -> Origin:
        """Say where vectors at a hook belong."""
        return self._once(("origin", hook_name), lambda: origin_of(self.model, hook_name))

    def of_one_length(self, vector: SteeringVector) -> SteeringVector:
        """Make a vector of length 1, that knows the norm of activations at its hook as all others know it."""
        norms = {"mean_residual_norm": self.norm(vector.hook_name)}
        unit = vector.direction / vector.direction.norm()
        return SteeringVector(unit, origin=vector.origin, method=vector.method, concept=vector.concept, norms=norms)

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]

    def _capture(self, pairs: Any, position: str) -> ShiftStore:
        return capture_shifts(self.model, pairs, self.hook, position=position, quiet=self.quiet)

    def _learn(self, task: Task) -> SSAE:
        assert task.pool is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # few pairs, or a budget not met, are seen in the scores
            shifts = self.pool(task)
            return sweep(shifts, d_sae=task.pool.widths, seeds=self.settings.n_seeds, quiet=self.quiet).best

    def _feature(self, task: Task, features: Features) -> int:
        sae, hook_name = features.sae, features.hook_name
        firing = [
            mean_activations(self.model, task.contrasts[side][:], hook_name, lambda rows: codes_of(sae, rows)).mean(0)
            for side in ("source", "target")
        ]
        candidates = np.argsort(firing[0] - firing[1], kind="stable")[:CANDIDATES].tolist()
        return int(makers.features_by_output(self.model, sae, candidates, n=1, quiet=True)["latent"].iloc[0])

    def _norm(self, hook_name: str) -> float:
        with reading(self.model, [hook_name]) as read:
            rows = [read(self.model.to_tokens(text))[hook_name][0, 1:] for text in NEUTRAL]
        return float(torch.cat(rows).float().norm(dim=-1).mean())


@dataclass(frozen=True)
class Method:
    """A method of the comparison: how it makes a way to steer, and what it is given for it."""

    make: Callable[[Lab, Task], Way]
    given: str


def caa(lab: Lab, task: Task, kind: str = "tokens", hook: str = "") -> Way:
    """Give contrastive activation addition's vector, at the study's hook or another."""
    if kind == "answer" and not task.questions:
        raise ValueError("it reads the letter of an answer, and the task has no questions")
    return Way(lab.of_one_length(lab.caa(task, kind).at(hook or lab.hook)))


def ssae(lab: Lab, task: Task) -> Way:
    """Give the row of the latent that is the task's concept."""
    found = lab.latent(task)
    if found.latent is None:
        raise ValueError(f"no latent is {task.concept!r}")
    row = SteeringVector.from_ssae(lab.ssae(task), found, hook_name=lab.hook)
    return Way(lab.of_one_length(row * task.sign))


def mean_shift(lab: Lab, task: Task) -> Way:
    """Give the mean shift of the SSAE's own pairs, with their labels; of the contrasts, where there are no such pairs."""
    made = (
        makers.mean_shift(lab.contrasts(task)) if task.pool is None else makers.mean_shift(lab.pool(task), task.concept)
    )
    return Way(lab.of_one_length(made * (1 if task.pool is None else task.sign)))


def random(lab: Lab, task: Task) -> Way:
    """Give a direction drawn at random, another for each task."""
    seed = int(fingerprint([task.name, lab.settings.seed]), 16)
    return Way(lab.of_one_length(makers.random(_contrast_mean(lab, task), seed=seed)))


def prompting(_lab: Lab, task: Task) -> Way:
    """Ask for the behaviour in words."""
    if not task.prefix:
        raise ValueError("the task has no words that ask for it")
    return Way(prefix=task.prefix)


def _contrast_mean(lab: Lab, task: Task) -> SteeringVector:
    return makers.mean_shift(lab.contrasts(task))


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
