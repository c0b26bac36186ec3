"""`SteeringStudyResult`: a row for each method on each task, means over tasks, layers, judges; as text, figure and JSON."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.evals._steering import (
    CAPTION,
    COLUMNS,
    JUDGES,
    REPORT,
    SCALE_SWEEP,
    UNSTEERED,
    SteeringResult,
    rounded,
    scored,
)
from ssae_lens.evals.experiment import products
from ssae_lens.evals.results import Cell, records_of
from ssae_lens.metrics import Interval, bootstrap_interval, sign_flip_test
from ssae_lens.pairs.sentences import ATTRIBUTES
from studies.cells import StudyResult
from studies.steering import ratings
from studies.steering.measure import LONG, SIDE_EFFECTS

if TYPE_CHECKING:
    import pandas as pd

SSAE, CONTROL = "SSAE", "random"
STUDY_COLUMNS = (
    *COLUMNS,
    ("side", "side_effect", 4),
    ("KL", "kl", 2),
    ("early", "early", 2),
    ("late", "late", 2),
    ("rated", "rated_product", 3),
)
STUDY_CAPTION = f"""\
{CAPTION}
side     mean |effect| on every other concept of `sentences` (nats a token)     KL  of next tokens in neutral prose
early, late  behaviour in the first and last window of long texts               rated  the product of a judge's ratings
Means over tasks. The interval is a bootstrap over tasks; p is of a paired sign-flip test over tasks against the SSAE."""
TITLES = (
    "Effect vs. steering strength: product by scale, mean over tasks",
    "Behaviour against coherence, a point for each scale, with the Pareto front",
    "Product on the half that reports",
    "CAA by layer",
)


class SteeringStudyResult(SteeringResult, StudyResult):
    """The cells of the study, and what holds for all of them."""

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """Each method over all tasks: means, the product's interval, and a paired test against the SSAE."""
        import pandas as pd

        return pd.DataFrame(_over_tasks(_rows(self.table), list(self.about["methods"])))

    @cached_property
    def layers(self) -> "pd.DataFrame":
        """CAA at every layer of the tasks that were steered at several, and the layer that the choosing half takes."""
        import pandas as pd

        hooks = dict.fromkeys(cell["cell"]["hook"] for cell in self.cells if cell["cell"]["hook"])
        hooks, parts, rows = sorted(hooks, key=_layer), self.parts(), []
        for task in (task["name"] for task in self.about["tasks"]):
            here = [(hook, parts[task, "CAA", hook]) for hook in hooks if (task, "CAA", hook) in parts]
            if len(here) < 2:
                continue
            best = best_layer([of_hook[SCALE_SWEEP] for _, of_hook in here])
            for number, (hook, of_hook) in enumerate(here):
                row = {"task": task, "hook": hook, "chosen": number == best}
                rows.append({**row, "scale": of_hook[REPORT]["cell"]["scale"], **scored(of_hook[REPORT])})
        return pd.DataFrame(rows)

    def judges(self) -> list[dict[str, Any]]:
        """Return the judges of each task, a rating judge included, with their accuracy on labelled texts."""
        judges = []
        for cell in self.cells:
            of_cell = {"behaviour": cell} if cell["cell"]["part"] == ratings.RATER else cell
            if cell["cell"]["part"] in (JUDGES, ratings.RATER):
                for of in ("behaviour", "coherence"):
                    if of in of_cell:
                        numbers = {name: of_cell[of][name] for name in ("name", "right", "low", "high")}
                        judges.append({"task": cell["cell"]["task"], "of": of, **numbers})
        return judges

    def where_baselines_win(self) -> list[str]:
        """Return the methods better than the SSAE over all tasks, and the tasks where it is no better than no steering."""
        if SSAE not in set(self.summary["method"]):
            return ["the SSAE was not tried"]
        lines = [
            f"{row['method']}: product {row['less_ours']:+.3f} over {row['shared']:.0f} tasks (p {row['p']:.3f})"
            for row in _rows(self.summary)
            if row.get("less_ours", 0) > 0
        ]
        for task, methods in self._by_task().items():
            ssae, unsteered = (methods.get(name, {}).get("product") for name in (SSAE, UNSTEERED))
            if ssae is not None and unsteered is not None and ssae <= unsteered:
                lines.append(f"{task}: SSAE {ssae:.3f}, unsteered {unsteered:.3f}")
        return lines

    def text(self) -> str:
        """Return the tables for a terminal."""
        about = self.about
        lines = [
            f"Steering {about['model']} at {about['hook']}: {len(about['tasks'])} tasks",
            "",
            *self._summary_lines(),
        ]
        lines += ["", STUDY_CAPTION, "", *self._task_lines(), "", *self._judge_lines(), *self._layer_lines()]
        lines += ["", *self._control_lines(), "", "What each method was given"]
        lines += [f"  {name:<18}{given}" for name, given in about["methods"].items()]
        lines += self._missing_lines()
        lines += ["", "Where baselines win, or the SSAE fails"]
        lines += [f"  {line}" for line in self.where_baselines_win() or ["nowhere"]]
        return "\n".join([*lines, f"\n{len(self.cells)} cells in {about['seconds']:.0f} s"])

    def figure(self) -> Any:
        """Return a plotly figure: the scale sweep, behaviour against coherence, tasks and methods, layers."""
        from plotly.subplots import make_subplots

        from ssae_lens.evals.steering_figures import add_curves, titled

        figure = make_subplots(rows=2, cols=2, subplot_titles=TITLES, horizontal_spacing=0.1, vertical_spacing=0.14)
        add_curves(figure, self)
        if "product" in self.table:
            wide = self.table.pivot_table(index="task", columns="method", values="product", sort=False)
            figure.add_heatmap(
                z=wide.to_numpy(), x=list(wide.columns), y=list(wide.index), colorscale="Viridis", zmin=0,
                texttemplate="%{z:.2f}", colorbar={"len": 0.4, "y": 0.2, "x": 0.46}, row=2, col=1,
            )  # fmt: skip
            figure.update_yaxes(autorange="reversed", row=2, col=1)
        for task, rows in self.layers.groupby("task", sort=False) if len(self.layers) else ():
            x = [_layer(hook) for hook in rows["hook"]]
            figure.add_scatter(x=x, y=rows["product"], name=f"CAA, {task}", row=2, col=2)
        figure.update_xaxes(title="block", row=2, col=2)
        figure.update_yaxes(title="behaviour × coherence", rangemode="tozero", row=2, col=2)
        return titled(figure, self, height=1050)

    def to_json(self) -> dict[str, Any]:
        """Return everything in types that JSON has."""
        tables = {"summary": records_of(self.summary), "layers": records_of(self.layers), "judges": self.judges()}
        return {**super().to_json(), **tables}

    def _row(self, parts: Mapping[str, Cell], task: Mapping[str, Any]) -> dict[str, Any]:
        row = super()._row(parts, task)
        if side := parts.get(SIDE_EFFECTS):
            others = [abs(effect) for name, effect in side["effects"].items() if name != task["concept"]]
            row |= {"side_effect": float(np.mean(others)), "kl": side["kl"]}
            if task["concept"] in ATTRIBUTES:
                row["own_effect"] = task["sign"] * side["effects"][task["concept"]]
        if long := parts.get(LONG):
            row |= {"early": float(np.mean(long["behaviour"][0])), "late": float(np.mean(long["behaviour"][-1]))}
            row |= {"coherence_late": float(np.mean(long["coherence"][-1]))}
        if rated := parts.get(ratings.RATED):
            row |= ratings.means(rated)
        return row

    def _by_task(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return the rows of each task by method."""
        by_task: dict[str, dict[str, dict[str, Any]]] = {}
        for row in _rows(self.table):
            by_task.setdefault(row["task"], {})[row["method"]] = row
        return by_task

    def _summary_lines(self) -> Iterator[str]:
        shown = [
            column for column in STUDY_COLUMNS if column[1] in self.summary and self.summary[column[1]].notna().any()
        ]
        titles = "".join(f"{title:>9}" for title, _, _ in shown)
        yield f"{'':<18}{'tasks':>6}{titles}{'product, 95 %':>16}{'p':>8}"
        for row in _rows(self.summary):
            numbers = "".join(f"{rounded(row.get(column), digits):>9}" for _, column, digits in shown)
            interval = f"{row['product_low']:.3f}–{row['product_high']:.3f}"
            yield f"{row['method']:<18}{row['tasks']:>6}{numbers}{interval:>16}{rounded(row.get('p'), 3):>8}"

    def _task_lines(self) -> Iterator[str]:
        """Yield the product of every method on every task, the best of a task with a star."""
        tried = set(self.summary["method"])
        methods = [name for name in self.about["methods"] if name in tried]
        yield "Product by task (* the best of a line; > the scale is the largest tried)"
        yield f"{'':<22}" + "".join(f"{name[:11]:>12}" for name in methods)
        for task, rows in self._by_task().items():
            best = max(row["product"] for row in rows.values() if "product" in row)
            entries = [_entry(rows.get(name, {}), best) for name in methods]
            yield f"  {task[:19]:<20}" + "".join(f"{entry:>12}" for entry in entries)

    def _judge_lines(self) -> Iterator[str]:
        yield from super()._judge_lines()
        if rated := self.about.get("ratings"):
            yield f"{rated['name']} rated {rated['ratings'] - rated['unanswered']} of {rated['ratings']} times it was asked"
            if rated["tally"]:
                tally = {name.replace("_", " "): value for name, value in rated["tally"].items() if value}
                yield "  " + ", ".join(f"{name} {value:g}" for name, value in tally.items())

    def _layer_lines(self) -> Iterator[str]:
        if not len(self.layers):
            return
        yield from ("", "CAA by layer: product on the half that reports (* the layer that the other half chooses)")
        for task, rows in self.layers.groupby("task", sort=False):
            entries = [
                f"{_layer(hook)}: {product:.3f}{'*' if chosen else ''}"
                for hook, product, chosen in rows[["hook", "product", "chosen"]].to_numpy()
            ]
            yield f"  {str(task)[:19]:<20}" + "   ".join(entries)

    def _control_lines(self) -> Iterator[str]:
        """Compare random vectors with the unsteered model, and with what is expected of them."""
        rows = {row["method"]: row for row in _rows(self.summary)}
        if CONTROL in rows and UNSTEERED in rows:
            random, unsteered = rows[CONTROL], rows[UNSTEERED]
            yield (
                f"Chance: random vectors have behaviour {random['behaviour']:.3f} (unsteered {unsteered['behaviour']:.3f}), "
                f"steerability {random['steerability']:+.4f} and {random['anti_steerable']:.2f} of slopes below 0 "
                "(0 and 0.50 are expected)."
            )

    def _missing_lines(self) -> Iterator[str]:
        by_reason: dict[tuple[str, str], list[str]] = {}
        for item in self.about["missing"]:
            by_reason.setdefault((item["method"], item["why"]), []).append(item["task"])
        if by_reason:
            yield from ("", "What could not be tried")
        for (method, why), tasks in by_reason.items():
            where = "every task" if len(tasks) == len(self.about["tasks"]) else ", ".join(tasks)
            yield f"  {method:<18}{where}: {why}"


def best_layer(sweeps: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of the scale sweep with the best scale: the layer that the choosing half takes."""
    return int(np.argmax([products(sweep).max() for sweep in sweeps]))


def _over_tasks(rows: Sequence[Mapping[str, Any]], methods: Sequence[str]) -> list[dict[str, Any]]:
    """Return each method's means over its tasks, with a paired test against the SSAE over the tasks that both have."""
    tried = [row for row in rows if "product" in row]
    product = {name: {row["task"]: row["product"] for row in tried if row["method"] == name} for name in methods}
    summaries = []
    for name in methods:
        own = [row for row in tried if row["method"] == name]
        if not own:
            continue
        summary: dict[str, Any] = {"method": name, "tasks": len(own)}
        for _, column, _ in STUDY_COLUMNS:
            values = [row[column] for row in own if column in row]
            summary[column] = float(np.mean(values)) if values else None
        interval = _interval([row["product"] for row in own])
        summary |= {"product_low": interval.low, "product_high": interval.high}
        if name != SSAE and (shared := sorted(product[name].keys() & product.get(SSAE, {}).keys())):
            sides = (np.array([product[method][task] for task in shared]) for method in (name, SSAE))
            test = sign_flip_test(*sides)
            summary |= {"less_ours": test.difference, "p": test.p_value, "shared": test.n}
        summaries.append(summary)
    return summaries


def _interval(values: Sequence[float]) -> Interval:
    if len(values) < 2:
        return Interval(values[0], values[0], values[0])
    return bootstrap_interval(np.array(values))


def _entry(row: Mapping[str, Any], best: float) -> str:
    if "product" not in row:
        return "– "
    return f"{row['product']:.3f}{'>' if row['scale_at_end'] else ''}{'*' if row['product'] >= best - 0.0005 else ' '}"


def _rows(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return the rows of a table, without missing values."""
    return [{str(name): value for name, value in row.dropna().items()} for _, row in table.iterrows()]


def _layer(hook: str) -> int:
    return int(hook.split(".")[1]) if hook.startswith("blocks.") else -1
