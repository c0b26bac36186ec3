"""`SteeringExperiment`: a model and a task, on which interventions are measured.

`scale_sweep` measures every scale on the half of the prompts that chooses, and steerability on held-out texts; `report`
measures the chosen scale on the other half and on prompts of other kinds.
"""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float

from ssae_lens.base import checks
from ssae_lens.evals.local_judges import BehaviourJudge, judge_of
from ssae_lens.evals.tasks import NEUTRAL, ChoiceQuestion, Task
from ssae_lens.evals.text_scores import answer_margins, coherence, distinct, losses, text_margins
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.hooks.hook_points import layer_of, record_activations
from ssae_lens.hooks.likelihood import Likelihood
from ssae_lens.metrics import Interval, p_match, wilson_interval
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

Numbers = dict[str, Any]
# Tokens of an answer to a question, for the check that it fits into the model's context.
ANSWER_TOKENS = 8


@dataclass(frozen=True, eq=False)
class Intervention:
    """A steering vector, or words before the prompt, or neither; and what it was made from, in words."""

    vector: SteeringVector | None = None
    prefix: str = ""
    given: str = ""


@dataclass(frozen=True)
class SteeringSettings:
    """Sizes of a measurement.

    Attributes
    ----------
    scales
        The scales to try; at 1, a vector is as long as the mean activation at its hook. All vectors get the same length, so
        that no method gains by a longer one.
    multipliers, step
        The multiples of `step` (a scale) at which log-probabilities and answers are read, for steerability.
    n_texts
        Maximum number of held-out pairs of texts whose log-probabilities are read.
    max_new_tokens, temperature, top_p, seed
        Settings of the generated texts.
    max_rows
        Number of texts that are generated at once.
    """

    scales: tuple[float, ...] = (0.1, 0.2, 0.35, 0.5, 0.75)
    multipliers: tuple[float, ...] = (-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5)
    step: float = 0.2
    n_texts: int = 24
    max_new_tokens: int = 20
    temperature: float = 0.7
    top_p: float = 0.9
    seed: int = 0
    max_rows: int = 64

    def __post_init__(self) -> None:
        checks.python_numbers(self)
        for scale in self.scales:
            checks.above("scales", scale, 0, "Every table has an unsteered row.")
        if not self.scales or len(set(self.multipliers)) < 2 or 0 not in self.multipliers:
            raise ValueError(
                f"scales is {self.scales} and multipliers {self.multipliers}; give at least one scale, and several "
                "multipliers with 0 among them."
            )
        checks.above("step", self.step, 0)
        for name in ("n_texts", "max_new_tokens", "max_rows"):
            checks.integer(name, getattr(self, name))


