"""`LanguageResult`: the numbers of the study as a table, a text, a figure and a file, beside the published ones."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pandas as pd

from studies.cells import StudyResult
from studies.language.grid import corpus_title
from studies.language.methods import METHODS

# Numbers of the paper (Llama-3.1-8B at the last token of layer 32) and of the plots of its later code (Pythia-70m and
# Gemma-2-2B), under our names of corpora, methods and scores where there are any.
PUBLISHED: Any = pd.read_csv(Path(__file__).with_name("published.csv"))
# Scores with published numbers, and scores that `where_baselines_win` names, with their titles.
COMPARED = ("stability", "steered_authors")
TITLES = {
    "mcc": "MCC",
    "rows": "rows",
    "rows_near": "≥.90",
    "same_latent": "same",
    "stability": "seeds",
    "steered_authors": "authors'",
    "mcc_max": "largest",
}
# The goals of the SSAE on SmolLM2, with settings chosen without labels.
GOALS = (
    ("lang", "stability", 0.99),
    ("gender", "stability", 0.99),
    ("lang", "same_latent", 1.0),
    ("gender", "same_latent", 1.0),
    ("sentences", "rows_near", 0.75),
    ("sentences@1", "rows_near", 0.75),
)
# Corpora with at most so many concepts are shown concept by concept.
MAX_SHOWN = 20
NOTES = """\
mcc                signed codes with signed changes, one latent for each concept; ceiling: of a ridge trained on the labels;
                   mcc_shuffled: with shuffled labels; *_chance: expected for independent codes and random directions
rows               cosine of decoder rows with mean shifts; rows_near: the share of concepts at .90 or more;
                   same_latent: the share of concepts with the same latent by codes and by rows
stability          agreement of seeds by decoder rows (the first "MCC" of the paper)
steered            mean cosine of source + shift with target; steered_authors: as the paper computes it
*_direction, span  the share of the shifts' squared norm; embeddings, contrasts: of attributes of several values
right              the share of matched concepts that a judge names rightly; right_sign: of these, with the right sign
paper_*            the published number, of another and larger model"""
# Columns of the table that the text leaves out.
HIDDEN = ("study", "cpu_seconds", "paper_model", "mcc_sd")


class LanguageResult(StudyResult):
    """The cells of the study, and in ``about["lines"]`` the row that each of them belongs to."""

    name = "language"

    def _tabulated(self) -> pd.DataFrame:
        """Return a row for each line: of a sweep for each width, of a measurement by concept for each concept."""
        return pd.DataFrame([row for line in self.about["lines"] for row in self._rows(line)])

    def _rows(self, line: dict[str, Any]) -> Iterator[dict[str, Any]]:
        cell = self.cells[line["cell"]]
        about = {"study": line["study"], "line": line["label"], "corpus": corpus_title(line["corpus"])}
        about |= {"method": cell["cell"]["method"] or "SSAE"}
        about |= {name: cell[name] for name in ("n_train", "n_test", "cpu_seconds")}
        if cell["cell"].get("width"):
            # The width that was trained; there are fewer latents where split latents were merged.
            about["width"] = cell["cell"]["width"]
        if "concepts" in cell:
            for name, numbers in cell["concepts"].items():
                yield {**about, "line": name, **numbers}
            return
        if "naming" in cell:
            for numbers in cell["naming"]:
                shown = {name: value for name, value in numbers.items() if name not in ("kind", "wrong")}
                yield {**about, "latents": cell["latents"], "line": f"{line['label']}: {numbers['kind']}", **shown}
            return
        names = ("latents", "ceiling", "unsteered", "stability", "mcc_chance", "rows_chance")
        about |= {name: cell[name] for name in names if name in cell}
        for setting in cell.get("settings", ()):
            chosen = setting["width"] == cell["chosen"]
            yield _with_published({**about, "latents": setting["width"], "chosen": chosen, **_means([setting])})
        if "fits" in cell:
            yield _with_published({**about, **_means(cell["fits"])})

    def where_baselines_win(self) -> list[str]:
        """Return a line where another method is better by over a thousandth, a goal is missed, or the paper is better."""
        table: Any = self.table
        lines = []
        unlabelled = {name for name, method in METHODS.items() if not method.uses_labels}
        methods = table[(table["study"] == "methods") & table["method"].isin(unlabelled)]
        for corpus, rows in methods.groupby("corpus", sort=False):
            for score in ("mcc", "rows"):
                by_method = rows.set_index("method")[score]
                ours, best = by_method.get("SSAE", by_method.max()), by_method.max()
                if best > ours + 0.001:
                    lines.append(f"{corpus}: {TITLES[score]} of {by_method.idxmax()} {best:.3f}, of SSAE {ours:.3f}")
        # A missing score is NaN, with which all comparisons are False.
        ssae = table[table["method"] == "SSAE"]
        for row in ssae[ssae["study"].isin(("methods", "fresh"))].to_dict("records"):
            for corpus, score, goal in GOALS:
                if row["corpus"] == corpus and pd.isna(row.get("chosen")) and row.get(score, goal) < goal:
                    lines.append(f"{corpus}: {TITLES[score]} {row[score]:.3f}, goal {goal:.2f}")
        for row in ssae[ssae["study"].isin(("methods", "transfer", "categories"))].to_dict("records"):
            for score in COMPARED:
                paper = row.get(f"paper_{score}")
                if paper is not None and row[score] < paper - 0.001:
                    lines.append(f"{row['line']}: {TITLES[score]} {row[score]:.3f}, the paper's {paper:.3f}")
        return lines

    def text(self) -> str:
        """Return the tables for a terminal."""
        model = self.about["model"]
        table: Any = self.table
        size = f"{model['d_model']} dimensions; held-out content; {len(self.about['seeds'])} seeds"
        blocks = [f"{model['model_name']}, {size}"]
        for study in table["study"].unique():
            rows = table[table["study"] == study].dropna(axis=1, how="all").drop(columns=[*HIDDEN], errors="ignore")
            blocks.append(f"{study.upper()}\n\n{_printed(rows)}")
            if study in ("methods", "fresh"):
                for corpus, concepts in self.by_concept(study).items():
                    if 1 < len(concepts) <= MAX_SHOWN:
                        frame = pd.DataFrame(concepts, index=["mcc", "rows"]).T
                        blocks.append(f"{corpus}, SSAE, by concept\n{frame.to_string(float_format='%.3f')}")
        blocks.append(f"Columns\n{NOTES}")
        blocks.append(
            "\n  ".join(["Methods", *(f"{name:<22}{about}" for name, about in self.about["methods"].items())])
        )
        blocks.append(f"Published numbers without a counterpart\n{_printed(self._without_counterpart())}")
        losses = self.where_baselines_win() or ["nowhere"]
        blocks.append("\n  ".join(["Where baselines win or the SSAE falls short", *losses]))
        return "\n\n".join([*blocks, f"{len(self.cells)} cells in {self.about['seconds']:.0f} s"])

    def figure(self) -> Any:
        """Return a plotly figure: methods by corpus, and the scores of the other studies."""
        import plotly.express as px

        columns = ["study", "line", "method", "corpus", "latents", "mcc", "rows"]
        table = self.table.reindex(columns=columns).dropna(subset="mcc")
        options = {"color": "method", "facet_row": "study", "hover_data": ["corpus", "latents", "rows"]}
        figure = px.scatter(table, x="mcc", y="line", **options, height=200 + 14 * len(table), template="plotly_white")
        figure.update_yaxes(matches=None, autorange="reversed")
        return figure.update_layout(title="MCC of concepts in a language model")

    def by_concept(self, study: str) -> dict[str, dict[str, tuple[float, float]]]:
        """Return for each corpus and concept the SSAE's correlation of codes, and cosine of rows, as means over seeds."""
        scores = {}
        for line in self.about["lines"]:
            cell = self.cells[line["cell"]]
            if line["study"] != study or cell["cell"]["method"] != "SSAE" or cell["cell"]["kind"] != "fit":
                continue
            fits = [fit["per_concept"] for fit in cell["fits"]]
            scores[corpus_title(line["corpus"])] = {
                name: (fmean(fit[name][0] for fit in fits), fmean(fit[name][1] for fit in fits)) for name in fits[0]
            }
        return scores

    def _without_counterpart(self) -> pd.DataFrame:
        """Return the published numbers that stand beside no number of the table."""
        table: Any = self.table
        shown = {(score, value) for score in COMPARED for value in table.get(f"paper_{score}", ())}
        missing = [pair not in shown for pair in zip(PUBLISHED["score"], PUBLISHED["value"], strict=True)]
        return PUBLISHED[missing].replace({"score": TITLES})


