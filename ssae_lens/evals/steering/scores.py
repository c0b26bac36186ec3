"""Numbers of one way to steer, read from the model: coherence of texts, propensities, divergence; and the Pareto front.

Everything that reads the model's probabilities under steering is called in a `steer` block.
"""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.evals.steering.tasks import Question
from ssae_lens.hooks.batching import batches
from ssae_lens.hooks.likelihood import Likelihood, log_probabilities

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

# Each token has a row of logits as wide as the vocabulary.
BATCH_TOKENS = 1024
GRAM = 3


def losses(model: "Model", texts: Sequence[str], prompts: str | Sequence[str] = "") -> Float[np.ndarray, "n"]:
    """Return each text's mean loss after its prompt, in nats per token (log perplexity); infinity for an empty one."""
    before = [prompts] * len(texts) if isinstance(prompts, str) else list(prompts)
    found = np.full(len(texts), np.inf)
    there = [i for i, text in enumerate(texts) if text.strip()]
    if there:
        found[there] = -log_probabilities(
            model, [texts[i] for i in there], prompts=[before[i] for i in there], quiet=True
        )
    return found


def distinct(tokens: Sequence[int], n: int = GRAM) -> float:
    """Return the share of a text's runs of n tokens that are different: 1 where none is repeated.

    Examples
    --------
    >>> distinct([1, 2, 3, 4, 5]), distinct([1, 2, 1, 2, 1, 2, 1, 2])
    (1.0, 0.3333333333333333)
    """
    runs = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(runs)) / len(runs) if runs else 1.0


def coherence(loss: Float[np.ndarray, "n"], distinct: Float[np.ndarray, "n"], worst: float) -> Float[np.ndarray, "n"]:
    """Return (1 − loss/worst) · distinct, from 0 to 1.

    `loss` is that of the text under the unsteered model, and `worst` that of texts whose words were shuffled: as unlikely
    as that is 0, and certain is 1. What is likely because it repeats itself is brought down by `distinct`. Nothing sets
    the unsteered model's own texts at 1, so that others may be more coherent.
    """
    return np.clip(1 - loss / worst, 0, 1) * distinct


def text_margins(both: Likelihood) -> Float[np.ndarray, "n"]:
    """Return by how much likelier texts with a behaviour are than those without, pair by pair, in nats a token.

    `both` has all those with it, and then as many without.
    """
    with_it, without = np.split(both.of_each(), 2)
    return with_it - without


@torch.no_grad()
def answer_margins(model: "Model", questions: Sequence[Question], prefix: str = "") -> Float[np.ndarray, "n"]:
    """Return the logit of the answer that shows the behaviour less that of the other, at the first token that differs."""
    asked = [_asked(model, each, prefix) for each in questions]
    found = np.empty(len(asked))
    for batch, ids, real in _padded([tokens for tokens, _, _ in asked]):
        logits = _logits(model, ids, real)[torch.arange(len(batch)), real.sum(1) - 1]
        for row, number in enumerate(batch):
            _, matching, other = asked[number]
            found[number] = logits[row, matching] - logits[row, other]
    return found


@torch.no_grad()
def token_log_probabilities(model: "Model", texts: Sequence[str]) -> list[Float[Tensor, "pos d_vocab"]]:
    """Return the log-probabilities of all next tokens at each place of each text, the first token left out."""
    tokens = [model.to_tokens(text, truncate=False)[0].tolist() for text in texts]
    found: list[Any] = [None] * len(texts)
    for batch, ids, real in _padded(tokens):
        logits = _logits(model, ids, real).log_softmax(-1)
        for row, number in enumerate(batch):
            found[number] = logits[row, 1 : len(tokens[number])]
    return found


def divergence(plain: Sequence[Float[Tensor, "pos d_vocab"]], steered: Sequence[Float[Tensor, "pos d_vocab"]]) -> float:
    """Return the mean KL divergence of what is expected with steering from what is without, KL(plain ‖ steered), in nats."""
    each = [(p.exp() * (p - q)).sum(-1) for p, q in zip(plain, steered, strict=True)]
    return float(torch.cat(each).double().mean())


def pareto(points: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, "n"]:
    """Say which points no other is at least as good as in every column, and better in one.

    Examples
    --------
    >>> pareto(np.array([[1.0, 0], [0, 1], [0.5, 0.5], [0.4, 0.5]])).tolist()
    [True, True, True, False]
    """
    as_good = (points[None] >= points[:, None]).all(axis=-1)
    better = (points[None] > points[:, None]).any(axis=-1)
    return np.logical_not(np.any(as_good & better, axis=1))


def _asked(model: Any, each: Question, prefix: str) -> tuple[list[int], int, int]:
    """Return the tokens that both answers begin with after the question, and the next of each."""
    both = [
        model.to_tokens(f"{prefix}{each.question.rstrip()} {answer.strip()}", truncate=False)[0].tolist()
        for answer in (each.matching, each.other)
    ]
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*both, strict=False)))
    if shared == min(map(len, both)):
        raise ValueError(
            f"Of the answers {each.matching!r} and {each.other!r} one begins with the other; nothing tells them apart."
        )
    return both[0][:shared], both[0][shared], both[1][shared]


def _padded(tokens: Sequence[Sequence[int]]) -> Any:
    """Return batches: which rows, their tokens padded on the right, and which of these are real."""
    lengths = np.array([len(each) for each in tokens])
    for batch in batches(lengths, BATCH_TOKENS):
        ids = torch.zeros((len(batch), int(lengths[batch].max())), dtype=torch.long)
        for row, number in enumerate(batch):
            ids[row, : lengths[number]] = torch.tensor(tokens[number])
        yield batch.tolist(), ids, torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths[batch])[:, None]


def _logits(model: Any, ids: Tensor, real: Bool[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    device = model.cfg.device
    return model(ids.to(device), attention_mask=real.long().to(device)).float().cpu()
