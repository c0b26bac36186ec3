"""`log_probabilities`: how likely a model, steered or not, finds texts; a `Likelihood` finds it again and again."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.progress import progress
from ssae_lens.hooks.batching import batches
from ssae_lens.hooks.hook_points import require_model

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

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

    In a `steer` block it is that of the steered model; a scale for each row of a batch cannot be used here.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge, with its tokenizer.
    texts
        The texts, as the model's `to_tokens` reads them. A text's first token counts only where something stands before it,
        a beginning of sequence or a prompt.
    prompts
        What stands before all texts, or before each: read, and not counted. A token in which both have a part is the text's.
    reduce
        ``mean`` over the tokens that count (perplexity is exp of minus this), or their ``sum``.
    batch_tokens
        Tokens that go through the model together, padding included. Each gives a row of logits as wide as the vocabulary.
    quiet
        Show no progress.

    Returns
    -------
    np.ndarray
        In nats, one for each text.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> log_probabilities(tiny_model("gpt2"), ["The man was happy.", "He saw the dog"]).shape
    (2,)
    """
    checks.one_of("reduce", reduce, REDUCTIONS)
    return Likelihood(model, texts, prompts, batch_tokens=batch_tokens).of_each(reduce, quiet=quiet)


class Likelihood:
    """Texts and how likely a model finds them, asked as often as one likes.

    Parameters
    ----------
    model, texts, prompts, batch_tokens
        As in `log_probabilities`.
    from_layer
        Nothing will be steered before this block, counted from 0: what comes before it is read once, now, and kept. The
        model must not be steered now. A TransformerBridge, which begins nowhere but at the beginning, reads all each time.

    Examples
    --------
    >>> from ssae_lens.hooks import steer
    >>> from ssae_lens.models import tiny_model
    >>> from ssae_lens.steering_vector import SteeringVector
    >>> model, vector = tiny_model("gpt2"), SteeringVector(torch.ones(32), "blocks.1.hook_resid_post")
    >>> texts = Likelihood(model, ["The man was happy."], from_layer=1)
    >>> for scale in (-1.0, 1.0):
    ...     with steer(model, vector, scale=scale):
    ...         found = texts.of_each()
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
        self.from_layer = 0 if hasattr(model, "original_model") else from_layer
        tokens, starts = _tokens(model, texts, prompts)
        lengths = np.array([len(each) for each in tokens])
        self._batches = [self._batch(batch, tokens, starts, lengths) for batch in batches(lengths, batch_tokens)]

    @torch.no_grad()
    def of_each(self, reduce: Literal["mean", "sum"] = "mean", *, quiet: bool = True) -> Float[np.ndarray, "texts"]:
        """Return the log-probability of each text, as `log_probabilities` does, of the model as it is steered now."""
        count = sum(len(batch.numbers) for batch in self._batches)
        found = np.empty(count)
        with progress(total=count, unit="texts", about="Reading", quiet=quiet) as bar:
            for batch in self._batches:
                logits = self._logits(batch)[:, :-1].float()
                chosen = logits.gather(-1, batch.ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
                sums = chosen.cpu().where(batch.counted[:, 1:], 0).sum(1, dtype=torch.float64)
                found[batch.numbers] = sums / batch.counted.sum(1) if reduce == "mean" else sums
                bar.update(len(batch.numbers))
        return found

    def _batch(
        self, numbers: Int[np.ndarray, "batch"], tokens: list[list[int]], starts: np.ndarray, lengths: np.ndarray
    ) -> "_Batch":
        ids = torch.zeros((len(numbers), int(lengths[numbers].max())), dtype=torch.long)
        for row, text in enumerate(numbers):
            ids[row, : lengths[text]] = torch.tensor(tokens[text])
        places = torch.arange(ids.shape[1])[None]
        real = places < torch.from_numpy(lengths[numbers])[:, None]
        counted = real & (places >= torch.from_numpy(starts[numbers])[:, None])
        device = self.model.cfg.device
        # The mask changes nothing for what stands before the padding, but tells steering where that begins.
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
    """Texts that are read together: their tokens, padded on the right, and what is kept of them."""

    numbers: Int[np.ndarray, "batch"]
    ids: Int[Tensor, "batch pos"]
    real: Int[Tensor, "batch pos"]
    counted: Bool[Tensor, "batch pos"]
    residual: Float[Tensor, "batch pos d_model"] | None = None


def _tokens(model: "Model", texts: Sequence[str], prompts: str | Sequence[str]) -> tuple[list[list[int]], np.ndarray]:
    """Return each text's tokens after its prompt's, and the number of the first that counts."""
    require_model(model)
    if model.tokenizer is None:
        raise ValueError("The model has no tokenizer, which is needed to read texts; attach one.")
    listed = [] if isinstance(texts, str) else checks.text_list("texts", texts)
    if not listed:
        raise ValueError(f"texts is {texts!r}; give a list of at least one text.")
    before = checks.text_list("prompts", prompts) * (len(listed) if isinstance(prompts, str) else 1)
    if len(before) != len(listed):
        raise ValueError(f"prompts has {len(before)} texts for {len(listed)} texts; give one for all, or one for each.")
    # A prompt that many texts share is read once.
    alone = {prompt: _ids(model, prompt) if prompt else [] for prompt in set(before)}
    tokens, starts = [], np.empty(len(listed), dtype=np.int64)
    for row, (prompt, text) in enumerate(zip(before, listed, strict=True)):
        ids = _ids(model, prompt + text)
        shared = sum(1 for _ in takewhile(lambda both: both[0] == both[1], zip(alone[prompt], ids, strict=False)))
        starts[row] = max(shared, 1)
        if not text or starts[row] >= len(ids):
            raise ValueError(
                f"The text {text!r} (number {row}) has no token that follows another; give a longer one, or a prompt."
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
