"""Results of the study: a row for each vector, its decomposition by each dictionary, and the findings of the paper."""

import textwrap
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ssae_lens.base.checksums import write_json
from ssae_lens.base.files import writing
from ssae_lens.evals._decomposition import NO_THRESHOLD, POSITIVE, PURSUIT, RANDOM_ROWS, WITH_THRESHOLD
from studies.cells import StudyResult
from studies.decomposition.measure import AROUND, BETWEEN, OWN, RANDOM_VECTOR, SSAE
from studies.decomposition.verdicts import FULL, code_of, lengths_of, verdicts

if TYPE_CHECKING:
    import pandas as pd

CAPTION = """\
norm     the vector's; an activation's mean norm is {mean_norm:.0f} ({lowest:.0f} to {highest:.0f})
own      the SAE at the vector's own length: active features / how many of the zero vector's top {top} are in the vector's
         top {top} without the SAE's threshold (r: in that of a random vector as long)
at {last}     at {last} mean norms: active features, and how many of these hardly fire in the behaviour's texts
lost     of the {changed} features that change most between its texts, those that fall / of them those at 0 in the code
then     explained (1 − ‖v − v̂‖² / ‖v‖²) by: the SAE's code at the best length; differences of encodings, over activations
         (x + v) and over the texts; {atoms} decoder rows with signs, and without; {atoms} random directions; the SSAE
used     latents of the SSAE's code above a tenth of its largest; sign and rank are of the behaviour's own latent"""


