"""The studies' table as text: its columns, what they mean, and its lines."""

from collections.abc import Iterator
from math import isnan
from typing import Any

from studies.language.paper import FIGURES

# The scores that the paper has figures of.
PUBLISHED = ("stability", "mcc_max", "steered_authors")
# Columns with their headings, in the order that they are shown in.
HEADINGS = {
    "latents": "latents",
    "concepts": "concepts",
    "matched": "matched",
    "right": "right",
    "right_low": "low",
    "right_high": "high",
    "right_chance": "chance",
    "right_way": "right way",
    "mcc": "MCC",
    "ceiling": "ridge",
    "mcc_shuffled": "shuffled",
    "mcc_chance": "chance",
    "mcc_max": "largest",
    "mcc_max_shuffled": "shuffled",
    "disentanglement": "D",
    "completeness": "C",
    "rows": "rows",
    "rows_near": "≥.90",
    "same_latent": "same",
    "rows_chance": "chance",
    "stability": "seeds",
    "udr": "UDR",
    "split_half_score": "again",
    "unsteered": "unsteered",
    "steered": "steered",
    "steered_authors": "authors'",
    "r2": "R²",
    "mean": "mean",
    "one": "one",
    "dimensions": "for 90 %",
    "pairs": "pairs",
    "values": "values",
    "places": "places",
    "span": "span",
    "contrasts": "contrasts",
}
NOTES = f"""\
MCC          signed codes with signed changes, one latent a concept; ridge: the same of a reader told the labels; shuffled:
             the same with labels shuffled; chance: its expected value where there is nothing to find
largest      the largest correlation of any latent with each concept; shuffled: with labels shuffled
D, C         disentanglement and completeness
rows         cosine of decoder rows with the mean shift of each concept by labels; ≥.90: the share of concepts so near;
             chance: the expected cosine of random directions;
             same: the share of concepts of which codes and rows give one latent
seeds, UDR   agreement of seeds by decoder rows (the paper's first "MCC") and by codes
again        latents found again in either half of the pairs less those that are not: what chooses the width
steered      mean cosine of source + shift with target; authors': as the paper computes it, with matrices normalised;
             unsteered: nothing added
mean, one    share of the shifts' energy of a concept that changes alone, along their mean and the best direction;
             places, span: of categories, by a place for each value; contrasts: by a direction for each two values
right        names: the share of the matched concepts whose latent a judge names rightly, with the 95 % interval, what
             guessing gets, and the share of right names whose way is right
( )          the paper's, of another and larger model: {", ".join(dict.fromkeys(each.model for each in FIGURES))}"""


def block(title: str, rows: Any) -> Iterator[str]:
    """Return the lines of one part of the table, with what is the same in all of them above."""
    shared = ("ceiling", "mcc_shuffled", "mcc_chance", "unsteered") if title else ()
    same = [name for name in shared if name in rows and rows[name].notna().any()]
    if title:
        first = rows.iloc[0]
        counts = f"{first['n_train']:.0f} pairs learned from, {first['n_test']:.0f} held out"
        yield f"{title}: {'; '.join([counts, *(f'{HEADINGS[name]} {rows[name].max():.3f}' for name in same)])}"
    columns = [name for name in HEADINGS if name in rows and name not in same and rows[name].notna().any()]
    lines = [["", *(HEADINGS[name] for name in columns)]]
    lines += [[_label(row), *(_entry(row, name) for name in columns)] for row in records(rows)]
    yield from aligned(lines)


def aligned(lines: list[list[str]]) -> Iterator[str]:
    """Return lines of text from cells of text, the first column to the left and the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *others in lines:
        cells = [each.rjust(width) for each, width in zip(others, widths[1:], strict=True)]
        yield "  ".join(["", first.ljust(widths[0]), *cells]).rstrip()


def _label(row: dict[str, Any]) -> str:
    if "chosen" in row:
        return f"{row['latents']:.0f}{' (chosen)' if row['chosen'] is True else ''}"
    return row["method"] if row["study"] == "methods" else row["line"]


def _entry(row: dict[str, Any], name: str) -> str:
    """Return a number, with the paper's in brackets."""
    if name not in row:
        return ""
    value = row[name]
    if name in ("latents", "dimensions", "pairs", "values", "concepts", "matched"):
        return f"{value:.0f}"
    spread = f"±{row['mcc_sd']:.3f}" if name == "mcc" and "mcc_sd" in row else ""
    figure = f" ({row[f'paper_{name}']:.3f})" if f"paper_{name}" in row else ""
    return f"{value:.3f}{spread}{figure}"


def records(rows: Any) -> list[dict[str, Any]]:
    """Return rows as dictionaries of what they have."""
    return [
        {name: value for name, value in row.items() if not (isinstance(value, float) and isnan(value))}
        for row in rows.to_dict("records")
    ]
