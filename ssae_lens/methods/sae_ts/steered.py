"""A model under many vectors at once: the texts that it writes, and how much of each vector raises its loss by a target."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange, reduce, repeat
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import cross_entropy

from ssae_lens.base import checks
from ssae_lens.base.progress_bars import progress
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.decoding import Sampler, generate_rows, new_rows
from ssae_lens.hooks.hook_points import record_activations, resolve_hook
from ssae_lens.hooks.tokens import pad_right
from ssae_lens.methods.sae_ts.settings import TEXTS, unit_rows
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# In mean norms of the activations at the hook: the first scale that is tried, and the largest.
FIRST, LARGEST = 0.37, 8.0
# The loss rises about as this power of the scale, as was measured on a language model.
POWER = 2.4
TOLERANCE, ROUNDS = 0.05, 20


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Texts by the vector that they were steered by.

    Attributes
    ----------
    tokens
        The texts, each with its prompt, padded on the right.
    generated
        Which of the tokens were generated; the same number in every text.
    """

    tokens: Int[Tensor, "vectors rollouts pos"]
    generated: Bool[Tensor, "vectors rollouts pos"]


def rollouts(
    model: "Model",
    vectors: Sequence[SteeringVector],
    scales: Sequence[float],
    prompts: Sequence[str],
    sampler: Sampler,
    *,
    max_new_tokens: int,
    n_samples: int = 1,
    seed: int = 0,
    max_rows: int = 128,
    quiet: bool = True,
) -> Rollouts:
    """Let a model continue each prompt under each vector at its scale, added at every token; nothing ends a text early.

    A prompt's sample has the same random numbers under every vector, so that texts differ by the vectors alone.
    """
    by_name = {str(number): vector for number, vector in enumerate(vectors)}
    rows = new_rows(
        model,
        prompts,
        list(zip(by_name, scales, strict=True)),
        max_new_tokens=max_new_tokens,
        n_samples=n_samples,
        seed=seed,
    )
    generate_rows(model, rows, by_name, sampler, max_rows=max_rows, quiet=quiet, check=False)
    tokens, _ = pad_right([row.tokens + row.generated for row in rows])
    begin = torch.tensor([len(row.tokens) for row in rows])[:, None]
    positions = torch.arange(tokens.shape[1])
    generated = (positions >= begin) & (positions < begin + max_new_tokens)
    by_vector = "(prompt vector sample) pos -> vector (prompt sample) pos"
    sizes = {"prompt": len(prompts), "vector": len(vectors)}
    return Rollouts(rearrange(tokens, by_vector, **sizes), rearrange(generated, by_vector, **sizes))


@torch.no_grad()
def feature_means(
    model: "Model", sae: Any, hook_name: str, texts: Rollouts, longest: float, max_rows: int = 128
) -> Float[Tensor, "vectors d_sae"]:
    """Read rollouts without steering, and return each feature's mean over a vector's generated tokens.

    Prompts are the same with steering and without, and have no part in the mean; so the first token, whose activation is
    enormous in most models, has none either. In some a few others are like it: tokens whose activation is longer than
    `longest` are left out.
    """
    n_vectors = len(texts.tokens)
    tokens, generated = (
        rearrange(part, "vector text pos -> (vector text) pos") for part in (texts.tokens, texts.generated)
    )
    sums, counts = [], []
    with record_activations(model, [hook_name]) as read:
        for rows, where in zip(tokens.split(max_rows), generated.split(max_rows), strict=True):
            values = read(rows.to(model.cfg.device))[hook_name]
            values = values[where.to(values.device)]
            kept = values.norm(dim=-1, keepdim=True) <= longest
            codes = sae.encode(values.to(sae.device, sae.dtype))
            codes = (codes.to_dense() if codes.is_sparse else codes).float()
            # As many tokens are generated in every text.
            codes = codes.where(kept.to(codes.device), 0)
            sums.append(reduce(codes, "(text pos) feature -> text feature", "sum", text=len(rows)).cpu())
            counts.append(reduce(kept.long(), "(text pos) 1 -> text 1", "sum", text=len(rows)).cpu())
    total, count = (
        reduce(torch.cat(parts), "(vector text) n -> vector n", "sum", vector=n_vectors) for parts in (sums, counts)
    )
    return total / count.clamp_min(1)


