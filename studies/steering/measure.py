"""`TaskPlan`: the cells of one task, measured in order: every scale, the choice among them, and the chosen scale.

`StudyExperiment` adds to the public measurements the side effects of an intervention and its effect over long texts.
"""

import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base.checksums import fingerprint
from ssae_lens.evals._steering import JUDGES, REPORT, SCALE_SWEEP, as_json
from ssae_lens.evals.built_in_tasks import held_out_contents
from ssae_lens.evals.experiment import Intervention, Numbers, SteeringExperiment, as_lists, best_scale
from ssae_lens.evals.results import Cell
from ssae_lens.evals.tasks import NEUTRAL, Task
from ssae_lens.evals.text_scores import logits_of, padded
from ssae_lens.hooks.likelihood import Likelihood
from ssae_lens.methods import cosine_table
from ssae_lens.models.hooked import laid_out_for_generation
from ssae_lens.pairs.sentences import ATTRIBUTES, render
from studies.cells import Job, filled, filled_together
from studies.steering.settings import SteeringStudySettings

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

SIDE_EFFECTS, LONG = "side effects", "long"
# The settings that shape each part.
SAMPLING = ("max_new_tokens", "temperature", "top_p", "seed")
USES: dict[str, tuple[str, ...]] = {
    JUDGES: (),
    SCALE_SWEEP: (*SAMPLING, "scales", "multipliers", "step", "n_texts"),
    REPORT: SAMPLING,
    SIDE_EFFECTS: ("n_contents",),
    LONG: (*SAMPLING[1:], "long_prompts", "long_tokens", "window"),
}


