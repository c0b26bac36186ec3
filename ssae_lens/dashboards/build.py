"""`build_report`: the report of an SSAE, from what its makers left in files."""

from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from ssae_lens.base import checks
from ssae_lens.base.reading import read_json, read_json_lines, well_formed
from ssae_lens.dashboards.drawing import count
from ssae_lens.dashboards.report import Report
from ssae_lens.dashboards.studies import comparison_of
from ssae_lens.latents.describe import describe_latents
from ssae_lens.pairs.schema import listed
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore, open_shifts, summarise
from ssae_lens.training.runs import read_run

# Studies keep the texts that they generated.
MAX_BYTES, MAX_VALUES = 512 << 20, 10_000_000
REMAKE = "write it again"


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
    """Gather a report; `write_report` writes it.

    Parameters
    ----------
    ssae
        An SSAE or its folder.
    shifts
        The store of its shifts, or its file. Without it the report has the SSAE's directions alone.
    run
        The folder of the `train` or `sweep` that gave the SSAE, by default the SSAE's own: what is there of ``log.jsonl``,
        ``run.json`` and ``sweep.json`` is shown.
    comparison, decomposition
        What `Report.add_comparison` and `Report.add_decomposition` take, by name (``table``, ``scores`` and ``texts``;
        ``features`` and ``summary``): a dictionary, or a JSON file of one. A comparison may also be what ``python -m studies
        steering`` writes.
    model
        The model of the shifts, to show the tokens that each latent promotes.
    title
        Of the page.
    quiet
        Show no progress.
    **latents
        Anything else that `Report.add_latents` takes: concepts, stability, steering, vectors. `descriptions` are made here
        where they are not given.
    """
    folder = Path(run) if run is not None else None if isinstance(ssae, SSAE) else Path(ssae)
    if run is not None:
        checks.existing_folder(run, "Give the folder of a train or a sweep.")
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
        with _well_formed(comparison):
            found = _mapping("comparison", comparison)
            ours = "cells" in found
            names = ("table", "scores", "texts", "notes")
            report.add_comparison(**(comparison_of(found) if ours else _parts(found, names)))
    if decomposition is not None:
        with _well_formed(decomposition):
            found = _mapping("decomposition", decomposition)
            report.add_decomposition(**_parts(found, ("features", "summary")))
    return report


def _title(ssae: SSAE) -> str:
    model = ssae.origin.model_name
    return count(ssae.cfg.d_sae, "latent") + (f" of {model}" if model else "")


def _about(ssae: SSAE, store: ShiftStore | None) -> dict[str, Any]:
    origin = ssae.origin
    training = getattr(ssae.cfg.metadata, "training", None) or {}
    about = {
        "model": origin.model_name,
        "hook": origin.hook_name,
        "position": origin.position,
        "latents": ssae.cfg.d_sae,
        "pairs": len(store) if store is not None else None,
        "data": (store.pairs.get("name") if store is not None else None),
        "training": training.get("message"),
    }
    return {name: value for name, value in about.items() if value not in (None, "")}


def _trained_width(ssae: SSAE) -> int:
    """Return the width that an SSAE was trained at, before split features were merged."""
    training = getattr(ssae.cfg.metadata, "training", None) or {}
    # Version 0.1.0 wrote the trained width as d_sae, whatever was merged after.
    return training.get("d_sae_trained", training.get("d_sae", ssae.cfg.d_sae))


def _add_run(report: Report, folder: Path, d_sae: int) -> None:
    """Add what a run left in its folder: the log of the members of this width, and the table of a sweep."""
    members: list[str] = []
    if (folder / "run.json").is_file():
        with well_formed(folder / "run.json", REMAKE):
            members = _members(read_run(folder))
    if (folder / "sweep.json").is_file():
        with well_formed(folder / "sweep.json", REMAKE):
            report.add_sweep(_read(folder / "sweep.json"))
    log = folder / "log.jsonl"
    if not log.is_file():
        return
    with well_formed(log, REMAKE):
        rows = read_json_lines(log, hint=REMAKE, max_bytes=MAX_BYTES)
        report.add_training([row for row in rows if row.get("d_sae") == d_sae], members)


def _members(about: Mapping[str, Any]) -> list[str]:
    """Name a sweep's members as its log has them: each bound with all seeds. A single run's restarts have numbers."""
    seeds, bounds = about.get("seeds"), about.get("bounds")
    if not seeds:
        return []
    return [f"bound {bound:g}, seed {seed}" for bound in bounds or [] for seed in seeds] or [f"seed {s}" for s in seeds]


def _mapping(name: str, given: str | Path | Mapping[str, Any]) -> Mapping[str, Any]:
    found = given if isinstance(given, Mapping) else _read(given)
    if not isinstance(found, Mapping):
        raise ValueError(  # noqa: TRY004 - whatever is unusable is a ValueError
            f"{name} is a {type(found).__name__}; give a dictionary of tables, or a JSON file of one."
        )
    return found


def _parts(found: Mapping[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    if names[0] not in found:
        raise ValueError(f"There is no {names[0]!r} among {listed(found)}; give at least that of {', '.join(names)}.")
    return {name: found[name] for name in names if name in found}


def _read(path: str | Path) -> Any:
    return read_json(path, hint=REMAKE, max_bytes=MAX_BYTES, max_values=MAX_VALUES)


def _well_formed(given: str | Path | Mapping[str, Any]) -> Any:
    """Name the file in errors, where what was given is one."""
    return nullcontext() if isinstance(given, Mapping) else well_formed(given, REMAKE)
