"""Descriptions of latents: the words that change with them, their strongest pairs, and how they act on a model.

`describe_latents` returns one `LatentDescription` per latent: plain data for judges, dashboards and files, without labels.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from ssae_lens.base import checks
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.latents._logit_lens import extremes, logit_lens
from ssae_lens.latents.changed_words import ChangedWords, Span, WordChange, differing_spans, label_of
from ssae_lens.latents.codes import Rows, code_stats, require_fit
from ssae_lens.shifts import ShiftStore
from ssae_lens.steering_vector import SteeringVector

if TYPE_CHECKING:
    import pandas as pd

    from ssae_lens.models.identity import Model
    from ssae_lens.sae import SSAE

PROMPTS = ("The old gardener said that", "This is how my day went:")
# In mean residual norms, which are comparable between models.
SCALES = (-0.5, 0.5)
# Characters of an example in a table.
MAX_EXAMPLE = 40
HEADER = ("latent", "active", "typical", "split-half", "name", "changed words", "example")


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

    @property
    def differing(self) -> tuple[str, str]:
        """The differing parts of both texts."""
        source = " ".join(self.source[start:end] for start, end in self.source_spans)
        return source, " ".join(self.target[start:end] for start, end in self.target_spans)


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
    changes
        The words that change with it, in the direction of positive codes, the most characteristic first (`WordChange`).
    positive, negative
        The pairs with the most positive and the most negative codes, strongest first.
    promoted, suppressed
        The tokens with the largest and the smallest logits under the logit lens, with their logits; empty without a model.
    steered
        Texts steered by its direction, and unsteered ones; empty unless requested.
    mean_abs
        The mean |code| over all rows.
    density
        The fraction of rows in which it is active: its code is not zero or, in an SSAE without thresholds, above a tenth of
        the row's largest.
    typical
        Σh² / Σ|h|, the mean |code| weighted by itself: the size of one change.
    split_half
        The smaller |cosine| of its decoder row with the best matching row in fits to either half of the pairs, if a sweep
        made them: 1 is a direction that both halves determine.
    name
        Its name in the SSAE's metadata, if it has one.
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
    changes: list[WordChange] = field(default_factory=list)
    split_half: float | None = None
    name: str = ""

    @property
    def label(self) -> str:
        """The foremost changed words as text, such as ``"is → was, are → were"``; empty without any."""
        return label_of(self.changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the description as plain dictionaries and lists."""
        return {**asdict(self), "label": self.label}


class Descriptions(list[LatentDescription]):
    """Descriptions of latents, which print as a table, also in notebooks."""

    def table(self) -> "pd.DataFrame":
        """Return a table with one row per latent, in the order of the list."""
        import pandas as pd

        return pd.DataFrame(
            {
                "latent": each.latent,
                "active": each.density,
                "typical": each.typical,
                "split_half": each.split_half,
                "name": each.name,
                "changed_words": each.label,
                "example": _example(each),
            }
            for each in self
        ).set_index("latent")

    def __repr__(self) -> str:
        rows = [_cells(each) for each in self]
        columns = [i for i in range(len(HEADER)) if i in (0, 1, 2) or any(row[i] for row in rows)]
        widths = [max(len(row[i]) for row in (HEADER, *rows)) for i in range(len(HEADER))]
        lines = [
            "  ".join(row[i].rjust(widths[i]) if i < 4 else row[i].ljust(widths[i]) for i in columns)
            for row in (HEADER, *rows)
        ]
        return "\n".join(line.rstrip() for line in lines)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{escape(title)}</th>" for title in HEADER)
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _cells(each)) + "</tr>" for each in self)
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


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
) -> Descriptions:
    """Describe latents of an SSAE, without labels and, for the words that change with each latent, without a model.

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

    Returns
    -------
    Descriptions
        A list of `LatentDescription` in the order of `latents`, which prints as a table.

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
        raise ValueError(f"shifts is a {type(shifts).__name__}; give a ShiftStore, whose texts are read.")  # noqa: TRY004
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
    pairs = shifts.texts
    words = ChangedWords(*pairs, len(chosen)) if pairs else None
    stats = code_stats(ssae, shifts, chosen, n_pairs, words=words, quiet=quiet)
    tokens: list[Any] = [([], []) for _ in chosen]
    texts: list[list[SteeredText]] = [[] for _ in chosen]
    if model is not None:
        tokens = [extremes(model, logits, n_tokens) for logits in logit_lens(model, ssae.W_dec[chosen])]
    if model is not None and steered:
        vectors = [_vector(ssae, shifts, latent) for latent in chosen]
        texts = _steered_texts(model, vectors, prompts, scales, max_new_tokens, quiet=quiet)
    split_half, names = _recorded(ssae)
    return Descriptions(
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
            changes=words.of(i) if words else [],
            split_half=split_half[latent],
            name=names[latent],
        )
        for i, latent in enumerate(chosen)
    )


def _recorded(ssae: "SSAE") -> tuple[list[float | None], list[str]]:
    """Return each latent's split-half cosine and its name, as far as the metadata have them."""
    entries, cosines = ssae.latent_entries, ssae.cfg.metadata.split_half
    if not isinstance(cosines, list) or len(cosines) != len(entries):
        cosines = [entry.get("split_half") for entry in entries]
    return cosines, [str(entry.get("name") or "") for entry in entries]


def _cells(each: LatentDescription) -> tuple[str, ...]:
    split_half = "" if each.split_half is None else f"{each.split_half:.2f}"
    numbers = f"{each.latent}", f"{each.density:.0%}", f"{each.typical:.3g}", split_half
    return *numbers, each.name, each.label or ("" if each.typical else "dead"), "" if each.label else _example(each)


def _example(each: LatentDescription) -> str:
    """Return the differing parts of the strongest pair, in the direction of positive codes."""
    pairs = sorted((*each.positive, *each.negative), key=lambda pair: -abs(pair.code))
    if not pairs:
        return ""
    before, after = pairs[0].differing[:: 1 if pairs[0].code > 0 else -1]
    return f"{before[:MAX_EXAMPLE]} → {after[:MAX_EXAMPLE]}"


def _shown(texts: tuple[list[str], list[str]] | None, rows: Rows) -> list[ShownPair]:
    shown = []
    for row, code in rows:
        source, target = (texts[0][row], texts[1][row]) if texts else ("", "")
        shown.append(ShownPair(row, code, source, target, *differing_spans(source, target)))
    return shown


def _vector(ssae: "SSAE", shifts: ShiftStore, latent: int) -> SteeringVector:
    hook_name = ssae.origin.hook_name or shifts.origin.hook_name
    return SteeringVector.from_ssae(ssae, latent, hook_name=hook_name, concept=str(latent), norms=shifts.norms)


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
