"""Commands that train: `train` and `sweep`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli.common import (
    Config,
    Device,
    Json,
    Quiet,
    Shifts,
    further_settings,
    keep_run,
    writable,
    write_numbers,
)


def train(
    context: typer.Context,
    shifts: Shifts,
    out: Annotated[Path, typer.Option(callback=writable, help="The folder for the SSAE, its log and its checkpoint.")],
    d_sae: Annotated[int, typer.Option(help="The number of latents.")],
    level: Annotated[
        float | None, typer.Option(help="The bound on sparsity; by default the budget chooses it.")
    ] = None,
    seed: Annotated[int, typer.Option(help="What the weights begin from, and the order of shifts.")] = 0,
    preset: Annotated[str | None, typer.Option(help="v1 or v2: the reference code's settings.")] = None,
    device: Device = None,
    config: Config = None,
    json_out: Json = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an SSAE of another run.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train one SSAE. A run that was interrupted goes on when called again.

    A configuration file may hold any setting of training besides these options, such as budget, steps or lr.

    Example: ssae-lens train gender.h5 --d-sae 16 --out my-ssae
    """
    from ssae_lens.shifts import open_shifts
    from ssae_lens.training import train as fit

    given = {"level": level, "preset": preset, **further_settings(context, takes=True)}
    given = {name: value for name, value in given.items() if value is not None}
    given |= {"device": device, "overwrite": overwrite, "quiet": quiet}
    ssae = fit(open_shifts(shifts), d_sae=d_sae, seed=seed, out=out, **given)
    keep_run(context, out)
    print(f"{out}: {ssae.cfg.d_sae} latents. {ssae.outcome.message}")
    write_numbers(context, json_out, ssae.outcome.to_metadata())


def sweep(
    context: typer.Context,
    shifts: Shifts,
    out: Annotated[Path, typer.Option(callback=writable, help="The folder for the best SSAE, the table and the log.")],
    d_sae: Annotated[list[int], typer.Option(help="Widths to try; repeat for several.")],
    level: Annotated[list[float] | None, typer.Option(help="Levels to try; repeat for several.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds for each.")] = 5,
    device: Device = None,
    config: Config = None,
    json_out: Json = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an SSAE of another run.")] = False,
    quiet: Quiet = False,
) -> None:
    """Train SSAEs for widths, levels and seeds, and keep the one of which most is found again in either half of the shifts.

    A configuration file may hold any setting of training besides these options, such as budget, steps or lr.

    Example: ssae-lens sweep gender.h5 --d-sae 8 --d-sae 16 --out my-sweep
    """
    from ssae_lens.shifts import open_shifts
    from ssae_lens.training import sweep as fit

    given = further_settings(context, takes=True)
    if level:
        given["level"] = level
    given |= {"device": device, "overwrite": overwrite, "quiet": quiet}
    result = fit(open_shifts(shifts), d_sae=d_sae, seeds=seeds, out=out, **given)
    keep_run(context, out)
    table = result.table()
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    best, trained = result.best, result.chosen.d_sae
    merged = "" if best.cfg.d_sae == trained else f", merged from {trained}"
    print(f"{out}: {best.cfg.d_sae} latents{merged}. {best.outcome.message}")
    settings = json.loads(str(table.to_json(orient="records")))
    write_numbers(context, json_out, {"settings": settings, "best": best.cfg.metadata.training})