class SteeringExperiment:
    """A model and a task; its methods measure an `Intervention` and return numbers."""

    def __init__(self, model: "Model", task: Task, settings: SteeringSettings) -> None:
        self.model, self.task, self.settings = model, task, settings
        self._likelihoods: dict[tuple[Any, ...], Likelihood] = {}

    @cached_property
    def judge(self) -> BehaviourJudge:
        """The judge of the behaviour in generated texts."""
        return judge_of(self.task, self.model)

    def judges(self) -> Numbers:
        """Return the names of the judges, and how often each is right."""
        numbers = {
            "coherence": {"name": "loss under the unsteered model, and repetition", **_numbers(self._shuffled[1])}
        }
        if not self.task.questions:
            numbers["behaviour"] = {"name": self.judge.name, **_numbers(self.judge.right)}
        return numbers

    def scale_sweep(self, intervention: Intervention) -> Numbers:
        """Measure every scale on the half that chooses, and propensities at every multiplier."""
        scales = list(self.settings.scales) if intervention.vector else [0.0]
        texts = self.texts([(intervention, scale) for scale in scales], self.task.choosing)
        coherent = [self.coherence(self.task.choosing, some)["coherence"] for some in texts]
        if self.task.questions:
            margins = self.margins(intervention, scales, self.task.halves[0])
            behaviour = [p_match(values, np.zeros(len(values))) for values in margins]
        else:
            behaviour = [self.judge(some) for some in texts]
        multipliers = list(self.settings.multipliers) if intervention.vector else [0.0]
        margins = self.margins(intervention, [value * self.settings.step for value in multipliers])
        return {
            "scales": scales,
            "behaviour": as_lists(behaviour),
            "coherence": as_lists(coherent),
            "multipliers": multipliers,
            "margins": np.transpose(margins).tolist(),
        }

    def report(self, intervention: Intervention, scale: float) -> Numbers:
        """Measure one scale on the half that reports, and on prompts of other kinds."""
        prompts = self.task.reporting + self.task.elsewhere
        (texts,) = self.texts([(intervention, scale)], prompts)
        scores = self.coherence(prompts, texts)
        if self.task.questions:
            (margins,) = self.margins(intervention, [scale], self.task.halves[1])
            scores["behaviour"] = p_match(margins, np.zeros(len(margins)))
        else:
            scores["behaviour"] = self.judge(texts)
        n = len(self.task.reporting)
        numbers: Numbers = {name: values[:n].tolist() for name, values in scores.items()}
        if self.task.questions:
            numbers["behaviour"] = scores["behaviour"].tolist()
        elif self.task.elsewhere:
            numbers["elsewhere"] = {name: scores[name][n:].tolist() for name in ("behaviour", "coherence")}
        return {**numbers, "texts": dict(zip(prompts, texts, strict=True))}

    @contextmanager
    def steered(self, intervention: Intervention, scale: float) -> Iterator[None]:
        """Steer the model in a ``with`` block; without a vector, or at a scale of 0, change nothing."""
        if intervention.vector is None or not scale:
            yield
            return
        # Vectors are checked once, before: to compare the weights at every scale takes longer than to steer.
        with steer(self.model, intervention.vector, scale=scale, unit="residual", check=False):
            yield

    def texts(
        self, steered: Sequence[tuple[Intervention, float]], prompts: Sequence[str], tokens: int = 0
    ) -> list[list[str]]:
        """Continue every prompt under every intervention at its scale, in the same batches: a list of texts for each."""
        settings = self.settings
        groups: dict[tuple[str, bool], list[int]] = {}
        for number, (intervention, scale) in enumerate(steered):
            moved = intervention.vector is not None and scale != 0
            groups.setdefault((intervention.prefix, moved), []).append(number)
        texts: list[list[str]] = [[] for _ in steered]
        for (prefix, moved), numbers in groups.items():
            table = generate_sweep(
                self.model,
                [prefix + prompt for prompt in prompts],
                {str(number): self._scaled_vector(*steered[number]) for number in numbers},
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
            for name, some in table.groupby("vector", sort=False)["text"]:
                texts[int(str(name))] = some.tolist()
        return texts

    def coherence(self, prompts: Sequence[str], texts: Sequence[str]) -> dict[str, Float[np.ndarray, "n"]]:
        """Return the coherence of texts after their prompts, with the loss and the share of distinct n-grams behind it."""
        loss = losses(self.model, texts, prompts)
        different = np.array([distinct(self.token_ids(text)) for text in texts])
        scores = coherence(loss, different, self._shuffled[0])
        # JSON has no infinity, which is the loss of an empty text.
        return {"coherence": scores, "loss": np.minimum(loss, np.log(self.model.cfg.d_vocab)), "distinct": different}

    def margins(
        self, intervention: Intervention, scales: Sequence[float], questions: Sequence[ChoiceQuestion] = ()
    ) -> list[Float[np.ndarray, "n"]]:
        """Return for each scale the propensity of each held-out pair of texts or, if the task has any, of each question."""
        margins = []
        texts = None if self.task.questions else self.likelihood(self._held_out, intervention)
        for scale in scales:
            if not scale and not intervention.prefix and not questions:
                margins.append(self._unsteered_margins)
                continue
            with self.steered(intervention, scale):
                margins.append(self._current_margins(texts, intervention.prefix, questions))
        return margins

    def likelihood(self, texts: tuple[str, ...], intervention: Intervention) -> Likelihood:
        """Return texts to be read under an intervention, with the blocks below it already run; call it while unsteered."""
        layers = [layer_of(hook) for hook in intervention.vector.hook_names] if intervention.vector else []
        key = texts, intervention.prefix, min((layer for layer in layers if layer is not None), default=0)
        if key not in self._likelihoods:
            self._likelihoods[key] = Likelihood(self.model, texts, intervention.prefix, from_layer=key[2])
        return self._likelihoods[key]

    def token_ids(self, text: str) -> list[int]:
        """Return the tokens of a text, without special tokens."""
        tokenizer: Any = self.model.tokenizer
        return tokenizer(text, add_special_tokens=False)["input_ids"]

    def _scaled_vector(self, intervention: Intervention, scale: float) -> SteeringVector:
        """Return the vector to add; where there is none, any vector, which is added at a scale of 0."""
        if intervention.vector is None or not scale:
            return SteeringVector(np.eye(1, self.model.cfg.d_model)[0].tolist(), "blocks.0.hook_resid_pre")
        return intervention.vector.normalize() * (scale * intervention.vector.norms["mean_residual_norm"])

    def _current_margins(
        self, texts: Likelihood | None, prefix: str = "", questions: Sequence[ChoiceQuestion] = ()
    ) -> Float[np.ndarray, "n"]:
        if texts is None:
            return answer_margins(self.model, questions or self.task.halves[1], prefix)
        return text_margins(texts)

    @cached_property
    def _unsteered_margins(self) -> Float[np.ndarray, "n"]:
        return self._current_margins(None if self.task.questions else self.likelihood(self._held_out, Intervention()))

    @cached_property
    def _held_out(self) -> tuple[str, ...]:
        n = self.settings.n_texts
        return (*self.task.positive[:n], *self.task.negative[:n])

    @cached_property
    def _shuffled(self) -> tuple[float, Interval]:
        """The mean loss of neutral texts with shuffled words, and how often it is above the loss of the text itself."""
        rng = random.Random(0)
        mixed = [" ".join(rng.sample(words, len(words))) for words in (text.split() for text in NEUTRAL)]
        whole, broken = np.split(losses(self.model, [*NEUTRAL, *mixed]), 2)
        return float(broken.mean()), wilson_interval(int((whole < broken).sum()), len(whole))


def neutral_norm(model: "Model", hook_name: str) -> float:
    """Return the mean norm of activations in neutral prose, without the first token of each text."""
    with record_activations(model, [hook_name]) as read:
        rows = [read(model.to_tokens(text))[hook_name][0, 1:] for text in NEUTRAL]
    return float(torch.cat(rows).float().norm(dim=-1).mean())


def unit_vector(vector: SteeringVector, mean_norm: float) -> SteeringVector:
    """Return a vector of length 1 that carries the mean norm of activations at its hook."""
    unit = vector.direction / vector.direction.norm()
    norms = {"mean_residual_norm": mean_norm}
    return SteeringVector(unit, origin=vector.origin, method=vector.method, concept=vector.concept, norms=norms)


def products(sweep: Mapping[str, Any]) -> Float[np.ndarray, "scales"]:
    """Return mean behaviour × mean coherence at each scale, as SAE-TS scores."""
    return np.mean(sweep["behaviour"], axis=1) * np.mean(sweep["coherence"], axis=1)


def best_scale(sweep: Mapping[str, Any]) -> float:
    """Return the scale of the largest product; of equals the smallest scale."""
    return float(sweep["scales"][int(np.argmax(products(sweep)))])


def require_room(model: "Model", task: Task, new_tokens: int) -> None:
    """Raise if a held-out text has no token to predict, or a prompt or a question does not fit into the context."""
    for text in (*task.negative, *task.positive):
        if len(model.to_tokens(text)[0]) < 2:
            raise ValueError(
                f"The task {task.name!r} has the held-out text {text!r} of one token, of which none is predicted; give "
                "longer ones."
            )
    prompts = [(prompt, new_tokens) for prompt in task.choosing + task.reporting + task.elsewhere]
    for text, more in [*prompts, *((item.question, ANSWER_TOKENS) for item in task.questions)]:
        length = len(model.to_tokens(task.prefix + text, truncate=False)[0])
        if length + more > model.cfg.n_ctx:
            raise ValueError(
                f"The task {task.name!r} has the prompt {text[:40]!r} of {length} tokens (with its prefix); with {more} "
                f"more that is beyond the {model.cfg.n_ctx} that the model reads: shorten it, or generate fewer tokens."
            )


def as_lists(rows: Sequence[Any]) -> list[list[float]]:
    """Return arrays as lists, which JSON takes."""
    return [np.asarray(row).tolist() for row in rows]


def _numbers(right: Interval) -> dict[str, float]:
    return {"right": right.estimate, "low": right.low, "high": right.high}
