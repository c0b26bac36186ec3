"""The tables of `python -m studies language`."""

from collections.abc import Callable
from functools import partial
from typing import Any

from studies.language import CORPORA, METHODS, STUDIES, Result
from studies.language.grid import FRESH, MAIN
from studies.page_tables.markdown import MissingError, between, bold, bullets, figure, records, table

OURS = "SSAE"
# What the README shows, and what it calls it.
SHOWN = {
    OURS: OURS,
    "AbsTopK": "AbsTopK SAE on shifts, told how many change",
    "FastICA": "FastICA",
    "affine": "no constraint",
    "random": "random",
}
# The studies of one setting each.
SETTINGS = ("levels", "pairs", "layers", "positions")
Row = dict[str, Any]


def corpora(result: Result) -> str:
    """Return ours on every corpus."""
    head = "corpus,pairs,width,MCC,ridge,shuffled,chance,rows,chance,≥ .90,same,seeds,unsteered,steered,authors'"
    rows = [
        [
            row["corpus"],
            f"{row['n_train']:.0f}/{row['n_test']:.0f}",
            _width(row),
            *_figures(row, "mcc", "ceiling", "mcc_shuffled", "mcc_chance", "rows", "rows_chance"),
            *(figure(row[name], 2) for name in ("rows_near", "same_latent")),
            _beside(row, "stability"),
            *_figures(row, "unsteered", "steered"),
            _beside(row, "steered_authors"),
        ]
        for row in _fits(result).values()
        if row["method"] == OURS
    ]
    return table(head.split(","), rows)


def attributes(result: Result) -> str:
    """Return ours by attribute, on the pairs that defaults were settled on and on fresh ones."""
    _fits(result)
    usual, fresh = result.by_concept("methods")[MAIN], result.by_concept("fresh")[FRESH]
    rows = [[name, *map(figure, (*scores, *fresh[name]))] for name, scores in usual.items()]
    return table(["attribute", "MCC", "row", "MCC, fresh", "row, fresh"], rows)


def widths(result: Result) -> str:
    """Return both draws of sentences by the number of latents."""
    rows = []
    tried = [each for each in _rows(result, "widths", "fresh") if "chosen" in each and each["corpus"] in (MAIN, FRESH)]
    for row in sorted(tried, key=lambda each: (each["corpus"] == FRESH, each["latents"])):
        latents = figure(row["latents"], 0) + (" (chosen)" if row["chosen"] else "")
        scores = _figures(row, "stability", "mcc", "rows")
        rows.append([row["corpus"], latents, figure(row["split_half_score"], 1), *scores, figure(row["rows_near"], 2)])
    return table(["corpus", "latents", "again", "seeds", "MCC", "rows", "≥ .90"], rows)


def methods(score: str, result: Result) -> str:
    """Return a score of all methods on all corpora, the best of those that are told no labels in bold."""
    fits = _fits(result)
    columns = [list(METHODS)]
    for corpus in (*CORPORA, FRESH):
        values = [fits.get((corpus, name), {}).get(score) for name in METHODS]
        unlabelled = [None if METHODS[name].labels else each for name, each in zip(METHODS, values, strict=True)]
        columns.append(bold([figure(each) for each in values], unlabelled))
    return table(["method", *CORPORA, FRESH], list(zip(*columns, strict=True)))


def settings(result: Result) -> str:
    """Return ours by how sparse, from how many pairs, and where it is read."""
    rows = [
        [
            row["study"],
            row["line"],
            *_figures(row, "mcc", "ceiling", "rows"),
            figure(row["rows_near"], 2),
            figure(row["stability"]),
        ]
        for row in _rows(result, *SETTINGS)
    ]
    return table(["study", "", "MCC", "ridge", "rows", "≥ .90", "seeds"], rows)


def transfer(result: Result) -> str:
    """Return what is learned on one corpus and steered on another."""
    rows = [
        [row["line"], *_figures(row, "mcc", "unsteered", "steered"), _beside(row, "steered_authors")]
        for row in _rows(result, "transfer")
    ]
    return table(["learned → steered", "MCC", "unsteered", "steered", "authors' (paper's)"], rows)


def cat_widths(result: Result) -> str:
    """Return CAT(135,3) at the paper's widths."""
    rows = [
        [row["method"], _width(row), *_figures(row, "mcc", "ceiling", "rows"), _beside(row, "stability")]
        for row in _rows(result, "categories")
        if "mcc" in row
    ]
    return table(["", "width", "MCC", "ridge", "rows", "seeds (paper's)"], rows)


