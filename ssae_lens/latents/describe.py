"""What a latent of an SSAE stands for, as far as one can see: its pairs, its tokens, and what steering with it writes.

`describe_latents` gives a `LatentDescription` for each: plain data, for judges, dashboards and files. No label is looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.hooks.generation import generate_sweep
from ssae_lens.latents.codes import require_fit
from ssae_lens.latents.logit_lens import extremes, logit_lens
from ssae_lens.latents.strongest import Rows, Strongest, strongest
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model
    from ssae_lens.sae import SSAE

Span = tuple[int, int]

PROMPTS = ("The old gardener said that", "This is how my day went:")
# In mean residual norms, which are alike from model to model. (A shift is measured in a mean over tokens, or at one.)
SCALES = (-0.5, 0.5)
WORDS = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True)
class ShownPair:
    """A pair, its code, and where its two texts differ.

    Attributes
    ----------
    row
        Its row in the store.
    code
        What the latent says of it.
    source, target
        Its texts; empty where the store holds none.
    source_spans, target_spans
        The characters ``text[start:end]`` of each side that the other has not.
    """

    row: int
    code: float
    source: str
    target: str
    source_spans: list[Span]
    target_spans: list[Span]


@dataclass(frozen=True)
class SteeredText:
    """What a model wrote after a prompt, steered at a scale (in mean residual norms; 0 is unsteered)."""

    prompt: str
    scale: float
    text: str


@dataclass(frozen=True)
class LatentDescription:
    """What can be seen of one latent.

    Attributes
    ----------
    latent
        Its number.
    positive, negative
        The pairs of the largest codes above zero, and of those furthest below, strongest first.
    promoted, suppressed
        The tokens that its direction speaks most for and most against, with their logits (see `logit_lens`); empty without
        a model.
    steered
        Texts written with its direction added, and without; empty unless asked for.
    mean_abs
        The mean |code| over all rows.
    density
        The share of rows it is active in: |code| above a hundredth of the row's largest.
    typical
        Σh² / Σ|h|, the mean |code| in which codes near 0 hardly count: what one change measures.
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
        """Return it as dictionaries, lists, texts and numbers."""
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
        Shifts of its hook, with their texts. They are read once, in order, whatever their number.
    model
        The model they were captured from, for tokens and steered texts.
    latents
        Which; by default all, in their order.
    n_pairs
        Pairs to show of each sign. Of rows of one pair the strongest is shown.
    n_tokens
        Tokens to show of each sign.
    steered
        Whether to write steered texts.
    prompts, scales, max_new_tokens
        Of steered texts. A scale of 1 adds the mean norm of the store's activations. Each prompt is written unsteered too.
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
            f"shifts is a {type(shifts).__name__}; a description needs texts: give a ShiftStore, as capture_shifts makes it."
        )
    require_fit(ssae, shifts)
    d_sae = ssae.W_dec.shape[0]
    wanted = list(range(d_sae)) if latents is None else [int(each) for each in latents]
    if not wanted or not set(wanted) <= set(range(d_sae)):
        raise ValueError(f"latents is {latents!r}; this SSAE has latents 0 to {d_sae - 1}.")
    checks.integer("n_pairs", n_pairs)
    checks.integer("n_tokens", n_tokens)
    if model is None and steered:
        raise ValueError("steered is True and there is no model to steer; give the one that the shifts came from.")
    if model is not None and model.tokenizer is None:
        raise ValueError("The model has no tokenizer, which names its tokens; attach one.")
    seen = strongest(ssae, shifts, wanted, n_pairs, quiet=quiet)
    tokens: list[Any] = [([], []) for _ in wanted]
    written: list[list[SteeredText]] = [[] for _ in wanted]
    if model is not None:
        tokens = [extremes(model, logits, n_tokens) for logits in logit_lens(model, ssae.W_dec[wanted])]
    if model is not None and steered:
        vectors = [_vector(ssae, shifts, latent, seen) for latent in wanted]
        written = _written(model, vectors, prompts, scales, max_new_tokens, quiet=quiet)
    texts = shifts.texts
    return [
        LatentDescription(
            latent,
            positive=_shown(texts, seen.largest[place]),
            negative=_shown(texts, seen.smallest[place]),
            promoted=tokens[place][0],
            suppressed=tokens[place][1],
            steered=written[place],
            mean_abs=float(seen.mean_abs[place]),
            density=float(seen.density[place]),
            typical=float(seen.typical[place]),
        )
        for place, latent in enumerate(wanted)
    ]


def words_of(text: str) -> list[str]:
    """Return the words and marks of a text, in their order."""
    return WORDS.findall(text)


def differing_spans(source: str, target: str) -> tuple[list[Span], list[Span]]:
    """Return the characters of each text, as (start, end), whose words the other has not in that place.

    Examples
    --------
    >>> differing_spans("The king is old.", "The queen was old.")
    ([(4, 11)], [(4, 13)])
    """
    words = [[(each.group(), each.span()) for each in WORDS.finditer(text)] for text in (source, target)]
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


def _vector(ssae: "SSAE", shifts: ShiftStore, latent: int, seen: Strongest) -> SteeringVector:
    hook_name = ssae.origin.hook_name or shifts.origin.hook_name
    norms = {"mean_residual_norm": seen.mean_norm, "mean_shift_norm": seen.mean_shift_norm}
    return SteeringVector.from_ssae(ssae, latent, hook_name=hook_name, concept=str(latent), norms=norms)


def _written(
    model: "Model",
    vectors: Sequence[SteeringVector],
    prompts: Sequence[str],
    scales: Sequence[float],
    max_new_tokens: int,
    *,
    quiet: bool,
) -> list[list[SteeredText]]:
    """Write every vector's texts in one sweep, and the unsteered ones, which all have in common, once."""
    options: Any = {"unit": "residual", "max_new_tokens": max_new_tokens, "quiet": quiet}
    plain = _texts(generate_sweep(model, prompts, vectors[0], 0.0, **options))
    moved = generate_sweep(model, prompts, vectors, [each for each in scales if each], **options)
    return [plain + _texts(moved[moved["vector"] == each.concept]) for each in vectors]


def _texts(table: Any) -> list[SteeredText]:
    return [
        SteeredText(prompt, float(scale), text)
        for prompt, scale, text in table[["prompt", "scale", "text"]].itertuples(index=False)
    ]
