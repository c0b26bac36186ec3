"""The tables of `python -m studies language`."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from studies.language import CORPORA, METHODS, STUDIES, study_rows
from studies.language import LanguageResult as Result
from studies.language.grid import FRESH, MAIN
from studies.page_tables.markdown import MissingError, between, bold, bullets, figure, records, table

SSAE = "SSAE"
# The methods that the README shows, with their titles.
SHOWN = {
    SSAE: SSAE,
    "AbsTopK": "AbsTopK SAE on shifts, given how many change",
    "FastICA": "FastICA",
    "affine": "no constraint",
    "random": "random",
}
# Studies of one setting each.
SETTINGS = ("levels", "pairs", "layers", "positions")
Row = dict[str, Any]


def _width(row: Row) -> str:
    """Return the width that was trained, and the number of latents after split latents were merged."""
    width, latents = (f"{row[name]:.0f}" if name in row else "" for name in ("width", "latents"))
    return f"{width} → {latents}" if width not in ("", latents) else latents


def _with_paper(name: str, row: Row) -> str:
    """Return a score, with the number of the paper in brackets if there is one."""
    paper = row.get(f"paper_{name}")
    return figure(row.get(name)) + ("" if paper is None else f" ({figure(paper)})")


# Columns by title: a key of a row, a key and a number of digits, or a function of a row.
COLUMNS: dict[str, str | tuple[str, int] | Callable[[Row], str]] = {
    "pairs": lambda row: f"{row['n_train']:.0f}/{row['n_test']:.0f}",
    "width": _width,
    "latents": lambda row: figure(row["latents"], 0) + (" (chosen)" if row["chosen"] else ""),
    "MCC": "mcc",
    "ridge": "ceiling",
    "shuffled": "mcc_shuffled",
    "rows": "rows",
    "≥ .90": ("rows_near", 2),
    "same": ("same_latent", 2),
    "seeds": "stability",
    "seeds (paper's)": partial(_with_paper, "stability"),
    "split-half score": ("split_half_score", 1),
    "unsteered": "unsteered",
    "steered": "steered",
    "authors' (paper's)": partial(_with_paper, "steered_authors"),
    "values": ("values", 0),
    "embeddings": "embeddings",
    "span": "span",
    "contrasts": "contrasts",
    "one direction": "best_direction",
    "mean direction": "mean_direction",
    "best direction": "best_direction",
    "directions for 90 %": ("dimensions", 0),
    "held-out pairs": ("pairs", 0),
    "concepts": ("concepts", 0),
    "matched": ("matched", 0),
    "right": ("right", 2),
    "95 %": lambda row: between(row["right_low"], row["right_high"]) if "right_low" in row else "",
    "right sign": ("right_sign", 2),
}


def corpora(result: Result) -> str:
    """Return the scores of the SSAE on all corpora."""
    text = _table(
        [row for row in _fits(result).values() if row["method"] == SSAE],
        ("corpus", "corpus"), "pairs", "width", "MCC", "ridge", "shuffled", ("chance", "mcc_chance"), "rows",
        ("chance", "rows_chance"), "≥ .90", "same", "seeds (paper's)", "unsteered", "steered", "authors' (paper's)",
    )  # fmt: skip
    return text.replace(" (paper's)", "")


def attributes(result: Result) -> str:
    """Return the scores of the SSAE by attribute, on the pairs that defaults were chosen on and on fresh ones."""
    _fits(result)
    main, fresh = result.by_concept("methods")[MAIN], result.by_concept("fresh")[FRESH]
    rows = [[name, *map(figure, (*scores, *fresh[name]))] for name, scores in main.items()]
    return table(["attribute", "MCC", "row", "MCC, fresh", "row, fresh"], rows)


def widths(result: Result) -> str:
    """Return both draws of sentences by the number of latents."""
    rows = [row for row in _rows(result, "widths", "fresh") if "chosen" in row and row["corpus"] in (MAIN, FRESH)]
    rows.sort(key=lambda row: (row["corpus"] == FRESH, row["latents"]))
    return _table(rows, ("corpus", "corpus"), "latents", "split-half score", "seeds", "MCC", "rows", "≥ .90")


def methods(score: str, result: Result) -> str:
    """Return a score of all methods on all corpora, with the best of those without labels in bold."""
    fits = _fits(result)
    columns = [list(METHODS)]
    for corpus in (*CORPORA, FRESH):
        values = [fits.get((corpus, name), {}).get(score) for name in METHODS]
        unlabelled = [None if METHODS[name].uses_labels else value for name, value in zip(METHODS, values, strict=True)]
        columns.append(bold([figure(value) for value in values], unlabelled))
    return table(["method", *CORPORA, FRESH], list(zip(*columns, strict=True)))


def settings(result: Result) -> str:
    """Return the SSAE by sparsity, number of pairs, layer and position."""
    return _table(_rows(result, *SETTINGS), ("study", "study"), ("", "line"), "MCC", "ridge", "rows", "≥ .90", "seeds")


def transfer(result: Result) -> str:
    """Return concepts learned on one corpus and steered on another."""
    rows = _rows(result, "transfer")
    return _table(rows, ("learned → steered", "line"), "MCC", "unsteered", "steered", "authors' (paper's)")


def cat_widths(result: Result) -> str:
    """Return CAT(135,3) at the widths of the paper."""
    rows = [row for row in _rows(result, "categories") if "mcc" in row]
    return _table(rows, ("", "method"), "width", "MCC", "ridge", "rows", "seeds (paper's)")


def categories(result: Result) -> str:
    """Return the attributes of CAT as subspaces."""
    rows = [row for row in _rows(result, "categories") if "embeddings" in row]
    titles = ("values", "embeddings", "span", "directions for 90 %", "contrasts", "one direction", "held-out pairs")
    return _table(rows, ("attribute", "line"), *titles)


def context_dependence(result: Result) -> str:
    """Return how well one direction explains the shifts of each binary concept."""
    titles = ("mean direction", "best direction", "directions for 90 %", "held-out pairs")
    return _table(_rows(result, "context-dependence"), ("corpus", "corpus"), ("concept", "line"), *titles)


def names(result: Result) -> str:
    """Return how often a judge names a latent as the labels do."""
    titles = ("concepts", "matched", "right", "95 %", ("chance", "right_chance"), "right sign")
    return _table(_rows(result, "naming"), ("corpus, names, judge: kind", "line"), *titles)


def where_baselines_win(result: Result) -> str:
    """Return where another method is better, or the SSAE falls short, in the whole study."""
    _rows(result, *STUDIES)
    return bullets(result.where_baselines_win())


def summary(result: Result) -> str:
    """Return the table of the README: the SSAE and four other methods on sentences."""
    fits = {name: row for (corpus, name), row in _fits(result).items() if corpus == MAIN}
    ssae, n_concepts = fits[SSAE], len(result.by_concept("methods")[MAIN])
    size = f"{ssae['n_train']:.0f} pairs of sentences, {n_concepts} attributes, width {_width(ssae)}"
    rows = []
    for title, score, ridge, digits in (
        ("MCC of signed codes with signed changes", "mcc", figure(ssae["ceiling"]), 3),
        ("cosine of decoder rows with the labels' mean shifts", "rows", "", 3),
        ("attributes of which it is at least .90", "rows_near", "", 2),
    ):
        values = [fits[name].get(score) for name in SHOWN]
        rows.append([title, *bold([figure(value, digits) for value in values], values, digits), ridge])
    return table([f"{size} (chosen without labels)", *SHOWN.values(), "ridge, given the labels"], rows)


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
    "context_dependence": context_dependence,
    "names": names,
    "baselines_win": where_baselines_win,
}


def _table(rows: Sequence[Row], *columns: str | tuple[str, str]) -> str:
    """Return a table of columns: titles of `COLUMNS`, or a title and a key."""

    def cell(row: Row, entry: Any) -> str:
        if callable(entry):
            return str(entry(row))
        key, digits = (entry, 3) if isinstance(entry, str) else entry
        return row[key] if isinstance(row.get(key), str) else figure(row.get(key), digits)

    entries = [(column, COLUMNS[column]) if isinstance(column, str) else column for column in columns]
    return table([title for title, _ in entries], [[cell(row, entry) for _, entry in entries] for row in rows])


def _rows(result: Result, *studies: str) -> list[Row]:
    """Return the rows of some studies on the built-in corpora, or raise if one that these studies have is missing."""
    present = {
        (line["study"], line["label"], line["corpus"], result.cells[line["cell"]]["cell"]["method"] or SSAE)
        for line in result.about["lines"]
    }
    for row in study_rows(CORPORA, quick=False):
        if row.study in studies and (row.study, row.label, row.corpus, row.method) not in present:
            raise MissingError(f"no line {row.label!r} of the method {row.method!r} in the study {row.study!r}")
    rows = [row for row in records(result.table) if row["corpus"] in (*CORPORA, FRESH)]
    return [row for study in studies for row in rows if row["study"] == study]


def _fits(result: Result) -> dict[tuple[str, str], Row]:
    """Return the rows of the methods by corpus and method, the fresh corpus last."""
    rows = [row for row in _rows(result, "methods", "fresh") if "chosen" not in row]
    return {(row["corpus"], row["method"]): row for row in rows}
