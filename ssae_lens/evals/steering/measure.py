"""`Bench`: a task on a model, and what is measured there of one way to steer.

Four measurements, each a cell of the study: `dose` (every scale, on the half that chooses; steerability), `report` (the
chosen scale, on the other half and elsewhere), `side_effects`, and `longs` (does the effect last; all ways together).
"""

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from ssae_lens.evals.steering import scores
from ssae_lens.evals.steering.builtin import held_out_contents
from ssae_lens.evals.steering.local_judges import Judge, judge_of
from ssae_lens.evals.steering.prompts import NEUTRAL
from ssae_lens.evals.steering.settings import Settings
from ssae_lens.evals.steering.tasks import Question, Task
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.generation import generate_sweep
from ssae_lens.hooks.hook_points import layer_of
from ssae_lens.hooks.likelihood import Likelihood
from ssae_lens.metrics import Interval, p_match, wilson_interval
from ssae_lens.pairs.sentences import ATTRIBUTES, render
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

Numbers = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Way:
    """One way to steer: a vector, or words before the prompt, or neither."""

    vector: SteeringVector | None = None
    prefix: str = ""


class Bench:
    """A task on a model: what a way to steer does there, in numbers."""

    def __init__(self, model: "Model", task: Task, settings: Settings) -> None:
        self.model, self.task, self.settings = model, task, settings
        self._likelihoods: dict[tuple[Any, ...], Likelihood] = {}

    @cached_property
    def judge(self) -> Judge:
        """What reads the behaviour in generated texts."""
        return judge_of(self.task, self.model)

    def judges(self) -> Numbers:
        """Say what judges, and how often it is right."""
        found = {"coherence": {"name": "loss under the unsteered model, and repetition", **_numbers(self._shuffled[1])}}
        if not self.task.questions:
            found["behaviour"] = {"name": self.judge.name, **_numbers(self.judge.right)}
        return found

    def dose(self, way: Way) -> Numbers:
        """Measure every scale on the half that chooses, and steerability."""
        scales = self._scales_of(way)
        texts = self._texts([(way, scale) for scale in scales], self.task.choosing)
        coherence = [self._coherence(self.task.choosing, each)["coherence"] for each in texts]
        if self.task.questions:
            asked = self.task.halves[0]
            behaviour = [p_match(margins, np.zeros(len(margins))) for margins in self._margins(way, scales, asked)]
        else:
            behaviour = [self.judge(each) for each in texts]
        found = {"scales": scales, "behaviour": _lists(behaviour), "coherence": _lists(coherence)}
        multipliers = list(self.settings.multipliers) if way.vector else [0.0]
        margins = self._margins(way, [each * self.settings.step for each in multipliers])
        return {**found, "multipliers": multipliers, "margins": np.transpose(margins).tolist()}

    def report(self, way: Way, scale: float) -> Numbers:
        """Measure a scale on the half that reports, and on prompts of other kinds."""
        prompts = self.task.reporting + self.task.elsewhere
        (texts,) = self._texts([(way, scale)], prompts)
        found = self._coherence(prompts, texts)
        if self.task.questions:
            (margins,) = self._margins(way, [scale], self.task.halves[1])
            found["behaviour"] = p_match(margins, np.zeros(len(margins)))
        else:
            found["behaviour"] = self.judge(texts)
        here = len(self.task.reporting)
        parts: Numbers = {name: values[:here].tolist() for name, values in found.items()}
        if self.task.questions:
            parts["behaviour"] = found["behaviour"].tolist()
        elif self.task.elsewhere:
            parts["elsewhere"] = {name: found[name][here:].tolist() for name in ("behaviour", "coherence")}
        return {**parts, "texts": dict(zip(prompts, texts, strict=True))}

    def side_effects(self, way: Way, scale: float) -> Numbers:
        """Measure what else moves: every concept of `sentences`, in nats a token, and what is expected in neutral prose."""
        concepts, expected = self._plain  # read before anything is steered
        expressed = self._likelihood(self._expressions[0], way)
        with self._steered(way, scale):
            moved = self._concepts(expressed) - concepts
            steered = scores.token_log_probabilities(self.model, [way.prefix + text for text in NEUTRAL])
        # After words that ask for the behaviour, what is expected in the text itself.
        own = [each[-len(plain) :] for each, plain in zip(steered, expected, strict=True)]
        effects = dict(zip(ATTRIBUTES, moved.tolist(), strict=True))
        return {"effects": effects, "kl": scores.divergence(expected, own)}

    def longs(self, steered: Sequence[tuple[Way, float]]) -> Iterator[Numbers]:
        """Measure behaviour and coherence in each window of long texts, for ways with their scales.

        The texts of all are made together: a token at a time, a model's weights are read as long for few as for many.
        """
        settings = self.settings
        prompts = self.task.reporting[: settings.long_prompts]
        for texts in self._texts(steered, prompts, settings.long_tokens):
            yield self._by_window(prompts, texts)

    def _by_window(self, prompts: Sequence[str], texts: Sequence[str]) -> Numbers:
        windows = [self._windows(prompt, text) for prompt, text in zip(prompts, texts, strict=True)]
        count = self.settings.long_tokens // self.settings.window
        behaviour, coherence = [], []
        for number in range(count):
            # A text that reads back as fewer tokens than were made has a last window with nothing in it.
            now = [each[number] if number < len(each) else ("", "") for each in windows]
            behaviour.append(self.judge([text for _, text in now]))
            coherence.append(self._coherence([before for before, _ in now], [text for _, text in now])["coherence"])
        return {"behaviour": _lists(behaviour), "coherence": _lists(coherence), "texts": list(texts)}

    def _scales_of(self, way: Way) -> list[float]:
        return list(self.settings.scales) if way.vector else [0.0]

    @contextmanager
    def _steered(self, way: Way, scale: float) -> Iterator[None]:
        if way.vector is None or not scale:
            yield
            return
        # Vectors were made on this model: to hold its weights against theirs at every scale takes longer than to steer.
        with steer(self.model, way.vector, scale=scale, unit="residual", check=False):
            yield

    def _texts(self, steered: Sequence[tuple[Way, float]], prompts: Sequence[str], tokens: int = 0) -> list[list[str]]:
        """Continue every prompt in every way at its scale, as rows of the same batches: a list of texts for each."""
        settings = self.settings
        groups: dict[tuple[str, bool], list[int]] = {}
        for number, (way, scale) in enumerate(steered):
            groups.setdefault((way.prefix, way.vector is not None and scale != 0), []).append(number)
        found: list[list[str]] = [[] for _ in steered]
        for (prefix, moved), numbers in groups.items():
            table = generate_sweep(
                self.model,
                [prefix + prompt for prompt in prompts],
                {str(number): self._added(*steered[number]) for number in numbers},
                1.0 if moved else 0.0,
                max_new_tokens=tokens or settings.max_new_tokens,
                temperature=settings.temperature,
                top_p=settings.top_p,
                seed=settings.seed,
                stop_tokens=[],
                max_rows=settings.max_rows,
                check=False,
                quiet=True,
            )
            for name, texts in table.groupby("vector", sort=False)["text"]:
                found[int(str(name))] = texts.tolist()
        return found

    def _added(self, way: Way, scale: float) -> SteeringVector:
        """Return what is added to activations; where nothing is, anything, for a scale of 0."""
        if way.vector is None or not scale:
            return SteeringVector(np.eye(1, self.model.cfg.d_model)[0].tolist(), "blocks.0.hook_resid_pre")
        return way.vector.normalize() * (scale * way.vector.norms["mean_residual_norm"])

    def _coherence(self, prompts: Sequence[str], texts: Sequence[str]) -> dict[str, Float[np.ndarray, "n"]]:
        loss = scores.losses(self.model, texts, prompts)
        different = np.array([scores.distinct(self._ids(text)) for text in texts])
        found = scores.coherence(loss, different, self._shuffled[0])
        # JSON has no infinity; a text with nothing in it is as bad as can be.
        return {"coherence": found, "loss": np.minimum(loss, np.log(self.model.cfg.d_vocab)), "distinct": different}

    def _margins(
        self, way: Way, scales: Sequence[float], asked: Sequence[Question] = ()
    ) -> list[Float[np.ndarray, "n"]]:
        """Return for each scale the propensity of each held-out pair of texts or, if the task has any, of each question."""
        found = []
        texts = None if self.task.questions else self._likelihood(self._held_out, way)
        for scale in scales:
            if not scale and not way.prefix and not asked:
                found.append(self._plain_margins)
                continue
            with self._steered(way, scale):
                found.append(self._margins_now(texts, way.prefix, asked))
        return found

    def _margins_now(
        self, texts: Likelihood | None, prefix: str = "", asked: Sequence[Question] = ()
    ) -> Float[np.ndarray, "n"]:
        if texts is None:
            return scores.answer_margins(self.model, asked or self.task.halves[1], prefix)
        return scores.text_margins(texts)

    @cached_property
    def _plain_margins(self) -> Float[np.ndarray, "n"]:
        return self._margins_now(None if self.task.questions else self._likelihood(self._held_out, Way()))

    @cached_property
    def _held_out(self) -> tuple[str, ...]:
        """The held-out texts that are read, those with the behaviour first."""
        few = self.settings.n_texts
        return (*self.task.with_it[:few], *self.task.without[:few])

    def _likelihood(self, texts: tuple[str, ...], way: Way) -> Likelihood:
        """Return texts to read while steered in a way. Called while nothing is: what the blocks before give is kept."""
        layers = [layer_of(hook) for hook in way.vector.hook_names] if way.vector else []
        key = texts, way.prefix, min((layer for layer in layers if layer is not None), default=0)
        if key not in self._likelihoods:
            self._likelihoods[key] = Likelihood(self.model, texts, way.prefix, from_layer=key[2])
        return self._likelihoods[key]

    @cached_property
    def _shuffled(self) -> tuple[float, Interval]:
        """The mean loss of neutral texts with their words shuffled; how often that is more than the texts' own."""
        rng = random.Random(0)
        mixed = [" ".join(rng.sample(words, len(words))) for words in (text.split() for text in NEUTRAL)]
        whole, broken = np.split(scores.losses(self.model, [*NEUTRAL, *mixed]), 2)
        return float(broken.mean()), wilson_interval(int((whole < broken).sum()), len(whole))

    @cached_property
    def _expressions(self) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
        """Sentences, and which of them have value 0 and value 1: attribute by attribute, content by content."""
        rng = random.Random(0)
        contents = held_out_contents()[: self.settings.n_contents]
        drawn = [{name: rng.randrange(2) for name in ATTRIBUTES} for _ in contents]
        pairs = [
            [render(content, {**values, name: value}) for value in (0, 1)]
            for name in ATTRIBUTES
            for content, values in zip(contents, drawn, strict=True)
        ]
        # Each base sentence stands in every attribute's pairs.
        places = {text: place for place, text in enumerate(dict.fromkeys(text for pair in pairs for text in pair))}
        return tuple(places), [(places[without], places[with_it]) for without, with_it in pairs]

    def _concepts(self, expressed: Likelihood) -> Float[np.ndarray, "attributes"]:
        """Return by how much likelier value 1 of each attribute is than value 0."""
        found = expressed.of_each()
        margins = [found[with_it] - found[without] for without, with_it in self._expressions[1]]
        return np.reshape(margins, (len(ATTRIBUTES), -1)).mean(1)

    @cached_property
    def _plain(self) -> tuple[Float[np.ndarray, "attributes"], list[Any]]:
        """What the unsteered model finds of concepts, and expects in neutral prose."""
        expressed = self._likelihood(self._expressions[0], Way())
        return self._concepts(expressed), scores.token_log_probabilities(self.model, NEUTRAL)

    def _windows(self, prompt: str, text: str) -> list[tuple[str, str]]:
        """Cut a text: each window with all that stands before it."""
        ids, size = self._ids(text), self.settings.window
        tokenizer: Any = self.model.tokenizer
        parts = [tokenizer.decode(ids[i : i + size]) for i in range(0, len(ids), size)]
        return [(prompt + "".join(parts[:number]), part) for number, part in enumerate(parts)]

    def _ids(self, text: str) -> list[int]:
        tokenizer: Any = self.model.tokenizer
        return tokenizer(text, add_special_tokens=False)["input_ids"]


# Each of one way, and at one scale but for the dose.
PARTS: dict[str, Callable[..., Numbers]] = {
    "dose": Bench.dose,
    "report": Bench.report,
    "side effects": Bench.side_effects,
}
# The settings that shape each.
WRITING = ("max_new_tokens", "temperature", "top_p", "seed")
USES: dict[str, tuple[str, ...]] = {
    "judges": (),
    "dose": (*WRITING, "scales", "multipliers", "step", "n_texts"),
    "report": WRITING,
    "side effects": ("n_contents",),
    "long": (*WRITING[1:], "long_prompts", "long_tokens", "window"),
}


def _numbers(right: Interval) -> dict[str, float]:
    return {"right": right.estimate, "low": right.low, "high": right.high}


def _lists(rows: Sequence[Any]) -> list[list[float]]:
    return [np.asarray(row).tolist() for row in rows]
