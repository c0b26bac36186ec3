"""Judges that need no other model: a probe of the unsteered model's activations, and language told by common words.

A judge gives each text a number from 0 to 1, and says how often it is right on labelled texts that it did not learn from.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssae_lens.evals.steering.tasks import Scorer, Task
from ssae_lens.hooks.batching import batches
from ssae_lens.hooks.hook_points import reading
from ssae_lens.metrics import Interval, wilson_interval

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

FOLDS = 5
# Of the probe: where it reads, as a share of the model's blocks, and scikit-learn's C.
DEPTH, PENALTY = 5 / 6, 30.0
BATCH_TOKENS = 4096
# Words that are common in one language and are none of the other's.
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
class Judge:
    """What reads a behaviour in texts.

    Attributes
    ----------
    name
        What it is, in words.
    score
        From texts to numbers from 0 (without the behaviour) to 1 (with it).
    right
        How often it is right about a task's held-out texts, of which it did not learn from the one it is asked about; with
        Wilson's interval. A number of 0.5 or more says "with".
    """

    name: str
    score: Scorer = field(repr=False)
    right: Interval

    def __call__(self, texts: Sequence[str]) -> Float[np.ndarray, "n"]:
        """Return each text its number; an empty text shows nothing."""
        found = np.zeros(len(texts))
        there = np.array([bool(text.strip()) for text in texts], dtype=bool)
        if there.any():
            found[there] = self.score([text for text in texts if text.strip()])
        return found


def judge_of(task: Task, model: "Model") -> Judge:
    """Make a task's judge, and measure its error on the task's held-out texts."""
    texts, with_it = _labelled(task)
    if task.judge == "probe":
        return _probe(task, model)
    score = french if task.judge == "french" else task.judge
    name = "share of common words that are French" if task.judge == "french" else "your function"
    found = np.asarray(score(texts), dtype=float)  # pyright: ignore[reportCallIssue]
    if found.shape != (len(texts),) or not ((found >= 0) & (found <= 1)).all():
        raise ValueError(
            f"The judge of {task.name!r} gave {found.shape} numbers from {found.min():g} to {found.max():g} for "
            f"{len(texts)} texts; it must give each one number from 0 to 1."
        )
    return Judge(name, score, _share((found >= 0.5) == with_it))  # pyright: ignore[reportArgumentType]


def french(texts: Sequence[str]) -> Float[np.ndarray, "n"]:
    """Return the share of each text's common words, of French and English, that are French; 0 where it has none.

    Examples
    --------
    >>> french(["Il est dans la maison.", "He is in the house.", "12"])
    array([1., 0., 0.])
    """
    found = []
    for text in texts:
        words = re.findall(r"[^\W\d_]+", text.lower())
        counts = {language: sum(word in common for word in words) for language, common in COMMON.items()}
        found.append(counts["fr"] / max(1, sum(counts.values())))
    return np.array(found)


def mean_activations(
    model: "Model", texts: Sequence[str], hook_name: str, through: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> Float[np.ndarray, "n d"]:
    """Return the mean activation of each text's tokens but the first, whose activation is enormous in most models.

    With `through`, the mean of what it makes of the activations, such as an SAE's codes.
    """
    tokens = [model.to_tokens(text)[0].tolist()[: model.cfg.n_ctx] for text in texts]
    lengths = np.array([len(each) for each in tokens])
    found: list[Any] = [None] * len(texts)
    with reading(model, [hook_name]) as read:
        for batch in batches(lengths, BATCH_TOKENS):
            ids = torch.zeros((len(batch), int(lengths[batch].max())), dtype=torch.long)
            for row, text in enumerate(batch):
                ids[row, : lengths[text]] = torch.tensor(tokens[text])
            values = read(ids.to(model.cfg.device))[hook_name].float().cpu()
            for row, text in enumerate(batch):
                found[text] = through(values[row, min(1, lengths[text] - 1) : lengths[text]].numpy()).mean(0)
    return np.stack(found)


def _probe(task: Task, model: "Model") -> Judge:
    """Learn from all held-out texts, and measure on each fold of them what the others teach."""
    hook_name = f"blocks.{int(DEPTH * model.cfg.n_layers)}.hook_resid_post"
    texts, with_it = _labelled(task)
    rows = mean_activations(model, texts, hook_name)
    # Two texts of a pair are in one fold, or one would be told by the other.
    folds = np.tile(np.arange(len(task.without)) % min(FOLDS, len(task.without)), 2)
    right = np.empty(len(texts), dtype=bool)
    for fold in range(folds.max() + 1):
        rest = folds != fold
        right[~rest] = (_chances(_fit(rows[rest], with_it[rest]), rows[~rest]) >= 0.5) == with_it[~rest]
    whole = _fit(rows, with_it)
    return Judge(
        f"probe at {hook_name}",
        lambda given: _chances(whole, mean_activations(model, given, hook_name)),
        _share(right),
    )


def _labelled(task: Task) -> tuple[list[str], Bool[np.ndarray, "n"]]:
    texts = [*task.without, *task.with_it]
    return texts, np.arange(len(texts)) >= len(task.without)


def _fit(rows: Float[np.ndarray, "n d"], with_it: Bool[np.ndarray, "n"]) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = LogisticRegression(C=PENALTY / rows.shape[1], max_iter=1000)
    return make_pipeline(StandardScaler(), probe).fit(rows, with_it)


def _chances(fitted: Any, rows: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n"]:
    return fitted.predict_proba(rows)[:, 1]


def _share(right: Bool[np.ndarray, "n"]) -> Interval:
    return wilson_interval(int(right.sum()), len(right))
