"""Commands that train: `train` and `sweep`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli import common

Replace = Annotated[bool, typer.Option("--overwrite", help="Replace an SSAE of another run.")]


def train(
    context: typer.Context,
    shifts: common.Shifts,
    out: Annotated[
        Path, typer.Option(callback=common.writable, help="Folder for the SSAE, its log and its checkpoint.")
    ],
    d_sae: Annotated[int, typer.Option(help="Number of latents.")],
    level: Annotated[float | None, typer.Option(help="Bound on sparsity; by default chosen from the budget.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the order of shifts.")] = 0,
    preset: Annotated[str | None, typer.Option(help="Settings of the reference code: v1 or v2.")] = None,
    device: common.Device = None,
    config: common.Config = None,
    json_out: common.Json = None,
    overwrite: Replace = False,
    quiet: common.Quiet = False,
) -> None:
    """Train one SSAE, or resume an interrupted run.

    A configuration file may hold any training option besides these, such as budget, steps or lr.

    Example: ssae-lens train gender.h5 --d-sae 16 --out my-ssae
    """
    from ssae_lens.shifts import open_shifts
    from ssae_lens.training import train as train_ssae

    settings = {"level": level, "preset": preset, **common.further_settings(context, takes=True)}
    settings = {name: value for name, value in settings.items() if value is not None}
    settings |= {"device": device, "overwrite": overwrite, "quiet": quiet}
    ssae = train_ssae(open_shifts(shifts), d_sae=d_sae, seed=seed, out=out, **settings)
    common.keep_run(context, out)
    print(f"{out}: {ssae.cfg.d_sae} latents. {ssae.outcome.message}")
    common.write_numbers(context, json_out, ssae.outcome.to_metadata())


def sweep(
    context: typer.Context,
    shifts: common.Shifts,
    out: Annotated[
        Path, typer.Option(callback=common.writable, help="Folder for the best SSAE, the table and the log.")
    ],
    d_sae: Annotated[list[int], typer.Option(help="Number of latents; repeat for several.")],
    level: Annotated[list[float] | None, typer.Option(help="Bound on sparsity; repeat for several.")] = None,
    seeds: Annotated[int, typer.Option(help="Number of seeds for each setting.")] = 5,
    device: common.Device = None,
    config: common.Config = None,
    json_out: common.Json = None,
    overwrite: Replace = False,
    quiet: common.Quiet = False,
) -> None:
    """Train SSAEs over widths, levels and seeds, and keep the one with the highest split-half stability.

    A configuration file may hold any training option besides these, such as budget, steps or lr.

    Example: ssae-lens sweep gender.h5 --d-sae 8 --d-sae 16 --out my-sweep
    """
    from ssae_lens.shifts import open_shifts
    from ssae_lens.training import sweep as sweep_ssaes

    settings = common.further_settings(context, takes=True)
    if level:
        settings["level"] = level
    settings |= {"device": device, "overwrite": overwrite, "quiet": quiet}
    result = sweep_ssaes(open_shifts(shifts), d_sae=d_sae, seeds=seeds, out=out, **settings)
    common.keep_run(context, out)
    table = result.table()
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    best, width = result.best, result.chosen.d_sae
    merged = "" if best.cfg.d_sae == width else f", merged from {width}"
    print(f"{out}: {best.cfg.d_sae} latents{merged}. {best.outcome.message}")
    rows = json.loads(str(table.to_json(orient="records")))
    common.write_numbers(context, json_out, {"settings": rows, "best": best.cfg.metadata.training})
