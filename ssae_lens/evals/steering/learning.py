"""`Learning`: what every method learns of every task, kept so that a run that was stopped does not learn it again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ssae_lens.base.files import fingerprint
from ssae_lens.base.progress import progress
from ssae_lens.base.versions import versions
from ssae_lens.evals import cells
from ssae_lens.evals.steering.lab import Lab
from ssae_lens.evals.steering.measure import Way
from ssae_lens.evals.steering.methods import Method, caa
from ssae_lens.evals.steering.saes import Features
from ssae_lens.evals.steering.settings import Settings
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

# What is not in a cell's own settings and yet shapes it; raise it when a measurement or a method changes.
EDITION = 3
# Of a task: ways to steer by method and hook, and where a method has nothing to go by.
Learned = tuple[dict[tuple[str, str], Way], list[dict[str, str]]]


@dataclass(frozen=True, eq=False)
class Learning:
    """How methods learn: by which models, at which hook, and where what they learn is kept."""

    opened: "Callable[[], Model]"
    hook: str
    settings: Settings
    features: Features | None
    methods: Mapping[str, Method]
    folder: Path | None

    def of(self, tasks: Sequence[Task], *, workers: int | None, quiet: bool) -> list[Learned]:
        """Let every method learn every task. Tasks of one pool are learned in one process, which trains on it once."""
        pools: dict[int, list[int]] = {}
        for number, task in enumerate(tasks):
            pools.setdefault(id(task.pool) if task.pool else -number, []).append(number)
        together = sorted(pools.values(), key=len, reverse=True)
        found: dict[int, Learned] = {}
        with progress(total=len(tasks), unit="task", about="learning", quiet=quiet) as bar:
            jobs = [partial(self._each, [tasks[number] for number in numbers]) for numbers in together]
            for i, learned in cells.in_processes(jobs, workers):
                found |= dict(zip(together[i], learned, strict=True))
                bar.update(len(learned))
        return [found[number] for number in range(len(tasks))]

    def _each(self, tasks: Sequence[Task]) -> list[Learned]:
        lab = Lab(self.opened(), self.hook, self.settings, features=self.features)
        return [self._task(lab, task) for task in tasks]

    def _task(self, lab: Lab, task: Task) -> Learned:
        ways: dict[tuple[str, str], Way] = {}
        missing = []
        for name, method in self.methods.items():
            try:
                ways[name, lab.hook] = self._way(lab, task, name, method.make, lab.hook)
            except ValueError as error:
                missing.append({"task": task.name, "method": name, "why": str(error)})
        for hook in lab.hooks(task)[1:] if ("CAA", lab.hook) in ways else ():
            ways["CAA", hook] = self._way(lab, task, "CAA", partial(caa, hook=hook), hook)
        return ways, missing

    def _way(self, lab: Lab, task: Task, name: str, make: Callable[[Lab, Task], Way], hook: str) -> Way:
        """Learn a vector, or read what was learned before."""
        if self.folder is None:
            return _scaled(lab, make(lab, task))
        origin = lab.origin(hook).to_dict()
        features = lab.features.fingerprint if lab.features else None
        key = [
            name,
            task.fingerprint,
            origin,
            features,
            lab.settings.n_pairs,
            lab.settings.n_seeds,
            EDITION,
            versions(),
        ]
        path = self.folder / f"{fingerprint(key)}.safetensors"
        if path.is_file():
            return Way(SteeringVector.load(path))
        way = _scaled(lab, make(lab, task))
        if way.vector is not None:
            way.vector.save(path)
        return way


def _scaled(lab: Lab, way: Way) -> Way:
    """See to it that a vector knows the norm that scales are in units of; a method of one's own may not have said."""
    known = way.vector is None or "mean_residual_norm" in way.vector.norms
    return way if known else replace(way, vector=lab.of_one_length(way.vector))  # pyright: ignore[reportArgumentType]
