"""`build_report`: the report of an SSAE from the files of its training, its shifts and evaluations."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base import checks
from ssae_lens.base.reading import read_json, read_json_lines, well_formed
from ssae_lens.dashboards.drawings import Row, count
from ssae_lens.dashboards.report import Report
from ssae_lens.latents.describe import describe_latents
from ssae_lens.pairs.schema import listed
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore, open_shifts, summarise
from ssae_lens.training.runs import read_run

# A steering comparison holds its generated texts.
MAX_BYTES, MAX_VALUES = 512 << 20, 10_000_000
HINT = "write it again"
# The prompts of each task whose texts are shown.
N_PROMPTS = 3


def build_report(
    ssae: SSAE | str | Path,
    shifts: ShiftStore | str | Path | None = None,
    *,
    run: str | Path | None = None,
    comparison: str | Path | Mapping[str, Any] | None = None,
    decomposition: str | Path | Mapping[str, Any] | None = None,
    model: Any = None,
    title: str = "",
    quiet: bool = False,
    **latents: Any,
) -> Report:
    """Return the report of an SSAE; `write_report` writes it as HTML.

    Parameters
    ----------
    ssae
        An SSAE or its folder.
    shifts
        The store of its shifts, or its file. Without shifts, the report has only the decoder.
    run
        The folder of `train` or `sweep`, by default the SSAE's own. Its ``log.jsonl``, ``run.json`` and ``sweep.json`` are
        used where they exist.
    comparison, decomposition
        The arguments of `Report.add_comparison` and `Report.add_decomposition`, as a dictionary or a JSON file. A comparison
        may also be the JSON of `ssae_lens.evals.steering`.
    model
        The model of the shifts, for the tokens that each latent promotes.
    title
        Title of the page.
    quiet
        Show no progress.
    **latents
        Further arguments of `Report.add_latents`: concepts, stability, steering, vectors, and descriptions, which by default
        `describe_latents` makes.
    """
    folder = Path(run) if run is not None else None if isinstance(ssae, SSAE) else Path(ssae)
    if run is not None:
        checks.existing_folder(run, "Give the folder of train or sweep.")
    ssae = ssae if isinstance(ssae, SSAE) else SSAE.load_from_disk(ssae)
    opened = isinstance(shifts, str | Path)
    store = open_shifts(shifts) if isinstance(shifts, str | Path) else shifts
    report = Report(title or _title(ssae), _about(ssae, store))
    try:
        if store is not None and "descriptions" not in latents:
            latents["descriptions"] = describe_latents(ssae, store, model, quiet=quiet)
        report.add_latents(ssae, store, **latents)
        if store is not None:
            report.add_spectrum(summarise(store, quiet=quiet))
    finally:
        if opened and store is not None:
            store.close()
    if folder is not None:
        _add_run(report, folder, _trained_width(ssae))
    if comparison is not None:
        with _naming(comparison):
            data = _mapping("comparison", comparison)
            parts = comparison_of(data) if "cells" in data else _parts(data, ("table", "scores", "texts", "notes"))
            report.add_comparison(**parts)
    if decomposition is not None:
        with _naming(decomposition):
            report.add_decomposition(**_parts(_mapping("decomposition", decomposition), ("features", "summary")))
    return report


def comparison_of(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of `Report.add_comparison` for the JSON of `ssae_lens.evals.steering`.

    Curves come from the prompts on which scales were chosen; scores and texts come from the other prompts.
    """
    cells = [cell for cell in result["cells"] if cell["cell"].get("hook") == result["hook"]]
    return {
        "table": [row for cell in cells if cell["cell"]["part"] == "dose" for row in _curve_rows(cell)],
        "scores": [
            {
                "task": row["task"],
                "method": row["method"],
                "score": row["product"],
                "low": row["product_low"],
                "high": row["product_high"],
                "scale": row["scale"],
                "given": result["methods"][row["method"]],
            }
            for row in result["table"]
            if row.get("product") is not None
        ],
        "texts": [row for cell in cells if cell["cell"]["part"] == "report" for row in _text_rows(cell)],
        "notes": _notes(result.get("tasks", [])),
    }


