"""What the probes gave: scores by features, concept and number of features, as a table, a text, a figure and a file."""

from typing import TYPE_CHECKING, Any

from ssae_lens.evals import cells

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("accuracy", "matthews", "correlation")
TITLES = {
    "accuracy": "Accuracy (chance: .5)",
    "matthews": "Matthews correlation (chance: 0)",
    "correlation": "Correlation of the probe's logit (chance: 0)",
}


class ProbeResult(cells.Result):
    """A cell for each concept, kind of features and number of features, true labels or shuffled; `k` None is all."""

    name = "probes"

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each kind and number of features: the mean and standard deviation over concepts."""
        keys = ["features", "shuffled", "k", "n_features"]
        grouped: Any = self.by_concept().groupby(keys, sort=False)[list(SCORES)]
        spreads = grouped.std().rename(columns=lambda name: f"{name}_sd")
        return grouped.mean().join(spreads).assign(concepts=grouped.size()).reset_index()

    def by_concept(self) -> "pd.DataFrame":
        """Return a row for each cell."""
        import pandas as pd

        widths = self.about["widths"]
        return pd.DataFrame(
            [
                {
                    **{name: each["cell"][name] for name in ("concept", "features", "shuffled")},
                    "k": "all" if each["cell"]["k"] is None else str(each["cell"]["k"]),
                    "n_features": each["cell"]["k"] or widths[each["cell"]["features"]],
                    **{name: each[name] for name in (*SCORES, "n_train", "n_test")},
                }
                for each in self.cells
            ]
        )

    def beaten(self) -> list[str]:
        """Say at which number of features another kind's Matthews correlation is above the SSAE's by more than .01."""
        said = []
        wide: Any = self._wide("matthews")
        if "SSAE codes" not in wide.columns:
            return said
        for k, row in wide.iterrows():
            others = row.drop("SSAE codes").dropna()
            if len(others) and row["SSAE codes"] < others.max() - 0.01:
                said.append(f"k={k}: {others.idxmax()} {others.max():.3f}, SSAE codes {row['SSAE codes']:.3f}")
        return said

    def text(self) -> str:
        """Return the tables to read in a terminal."""
        table: Any = self.table
        concepts = sorted(self.by_concept()["concept"].unique())
        lines = [f"Probes of {len(concepts)} concepts on pairs held out: mean ± standard deviation over concepts", ""]
        for score, title in TITLES.items():
            true = table[~table["shuffled"]]
            names = list(dict.fromkeys(true["features"]))
            lines.append(f"{title:<46}" + "".join(f"{each:>16}" for each in names))
            for k in self._ks():
                cells = true[true["k"] == k].set_index("features")
                said = [
                    f"{cells.loc[each, score]:.3f}±{cells.loc[each, score + '_sd']:.3f}" if each in cells.index else ""
                    for each in names
                ]
                lines.append(f"  {k + ' features':<44}" + "".join(f"{each:>16}" for each in said))
            lines.append("")
        shuffled = table[table["shuffled"]]
        low, high = shuffled["accuracy"].min(), shuffled["accuracy"].max()
        lines.append(f"Shuffled labels: mean accuracy {low:.3f} to {high:.3f}")
        lines += ["", "Where the SSAE's codes are beaten", *(f"  {each}" for each in self.beaten() or ["nowhere"])]
        return "\n".join(lines)

    def figure(self) -> Any:
        """Return a plotly figure: accuracy over the number of features, concepts thin, their mean thick."""
        import plotly.graph_objects as go
        from plotly.colors import qualitative

        cells: Any = self.by_concept()
        figure = go.Figure()
        for colour, (name, rows) in zip(qualitative.Plotly, cells.groupby("features", sort=False), strict=False):
            true = rows[~rows["shuffled"]].sort_values("n_features")
            for concept, one in true.groupby("concept"):
                figure.add_scatter(
                    x=one["n_features"],
                    y=one["accuracy"],
                    mode="lines",
                    line={"color": colour, "width": 1},
                    opacity=0.25,
                    legendgroup=name,
                    showlegend=False,
                    hovertext=concept,
                )
            for told, dash, part in ((name, "solid", true), (f"{name}, shuffled", "dot", rows[rows["shuffled"]])):
                mean = part.groupby("n_features")["accuracy"].mean()
                figure.add_scatter(
                    x=mean.index,
                    y=mean,
                    mode="lines+markers",
                    name=told,
                    legendgroup=name,
                    line={"color": colour, "dash": dash},
                )
        figure.update_xaxes(title="features", type="log")
        figure.update_yaxes(title="accuracy on pairs held out", range=[0.4, 1.02])
        return figure.update_layout(title="In how many features a concept can be read", template="plotly_white")

    def _ks(self) -> list[str]:
        return [*map(str, sorted(self.about["ks"])), "all"]

    def _wide(self, score: str) -> Any:
        """Return a score of the true labels, numbers of features down and kinds of features across."""
        table: Any = self.table
        wide = table[~table["shuffled"]].pivot_table(index="k", columns="features", values=score, sort=False)
        return wide.reindex([k for k in self._ks() if k in wide.index])
