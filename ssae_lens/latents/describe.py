"""Descriptions of latents: their strongest pairs, the tokens they promote and texts steered by them.

`describe_latents` returns one `LatentDescription` per latent: plain data for judges, dashboards and files, without labels.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.latents._logit_lens import extremes, logit_lens
from ssae_lens.latents.codes import CodeStats, Rows, code_stats, require_fit
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model
    from ssae_lens.sae import SSAE

Span = tuple[int, int]

PROMPTS = ("The old gardener said that", "This is how my day went:")
# In mean residual norms, which are comparable between models.
SCALES = (-0.5, 0.5)
WORDS = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class ShownPair:
    """A pair with its code and the spans in which its texts differ.

    Attributes
    ----------
    row
        Its row in the store.
    code
        Its code.
    source, target
        Its texts; empty if the store holds none.
    source_spans, target_spans
        The characters ``text[start:end]`` of each side that the other side does not have.
    """

    row: int
    code: float
    source: str
    target: str
    source_spans: list[Span]
    target_spans: list[Span]


@dataclass(frozen=True)
class SteeredText:
    """A continuation of a prompt, steered at a scale in mean residual norms (0: unsteered)."""

    prompt: str
    scale: float
    text: str


@dataclass(frozen=True)
class LatentDescription:
    """Description of one latent.

    Attributes
    ----------
    latent
        Its index.
    positive, negative
        The pairs with the most positive and the most negative codes, strongest first.
    promoted, suppressed
        The tokens with the largest and the smallest logits under the logit lens, with their logits; empty without a model.
    steered
        Texts steered by its direction, and unsteered ones; empty unless requested.
    mean_abs
        The mean |code| over all rows.
    density
        The fraction of rows in which it is active: |code| above a hundredth of the row's largest.
    typical
        Σh² / Σ|h|, the mean |code| weighted by itself: the size of one change.
    """

    latent: int
    positive: list[ShownPair]
    negative: list[ShownPair]
    promoted: list[tuple[str, float]] = field(default_factory=list)
    suppressed: list[tuple[str, float]] = field(default_factory=list)
    steered: list[SteeredText] = field(default_factory=list)
    mean_abs: float = 0.0
    density: float = 0.0
    typical: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain dictionaries and lists."""
        return asdict(self)


def describe_latents(
    ssae: "SSAE",
    shifts: ShiftStore,
    model: "Model | None" = None,
    *,
    latents: Sequence[int] | None = None,
    n_pairs: int = 12,
    n_tokens: int = 12,
    steered: bool = False,
    prompts: Sequence[str] = PROMPTS,
    scales: Sequence[float] = SCALES,
    max_new_tokens: int = 24,
    quiet: bool = False,
) -> list[LatentDescription]:
    """Describe latents of an SSAE, without labels.

    Parameters
    ----------
    ssae
        The SSAE.
    shifts
        Shifts of its hook, with their texts. They are read in one pass.
    model
        The model of the shifts, for promoted tokens and steered texts.
    latents
        Indices of the latents; by default all.
    n_pairs
        Number of pairs of each sign. Of several rows of one pair the strongest is shown.
    n_tokens
        Number of tokens of each sign.
    steered
        Whether to generate steered texts.
    prompts, scales, max_new_tokens
        For steered texts. A scale of 1 adds the mean norm of the store's activations. Unsteered texts are added.
    quiet
        Show no progress.

    Examples
    --------
    >>> import torch
    >>> from ssae_lens import SSAE, capture_shifts, load_pairs
    >>> from ssae_lens.models import tiny_model
    >>> model = tiny_model()
    >>> shifts = capture_shifts(model, load_pairs("gender"), "blocks.1.hook_resid_post")
    >>> ssae = SSAE.from_weights(torch.eye(32), torch.eye(32))
    >>> first = describe_latents(ssae, shifts, model, latents=[0])[0]
    >>> len(first.positive), len(first.promoted)
    (12, 12)
    """
    if not isinstance(shifts, ShiftStore):
        raise ValueError(  # noqa: TRY004 - whatever is unusable is a ValueError
            f"shifts is a {type(shifts).__name__}; descriptions need texts: give a ShiftStore, as capture_shifts makes it."
        )
    require_fit(ssae, shifts)
    d_sae = ssae.W_dec.shape[0]
    numbers = range(d_sae) if latents is None else [checks.as_int(latent) for latent in latents]
    chosen = [number for number in numbers if number is not None and 0 <= number < d_sae]
    if not chosen or len(chosen) < len(numbers):
        raise ValueError(f"latents is {latents!r}; this SSAE has latents 0 to {d_sae - 1}.")
    checks.integer("n_pairs", n_pairs)
    checks.integer("n_tokens", n_tokens)
    if model is None and steered:
        raise ValueError("steered is True and there is no model to steer; give the model that the shifts came from.")
    if model is not None and model.tokenizer is None:
        raise ValueError("The model has no tokenizer, which promoted tokens need; attach one.")
    stats = code_stats(ssae, shifts, chosen, n_pairs, quiet=quiet)
    tokens: list[Any] = [([], []) for _ in chosen]
    texts: list[list[SteeredText]] = [[] for _ in chosen]
    if model is not None:
        tokens = [extremes(model, logits, n_tokens) for logits in logit_lens(model, ssae.W_dec[chosen])]
    if model is not None and steered:
        vectors = [_vector(ssae, shifts, latent, stats) for latent in chosen]
        texts = _steered_texts(model, vectors, prompts, scales, max_new_tokens, quiet=quiet)
    pairs = shifts.texts
    return [
        LatentDescription(
            latent,
            positive=_shown(pairs, stats.largest[i]),
            negative=_shown(pairs, stats.smallest[i]),
            promoted=tokens[i][0],
            suppressed=tokens[i][1],
            steered=texts[i],
            mean_abs=float(stats.mean_abs[i]),
            density=float(stats.density[i]),
            typical=float(stats.typical[i]),
        )
        for i, latent in enumerate(chosen)
    ]


