"""`SyntheticResult`: the scores of all cells as a table, a text, a figure and a file."""

from typing import Any

import pandas as pd

from studies.cells import StudyResult
from studies.synthetic.grid import PAPER, WIDTHS

SCORES = ("mcc_codes", "mcc_decoders", "r2", "mcc_shuffled")
# Where no method is better, an MCC of the SSAE below this is listed.
FAILED = 0.9


class SyntheticResult(StudyResult):
    """The cells of the study, one for each method, data set and seed."""

    name = "synthetic"

    def _tabulated(self) -> pd.DataFrame:
        """Return for each data set and method the mean and standard deviation of each score over seeds."""
        keys = ["group", "row", "data", "method", "latents"]
        frame: Any = pd.DataFrame([{**cell["cell"], **cell} for cell in self.cells])
        grouped = frame.groupby(keys, sort=False)
        means = grouped[[*SCORES, "cpu_seconds"]].mean()
        return means.join(grouped[list(SCORES)].std().add_suffix("_sd")).assign(seeds=grouped.size()).reset_index()

    def where_baselines_win(self) -> list[str]:
        """Return a line where the codes of another method are better by over a thousandth, or the SSAE fails."""
        table: Any = self.table
        lines = []
        wide = table.pivot_table("mcc_codes", index="row", columns="method", sort=False)
        for name, scores in wide.iterrows():
            ssae, best = scores.get("SSAE"), scores.max()
            if ssae is None or pd.isna(ssae):
                continue
            if best > ssae + 0.001:
                lines.append(f"{name}: {scores.idxmax()} {best:.3f}, SSAE {ssae:.3f}")
            elif ssae < FAILED:
                lines.append(f"{name}: SSAE {ssae:.3f}, and no method better")
        return lines

    def text(self) -> str:
        """Return the tables for a terminal; the best of a row, to three digits, has a star."""
        table: Any = self.table
        blocks = []
        for title, score in (("MCC of codes", "mcc_codes"), ("MCC of decoders", "mcc_decoders")):
            blocks.append(f"{title}: mean ± standard deviation over {len(self.about['seeds'])} seeds, held-out shifts")
            best = table.groupby("row")[score].transform("max")
            rows = table.assign(
                entry=[
                    f"{mean:.3f}±{sd:.3f}{'*' if mean >= top - 0.0005 else ' '}"
                    for mean, sd, top in zip(table[score], table[f"{score}_sd"], best, strict=True)
                ]
            )
            for group, part in rows.groupby("group", sort=False):
                wide = part.pivot_table("entry", index="row", columns="method", aggfunc="first", sort=False)
                if group == WIDTHS and score == "mcc_codes":
                    published = [PAPER[int(name.removeprefix("width "))] for name in wide.index]
                    wide["paper: SSAE"], wide["paper: affine"] = zip(*published, strict=True)
                wide.index.name = wide.columns.name = None
                blocks.append(f"{group}\n{wide.to_string(na_rep='')}")
        shuffled = table.loc[table["method"] == "SSAE", "mcc_shuffled"]
        if len(shuffled):
            blocks.append(f"Codes of the SSAE against shuffled labels: {shuffled.min():.3f} to {shuffled.max():.3f}")
        blocks.append("Methods\n" + "\n".join(f"  {name:<12}{about}" for name, about in self.about["methods"].items()))
        losses = self.where_baselines_win() or ["nowhere"]
        blocks.append("\n  ".join(["Where baselines win or the SSAE fails (MCC of codes)", *losses]))
        return "\n\n".join([*blocks, f"{len(self.cells)} cells in {self.about['seconds']:.0f} s"])

    def figure(self) -> Any:
        """Return a plotly figure: the MCC of codes by data set and method, with standard deviations over seeds."""
        import plotly.express as px

        options = {"color": "method", "error_x": "mcc_codes_sd", "hover_data": [*SCORES], "template": "plotly_white"}
        figure = px.scatter(self.table, x="mcc_codes", y="row", range_x=[0, 1.02], height=800, **options)
        figure.update_yaxes(autorange="reversed", title="")
        return figure.update_layout(title="MCC of codes on synthetic data")
