"""What the comparison gave: a row for each method on each task, a text, a figure and a file."""

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ssae_lens.evals import cells
from ssae_lens.evals.steering import rows
from ssae_lens.evals.steering.rows import CONTROL, NOTHING, OURS

if TYPE_CHECKING:
    import pandas as pd

CAPTION = """\
All at the scale that the choosing half chose, on prompts (or questions) of the other half; means over tasks.
behav., coher.  behaviour and coherence, from 0 to 1        product  behaviour × coherence, as SAE-TS scores
harm.    their harmonic mean, text by text, as AxBench      elsewh.  the product on prompts of other kinds
steer.   slope of what held-out texts with the behaviour are likelier by (nats a token; of answers: logits) over multipliers
anti-    share of such slopes below 0
side     mean |effect| on every other concept of `sentences` (nats a token)     KL  of next tokens in neutral prose
early, late  behaviour in the first and last window of long texts               rated  the product of a judge's ratings
The interval is a bootstrap over tasks; p is of a paired sign-flip test over tasks against the SSAE."""
JUDGED = ("name", "right", "low", "high")
# Title in the text, column, digits.
COLUMNS = (
    ("behav.", "behaviour", 2),
    ("coher.", "coherence", 2),
    ("product", "product", 3),
    ("harm.", "harmonic", 3),
    ("steer.", "steerability", 3),
    ("anti-", "anti_steerable", 2),
    ("elsewh.", "elsewhere", 3),
    ("side", "side_effect", 4),
    ("KL", "kl", 2),
    ("early", "early", 2),
    ("late", "late", 2),
    ("rated", "rated_product", 3),
)


