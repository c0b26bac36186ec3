"""Learning: what methods capture and train, once for each model and hook, and the interventions that they make."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens import methods as makers
from ssae_lens.base.checksums import fingerprint
from ssae_lens.base.progress_bars import progress
from ssae_lens.base.provenance import Origin, versions
from ssae_lens.evals.experiment import Intervention, neutral_norm, unit_vector
from ssae_lens.evals.shipped_sae import ModelSAE, choose_feature, load_shipped_sae
from ssae_lens.evals.tasks import Task
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.hook_points import origin_of, resolve_hook
from ssae_lens.latents.match import match_concepts
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector
from ssae_lens.training._sweep import sweep
from studies import cells
from studies.steering.methods import Maker, SteeringMethod, caa
from studies.steering.settings import SteeringStudySettings

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# Part of the key of every cell and vector; raise it when a measurement or a method changes.
EDITION = 3
# Interventions on a task by method and hook, and the reasons why others could not be made.
Learned = tuple[dict[tuple[str, str], Intervention], list[dict[str, str]]]


class LearningCache:
    """A model and a hook, with what was captured and trained there so far."""

    def __init__(
        self,
        model: "Model",
        hook: str = "",
        settings: SteeringStudySettings | None = None,
        *,
        sae: ModelSAE | None = None,
        quiet: bool = True,
    ) -> None:
        self.model = model
        self.settings = settings or SteeringStudySettings()
        self.hook = resolve_hook(model, hook or f"blocks.{model.cfg.n_layers // 2}.hook_resid_post")
        self.sae = sae or load_shipped_sae(model)
        self.quiet = quiet
        self._cached: dict[Any, Any] = {}

    def hooks(self, task: Task) -> list[str]:
        """Return the study's hook and, for a task that is steered at several, those of the other layers."""
        if task.name not in self.settings.layer_tasks:
            return [self.hook]
        blocks = (int(depth * self.model.cfg.n_layers) for depth in self.settings.depths)
        return list(dict.fromkeys([self.hook, *(f"blocks.{block}.hook_resid_post" for block in blocks)]))

    def caa(self, task: Task, kind: Any) -> SteeringVector:
        """Return contrastive activation addition's vector at all of these hooks, captured in one pass."""

        def make() -> SteeringVector:
            return makers.caa(self.model, task.contrasts, self.hooks(task), kind=kind, quiet=self.quiet)

        return self._once(("caa", task.fingerprint, kind), make)

    def contrasts(self, task: Task) -> ShiftStore:
        """Return the captured shifts of a task's labelled contrasts."""
        return self._once(("contrasts", task.fingerprint), lambda: self._capture(task.contrasts, task.position))

    def unlabelled(self, task: Task) -> ShiftStore:
        """Return the captured shifts of the pairs in which several concepts change."""
        if task.unlabelled is None:
            raise ValueError("the task has no pairs in which several concepts change")
        pairs = task.unlabelled.pairs
        return self._once(self._key("pairs", task), lambda: self._capture(pairs, task.position))

    def ssae(self, task: Task) -> SSAE:
        """Return the SSAE that is trained on these pairs, without their labels."""
        return self._once(self._key("ssae", task), lambda: self._train(task))

    def latent(self, task: Task) -> int | None:
        """Return the latent that is the task's concept, if one fits."""

        def match() -> Any:
            return match_concepts(self.ssae(task), self.unlabelled(task), quiet=True)

        return self._once(self._key("matches", task), match)[task.concept].latent

    def feature(self, task: Task, sae: ModelSAE) -> int:
        """Return the SAE's feature for a task."""
        return self._once(("feature", task.fingerprint), lambda: choose_feature(self.model, sae, task.contrasts))

    def origin(self, hook_name: str) -> Origin:
        """Return the origin of vectors at a hook."""
        return self._once(("origin", hook_name), lambda: origin_of(self.model, hook_name))

    def unit(self, vector: SteeringVector) -> SteeringVector:
        """Return a vector of length 1 that carries the norm of activations in neutral prose at its hook."""
        hook_name = vector.hook_name
        return unit_vector(vector, self._once(("norm", hook_name), lambda: neutral_norm(self.model, hook_name)))

    def _key(self, what: str, task: Task) -> tuple[Any, ...]:
        return what, id(task.unlabelled), task.position

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._cached:
            self._cached[key] = make()
        return self._cached[key]

    def _capture(self, pairs: Any, position: str) -> ShiftStore:
        return capture_shifts(self.model, pairs, self.hook, position=position, quiet=self.quiet)

    def _train(self, task: Task) -> SSAE:
        assert task.unlabelled is not None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the scores show few pairs, or a budget that is not met
            shifts, widths = self.unlabelled(task), task.unlabelled.widths
            return sweep(shifts, d_sae=widths, seeds=self.settings.n_seeds, quiet=self.quiet).best


