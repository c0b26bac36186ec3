"""Likelihood of texts under a model, steered or not: `log_probabilities`, or `Likelihood` to evaluate texts repeatedly."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.progress_bars import progress
from ssae_lens.hooks.tokens import batch_by_length, pad_right
from ssae_lens.models.identity import is_bridge, require_model

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

REDUCTIONS = ("mean", "sum")


def log_probabilities(
    model: "Model",
    texts: Sequence[str],
    *,
    prompts: str | Sequence[str] = "",
    reduce: Literal["mean", "sum"] = "mean",
    batch_tokens: int = 1024,
    quiet: bool = False,
) -> Float[np.ndarray, "texts"]:
    """Return the log-probability of each text: log p(tᵢ | t₁ … tᵢ₋₁), the mean or the sum over its tokens.

    In a `steer` block it is that of the steered model; a scale per row cannot be used.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, with its tokenizer.
    texts
        The texts, tokenised by the model's `to_tokens`. A text's first token counts only after a BOS or a prompt.
    prompts
        One prompt for all texts, or one for each, which is not counted. A token that spans both counts as the text's.
    reduce
        ``mean`` over the tokens that count (perplexity is exp of minus this), or their ``sum``.
    batch_tokens
        Tokens in a forward pass, padding included. Each of them has logits over the whole vocabulary.
    quiet
        Show no progress.

    Returns
    -------
    np.ndarray
        In nats, one per text.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> log_probabilities(tiny_model("gpt2"), ["The man was happy.", "He saw the dog"]).shape
    (2,)
    """
    checks.one_of("reduce", reduce, REDUCTIONS)
    return Likelihood(model, texts, prompts, batch_tokens=batch_tokens).log_probabilities(reduce, quiet=quiet)


class Likelihood:
    """Texts whose log-probabilities are computed repeatedly, with the blocks before `from_layer` run once.

    Parameters
    ----------
    model, texts, prompts, batch_tokens
        As in `log_probabilities`.
    from_layer
        The first block, counted from 0, that will be steered: the blocks before it are run once, now, while the model must
        not be steered. A TransformerBridge cannot start at a later block and always runs all.

    Examples
    --------
    >>> from ssae_lens.hooks import steer
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.steering_vector import SteeringVector
    >>> model, vector = tiny_model("gpt2"), SteeringVector(torch.ones(32), "blocks.1.hook_resid_post")
    >>> texts = Likelihood(model, ["The man was happy."], from_layer=1)
    >>> for scale in (-1.0, 1.0):
    ...     with steer(model, vector, scale=scale):
    ...         values = texts.log_probabilities()
    """

    @torch.no_grad()
    def __init__(
        self,
        model: "Model",
        texts: Sequence[str],
        prompts: str | Sequence[str] = "",
        *,
        from_layer: int = 0,
        batch_tokens: int = 1024,
    ) -> None:
        checks.integer("batch_tokens", batch_tokens)
        self.model = model
        self.from_layer = 0 if is_bridge(model) else from_layer
        tokens, starts = _tokens(model, texts, prompts)
        lengths = np.array([len(ids) for ids in tokens])
        self._batches = [self._batch(numbers, tokens, starts) for numbers in batch_by_length(lengths, batch_tokens)]

    @torch.no_grad()
    def log_probabilities(
        self, reduce: Literal["mean", "sum"] = "mean", *, quiet: bool = True
    ) -> Float[np.ndarray, "texts"]:
        """Return the log-probability of each text under the model as it is steered now."""
        count = sum(len(batch.numbers) for batch in self._batches)
        values = np.empty(count)
        with progress(total=count, unit="texts", desc="Reading", quiet=quiet) as bar:
            for batch in self._batches:
                logits = self._logits(batch)[:, :-1].float()
                of_tokens = logits.gather(-1, batch.ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
                sums = of_tokens.cpu().where(batch.counted[:, 1:], 0).sum(1, dtype=torch.float64)
                values[batch.numbers] = sums / batch.counted.sum(1) if reduce == "mean" else sums
                bar.update(len(batch.numbers))
        return values

    def _batch(self, numbers: Int[np.ndarray, "batch"], tokens: list[list[int]], starts: np.ndarray) -> "_Batch":
        ids, real = pad_right([tokens[number] for number in numbers])
        counted = real & (torch.arange(ids.shape[1])[None] >= torch.from_numpy(starts[numbers])[:, None])
        device = self.model.cfg.device
        # The mask does not change the logits of the text; steering needs it to find the padding.
        batch = _Batch(numbers, ids.to(device), real.long().to(device), counted)
        if self.from_layer:
            batch.residual = self.model(batch.ids, attention_mask=batch.real, stop_at_layer=self.from_layer)
        return batch

    def _logits(self, batch: "_Batch") -> Float[Tensor, "batch pos d_vocab"]:
        if batch.residual is None:
            return self.model(batch.ids, attention_mask=batch.real)
        return self.model(batch.residual, attention_mask=batch.real, start_at_layer=self.from_layer)


@dataclass(eq=False)
class _Batch:
    """A batch of texts: their numbers, tokens padded on the right, masks, and the residual stream at `from_layer`."""

    numbers: Int[np.ndarray, "batch"]
    ids: Int[Tensor, "batch pos"]
    real: Int[Tensor, "batch pos"]
    counted: Bool[Tensor, "batch pos"]
    residual: Float[Tensor, "batch pos d_model"] | None = None


def _tokens(model: "Model", texts: Sequence[str], prompts: str | Sequence[str]) -> tuple[list[list[int]], np.ndarray]:
    """Return the tokens of each prompt with its text, and the index of the first that counts."""
    require_model(model)
    if model.tokenizer is None:
        raise ValueError("The model has no tokenizer, which is needed to read texts; set one.")
    listed = [] if isinstance(texts, str) else checks.text_list("texts", texts)
    if not listed:
        raise ValueError(f"texts is {texts!r}; give a list of at least one text.")
    before = checks.text_list("prompts", prompts) * (len(listed) if isinstance(prompts, str) else 1)
    if len(before) != len(listed):
        raise ValueError(f"prompts has {len(before)} texts for {len(listed)} texts; give one for all, or one for each.")
    # Shared prompts are tokenised once.
    prompt_ids = {prompt: _ids(model, prompt) if prompt else [] for prompt in set(before)}
    tokens, starts = [], np.empty(len(listed), dtype=np.int64)
    for row, (prompt, text) in enumerate(zip(before, listed, strict=True)):
        ids = _ids(model, prompt + text)
        shared = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(prompt_ids[prompt], ids, strict=False)))
        starts[row] = max(shared, 1)
        if not text or starts[row] >= len(ids):
            raise ValueError(
                f"The text {text!r} (number {row}) has no token that follows another; give a longer text, or a prompt."
            )
        if len(ids) > model.cfg.n_ctx:
            raise ValueError(
                f"The text number {row} has {len(ids)} tokens with its prompt, more than the {model.cfg.n_ctx} that the "
                "model reads; shorten it."
            )
        tokens.append(ids)
    return tokens, starts


def _ids(model: Any, text: str) -> list[int]:
    return model.to_tokens(text, truncate=False)[0].tolist()