class StudyExperiment(SteeringExperiment):
    """A model and a task, with the measurements that only the study makes."""

    settings: SteeringStudySettings

    def side_effects(self, intervention: Intervention, scale: float) -> Numbers:
        """Measure the effect on every concept of `sentences` in nats per token, and the divergence in neutral prose."""
        concepts, expected = self._unsteered_expressions  # read before anything is steered
        expressed = self.likelihood(self._expressions[0], intervention)
        with self.steered(intervention, scale):
            moved = self._concepts(expressed) - concepts
            steered = token_log_probabilities(self.model, [intervention.prefix + text for text in NEUTRAL])
        # After a prefix, only the tokens of the text itself.
        own = [logs[-len(plain) :] for logs, plain in zip(steered, expected, strict=True)]
        return {"effects": dict(zip(ATTRIBUTES, moved.tolist(), strict=True)), "kl": divergence(expected, own)}

    def long_texts(self, steered: Sequence[tuple[Intervention, float]]) -> Iterator[Numbers]:
        """Measure behaviour and coherence in each window of long texts.

        The texts of all interventions are generated together: a forward pass costs as much for few rows as for many.
        """
        settings = self.settings
        prompts = self.task.reporting[: settings.long_prompts]
        for texts in self.texts(steered, prompts, settings.long_tokens):
            windows = [self.windows(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
            behaviour, coherence = [], []
            for number in range(settings.long_tokens // settings.window):
                # A text that is tokenised to fewer tokens than were generated has an empty last window.
                parts = [some[number] if number < len(some) else ("", "") for some in windows]
                behaviour.append(self.judge([text for _, text in parts]))
                coherence.append(
                    self.coherence([before for before, _ in parts], [text for _, text in parts])["coherence"]
                )
            yield {"behaviour": as_lists(behaviour), "coherence": as_lists(coherence), "texts": list(texts)}

    def windows(self, prompt: str, text: str) -> list[tuple[str, str]]:
        """Split a text into windows, each with everything before it."""
        ids, size = self.token_ids(text), self.settings.window
        tokenizer: Any = self.model.tokenizer
        parts = [tokenizer.decode(ids[i : i + size]) for i in range(0, len(ids), size)]
        return [(prompt + "".join(parts[:number]), part) for number, part in enumerate(parts)]

    @cached_property
    def _expressions(self) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
        """Sentences, and the numbers of those with value 0 and value 1: attribute by attribute, content by content."""
        rng = random.Random(0)
        contents = held_out_contents()[: self.settings.n_contents]
        drawn = [{name: rng.randrange(2) for name in ATTRIBUTES} for _ in contents]
        pairs = [
            [render(content, {**values, name: value}) for value in (0, 1)]
            for name in ATTRIBUTES
            for content, values in zip(contents, drawn, strict=True)
        ]
        # Each base sentence is in the pairs of every attribute.
        numbers = {text: i for i, text in enumerate(dict.fromkeys(text for pair in pairs for text in pair))}
        return tuple(numbers), [(numbers[negative], numbers[positive]) for negative, positive in pairs]

    def _concepts(self, expressed: Likelihood) -> Float[np.ndarray, "attributes"]:
        """Return by how much likelier value 1 of each attribute is than value 0."""
        likelihoods = expressed.log_probabilities()
        margins = [likelihoods[positive] - likelihoods[negative] for negative, positive in self._expressions[1]]
        return np.reshape(margins, (len(ATTRIBUTES), -1)).mean(1)

    @cached_property
    def _unsteered_expressions(self) -> tuple[Float[np.ndarray, "attributes"], list[Any]]:
        expressed = self.likelihood(self._expressions[0], Intervention())
        return self._concepts(expressed), token_log_probabilities(self.model, NEUTRAL)


# The parts that are measured for one intervention at a time; all but the scale sweep at one scale.
PARTS: dict[str, Callable[..., Numbers]] = {
    SCALE_SWEEP: StudyExperiment.scale_sweep,
    REPORT: StudyExperiment.report,
    SIDE_EFFECTS: StudyExperiment.side_effects,
}


@torch.no_grad()
def token_log_probabilities(model: "Model", texts: Sequence[str]) -> list[Float[Tensor, "pos d_vocab"]]:
    """Return the log-probabilities of all next tokens at each position of each text but the first."""
    tokens = [model.to_tokens(text, truncate=False)[0].tolist() for text in texts]
    log_probabilities: list[Any] = [None] * len(texts)
    for batch, ids, real in padded(tokens):
        logits = logits_of(model, ids, real).log_softmax(-1)
        for row, number in enumerate(batch):
            log_probabilities[number] = logits[row, 1 : len(tokens[number])]
    return log_probabilities


def divergence(plain: Sequence[Float[Tensor, "pos d_vocab"]], steered: Sequence[Float[Tensor, "pos d_vocab"]]) -> float:
    """Return the mean of KL(plain ‖ steered) over tokens, in nats."""
    values = [(p.exp() * (p - q)).sum(-1) for p, q in zip(plain, steered, strict=True)]
    return float(torch.cat(values).double().mean())


@dataclass(frozen=True, eq=False)
class TaskPlan:
    """The measurements on one task: interventions by method and hook, and the settings of cells."""

    task: Task
    interventions: dict[tuple[str, str], Intervention]
    settings: SteeringStudySettings
    common: Cell
    hook: str

    @property
    def cosines(self) -> dict[str, float]:
        """The cosine of each vector with the mean shift, the vector that labels of the SSAE's own pairs give."""
        labelled = self.interventions.get(("mean shift", self.hook))
        if labelled is None or labelled.vector is None:
            return {}
        vectors = {
            name: one.vector for (name, hook), one in self.interventions.items() if hook == self.hook and one.vector
        }
        same_hook = {name: vector for name, vector in vectors.items() if vector.hook_name == self.hook}
        return cosine_table(same_hook)["mean shift"].to_dict()

    def job(self, load: Callable[[], "Model"], folder: Path | None) -> Job:
        """Return the job that measures all cells, in a process that loads the model itself."""
        cells = [self._cell(JUDGES, "", "")] + [
            self._cell(part, *key) for key in self.interventions for part in (SCALE_SWEEP, *self._later_parts(key))
        ]
        return Job(cells, partial(self.run, load, folder), len(cells))

    def run(self, load: Callable[[], "Model"], folder: Path | None) -> list[Cell]:
        """Measure every scale, choose one, and measure the chosen one."""
        made: list[StudyExperiment] = []

        def experiment() -> StudyExperiment:
            # One for all cells, and none if all were measured before.
            if not made:
                model = load()
                stack.enter_context(laid_out_for_generation(model))
                made.append(StudyExperiment(model, self.task, self.settings))
            return made[0]

        with ExitStack() as stack:
            judges = filled([self._cell(JUDGES, "", "")], folder, experiment, lambda made, _cell: made.judges())
            sweeps = filled(
                [self._cell(SCALE_SWEEP, *key) for key in self.interventions], folder, experiment, self._measure
            )
            later = [
                self._cell(part, *key, scale=best_scale(sweep))
                for key, sweep in zip(self.interventions, sweeps, strict=True)
                for part in self._later_parts(key)
            ]
            long = filled_together(
                [cell for cell in later if cell["part"] == LONG], folder, experiment, self._measure_long
            )
            others = [cell for cell in later if cell["part"] != LONG]
            return [*judges, *sweeps, *filled(others, folder, experiment, self._measure), *long]

    def _later_parts(self, key: tuple[str, str]) -> list[str]:
        if key[1] != self.hook:
            return [REPORT]
        long = self.task.name in self.settings.long_tasks and not self.task.questions
        return [REPORT, SIDE_EFFECTS, *([LONG] if long else [])]

    def _cell(self, part: str, method: str, hook: str, **more: Any) -> Cell:
        """Return everything that shapes a cell's numbers, apart from the versions of packages."""
        one = self.interventions.get((method, hook), Intervention())
        vector = None if one.vector is None else fingerprint(one.vector.direction.tolist())
        key = {"method": method, "hook": hook, "vector": vector, "prefix": one.prefix}
        used = {name: getattr(self.settings, name) for name in USES[part]}
        return {"part": part, **key, **more, **self.common, "settings": as_json(used)}

    def _measure(self, experiment: StudyExperiment, cell: Cell) -> dict[str, Any]:
        scale = {} if cell["part"] == SCALE_SWEEP else {"scale": cell["scale"]}
        began = time.process_time()
        numbers = PARTS[cell["part"]](experiment, self.interventions[cell["method"], cell["hook"]], **scale)
        return {**numbers, "cpu_seconds": round(time.process_time() - began, 2)}

    def _measure_long(self, experiment: StudyExperiment, cells: Sequence[Cell]) -> Iterator[dict[str, Any]]:
        return experiment.long_texts(
            [(self.interventions[cell["method"], cell["hook"]], cell["scale"]) for cell in cells]
        )