def published(corpus: str, method: str, score: str, latents: float | None = None) -> dict[str, Any] | None:
    """Return the row of `PUBLISHED` that belongs to a number of ours, if there is one."""
    rows = PUBLISHED
    rows = rows[(rows["corpus"] == corpus) & (rows["method"] == method) & (rows["score"] == score)]
    rows = rows[rows["latents"].isna() | (rows["latents"] == latents)]
    return None if rows.empty else rows.iloc[0].to_dict()


def _printed(rows: pd.DataFrame) -> str:
    """Return a data frame as text, with whole numbers without decimals."""
    names = ("latents", "width", "dimensions", "pairs", "values", "concepts", "matched")
    whole: Any = dict.fromkeys(names, lambda value: "" if pd.isna(value) else f"{value:.0f}")
    return rows.to_string(index=False, na_rep="", formatters=whole, float_format=lambda value: f"{value:.3f}")


def _means(fits: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the mean of each score over fits, and the standard deviation of the MCC."""
    # Fits of one row can have different widths after merging, and DCI is left out of wide ones.
    common = set(fits[0]).intersection(*fits[1:])
    names = [name for name, value in fits[0].items() if isinstance(value, int | float) and name in common - {"width"}]
    spread = {"mcc_sd": stdev(fit["mcc"] for fit in fits)} if len(fits) > 1 else {}
    return {name: fmean(fit[name] for fit in fits) for name in names} | spread


def _with_published(row: dict[str, Any]) -> dict[str, Any]:
    """Add the published numbers to the scores of a row."""
    corpus = row["line"].rpartition(", ")[0] if row["study"] == "transfer" else row["corpus"]
    for score in COMPARED:
        match = published(corpus, row["method"], score, row.get("width", row.get("latents")))
        if match is not None and score in row:
            row |= {f"paper_{score}": match["value"], "paper_model": match["model"]}
    return row