class DecompositionStudyResult(StudyResult):
    """The study's cells, and what they were run with."""

    name = "decomposition"

    @cached_property
    def activations(self) -> dict[str, Any]:
        """What was measured of activations and of the zero vector."""
        return self._of("activations")[0]

    @cached_property
    def vectors(self) -> list[dict[str, Any]]:
        """What was measured of each vector."""
        return self._of("vector")

    @cached_property
    def verdicts(self) -> list[dict[str, str]]:
        """Each finding of the paper: the paper's statement, the result here, and whether it is reproduced."""
        return verdicts(self.activations, self.vectors, self._of("SSAE"))

    @cached_property
    def summary(self) -> "pd.DataFrame":
        """A row for each vector and dictionary: what is explained, and of how many features."""
        import pandas as pd

        return pd.DataFrame([row for each in self.vectors for row in _summed(each)])

    @cached_property
    def features(self) -> list[dict[str, Any]]:
        """A row for each vector, dictionary and one of its strongest features, beside the zero vector's code."""
        return [
            {"vector": each["cell"]["task"], "dictionary": dictionary, **row}
            for each in self.vectors
            for dictionary, rows in _shown(each)
            for row in rows
        ]

    def where_baselines_win(self) -> list[str]:
        """Say where the SSAE explains less of a vector than signed pursuit does, has a sign wrong, or has no latent."""
        found = []
        for each in self.vectors:
            if "ssae" not in each:
                continue
            name, ours, signed = each["cell"]["task"], each["ssae"], each["remedies"][PURSUIT]
            if ours["latent"] is None:
                found.append(f"{name}: no latent of the SSAE is this behaviour")
            elif not ours["sign_right"] or ours["rank"] > 1:
                found.append(f"{name}: its latent has rank {ours['rank']}, its sign is {_sign(ours)}")
            if not ours.get("elsewhere", {}).get("sign_right", True):
                found.append(f"{name}: on the vector of held-out texts, its latent's sign is wrong")
            if ours["explained"] < signed["explained"]:
                found.append(
                    f"{name}: {ours['explained']:.2f} explained by the SSAE's {len(ours['codes'])} latents, "
                    f"{signed['explained']:.2f} by signed pursuit over the SAE's rows"
                )
        return found

    def text(self) -> str:
        """Return the table to read in a terminal."""
        about, seen = self.about, self.activations
        lines = [f"Steering vectors of {about['model']} at {about['hook']}, taken apart", ""]
        lines += [*self._rows(), "", self._caption(), "", "Findings of Mayne et al. (arXiv 2411.08790)"]
        for each in self.verdicts:
            lines.append(f"  {each['finding']}: {each['again']}")
            for side in ("paper", "here"):
                lines += textwrap.wrap(each[side], 112, initial_indent=f"    {side:<7}", subsequent_indent=" " * 11)
        lines += ["", "Explained by so many decoder rows of the SAE, mean over vectors", *self._by_atoms()]
        lines += ["", *self._foreign()]
        lines += [
            "Where baselines win",
            *(f"  {each}" for each in self.where_baselines_win() or ["nowhere"]),
        ]
        lines.append(f"\n{len(self.cells)} cells in {about['seconds']:.0f} s; {seen['tokens']} activations")
        return "\n".join(lines)

    def figures(self) -> dict[str, Any]:
        """Return a plotly figure for each finding, by name."""
        from studies.decomposition.figures import figures

        return figures(self)

    def figure(self) -> Any:
        """Return the first of the figures: the zero vector's features beside those of vectors."""
        return self.figures()["zero vector"]

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON holds it; ``features`` and ``summary`` are what `Report.add_decomposition` takes."""
        import json

        summary = json.loads(self.summary.to_json(orient="records") or "[]")
        return {**super().to_json(), "features": self.features, "summary": summary, "verdicts": self.verdicts}

    def save(self, folder: str | Path) -> None:
        """Write the JSON, and all figures on one page, under the study's name."""
        write_json(Path(folder) / f"{self.name}.json", self.to_json())
        drawn = [
            each.to_html(full_html=False, include_plotlyjs=not i) for i, each in enumerate(self.figures().values())
        ]
        page = "".join(drawn)
        with writing(Path(folder) / f"{self.name}.html") as temporary:
            temporary.write_text(f'<!doctype html><meta charset="utf-8"><body>{page}</body>\n', encoding="utf-8")

    def _tabulated(self) -> "pd.DataFrame":
        """Return a row for each vector."""
        import pandas as pd

        return pd.DataFrame([self._row(each) for each in self.vectors])

    def _of(self, part: str) -> list[dict[str, Any]]:
        return [each for each in self.cells if each["cell"]["part"] == part]

    def _row(self, each: dict[str, Any]) -> dict[str, Any]:
        last = self._last
        own, bare, full = (
            code_of(each, OWN, WITH_THRESHOLD),
            code_of(each, OWN, NO_THRESHOLD),
            code_of(each, last, WITH_THRESHOLD),
        )
        row = {
            "group": each["cell"]["group"],
            "vector": each["cell"]["task"],
            "norm": each["norm"],
            "share_shorter": each["share_shorter"],
            "active_own": own["active"],
            "shared_own": bare["shared"],
            "shared_random": bare["shared_random"],
            "active_full": full["active"],
            "spurious_full": full["spurious"],
            "negative": full["negative"],
            "lost": full["lost"],
            "sae": max(code_of(each, length, WITH_THRESHOLD)["explained"] for length in lengths_of(each)),
            **{name: each["remedies"][name]["explained"] for name in (AROUND, BETWEEN, PURSUIT, POSITIVE, RANDOM_ROWS)},
        }
        if "ssae" in each:
            ours = each["ssae"]
            row |= {"ssae": ours["explained"], "ssae_used": ours["used"], "ssae_latent": ours["latent"]}
            row |= {"ssae_sign_right": ours.get("sign_right"), "ssae_rank": ours.get("rank")}
            row |= {f"ssae_elsewhere_{name}": value for name, value in ours.get("elsewhere", {}).items()}
        return row

    @property
    def _last(self) -> str:
        """The length of activations or, if vectors were not read at that, the last at which they were."""
        lengths = lengths_of(self.vectors[0])
        return FULL if FULL in lengths else lengths[-1]

    def _caption(self) -> str:
        seen, settings = self.activations, self.about["settings"]
        return CAPTION.format(
            mean_norm=seen["mean_norm"],
            lowest=seen["norms"]["0.0"],
            highest=seen["norms"]["1.0"],
            top=settings["top"],
            changed=settings["changed"],
            last=self._last,
            atoms=max(settings["atoms"]),
        )

    def _rows(self) -> Iterator[str]:
        yield (
            f"{'':<21}{'norm':>6}{'own':>12}{f'at {self._last}':>16}{'lost':>6}   {'SAE':>6}{'x + v':>7}{'texts':>7}"
            f"{'signed':>8}{'without':>8}{'chance':>8}{'SSAE':>7}{'used':>6}{'sign, rank':>14}"
        )
        for _, row in self.table.iterrows():
            own = f"{row['active_own']}/{row['shared_own']} (r{row['shared_random']})"
            full = f"{row['active_full']} ({row['spurious_full']} rare)"
            shares = "".join(
                f"{row[name]:>{width}.2f}"
                for name, width in (
                    ("sae", 6),
                    (AROUND, 7),
                    (BETWEEN, 7),
                    (PURSUIT, 8),
                    (POSITIVE, 8),
                    (RANDOM_ROWS, 8),
                )
            )
            yield (
                f"{str(row['vector'])[:20]:<21}{row['norm']:>6.1f}{own:>12}{full:>16}{row['negative']:>4}/{row['lost']}   "
                f"{shares}{_ours(row)}"
            )

    def _by_atoms(self) -> Iterator[str]:
        names = list(self.vectors[0]["remedies"][PURSUIT]["by_atoms"])
        yield f"  {'':<32}" + "".join(f"{each:>7}" for each in names)
        for way in (PURSUIT, POSITIVE, RANDOM_ROWS, RANDOM_VECTOR):
            means = [_mean([each["remedies"][way]["by_atoms"][k] for each in self.vectors]) for k in names]
            yield f"  {way:<32}" + "".join(f"{each:>7.2f}" for each in means)

    def _foreign(self) -> Iterator[str]:
        found = self._of("foreign")
        if found:
            shares = [each["explained"] for each in found]
            yield (
                f"Of the vectors of {len(found)} behaviours that its pairs do not vary, the first SSAE explains "
                f"{_mean(shares):.2f} ({min(shares):.2f} to {max(shares):.2f}): it knows nothing but what its pairs vary.\n"
            )


