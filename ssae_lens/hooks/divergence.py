"""Scales by a budget of change: the scale at which steering changes the model's next-token probabilities by so many nats."""

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.yaml_files import read_package_yaml
from ssae_lens.hooks.tokens import batch_by_length, pad_right

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# The search ends within this fraction of the budget.
TOLERANCE, ROUNDS = 0.01, 60
# Scales are tried from a small one to where nothing of the model's own is left.
FIRST, LARGEST = 0.125, 1e5
BATCH_TOKENS = 1024


@dataclass(frozen=True)
class KLBudget:
    """A budget of steering, as `kl_budget` returns it, which `steer` and `generate_sweep` take for a scale."""

    nats: float
    prompts: tuple[str, ...]
    negative: bool = False

    def find(self, divergence: "Divergence", steered: Callable[[float], AbstractContextManager[Any]]) -> float:
        """Return the scale at which a divergence is the budget, for a function from a scale to a `steer` block.

        The divergence grows with the scale. Its logarithm is interpolated against that of the scale between one that is too
        small and one that is too large, with a bisection every third time.
        """
        sign = -1.0 if self.negative else 1.0
        low, high, scale = 0.0, math.inf, FIRST
        at_low, at_high, value = 0.0, math.inf, 0.0
        for turn in range(ROUNDS):
            with steered(sign * scale):
                value = divergence()
            if abs(value - self.nats) <= TOLERANCE * self.nats:
                return sign * scale
            if value < self.nats:
                low, at_low = scale, value
            else:
                high, at_high = scale, value
            if low >= LARGEST:
                break
            if math.isinf(high):
                scale = 2 * low
            elif low == 0:
                scale = high / 2
            elif turn % 3 == 2 or at_low <= 0 or math.isinf(at_high):
                scale = (low * high) ** 0.5
            else:
                share = math.log(self.nats / at_low) / math.log(at_high / at_low)
                scale = low * (high / low) ** share
        raise ValueError(
            f"No scale has a divergence of {self.nats:g} nats: {value:.3g} at a scale of {sign * scale:.3g}. Give a lower "
            "budget, or another vector or operator."
        )


def kl_budget(nats: float = 1.0, prompts: str | Sequence[str] | None = None, *, negative: bool = False) -> KLBudget:
    """Return a scale for `steer` and `generate_sweep` that is found by its effect on the model.

    Parameters
    ----------
    nats
        The mean over all tokens of KL(steered ‖ unsteered), the Kullback-Leibler divergence of the next token's
        probabilities.
    prompts
        Texts on which it is measured, with all of their tokens steered whatever the positions; by default neutral prose that
        comes with the package. On texts of another kind the divergence can differ by a third; on others of the same kind it
        differs by a few percent.
    negative
        Steer in the opposite direction.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens.hooks import steer
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.steering_vector import SteeringVector
    >>> model, vector = tiny_model("gpt2"), SteeringVector(torch.arange(32.0), "blocks.1.hook_resid_post")
    >>> with steer(model, vector, scale=kl_budget(0.1)) as steering:
    ...     logits = model("The man")
    >>> steering.scale > 0
    True
    """
    checks.above("nats", nats, 0)
    given = neutral_texts() if prompts is None else checks.text_list("prompts", prompts)
    if not given:
        raise ValueError("prompts is empty; give at least one text.")
    return KLBudget(float(nats), tuple(given), negative)


def neutral_texts() -> list[str]:
    """Return the texts on which effects are measured where no prompts are given."""
    return list(read_package_yaml("ssae_lens.hooks", "neutral_texts.yaml"))


class Divergence:
    """The mean KL(steered ‖ unsteered) of a model's next-token probabilities over the tokens of some texts, but the first.

    It is made while the model is not steered, and called while it is.
    """

    @torch.no_grad()
    def __init__(self, model: "Model", texts: Sequence[str]) -> None:
        if model.tokenizer is None:
            raise ValueError("The model has no tokenizer, which is needed to read texts; set one.")
        self.model: Any = model
        ids = [model.to_tokens(text, truncate=False)[0][: model.cfg.n_ctx] for text in texts]
        lengths = torch.tensor([len(tokens) for tokens in ids])
        if int(lengths.max()) < 2:
            raise ValueError(f"prompts is {list(texts)!r}; each has one token. Give longer texts.")
        self._batches = [
            pad_right([ids[i] for i in numbers]) for numbers in batch_by_length(lengths.numpy(), BATCH_TOKENS)
        ]
        self._unsteered = [self._log_probabilities(tokens, real) for tokens, real in self._batches]

    @torch.no_grad()
    def __call__(self) -> float:
        """Return the mean divergence of the model as it is steered now."""
        total, count = 0.0, 0
        for (tokens, real), unsteered in zip(self._batches, self._unsteered, strict=True):
            steered = self._log_probabilities(tokens, real)
            divergence = (steered.exp() * (steered - unsteered)).sum(-1, dtype=torch.float64)
            total += float(divergence.sum())
            count += len(divergence)
        return total / count

    def _log_probabilities(self, tokens: Tensor, real: Tensor) -> Tensor:
        device = self.model.cfg.device
        logits = self.model(tokens.to(device), attention_mask=real.long().to(device), return_type="logits")
        counted = real.clone()
        counted[:, 0] = False
        return logits[counted.to(logits.device)].float().log_softmax(-1)