@dataclass(frozen=True, eq=False)
class Scales:
    """The scales that `find_scales` found.

    Attributes
    ----------
    scales
        The length of each direction to add; the largest tried for one that does not raise the loss enough.
    rises
        By how much the mean loss rises at that scale, as it was measured.
    reached
        Which directions raise the loss by the target, or come within a twentieth of it.
    loss
        The mean loss without steering.
    mean_norm
        The mean norm of the activations at the hook, first tokens left out.
    """

    scales: Float[Tensor, "n"]
    rises: Float[Tensor, "n"]
    reached: Bool[Tensor, "n"]
    loss: float
    mean_norm: float


def find_scales(
    model: "Model",
    vectors: Float[Tensor, "n d"],
    hook_name: str,
    *,
    target: float = 0.5,
    texts: Sequence[str] = TEXTS,
    max_rows: int = 128,
    quiet: bool = False,
) -> Scales:
    """Find how much of each direction to add, at every token, so that the mean loss on some texts rises by a target.

    Steering by vectors at these scales harms the model alike, so that what else they do can be compared.

    Parameters
    ----------
    model
        A HookedTransformer or a TransformerBridge with its tokenizer.
    vectors
        Directions; their lengths do not matter.
    hook_name
        Where they are added.
    target
        The rise of the mean loss, in nats a token.
    texts
        What the loss is taken on: the mean over all their tokens but the first.
    max_rows
        How many texts to read at once, at most.
    quiet
        Show no progress.

    Returns
    -------
    Scales
        Each within a twentieth of the target, or as far as the largest scale tried: eight mean norms of the activations.

    Notes
    -----
    The rise is about a power of the scale, so powers are interpolated between the largest scale that was too small and
    the smallest that was too large. Now and then their middle is taken, so that the search ends whatever the shape.

    Examples
    --------
    >>> from ssae_lens.models import tiny_model
    >>> result = find_scales(tiny_model("gpt2"), torch.eye(32)[:2], "blocks.1.hook_resid_post", target=0.1)
    >>> result.reached  # a random model predicts badly, and not every direction makes that worse
    tensor([ True, False])
    """
    checks.above("target", target, 0)
    checks.integer("max_rows", max_rows)
    units = unit_rows(vectors, model.cfg.d_model)
    return search(Losses(model, hook_name, texts), units, target, max_rows, quiet=quiet)


def search(
    losses: "Losses", units: Float[Tensor, "n d"], target: float, max_rows: int, *, quiet: bool = True
) -> Scales:
    """Find the scales, as `find_scales` says, of directions of length 1."""
    largest = LARGEST * losses.mean_norm
    scales = torch.full((len(units),), FIRST * losses.mean_norm)
    rises = torch.zeros_like(scales)
    # The largest scale known to be too small and the smallest known to be too large, and the rises there.
    low, low_rise = torch.zeros_like(scales), torch.zeros_like(scales)
    high, high_rise = torch.full_like(scales, torch.inf), torch.full_like(scales, torch.inf)
    todo = torch.arange(len(units))
    with progress(total=len(units), unit="vectors", desc="Finding scales", quiet=quiet) as bar:
        for turn in range(ROUNDS):
            # A loss that overflows is a scale that is too large.
            rises[todo] = (losses(units[todo], scales[todo], max_rows) - losses.unsteered).nan_to_num(nan=torch.inf)
            below = rises[todo] < target
            low[todo[below]], low_rise[todo[below]] = scales[todo[below]], rises[todo[below]]
            high[todo[~below]], high_rise[todo[~below]] = scales[todo[~below]], rises[todo[~below]]
            done = ((rises[todo] - target).abs() <= TOLERANCE * target) | (below & (scales[todo] >= largest))
            bar.update(int(done.sum()))
            todo = todo[~done]
            if not len(todo):
                break
            bounds = (bound[todo] for bound in (low, low_rise, high, high_rise))
            scales[todo] = _next(*bounds, target, middle=turn % 3 == 2).clamp_max(largest)
    return Scales(scales, rises, rises >= (1 - TOLERANCE) * target, losses.unsteered, losses.mean_norm)