def _summed(each: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the lines of one vector in the summary."""
    name = each["cell"]["task"]
    for length in lengths_of(each):
        code = code_of(each, length, WITH_THRESHOLD)
        yield {
            "vector": name,
            "dictionary": f"SAE at length {length}",
            "explained": code["explained"],
            "used": code["used"],
            "signs_right": f"{code['right']} of {code['of']}",
        }
    for way, numbers in each["remedies"].items():
        signs = f"{numbers['right']} of {numbers['of']}" if "right" in numbers else ""
        yield {
            "vector": name,
            "dictionary": way,
            "explained": numbers["explained"],
            "used": numbers["used"],
            "signs_right": signs,
        }
    if "ssae" in each:
        ours = each["ssae"]
        signs = "no latent" if ours["latent"] is None else f"{int(ours['sign_right'])} of 1"
        yield {
            "vector": name,
            "dictionary": SSAE,
            "explained": ours["explained"],
            "used": ours["used"],
            "signs_right": signs,
        }


def _shown(each: dict[str, Any]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Return the strongest features of one vector by dictionary."""
    for length in dict.fromkeys([OWN, lengths_of(each)[-1]]):
        for how in (WITH_THRESHOLD, NO_THRESHOLD):
            code = code_of(each, length, how)
            yield f"{how} at length {length}", code["features"]
    for way in (BETWEEN, PURSUIT):
        yield way, each["remedies"][way]["features"]
    if "ssae" in each:
        yield SSAE, each["ssae"]["features"]


def _ours(row: Any) -> str:
    if "ssae" not in row or row["ssae"] != row["ssae"]:
        return f"{'–':>7}{'–':>6}{'–':>14}"
    latent = row["ssae_rank"] if row["ssae_rank"] == row["ssae_rank"] else None
    latent_text = "no latent" if latent is None else f"{_sign({'sign_right': row['ssae_sign_right']})}, {latent:.0f}"
    return f"{row['ssae']:>7.2f}{row['ssae_used']:>6.0f}{latent_text:>14}"


def _sign(row: dict[str, Any]) -> str:
    return "right" if row["sign_right"] else "wrong"


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
