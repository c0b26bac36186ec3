"""`Plan`: all that is measured on one task, cell by cell: every scale, the choice among them, and what is chosen.

A cell is one measurement of one way to steer on one task.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.files import fingerprint
from ssae_lens.evals.cells import Cell, Job, filled, filled_together
from ssae_lens.evals.steering.chosen import best_scale
from ssae_lens.evals.steering.measure import PARTS, USES, Bench, Way
from ssae_lens.evals.steering.settings import Settings
from ssae_lens.evals.steering.tasks import Task
from ssae_lens.hooks.weight_layout import laid_out_for_generation
from ssae_lens.methods import cosine_table

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model


@dataclass(frozen=True, eq=False)
class Plan:
    """All that is measured on one task: ways to steer by method and hook, and the settings of cells."""

    task: Task
    ways: dict[tuple[str, str], Way]
    settings: Settings
    common: Cell
    hook: str

    @property
    def cosines(self) -> dict[str, float]:
        """The cosine of each vector with the mean shift: with what labels give of the SSAE's own pairs."""
        labelled = self.ways.get(("mean shift", self.hook))
        if labelled is None or labelled.vector is None:
            return {}
        vectors = {name: way.vector for (name, hook), way in self.ways.items() if hook == self.hook and way.vector}
        here = {name: each for name, each in vectors.items() if each.hook_name == self.hook}
        return cosine_table(here)["mean shift"].to_dict()

    def job(self, opened: Callable[[], "Model"], folder: Path | None) -> Job:
        """Return the cells to run together, in a process that opens the model itself."""
        count = [self._cell("judges", "", "")] + [
            self._cell(part, *key) for key in self.ways for part in ("dose", *self._later(key))
        ]
        return Job(count, partial(self.run, opened, folder), len(count))

    def run(self, opened: Callable[[], "Model"], folder: Path | None) -> list[Cell]:
        """Measure every scale; choose; measure what is chosen."""
        made: list[Bench] = []

        def bench() -> Bench:
            # One for all cells, and none where all were run before.
            if not made:
                model = opened()
                laid_out.enter_context(laid_out_for_generation(model))
                made.append(Bench(model, self.task, self.settings))
            return made[0]

        with ExitStack() as laid_out:
            done = filled([self._cell("judges", "", "")], folder, bench, lambda bench, _cell: bench.judges())
            doses = filled([self._cell("dose", *key) for key in self.ways], folder, bench, self._score)
            later = [
                self._cell(part, *key, scale=best_scale(dose))
                for key, dose in zip(self.ways, doses, strict=True)
                for part in self._later(key)
            ]
            long = [cell for cell in later if cell["part"] == "long"]
            others = [cell for cell in later if cell["part"] != "long"]
            written = filled_together(long, folder, bench, self._score_long)
            return [*done, *doses, *filled(others, folder, bench, self._score), *written]

    def _later(self, key: tuple[str, str]) -> list[str]:
        if key[1] != self.hook:
            return ["report"]
        long = self.task.name in self.settings.long_tasks and not self.task.questions
        return ["report", "side effects", *(["long"] if long else [])]

    def _cell(self, part: str, method: str, hook: str, **more: Any) -> Cell:
        """Return all that shapes a cell's numbers, but for versions of packages."""
        way = self.ways.get((method, hook), Way())
        vector = None if way.vector is None else fingerprint(way.vector.direction.tolist())
        steered = {"method": method, "hook": hook, "vector": vector, "prefix": way.prefix}
        used = {name: getattr(self.settings, name) for name in USES[part]}
        # As JSON has it, in which a kept cell is compared.
        return {"part": part, **steered, **more, **self.common, "settings": json.loads(json.dumps(used))}

    def _score(self, bench: Bench, cell: Cell) -> dict[str, Any]:
        way = self.ways[cell["method"], cell["hook"]]
        scale = {} if cell["part"] == "dose" else {"scale": cell["scale"]}
        began = time.process_time()
        found = PARTS[cell["part"]](bench, way, **scale)
        return {**found, "cpu_seconds": round(time.process_time() - began, 2)}

    def _score_long(self, bench: Bench, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
        return bench.longs([(self.ways[cell["method"], cell["hook"]], cell["scale"]) for cell in cells])
