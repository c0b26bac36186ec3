"""Judges that need no other model: a probe of the unsteered model's activations, and a language detector by common words.

A judge returns a number from 0 to 1 for each text, and its accuracy on labelled texts that it was not trained on.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from ssae_lens.evals.tasks import Scorer, Task
from ssae_lens.hooks.hook_points import record_activations
from ssae_lens.hooks.tokens import batch_by_length, pad_right
from ssae_lens.metrics import Interval, wilson_interval

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

FOLDS = 5
# The depth at which the probe reads, as a share of the model's blocks, and scikit-learn's C.
DEPTH, PENALTY = 5 / 6, 30.0
BATCH_TOKENS = 4096
# Common words of each language that are no words of the other.
WORDS = {
    "fr": """le la les des du une un est dans que qui pour pas avec sur au aux ce cette ces il elle nous vous ils elles je tu
        et ou mais son sa ses mon ma mes leur leurs notre votre plus très être été était sont avait fait comme tout tous
        bien où donc car par ne se en y c qu l d n s j m""",
    "en": """the of and to in is it that was for with as his her they this have from or had by but what were we when your can
        there an which their if will each about how up out them then she he many some so these would other into has more
        you i my are be not at""",
}
COMMON = {language: frozenset(words.split()) for language, words in WORDS.items()}


@dataclass(frozen=True, eq=False)
class BehaviourJudge:
    """A scorer of a behaviour in texts.

    Attributes
    ----------
    name
        A description.
    score
        From texts to numbers from 0 (without the behaviour) to 1 (with it).
    right
        Its accuracy on the held-out texts of a task, cross-validated where it is trained on them, with Wilson's interval. A
        number of 0.5 or more counts as "with".
    """

    name: str
    score: Scorer = field(repr=False)
    right: Interval

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "n"]:
        """Return the number of each text; an empty text has 0."""
        scores = np.zeros(len(texts))
        filled = np.array([bool(text.strip()) for text in texts], dtype=bool)
        if filled.any():
            scores[filled] = self.score([text for text in texts if text.strip()])
        return scores


def judge_of(task: Task, model: "Model") -> BehaviourJudge:
    """Return the judge of a task, with its accuracy on the task's held-out texts."""
    if task.judge == "probe":
        return _probe(task, model)
    texts, positive = _labelled(task)
    score = french if task.judge == "french" else task.judge
    name = "share of common words that are French" if task.judge == "french" else "your function"
    scores = np.asarray(score(texts), dtype=float)  # pyright: ignore[reportCallIssue]
    if scores.shape != (len(texts),) or not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(
            f"The judge of {task.name!r} returned {scores.shape} numbers from {scores.min():g} to {scores.max():g} for "
            f"{len(texts)} texts; it must return one number from 0 to 1 for each."
        )
    return BehaviourJudge(name, score, _accuracy((scores >= 0.5) == positive))  # pyright: ignore[reportArgumentType]


def french(texts: Sequence[str]) -> Float[np.ndarray, "n"]:
    """Return the share of each text's common words, of French and English, that are French; 0 if it has none.

    Examples
    --------
    >>> french(["Il est dans la maison.", "He is in the house.", "12"])
    array([1., 0., 0.])
    """
    shares = []
    for text in texts:
        words = re.findall(r"[^\W\d_]+", text.lower())
        counts = {language: sum(word in common for word in words) for language, common in COMMON.items()}
        shares.append(counts["fr"] / max(1, sum(counts.values())))
    return np.array(shares)


def mean_activations(
    model: "Model", texts: Sequence[str], hook_name: str, through: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> Float[np.ndarray, "n d"]:
    """Return the mean activation of each text's tokens but the first, whose activation is enormous in most models.

    With `through`, the mean of a function of the activations, such as an SAE's codes.
    """
    tokens = [model.to_tokens(text)[0].tolist()[: model.cfg.n_ctx] for text in texts]
    lengths = np.array([len(ids) for ids in tokens])
    means: list[Any] = [None] * len(texts)
    with record_activations(model, [hook_name]) as read:
        for batch in batch_by_length(lengths, BATCH_TOKENS):
            ids, _ = pad_right([tokens[text] for text in batch])
            values = read(ids.to(model.cfg.device))[hook_name].float().cpu()
            for row, text in enumerate(batch):
                means[text] = through(values[row, min(1, lengths[text] - 1) : lengths[text]].numpy()).mean(0)
    return np.stack(means)


def _probe(task: Task, model: "Model") -> BehaviourJudge:
    """Train a probe on all held-out texts, and cross-validate its accuracy."""
    hook_name = f"blocks.{int(DEPTH * model.cfg.n_layers)}.hook_resid_post"
    texts, positive = _labelled(task)
    rows = mean_activations(model, texts, hook_name)
    # The two texts of a pair are in one fold: one would give the other away.
    folds = np.tile(np.arange(len(task.negative)) % min(FOLDS, len(task.negative)), 2)
    right = np.empty(len(texts), dtype=bool)
    for fold in range(folds.max() + 1):
        rest = folds != fold
        right[~rest] = (_probabilities(_fit(rows[rest], positive[rest]), rows[~rest]) >= 0.5) == positive[~rest]
    whole = _fit(rows, positive)

    def score(some: Sequence[str]) -> Float[np.ndarray, "n"]:
        return _probabilities(whole, mean_activations(model, some, hook_name))

    return BehaviourJudge(f"probe at {hook_name}", score, _accuracy(right))


def _labelled(task: Task) -> tuple[list[str], Bool[np.ndarray, "n"]]:
    texts = [*task.negative, *task.positive]
    return texts, np.arange(len(texts)) >= len(task.negative)


def _fit(rows: Float[np.ndarray, "n d"], positive: Bool[np.ndarray, "n"]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = LogisticRegression(C=PENALTY / rows.shape[1], max_iter=1000)
    return make_pipeline(StandardScaler(), probe).fit(rows, positive)


def _probabilities(fitted: Any, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n"]:
    return fitted.predict_proba(rows)[:, 1]


def _accuracy(right: Bool[np.ndarray, "n"]) -> Interval:
    return wilson_interval(int(right.sum()), len(right))
