"""What the studies gave, as a table, a text, a figure and a file; the paper's figures stand beside ours."""

from collections.abc import Iterator, Sequence
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from ssae_lens.evals import cells
from studies.language.corpora import AT
from studies.language.grid import CORPORA, name_of
from studies.language.methods import METHODS
from studies.language.paper import FIGURES, LABELLED, figure_of
from studies.language.tables import HEADINGS, NOTES, PUBLISHED, aligned, block, records

if TYPE_CHECKING:
    import pandas as pd

# What this project wants of its own method on SmolLM2, settings chosen without labels.
WANTED = (
    ("lang", "stability", 0.99),
    ("gender", "stability", 0.99),
    ("lang", "same_latent", 1.0),
    ("gender", "same_latent", 1.0),
    ("sentences", "rows_near", 0.75),
    ("sentences@1", "rows_near", 0.75),
)
# Corpora of no more concepts are shown concept by concept.
FEW = 20


class Result(cells.Result):
    """The studies' cells, and what each is a line of."""

    name = "language"

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each line of each study: of a sweep for each width, of what is measured by concept for each."""
        import pandas as pd

        return pd.DataFrame([row for line in self.about["lines"] for row in self._rows(line)])

    def _rows(self, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
        cell = self.cells[line["cell"]]
        about = {"study": line["study"], "line": line["label"], "corpus": name_of(line["corpus"])}
        about |= {"method": cell["cell"]["method"] or "SSAE"}
        about |= {name: cell[name] for name in ("n_train", "n_test", "left_out", "cpu_seconds")}
        if cell["cell"].get("width"):
            # What was trained. Where wordings were joined there are fewer latents.
            about["width"] = cell["cell"]["width"]
        if "concepts" in cell:
            for name, numbers in cell["concepts"].items():
                yield {**about, "line": name, **numbers}
        elif "naming" in cell:
            for each in cell["naming"]:
                numbers = {name: value for name, value in each.items() if name not in ("kind", "wrong")}
                yield {**about, "latents": cell["latents"], "line": f"{line['label']}: {each['kind']}", **numbers}
        elif "settings" in cell:
            for each in cell["settings"]:
                chosen = each["width"] == cell["chosen"]
                yield _with_figures(
                    {**about, **_shared(cell), "latents": each["width"], "chosen": chosen, **_numbers([each])}
                )
        else:
            yield _with_figures({**about, **_shared(cell), **_numbers(cell["fits"])})

    def beaten(self) -> list[str]:
        """Say where another method is better than ours by more than a thousandth, or ours falls short of what is wanted."""
        table: Any = self.table
        said = []
        rivals = {name for name, each in METHODS.items() if not each.labels}
        part = table[table["study"] == "methods"]
        for corpus, rows in part[part["method"].isin(rivals)].groupby("corpus", sort=False):
            for score in ("mcc", "rows"):
                by_method = rows.set_index("method")[score]
                ours = by_method.get("SSAE", by_method.max())
                if (best := by_method.max()) > ours + 0.001:
                    said.append(f"{corpus}: {HEADINGS[score]} of {by_method.idxmax()} {best:.3f}, of SSAE {ours:.3f}")
        ours = table[(table["method"] == "SSAE") & table["study"].isin(("methods", "fresh"))]
        for row in records(ours):
            for corpus, score, wanted in WANTED:
                if row["corpus"] == corpus and "chosen" not in row and row.get(score, wanted) < wanted:
                    said.append(f"{corpus}: {HEADINGS[score]} {row[score]:.3f}, wanted {wanted:.2f}")
        for row in records(table[table["method"] == "SSAE"]):
            for score in PUBLISHED if row["study"] in ("methods", "transfer", "categories") else ():
                figure = row.get(f"paper_{score}", 0)
                if row.get(score, 0) < figure - 0.001:
                    said.append(f"{row['line']}: {HEADINGS[score]} {row[score]:.3f}, the paper's {figure:.3f}")
        return said

    def text(self) -> str:
        """Return the table to read in a terminal."""
        model = self.about["model"]
        lines = [
            f"{model['model_name']}, {model['d_model']} dimensions; held-out content; {len(self.about['seeds'])} seeds",
            "",
        ]
        table: Any = self.table
        for study in table["study"].unique():
            part = table[table["study"] == study]
            lines += [study.upper(), ""]
            for corpus, rows in (
                part.groupby("corpus", sort=False) if study in ("methods", "widths", "bending") else [("", part)]
            ):
                shown = rows.sort_values("latents") if study == "widths" else rows
                lines += [*block(str(corpus), shown), ""]
            if study in ("methods", "fresh"):
                lines += self._by_concept(study)
        lines += ["Columns", *(f"  {each}" for each in NOTES.splitlines()), "", "Methods"]
        lines += [f"  {name:<22}{words}" for name, words in self.about["methods"].items()]
        lines += ["", "Published figures that nothing here stands beside", *(f"  {each}" for each in self._left())]
        lines += ["", "Where ours is beaten or falls short", *(f"  {each}" for each in self.beaten() or ["nowhere"])]
        lines.append(f"\n{len(self.cells)} cells in {self.about['seconds']:.0f} s")
        return "\n".join(lines)

    def figure(self) -> Any:
        """Return a plotly figure: methods, widths, numbers of pairs and layers, and bending."""
        from studies.language.figure import figure

        return figure(self.table)

    def by_concept(self, study: str) -> dict[str, dict[str, tuple[float, float]]]:
        """Return by corpus, for each concept, how well our codes follow it, and how near our row is to its mean shift."""
        found = {}
        for line in self.about["lines"]:
            cell = self.cells[line["cell"]]
            if line["study"] != study or cell["cell"]["method"] != "SSAE" or cell["cell"]["kind"] != "fit":
                continue
            each = [fit["per_concept"] for fit in cell["fits"]]
            found[name_of(line["corpus"])] = {
                name: (fmean(fit[name][0] for fit in each), fmean(fit[name][1] for fit in each)) for name in each[0]
            }
        return found

    def _by_concept(self, study: str) -> list[str]:
        """Return the lines of each corpus that has few concepts."""
        lines = []
        for corpus, concepts in self.by_concept(study).items():
            if 1 < len(concepts) <= FEW:
                rows = [[name, *(f"{score:.3f}" for score in scores)] for name, scores in concepts.items()]
                lines += [f"{corpus}, SSAE, by concept", *aligned([["", "MCC", "rows"], *rows]), ""]
        return lines

    def _left(self) -> list[str]:
        """Say what the paper measured that is not in this table."""
        table: Any = self.table
        shown = [(score, value) for score in PUBLISHED for value in table.get(f"paper_{score}", ())]
        left = [each for each in FIGURES if (each.score, each.value) not in shown]
        return [
            f"{each.corpus}, {each.method}{f', {each.width} latents' if each.width else ''}: "
            f"{HEADINGS[each.score]} {each.value} ({each.model})"
            for each in left
        ]


def _shared(cell: dict[str, Any]) -> dict[str, Any]:
    """Return what is one number for all fits of a cell."""
    names = ("latents", "ceiling", "unsteered", "udr", "stability", "mcc_chance", "mcc_max_chance", "rows_chance")
    return {name: cell[name] for name in names if name in cell}


def _numbers(fits: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean over fits of each score, and the standard deviation of the MCC."""
    names = [name for name, value in fits[0].items() if isinstance(value, int | float) and name != "width"]
    spread = {"mcc_sd": stdev(each["mcc"] for each in fits)} if len(fits) > 1 else {}
    return {name: fmean(each[name] for each in fits) for name in names} | spread


def _with_figures(row: dict[str, Any]) -> dict[str, Any]:
    """Put the paper's figures beside a row's scores."""
    corpus = row["corpus"] if row["corpus"].partition(AT)[0] in CORPORA else LABELLED
    if row["study"] == "transfer":
        corpus = row["line"].rpartition(", ")[0]
    for score in PUBLISHED:
        found = figure_of(corpus, row["method"], score, row.get("width", row.get("latents")))
        if found is not None and score in row:
            row[f"paper_{score}"] = found.value
            row["paper_model"] = found.model
    return row
