"""`log_probabilities`: how likely a model, steered or not, finds texts."""

from collections.abc import Sequence
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from jaxtyping import Float

from ssae_lens.base import checks
from ssae_lens.base.progress import progress
from ssae_lens.hooks.batching import batches

if TYPE_CHECKING:
    from ssae_lens.hooks.sites import Model

REDUCTIONS = ("mean", "sum")


@torch.no_grad()
def log_probabilities(
    model: "Model",
    texts: Sequence[str],
    *,
    prompts: str | Sequence[str] = "",
    reduce: Literal["mean", "sum"] = "mean",
    batch_tokens: int = 1024,
    quiet: bool = False,
) -> Float[np.ndarray, "texts"]:
    """Give the log-probability of each text: log p(tᵢ | t₁ … tᵢ₋₁), the mean or the sum over its tokens.

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
    checks.whole("batch_tokens", batch_tokens)
    tokens, starts = _tokens(model, texts, prompts)
    lengths = np.array([len(each) for each in tokens])
    found = np.empty(len(tokens))
    with progress(total=len(tokens), unit="texts", about="Reading", quiet=quiet) as bar:
        for batch in batches(lengths, batch_tokens):
            ids = torch.zeros((len(batch), int(lengths[batch].max())), dtype=torch.long, device=model.cfg.device)
            real = torch.arange(ids.shape[1])[None] < torch.from_numpy(lengths[batch])[:, None]
            counted = real & (torch.arange(ids.shape[1])[None] >= torch.from_numpy(starts[batch])[:, None])
            for row, text in enumerate(batch):
                ids[row, : lengths[text]] = torch.tensor(tokens[text])
            # The mask changes nothing for what stands before the padding, but tells steering where that begins.
            logits = model(ids, attention_mask=real.long().to(ids.device))[:, :-1].float()
            chosen = logits.gather(-1, ids[:, 1:, None])[..., 0] - logits.logsumexp(-1)
            sums = chosen.cpu().where(counted[:, 1:], 0).sum(1, dtype=torch.float64).numpy()
            found[batch] = sums / (lengths[batch] - starts[batch]) if reduce == "mean" else sums
            bar.update(len(batch))
    return found


def _tokens(model: "Model", texts: Sequence[str], prompts: str | Sequence[str]) -> tuple[list[list[int]], np.ndarray]:
    """Give each text's tokens after its prompt's, and the number of the first that counts."""
    if model.tokenizer is None:
        raise ValueError("The model has no tokenizer, which is needed to read texts; attach one.")
    if isinstance(texts, str) or not len(texts):
        raise ValueError(f"texts is {texts!r}; give a list of at least one text.")
    before = [prompts] * len(texts) if isinstance(prompts, str) else list(prompts)
    if len(before) != len(texts):
        raise ValueError(f"prompts has {len(before)} texts for {len(texts)} texts; give one for all, or one for each.")
    # A prompt that many texts share is read once.
    alone = {prompt: _ids(model, prompt) if prompt else [] for prompt in set(before)}
    tokens, starts = [], np.empty(len(texts), dtype=np.int64)
    for row, (prompt, text) in enumerate(zip(before, texts, strict=True)):
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
