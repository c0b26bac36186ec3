"""`study_rows`: what each study measures, as data."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from studies.language.corpora import AT
from studies.language.methods import METHODS
from studies.language.naming import JUDGES

CORPORA = ("lang", "gender", "binary", "corr", "cat", "sentences", "truth")
# Corpora of one word or two are read at the last token, sentences as the mean over tokens.
WORDS = ("lang", "gender", "binary", "corr", "cat")
HALFWAY = 0.5
MAIN = "sentences"
# Defaults were chosen on `sentences` with seed 0; this is a draw of pairs on which no default was chosen.
FRESH = "sentences@1"
WIDTHS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(("lang", "gender", "binary", "corr", "truth"), (1, 2, 3, 4, 6, 8, 12)),
    "cat": (16, 24, 27, 32, 48, 64),
}
DEFAULT_WIDTHS = (8, 12, 16, 20, 24, 28, 32)
QUICK_METHODS = ("SSAE", "affine", "PCA", "FastICA", "AbsTopK", "mean difference", "random")
STUDIES = (
    "methods", "widths", "levels", "pairs", "layers", "positions", "transfer", "fresh", "naming", "context-dependence",
    "categories",
)  # fmt: skip
FRESH_METHODS = (
    "SSAE", "SSAE, not refined", "SSAE, as trained", "affine", "PCA", "FastICA", "dictionary", "AbsTopK", "JumpReLU",
    "mean difference", "random",
)  # fmt: skip


@dataclass(frozen=True)
class LanguageRow:
    """One row of a study, which trains on `corpus` and for a transfer is tested on `other`.

    Of the kinds, a sweep tries widths, of which one is chosen without labels; a width of None is that chosen for the corpus.
    """

    study: str
    label: str
    corpus: str
    # "sweep", "fit", "transfer", "naming", "context dependence" or "subspaces".
    kind: str = "fit"
    method: str = "SSAE"
    other: str = ""
    # Where in the model and in the text activations are read, and the number of training pairs (None: all).
    depth: float = HALFWAY
    position: str = ""
    n: int | None = None
    fewer: bool = False
    width: int | None = None
    # More options of training, or of the sweep.
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def test_corpus(self) -> str:
        """The corpus whose held-out pairs are scored."""
        return self.other or self.corpus

    @property
    def tokens(self) -> str:
        """The token position that is read."""
        return self.position or ("last" if self.test_corpus in WORDS else "mean")


def width_sweep(corpus: str, *, quick: bool) -> LanguageRow:
    """Return the sweep that chooses the width of a corpus."""
    widths = WIDTHS.get(corpus, DEFAULT_WIDTHS)
    widths = widths[::2] if quick and len(widths) > 3 else widths
    return LanguageRow("widths", corpus, corpus, "sweep", settings={"d_sae": list(widths)})


def study_rows(corpora: tuple[str, ...], *, quick: bool) -> list[LanguageRow]:
    """Return the rows of all `STUDIES` of some corpora."""
    row = LanguageRow
    # Methods at one width for each corpus, and each corpus by width.
    names = QUICK_METHODS if quick else tuple(METHODS)
    rows = [row("methods", corpus, corpus, method=name) for corpus in corpora for name in names]
    rows += [width_sweep(corpus, quick=quick) for corpus in corpora]
    # The main corpus by the budget of the loss, the level of the paper's L1 constraint, and the number of training pairs.
    for title, option, values in (
        ("budget", "budget", (0.02,) if quick else (0.01, 0.02, 0.05, 0.1, 0.2)),
        ("L1 level", "level", (0.7,) if quick else (0.5, 0.6, 0.7, 0.8, 0.9)),
    ):
        rows += [row("levels", f"{title} {value:g}", MAIN, settings={option: value}) for value in values]
    rows += [row("pairs", f"{n} pairs", MAIN, n=n) for n in ((200, 800) if quick else (250, 500, 1000, 2000, 4000))]
    if not quick:
        depths = (0.1, 0.3, 0.5, 0.7)
        rows += [row("layers", f"{depth:.0%} of the blocks", MAIN, depth=depth, fewer=True) for depth in depths]
        for corpus, positions in ((MAIN, ("last", "-4:", "mean")), ("binary", ("last", "mean"))):
            rows += [row("positions", f"{corpus}, {name}", corpus, position=name, fewer=True) for name in positions]
    rows += [
        row("transfer", f"{corpus} → lang, {name}", corpus, "transfer", name, other="lang")
        for corpus in (("binary",) if quick else ("binary", "corr"))
        for name in ("SSAE", "affine", "mean difference", "random")
    ]
    if not quick:
        rows.append(replace(width_sweep(FRESH, quick=quick), study="fresh"))
        rows += [row("fresh", name, FRESH, method=name) for name in FRESH_METHODS]
    # Judges that choose among the corpus's own concepts, common concepts, or attributes.
    for corpus, names in [(MAIN, "own")] if quick else [(MAIN, "own"), (MAIN, "common"), ("cat", "attributes")]:
        for judge in JUDGES:
            options = {"judge": judge, "names": names}
            rows.append(row("naming", f"{corpus}, {names} names, {judge}", corpus, "naming", settings=options))
    rows += [row("context-dependence", name, name, "context dependence") for name in corpora if name != "cat"]
    # CAT(135,3) at the widths of the paper, and its attributes as subspaces.
    fits = [(width, name) for width in (() if quick else (135, 200, 500)) for name in ("SSAE", "affine")]
    rows += [row("categories", f"cat, {name}, width {width}", "cat", method=name, width=width) for width, name in fits]
    return [*rows, row("categories", "cat, attributes", "cat", "subspaces")]


def corpus_title(corpus: str) -> str:
    """Return the name of a corpus in a table: that of a file without its folder."""
    return corpus if corpus.partition(AT)[0] in CORPORA else Path(corpus).name