def words_of(text: str) -> list[str]:
    """Return the words and punctuation marks of a text, in order."""
    return WORDS.findall(text)


def differing_spans(source: str, target: str) -> tuple[list[Span], list[Span]]:
    """Return the spans (start, end) of each text whose words the other text does not have at that position.

    Examples
    --------
    >>> differing_spans("The king is old.", "The queen was old.")
    ([(4, 11)], [(4, 13)])
    """
    words = [[(match.group(), match.span()) for match in WORDS.finditer(text)] for text in (source, target)]
    matcher = SequenceMatcher(None, *([word for word, _ in side] for side in words), autojunk=False)
    spans: tuple[list[Span], list[Span]] = ([], [])
    for kind, *bounds in matcher.get_opcodes():
        for side, kept, (start, end) in zip(words, spans, (bounds[:2], bounds[2:]), strict=True):
            if kind != "equal" and start < end:
                kept.append((side[start][1][0], side[end - 1][1][1]))
    return spans


def _shown(texts: tuple[list[str], list[str]] | None, rows: Rows) -> list[ShownPair]:
    shown = []
    for row, code in rows:
        source, target = (texts[0][row], texts[1][row]) if texts else ("", "")
        shown.append(ShownPair(row, code, source, target, *differing_spans(source, target)))
    return shown


def _vector(ssae: "SSAE", shifts: ShiftStore, latent: int, stats: CodeStats) -> SteeringVector:
    hook_name = ssae.origin.hook_name or shifts.origin.hook_name
    norms = {"mean_residual_norm": stats.mean_norm, "mean_shift_norm": stats.mean_shift_norm}
    return SteeringVector.from_ssae(ssae, latent, hook_name=hook_name, concept=str(latent), norms=norms)


def _steered_texts(
    model: "Model",
    vectors: Sequence[SteeringVector],
    prompts: Sequence[str],
    scales: Sequence[float],
    max_new_tokens: int,
    *,
    quiet: bool,
) -> list[list[SteeredText]]:
    """Generate the texts of all vectors in one sweep, and the unsteered texts, which all share, once."""
    options: Any = {"unit": "residual", "max_new_tokens": max_new_tokens, "quiet": quiet}
    unsteered = _texts(generate_sweep(model, prompts, vectors[0], 0.0, **options))
    table = generate_sweep(model, prompts, vectors, [scale for scale in scales if scale], **options)
    return [unsteered + _texts(table[table["vector"] == vector.concept]) for vector in vectors]


def _texts(table: Any) -> list[SteeredText]:
    return [
        SteeredText(prompt, float(scale), text)
        for prompt, scale, text in table[["prompt", "scale", "text"]].itertuples(index=False)
    ]