def _next(low: Tensor, low_rise: Tensor, high: Tensor, high_rise: Tensor, target: float, *, middle: bool) -> Tensor:
    """Return the scale to try next: where the rise would be the target if it were linear in the scale's power."""
    share = (target - low_rise) / (high_rise - low_rise)
    between = (low + high) / 2 if middle else (low**POWER + (high**POWER - low**POWER) * share) ** (1 / POWER)
    # No scale was too large yet: extrapolate, at most to twice the scale. The first scale tried is above 0.
    onward = low * (target / low_rise.clamp_min(1e-9 * target)) ** (1 / POWER)
    return torch.where(high.isinf(), torch.minimum(torch.maximum(onward, 1.1 * low), 2 * low), between)


class Losses:
    """A model's mean loss on some texts, with any directions added at a hook.

    Parameters
    ----------
    model, hook_name
        As in `find_scales`.
    texts
        Texts of two tokens at least.
    """

    def __init__(self, model: "Model", hook_name: str, texts: Sequence[str]) -> None:
        if isinstance(texts, str) or not texts:
            raise ValueError(f"texts is {texts!r}; give a list of at least one text.")
        if model.tokenizer is None:
            raise ValueError("The model has no tokenizer, which reading texts needs; attach one.")
        self.model: Any = model
        self.hook_name = resolve_hook(model, hook_name)
        ids = [self.model.to_tokens(text)[0].cpu() for text in texts]
        for text, tokens in zip(texts, ids, strict=True):
            if not 2 <= len(tokens) <= model.cfg.n_ctx:
                raise ValueError(
                    f"The text {text[:40]!r} has {len(tokens)} tokens; a loss needs from 2 to the model's "
                    f"{model.cfg.n_ctx}."
                )
        self.tokens, self.real = pad_right(ids)

    def __call__(self, units: Float[Tensor, "n d"], scales: Float[Tensor, "n"], max_rows: int) -> Float[Tensor, "n"]:
        """Return the mean loss under each of some directions, each at its own scale."""
        at_once, losses = max(1, max_rows // len(self.tokens)), []
        for start in range(0, len(units), at_once):
            vectors = [SteeringVector(unit, self.hook_name) for unit in units[start : start + at_once]]
            rows = [vector for vector in vectors for _ in self.tokens]
            amounts = repeat(scales[start : start + at_once], "n -> (n text)", text=len(self.tokens))
            with steer(self.model, rows, scale=amounts, per_row=True, check=False, trace=False):
                losses.append(self._means(len(vectors)))
        return torch.cat(losses)

    @cached_property
    def unsteered(self) -> float:
        """The mean loss of the model as it is."""
        return self._means(1).item()

    @cached_property
    def mean_norm(self) -> float:
        """The mean norm of the activations at the hook, first tokens left out."""
        with record_activations(self.model, [self.hook_name]) as read:
            values = read(self.tokens.to(self.model.cfg.device))[self.hook_name]
        real = self.real.clone()
        real[:, 0] = False
        return values.float().norm(dim=-1).cpu()[real].mean().item()

    @torch.no_grad()
    def _means(self, times: int) -> Float[Tensor, "times"]:
        """Read all texts so many times at once, and return the mean loss of each time."""
        tokens = repeat(self.tokens, "text pos -> (times text) pos", times=times).to(self.model.cfg.device)
        logits = self.model(tokens, return_type="logits", padding_side="right")
        # Row by row: the logits of all rows are large enough once.
        pairs = zip(logits, tokens, strict=True)
        rows = [cross_entropy(row[:-1].float(), ids[1:], reduction="none") for row, ids in pairs]
        losses = rearrange(torch.stack(rows).cpu(), "(times text) pos -> times text pos", times=times)
        return losses[:, self.real[:, 1:]].double().mean(1).float()