def categories(result: Result) -> str:
    """Return the attributes of CAT as subspaces."""
    head = "attribute,values,places,span,directions for 90 %,contrasts,one direction,held-out pairs"
    rows = [
        [
            row["line"],
            figure(row["values"], 0),
            *_figures(row, "places", "span"),
            figure(row["dimensions"], 0),
            *_figures(row, "contrasts", "one"),
            figure(row["pairs"], 0),
        ]
        for row in _rows(result, "categories")
        if "places" in row
    ]
    return table(head.split(","), rows)


def bending(result: Result) -> str:
    """Say of binary concepts how far each is one direction."""
    head = ["corpus", "concept", "mean direction", "best direction", "directions for 90 %", "held-out pairs"]
    rows = [
        [
            row["corpus"],
            row["line"],
            *_figures(row, "mean", "one"),
            figure(row["dimensions"], 0),
            figure(row["pairs"], 0),
        ]
        for row in _rows(result, "bending")
    ]
    return table(head, rows)


def names(result: Result) -> str:
    """Say how often a judge names a latent as labels do."""
    head = ["corpus, names, judge: kind", "concepts", "matched", "right", "95 %", "chance", "right way"]
    rows = [
        [
            row["line"],
            figure(row["concepts"], 0),
            figure(row["matched"], 0),
            figure(row.get("right"), 2),
            between(row["right_low"], row["right_high"]) if "right_low" in row else "",
            figure(row["right_chance"]),
            figure(row.get("right_way"), 2),
        ]
        for row in _rows(result, "naming")
    ]
    return table(head, rows)


def beaten(result: Result) -> str:
    """Say where ours is beaten or falls short, in the whole study."""
    _rows(result, *STUDIES)
    return bullets(result.beaten())


def summary(result: Result) -> str:
    """Return the README's table: ours beside four others on sentences."""
    fits = {name: row for (corpus, name), row in _fits(result).items() if corpus == MAIN}
    ours, concepts = fits[OURS], result.by_concept("methods")[MAIN]
    counts = f"{ours['n_train']:.0f} pairs of sentences, {len(concepts)} attributes, width {_width(ours)}"
    rows = [
        _compared(fits, "MCC of signed codes with signed changes", "mcc", figure(ours["ceiling"])),
        _compared(fits, "cosine of decoder rows with the labels' mean shifts", "rows"),
        _compared(fits, "attributes of which it is at least .90", "rows_near", digits=2),
    ]
    return table([f"{counts} (chosen without labels)", *SHOWN.values(), "ridge, told the labels"], rows)


def _width(row: Row) -> str:
    """Return the width that was trained, and the latents that are left where wordings were joined."""
    width, latents = (f"{row[name]:.0f}" if name in row else "" for name in ("width", "latents"))
    return f"{width} → {latents}" if width not in ("", latents) else latents


TABLES: dict[str, Callable[[Any], str]] = {
    "summary": summary,
    "corpora": corpora,
    "attributes": attributes,
    "widths": widths,
    "methods mcc": partial(methods, "mcc"),
    "methods rows": partial(methods, "rows"),
    "settings": settings,
    "transfer": transfer,
    "cat widths": cat_widths,
    "categories": categories,
    "bending": bending,
    "names": names,
    "beaten": beaten,
}


def _rows(result: Result, *studies: str) -> list[Row]:
    """Return the rows of some studies on the package's corpora; every line that these studies have must be there."""
    cells = result.cells
    there = {
        (line["study"], line["label"], line["corpus"], cells[line["cell"]]["cell"]["method"] or OURS)
        for line in result.about["lines"]
    }
    for study in studies:
        for row in STUDIES[study](CORPORA, quick=False):
            if (study, row.label, row.corpus, row.method) not in there:
                raise MissingError(f"no line {row.label!r} of the method {row.method!r} in the study {study!r}")
    found = [each for each in records(result.table) if each["corpus"] in (*CORPORA, FRESH)]
    return [each for study in studies for each in found if each["study"] == study]


def _fits(result: Result) -> dict[tuple[str, str], Row]:
    """Return the methods' rows by corpus and method, the fresh corpus last."""
    rows = [each for each in _rows(result, "methods", "fresh") if "chosen" not in each]
    return {(each["corpus"], each["method"]): each for each in rows}


def _figures(row: Row, *names: str) -> list[str]:
    return [figure(row.get(name)) for name in names]


def _beside(row: Row, name: str) -> str:
    """Write a score with the paper's in brackets, where there is one."""
    paper = row.get(f"paper_{name}")
    return figure(row.get(name)) + ("" if paper is None else f" ({figure(paper)})")


def _compared(fits: dict[str, Row], title: str, score: str, ridge: str = "", *, digits: int = 3) -> list[str]:
    values = [fits[name].get(score) for name in SHOWN]
    return [title, *bold([figure(each, digits) for each in values], values, digits), ridge]