@dataclass(frozen=True, eq=False)
class Learning:
    """How methods learn: the model, the hook, and the folder of saved vectors."""

    load: "Callable[[], Model]"
    hook: str
    settings: SteeringStudySettings
    sae: ModelSAE | None
    methods: Mapping[str, SteeringMethod]
    folder: Path | None

    def of(self, tasks: Sequence[Task], *, workers: int | None, quiet: bool) -> list[Learned]:
        """Let every method learn every task. Tasks with the same pairs are learned in one process, which trains once."""
        by_pairs: dict[int, list[int]] = {}
        for number, task in enumerate(tasks):
            by_pairs.setdefault(id(task.unlabelled) if task.unlabelled else -number, []).append(number)
        together = sorted(by_pairs.values(), key=len, reverse=True)
        learned: dict[int, Learned] = {}
        with progress(total=len(tasks), unit="task", desc="learning", quiet=quiet) as bar:
            jobs = [partial(self._group, [tasks[number] for number in numbers]) for numbers in together]
            for i, results in cells.in_processes(jobs, workers):
                learned |= dict(zip(together[i], results, strict=True))
                bar.update(len(results))
        return [learned[number] for number in range(len(tasks))]

    def _group(self, tasks: Sequence[Task]) -> list[Learned]:
        cache = LearningCache(self.load(), self.hook, self.settings, sae=self.sae)
        return [self._task(cache, task) for task in tasks]

    def _task(self, cache: LearningCache, task: Task) -> Learned:
        interventions: dict[tuple[str, str], Intervention] = {}
        missing = []
        for name, method in self.methods.items():
            try:
                interventions[name, cache.hook] = self._learn(cache, task, name, method.make, cache.hook)
            except ValueError as error:
                missing.append({"task": task.name, "method": name, "why": str(error)})
        for hook in cache.hooks(task)[1:] if ("CAA", cache.hook) in interventions else ():
            interventions["CAA", hook] = self._learn(cache, task, "CAA", partial(caa, hook=hook), hook)
        return interventions, missing

    def _learn(self, cache: LearningCache, task: Task, name: str, make: Maker, hook: str) -> Intervention:
        """Make an intervention, or read the vector that was made before."""
        if self.folder is None:
            return _with_norm(cache, make(cache, task))
        sae = cache.sae.fingerprint if cache.sae else None
        sizes = [cache.settings.n_pairs, cache.settings.n_seeds]
        key = [name, task.fingerprint, cache.origin(hook).to_dict(), sae, *sizes, EDITION, versions()]
        path = self.folder / f"{fingerprint(key)}.safetensors"
        if path.is_file():
            return Intervention(SteeringVector.load(path))
        made = _with_norm(cache, make(cache, task))
        if made.vector is not None:
            made.vector.save(path)
        return made


def _with_norm(cache: LearningCache, made: Intervention) -> Intervention:
    """Return an intervention whose vector carries the norm that scales are in units of; a user's method may lack it."""
    if made.vector is None or "mean_residual_norm" in made.vector.norms:
        return made
    return replace(made, vector=cache.unit(made.vector))
