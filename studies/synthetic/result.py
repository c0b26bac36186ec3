"""What the study gave: the numbers of every cell, as a table, a text, a figure and a file."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ssae_lens.evals import cells
from studies.synthetic.grid import PAPER, WIDTHS

if TYPE_CHECKING:
    import pandas as pd

SCORES = ("mcc_codes", "mcc_decoders", "r2", "mcc_shuffled")
GOOD, POOR = 0.99, 0.9


class Result(cells.Result):
    """The study's cells, one for each method, world and seed, and what they were run with."""

    name = "synthetic"

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each world and method: the mean and standard deviation over seeds of each score."""
        import pandas as pd

        frame: Any = pd.DataFrame(
            [
                {
                    **{name: each["cell"][name] for name in ("group", "row", "method")},
                    **{name: each[name] for name in ("world", "latents", *SCORES, "cpu_seconds")},
                }
                for each in self.cells
            ]
        )
        keys = ["group", "row", "world", "method", "latents"]
        grouped = frame.groupby(keys, sort=False)
        means = grouped[[*SCORES, "cpu_seconds"]].mean()
        spreads = grouped[list(SCORES)].std().rename(columns=lambda name: f"{name}_sd")
        return means.join(spreads).assign(seeds=grouped.size()).reset_index()

    def beaten(self) -> list[str]:
        """Say where another method's codes are better than ours by more than a thousandth, or ours fall short."""
        said = []
        for name, world in self._worlds():
            ours = world["SSAE"]["mcc_codes"] if "SSAE" in world else None
            if ours is None:
                continue
            best = max((each["mcc_codes"], method) for method, each in world.items())
            if best[0] > ours + 0.001:
                said.append(f"{name}: {best[1]} {best[0]:.3f}, SSAE {ours:.3f}")
            elif ours < POOR:
                said.append(f"{name}: SSAE {ours:.3f}, and none better")
        return said

    def text(self) -> str:
        """Return the table to read in a terminal."""
        lines = []
        for title, score in (("MCC of codes", "mcc_codes"), ("MCC of decoders", "mcc_decoders")):
            lines += [f"{title}: mean ± standard deviation over {len(self.about['seeds'])} seeds, held-out shifts", ""]
            for group in self.table["group"].unique():
                lines += [*self._block(str(group), score), ""]
        table: Any = self.table
        control = table.loc[table["method"] == "SSAE", "mcc_shuffled"]
        if len(control):
            lines.append(f"SSAE's codes against shuffled labels: {control.min():.3f} to {control.max():.3f}")
        lines += ["", "Methods"]
        lines += [f"  {name:<12}{words}" for name, words in self.about["methods"].items()]
        weak = self.beaten()
        lines += ["", "Where ours is beaten or fails (codes)", *(f"  {each}" for each in weak or ["nowhere"])]
        lines.append(f"\n{len(self.cells)} cells in {self.about['seconds']:.0f} s")
        return "\n".join(lines)

    def figure(self) -> Any:
        """Return a plotly figure: methods over worlds, and decline with width beside the paper's."""
        import plotly.graph_objects as go
        from plotly.subplots import make_subplots

        table: Any = self.table
        worlds, widths = table[table["group"] != WIDTHS], table[table["group"] == WIDTHS]
        figure = make_subplots(
            cols=2, column_widths=[0.62, 0.38], subplot_titles=("Worlds", WIDTHS), horizontal_spacing=0.08
        )
        for method, rows in worlds.groupby("method", sort=False):
            spread = {"type": "data", "array": rows["mcc_codes_sd"]}
            figure.add_trace(
                go.Scatter(x=rows["mcc_codes"], y=rows["row"], error_x=spread, mode="markers", name=str(method)),
                row=1,
                col=1,
            )
        for method, rows in widths.groupby("method", sort=False):
            spread = {"type": "data", "array": rows["mcc_codes_sd"]}
            figure.add_trace(
                go.Scatter(x=rows["latents"], y=rows["mcc_codes"], error_y=spread, name=f"{method}, by width"),
                row=1,
                col=2,
            )
        if len(widths):
            for place, method in enumerate(("SSAE", "affine")):
                points = {width: pair[place] for width, pair in PAPER.items() if pair[place] is not None}
                figure.add_trace(
                    go.Scatter(
                        x=list(points), y=list(points.values()), line={"dash": "dot"}, name=f"{method}, the paper's"
                    ),
                    row=1,
                    col=2,
                )
        figure.update_xaxes(title="MCC of codes", range=[0, 1.02], row=1, col=1)
        figure.update_yaxes(autorange="reversed", row=1, col=1)
        figure.update_xaxes(title="latents", row=1, col=2)
        figure.update_yaxes(range=[0, 1.02], row=1, col=2)
        return figure.update_layout(title="Concepts found in synthetic worlds", height=700, template="plotly_white")

    def _worlds(self) -> Iterator[tuple[str, dict[str, Any]]]:
        table: Any = self.table
        for row, methods in table.groupby("row", sort=False):
            yield str(row), {each["method"]: each for each in methods.to_dict(orient="records")}

    def _block(self, group: str, score: str) -> Iterator[str]:
        """Return the lines of one part of the table; the best of a line is starred."""
        table: Any = self.table
        part = table[table["group"] == group]
        methods = list(dict.fromkeys(part["method"]))
        paper = group == WIDTHS and score == "mcc_codes"
        head = [*methods, *(["paper: SSAE", "affine"] if paper else [])]
        yield f"{group:<34}" + "".join(f"{each:>13}" for each in head)
        for row, rows in part.groupby("row", sort=False):
            by_method = rows.set_index("method")
            best = by_method[score].max()
            said = [
                self._entry(by_method.loc[each], score, best) if each in by_method.index else "" for each in methods
            ]
            if paper:
                said += ["" if each is None else f"{each:.3f} " for each in PAPER[int(rows["latents"].iloc[0])]]
            yield f"  {row:<32}" + "".join(f"{each:>13}" for each in said)

    @staticmethod
    def _entry(row: Any, score: str, best: float) -> str:
        """Return mean and spread, starred where no other mean is larger by what is shown."""
        return f"{row[score]:.3f}±{row[score + '_sd']:.3f}" + ("*" if row[score] >= best - 0.0005 else " ")