def _curve_rows(cell: Mapping[str, Any]) -> list[Row]:
    key = {name: cell["cell"][name] for name in ("task", "method")}
    return [
        {**key, "scale": scale, "behaviour": float(np.mean(behaviour)), "coherence": float(np.mean(coherence))}
        for scale, behaviour, coherence in zip(cell["scales"], cell["behaviour"], cell["coherence"], strict=True)
    ]


def _text_rows(cell: Mapping[str, Any]) -> list[Row]:
    key = {name: cell["cell"][name] for name in ("task", "method", "scale")}
    return [{**key, "prompt": prompt, "text": text} for prompt, text in list(cell["texts"].items())[:N_PROMPTS]]


def _notes(tasks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return which prompts the scores and the curves are measured on."""
    choosing, reporting = (_range([task["prompts"][i] for task in tasks if "prompts" in task]) for i in (0, 1))
    return {
        "scores": f"Scores, intervals and texts are measured on {reporting}held-out prompts of each task, which were not "
        "used to choose a scale.",
        "curves": f"Curves are measured on {choosing}other prompts, on which the scale of each method was chosen; they may "
        "differ from the scores.",
    }


def _range(counts: Sequence[int]) -> str:
    if not counts:
        return ""
    return f"{min(counts)} " if min(counts) == max(counts) else f"{min(counts)} to {max(counts)} "


def _title(ssae: SSAE) -> str:
    model = ssae.origin.model_name
    return count(ssae.cfg.d_sae, "latent") + (f" of {model}" if model else "")


def _about(ssae: SSAE, store: ShiftStore | None) -> dict[str, Any]:
    about = {
        "model": ssae.origin.model_name,
        "hook": ssae.origin.hook_name,
        "position": ssae.origin.position,
        "latents": ssae.cfg.d_sae,
        "pairs": None if store is None else len(store),
        "data": None if store is None else store.pairs.get("name"),
        "training": _training(ssae).get("message"),
    }
    return {name: value for name, value in about.items() if value not in (None, "")}


def _training(ssae: SSAE) -> dict[str, Any]:
    return getattr(ssae.cfg.metadata, "training", None) or {}


def _trained_width(ssae: SSAE) -> int:
    """Return the width that an SSAE was trained at, before split latents were merged."""
    training = _training(ssae)
    # Version 0.1.0 saved the trained width as d_sae, also for a merged SSAE.
    return training.get("d_sae_trained", training.get("d_sae", ssae.cfg.d_sae))


def _add_run(report: Report, folder: Path, d_sae: int) -> None:
    """Add the training curves of this width, and the table of a sweep, where the folder of a run holds them."""
    names: list[str] = []
    if (folder / "run.json").is_file():
        with well_formed(folder / "run.json", HINT):
            names = _run_names(read_run(folder))
    if (folder / "sweep.json").is_file():
        with well_formed(folder / "sweep.json", HINT):
            report.add_sweep(_read(folder / "sweep.json"))
    log = folder / "log.jsonl"
    if log.is_file():
        with well_formed(log, HINT):
            rows = read_json_lines(log, hint=HINT, max_bytes=MAX_BYTES)
            report.add_training([row for row in rows if row.get("d_sae") == d_sae], names)


def _run_names(run: Mapping[str, Any]) -> list[str]:
    """Return the names of a sweep's runs in the order of its log; the restarts of `train` have none."""
    seeds, bounds = run.get("seeds"), run.get("bounds")
    if not seeds:
        return []
    return [f"bound {bound:g}, seed {seed}" for bound in bounds or [] for seed in seeds] or [f"seed {s}" for s in seeds]


def _mapping(name: str, value: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    data = value if isinstance(value, Mapping) else _read(value)
    if not isinstance(data, Mapping):
        raise ValueError(  # noqa: TRY004 - unusable input is a ValueError
            f"{name} is a {type(data).__name__}; it must be a dictionary of tables, or a JSON file of one."
        )
    return data


def _parts(data: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    if names[0] not in data:
        raise ValueError(f"There is no {names[0]!r} among {listed(data)}; give at least that of {', '.join(names)}.")
    return {name: data[name] for name in names if name in data}


def _read(path: str | Path) -> Any:
    return read_json(path, hint=HINT, max_bytes=MAX_BYTES, max_values=MAX_VALUES)


def _naming(source: str | Path | Mapping[str, Any]) -> Any:
    """Return a context that names the file in errors, if the source is a file."""
    return nullcontext() if isinstance(source, Mapping) else well_formed(source, HINT)
