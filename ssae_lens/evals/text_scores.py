"""Scores of texts by a model's probabilities: loss, coherence and margins between texts; and the Pareto front of scores.

Whatever reads the probabilities of the steered model is called within a `steer` block.
"""

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.evals.tasks import ChoiceQuestion
from ssae_lens.hooks.likelihood import Likelihood, log_probabilities
from ssae_lens.hooks.tokens import batch_by_length, pad_right

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# Each token has a row of logits as wide as the vocabulary.
BATCH_TOKENS = 1024
GRAM = 3


def losses(model: "Model", texts: Sequence[str], prompts: str | Sequence[str] = "") -> Float[np.ndarray, "n"]:
    """Return each text's mean loss after its prompt, in nats per token (log perplexity); infinity for an empty text."""
    before = [prompts] * len(texts) if isinstance(prompts, str) else list(prompts)
    values = np.full(len(texts), np.inf)
    filled = [i for i, text in enumerate(texts) if text.strip()]
    if filled:
        values[filled] = -log_probabilities(
            model, [texts[i] for i in filled], prompts=[before[i] for i in filled], quiet=True
        )
    return values


def distinct(tokens: Sequence[int], n: int = GRAM) -> float:
    """Return the share of a text's n-grams of tokens that are distinct: 1 if none is repeated.

    Examples
    --------
    >>> distinct([1, 2, 3, 4, 5]), distinct([1, 2, 1, 2, 1, 2, 1, 2])
    (1.0, 0.3333333333333333)
    """
    grams = [tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def coherence(loss: Float[np.ndarray, "n"], distinct: Float[np.ndarray, "n"], worst: float) -> Float[np.ndarray, "n"]:
    """Return (1 − loss/worst) · distinct, from 0 to 1.

    `loss` is that of the text under the unsteered model, and `worst` that of texts with shuffled words. `distinct` lowers
    texts that are likely only because they repeat themselves. The unsteered model's own texts need not be at 1.
    """
    return np.clip(1 - loss / worst, 0, 1) * distinct


def text_margins(both: Likelihood) -> Float[np.ndarray, "n"]:
    """Return by how many nats per token texts with a behaviour are likelier than those without, pair by pair.

    `both` holds all texts with the behaviour, then as many without.
    """
    positive, negative = np.split(both.log_probabilities(), 2)
    return positive - negative


@torch.no_grad()
def answer_margins(model: "Model", questions: Sequence[ChoiceQuestion], prefix: str = "") -> Float[np.ndarray, "n"]:
    """Return the logit of the matching answer less that of the other, at the first token in which they differ."""
    tokenised = [_tokenised(model, item, prefix) for item in questions]
    margins = np.empty(len(tokenised))
    for batch, ids, real in padded([tokens for tokens, _, _ in tokenised]):
        logits = logits_of(model, ids, real)[torch.arange(len(batch)), real.sum(1) - 1]
        for row, number in enumerate(batch):
            _, matching, other = tokenised[number]
            margins[number] = logits[row, matching] - logits[row, other]
    return margins


def pareto(points: Float[np.ndarray, "n m"]) -> Bool[np.ndarray, "n"]:
    """Return which points are not dominated: no other is at least as good in every column and better in one.

    Examples
    --------
    >>> pareto(np.array([[1.0, 0], [0, 1], [0.5, 0.5], [0.4, 0.5]])).tolist()
    [True, True, True, False]
    """
    as_good = (points[None] >= points[:, None]).all(axis=-1)
    better = (points[None] > points[:, None]).any(axis=-1)
    return np.logical_not(np.any(as_good & better, axis=1))


def padded(tokens: Sequence[Sequence[int]]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
    """Yield batches: the numbers of the rows, their tokens padded on the right, and which of these are real."""
    lengths = np.array([len(ids) for ids in tokens])
    for batch in batch_by_length(lengths, BATCH_TOKENS):
        numbers = batch.tolist()
        yield numbers, *pad_right([tokens[number] for number in numbers])


def logits_of(model: Any, ids: Tensor, real: Bool[Tensor, "batch pos"]) -> Float[Tensor, "batch pos d_vocab"]:
    """Return the logits of padded tokens."""
    device = model.cfg.device
    return model(ids.to(device), attention_mask=real.long().to(device)).float().cpu()


def _tokenised(model: Any, item: ChoiceQuestion, prefix: str) -> tuple[list[int], int, int]:
    """Return the tokens that both answers share after the question, and the next token of each."""
    both = [
        model.to_tokens(f"{prefix}{item.question.rstrip()} {answer.strip()}", truncate=False)[0].tolist()
        for answer in (item.matching, item.other)
    ]
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(*both, strict=False)))
    if shared == min(map(len, both)):
        raise ValueError(
            f"Of the answers {item.matching!r} and {item.other!r} one begins with the other; give answers that differ."
        )
    return both[0][:shared], both[0][shared], both[1][shared]
