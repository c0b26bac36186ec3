"""What the studies measure, as data: each study a function that gives its lines."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studies.language.corpora import AT
from studies.language.methods import METHODS
from studies.language.names import JUDGES

CORPORA = ("lang", "gender", "binary", "corr", "cat", "sentences", "truth")
# One word or two: read where they end. Sentences: read as a whole.
WORDS = ("lang", "gender", "binary", "corr", "cat")
HALFWAY = 0.5
MAIN = "sentences"
# Defaults were settled on `sentences` as its first seed makes it; this is what they give on pairs that none was settled on.
FRESH = "sentences@1"
WIDTHS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("lang", "gender", "binary", "corr", "truth"), (1, 2, 3, 4, 6, 8, 12)),
    "cat": (16, 24, 27, 32, 48, 64),
}
MORE_WIDTHS = (8, 12, 16, 20, 24, 28, 32)


@dataclass(frozen=True)
class Row:
    """One line of a study.

    Attributes
    ----------
    study, label
        The study, and the line's name in it.
    kind
        ``"sweep"`` (widths, of which one is chosen without labels), ``"fit"``, ``"transfer"``, ``"naming"``,
        ``"bending"`` or ``"categories"``.
    corpus, other
        Where it is learned, and for a transfer where it is tried.
    method
        Of `METHODS`.
    depth, position, n
        Where in the model and in the text activations are read, and how many training pairs are used (None: all).
    fewer
        Read fewer pairs than elsewhere, at a place that nothing else is read at.
    width
        Latents; None is the width chosen for the corpus.
    settings
        Further settings of training, or of a sweep its widths.
    """

    study: str
    label: str
    corpus: str
    kind: str = "fit"
    method: str = "SSAE"
    other: str = ""
    depth: float = HALFWAY
    position: str = ""
    n: int | None = None
    fewer: bool = False
    width: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def tried(self) -> str:
        """The corpus whose held-out pairs are scored."""
        return self.other or self.corpus

    @property
    def where(self) -> str:
        """The position that is read."""
        return self.position or ("last" if self.tried in WORDS else "mean")


def choice(corpus: str, *, quick: bool) -> Row:
    """Return the sweep that chooses a corpus's width, which is a line of the study `widths` for each width."""
    several = WIDTHS.get(corpus, MORE_WIDTHS)
    shorter = several[::2] if quick and len(several) > 3 else several
    return Row("widths", corpus, corpus, "sweep", settings={"d_sae": list(shorter)})


def methods(corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """Methods side by side, at one width for each corpus."""
    names = ("SSAE", "affine", "PCA", "FastICA", "AbsTopK", "mean difference", "random") if quick else tuple(METHODS)
    return [Row("methods", corpus, corpus, method=name) for corpus in corpora for name in names]


def fresh(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """One corpus anew, from a seed that no default was settled on: its width, and methods at it."""
    if quick:
        return []
    names = (
        "SSAE",
        "SSAE, not joined",
        "affine",
        "PCA",
        "FastICA",
        "dictionary",
        "AbsTopK",
        "mean difference",
        "random",
    )
    return [
        replace(choice(FRESH, quick=quick), study="fresh"),
        *(Row("fresh", name, FRESH, method=name) for name in names),
    ]


def widths(corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """Every corpus by the number of latents, of which one is chosen without labels."""
    return [choice(corpus, quick=quick) for corpus in corpora]


def layers(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """One corpus by the depth it is read at."""
    depths = () if quick else (0.1, 0.3, 0.5, 0.7)
    return [Row("layers", f"{depth:.0%} of the blocks", MAIN, depth=depth, fewer=True) for depth in depths]


def positions(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """One corpus of sentences and one of words by the tokens that are read."""
    where = {MAIN: ("last", "-4:", "mean"), "binary": ("last", "mean")}
    return [
        Row("positions", f"{corpus}, {position}", corpus, position=position, fewer=True)
        for corpus, each in (() if quick else where.items())
        for position in each
    ]


def levels(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """One corpus by how much may be lost, and by the level of the paper's L1 constraint."""
    budgets = (0.02,) if quick else (0.01, 0.02, 0.05, 0.1, 0.2)
    bounds = (0.7,) if quick else (0.5, 0.6, 0.7, 0.8, 0.9)
    return [
        *(Row("levels", f"budget {each:g}", MAIN, settings={"budget": each}) for each in budgets),
        *(Row("levels", f"L1 level {each:g}", MAIN, settings={"level": each}) for each in bounds),
    ]


def pairs(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """One corpus by the number of training pairs."""
    counts = (200, 800) if quick else (250, 500, 1000, 2000, 4000)
    return [Row("pairs", f"{n} pairs", MAIN, n=n) for n in counts]


def categories(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """CAT(135,3) by width, SSAE and affine, as the paper has it; and each attribute as a subspace."""
    wide = () if quick else (135, 200, 500)
    return [
        *(
            Row("categories", f"cat, {method}, width {width}", "cat", method=method, width=width)
            for width in wide
            for method in ("SSAE", "affine")
        ),
        Row("categories", "cat, attributes", "cat", "categories"),
    ]


def transfer(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """One corpus to learn from, another to steer."""
    return [
        Row("transfer", f"{corpus} → lang, {method}", corpus, "transfer", method, other="lang")
        for corpus in (("binary",) if quick else ("binary", "corr"))
        for method in ("SSAE", "affine", "mean difference", "random")
    ]


def naming(_corpora: tuple[str, ...], *, quick: bool) -> list[Row]:
    """How often judges name latents as labels do: among a corpus's own concepts, common ones, or attributes."""
    tried = [(MAIN, "own")] + ([] if quick else [(MAIN, "common"), ("cat", "attributes")])
    return [
        Row("naming", f"{corpus}, {names} names, {judge}", corpus, "naming", settings={"judge": judge, "names": names})
        for corpus, names in tried
        for judge in JUDGES
    ]


def bending(corpora: tuple[str, ...], *, quick: bool) -> list[Row]:  # noqa: ARG001 - as quick as it is
    """Every concept of every corpus: how far it is one direction."""
    return [Row("bending", corpus, corpus, "bending") for corpus in corpora if corpus != "cat"]


STUDIES: dict[str, Callable[..., list[Row]]] = {
    "methods": methods,
    "widths": widths,
    "levels": levels,
    "pairs": pairs,
    "layers": layers,
    "positions": positions,
    "transfer": transfer,
    "fresh": fresh,
    "naming": naming,
    "bending": bending,
    "categories": categories,
}


def name_of(corpus: str) -> str:
    """Return a corpus's name in a table: that of a file without its folder."""
    return corpus if corpus.partition(AT)[0] in CORPORA else Path(corpus).name