class Result(cells.Result):
    """The study's cells, and what they were run with."""

    name = "steering"

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each task and method; one that could not be made says why."""
        import pandas as pd

        ways = rows.by_way(self.cells)
        why = {(each["task"], each["method"]): each["why"] for each in self.about["missing"]}
        found = []
        for task in self.about["tasks"]:
            for method in self.about["methods"]:
                row = {"group": task["group"], "task": task["name"], "method": method}
                parts = ways.get((task["name"], method, self.about["hook"]), {})
                if parts:
                    row |= rows.row_of(parts, task["concept"], task["sign"])
                    row["cosine"] = self.about["cosines"][task["name"]].get(method)
                else:
                    row["why"] = why[task["name"], method]
                found.append(row)
        return pd.DataFrame(found)

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """Each method over all tasks: means, the product's interval, and a paired test against the SSAE."""
        import pandas as pd

        return pd.DataFrame(rows.over_tasks(_filled(self.table), list(self.about["methods"])))

    @cached_property
    def layers(self) -> "pd.DataFrame":
        """CAA at every layer of the tasks that were steered at several, and the layer that the choosing half takes."""
        import pandas as pd

        tasks = [each["name"] for each in self.about["tasks"]]
        hooks = dict.fromkeys(each["cell"]["hook"] for each in self.cells if each["cell"]["hook"])
        return pd.DataFrame(rows.of_layers(self.cells, tasks, sorted(hooks, key=_layer)))

    @cached_property
    def judges(self) -> "pd.DataFrame":
        """What judged each task, and how often it is right on labelled texts that it did not learn from."""
        import pandas as pd

        found: list[dict[str, Any]] = []
        for each in self.cells:
            told = {"behaviour": each} if each["cell"]["part"] == "rater" else each
            if each["cell"]["part"] in ("judges", "rater"):
                found += [
                    {"task": each["cell"]["task"], "of": of, **{name: told[of][name] for name in JUDGED}}
                    for of in ("behaviour", "coherence")
                    if of in told
                ]
        return pd.DataFrame(found)

    def judged(self, of: str) -> list[dict[str, Any]]:
        """Return what is known of the judges of behaviour, or of coherence, whose error could be measured."""
        return [each for each in _filled(self.judges) if each["of"] == of and "right" in each]

    def beaten(self) -> list[str]:
        """Say which methods do better than ours over all tasks, and on which tasks ours does no better than nothing."""
        if OURS not in set(self.summary["method"]):
            return ["the SSAE was not tried"]
        found = [
            f"{each['method']}: product {each['less_ours']:+.3f} over {each['shared']:.0f} tasks (p {each['p']:.3f})"
            for each in _filled(self.summary)
            if each.get("less_ours", 0) > 0
        ]
        for task, methods in self._tasks().items():
            ours, nothing = (methods.get(name, {}).get("product") for name in (OURS, NOTHING))
            if ours is not None and nothing is not None and ours <= nothing:
                found.append(f"{task}: SSAE {ours:.3f}, unsteered {nothing:.3f}")
        return found

    def text(self) -> str:
        """Return the table to read in a terminal."""
        about = self.about
        lines = [f"Steering {about['model']} at {about['hook']}: {len(about['tasks'])} tasks", "", *self._over_tasks()]
        lines += ["", CAPTION, "", *self._by_task(), "", *self._said_of_judges()]
        if len(self.layers):
            lines += ["", *self._by_layer()]
        lines += ["", *self._chance(), "", "What each was given"]
        lines += [f"  {name:<18}{given}" for name, given in about["methods"].items()]
        lines += self._absent()
        lines += ["", "Where ours is beaten or fails", *(f"  {each}" for each in self.beaten() or ["nowhere"])]
        lines.append(f"\n{len(self.cells)} cells in {about['seconds']:.0f} s")
        return "\n".join(lines)

    def figure(self) -> Any:
        """Return a plotly figure: dose and response, behaviour against coherence, tasks and methods, layers."""
        from ssae_lens.evals.steering.figures import figure

        return figure(self)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it."""
        import json

        more = {
            name: json.loads(getattr(self, name).to_json(orient="records") or "[]")
            for name in ("summary", "layers", "judges")
        }
        return {**super().to_json(), **more}

    def _tasks(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return each task's rows by method."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for row in _filled(self.table):
            found.setdefault(row["task"], {})[row["method"]] = row
        return found

    def _over_tasks(self) -> Iterator[str]:
        shown = [each for each in COLUMNS if each[1] in self.summary and self.summary[each[1]].notna().any()]
        titles = "".join(f"{title:>9}" for title, _, _ in shown)
        yield f"{'':<18}{'tasks':>6}{titles}{'product, 95 %':>16}{'p':>8}"
        for each in _filled(self.summary):
            numbers = "".join(f"{_shown(each.get(column), digits):>9}" for _, column, digits in shown)
            interval = f"{each['product_low']:.3f}–{each['product_high']:.3f}"
            yield f"{each['method']:<18}{each['tasks']:>6}{numbers}{interval:>16}{_shown(each.get('p'), 3):>8}"

    def _by_task(self) -> Iterator[str]:
        """Return the product of every method on every task; the best of a task is starred."""
        made = [name for name in self.about["methods"] if name in set(self.summary["method"])]
        yield "Product by task (the best of each line is starred; > marks a scale at the end of those tried)"
        yield f"{'':<22}" + "".join(f"{name[:11]:>12}" for name in made)
        for task, methods in self._tasks().items():
            best = max(row["product"] for row in methods.values() if "product" in row)
            said = [_entry(methods.get(name, {}), best) for name in made]
            yield f"  {task[:19]:<20}" + "".join(f"{each:>12}" for each in said)

    def _said_of_judges(self) -> Iterator[str]:
        yield "Judges, and how often each is right on labelled texts that it did not learn from"
        for each in self.judged("behaviour"):
            yield f"  {each['task'][:19]:<20}{_share(each)}  {each['name']}"
        for each in self.judged("coherence")[:1]:
            yield f"  {'coherence':<20}{_share(each)}  neutral texts told from the same with their words shuffled"
        if told := self.about.get("ratings"):
            yield f"{told['name']} rated {told['ratings'] - told['unanswered']} of {told['ratings']} times it was asked"
            if told["tally"]:
                yield "  " + ", ".join(
                    f"{name.replace('_', ' ')} {value:g}" for name, value in told["tally"].items() if value
                )

    def _by_layer(self) -> Iterator[str]:
        yield "CAA by layer: product on the half that reports (* the layer that the other half chooses)"
        table: Any = self.layers
        for task, some in table.groupby("task", sort=False):
            said = [
                f"{_layer(hook)}: {p:.3f}{'*' if c else ''}"
                for hook, p, c in some[["hook", "product", "chosen"]].to_numpy()
            ]
            yield f"  {str(task)[:19]:<20}" + "   ".join(said)

    def _chance(self) -> Iterator[str]:
        """Say how far the control is from the unsteered model, beside what chance gives."""
        table = {each["method"]: each for each in _filled(self.summary)}
        if CONTROL in table and NOTHING in table:
            random, nothing = table[CONTROL], table[NOTHING]
            yield (
                f"Chance: random vectors have behaviour {random['behaviour']:.3f} (unsteered {nothing['behaviour']:.3f}), "
                f"steerability {random['steerability']:+.4f} and {random['anti_steerable']:.2f} of slopes below 0 "
                "(0 and 0.50 are expected)."
            )

    def _absent(self) -> Iterator[str]:
        by_why: dict[tuple[str, str], list[str]] = {}
        for each in self.about["missing"]:
            by_why.setdefault((each["method"], each["why"]), []).append(each["task"])
        if by_why:
            yield from ("", "What could not be tried")
        for (method, why), tasks in by_why.items():
            where = "every task" if len(tasks) == len(self.about["tasks"]) else ", ".join(tasks)
            yield f"  {method:<18}{where}: {why}"


def _entry(row: dict[str, Any], best: float) -> str:
    if "product" not in row:
        return "– "
    return f"{row['product']:.3f}{'>' if row['scale_at_end'] else ''}{'*' if row['product'] >= best - 0.0005 else ' '}"


def _filled(table: "pd.DataFrame") -> list[dict[str, Any]]:
    """Return a table's rows, each without what it has not."""
    return [{str(name): each for name, each in row.dropna().items()} for _, row in table.iterrows()]


def _shown(value: float | None, digits: int) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _share(judge: dict[str, Any]) -> str:
    return f"{judge['right']:.2f} ({judge['low']:.2f}–{judge['high']:.2f})"


def _layer(hook: str) -> int:
    return int(hook.split(".")[1]) if hook.startswith("blocks.") else -1
