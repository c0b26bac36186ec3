"""Commands from pairs to SSAEs: `capture`, `inspect`, `train` and `sweep`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli import common

Replace = Annotated[bool, typer.Option("--overwrite", help="Replace an SSAE of another run.")]


def capture(
    context: typer.Context,
    model: common.Model,
    pairs: Annotated[str, typer.Argument(help="Built-in corpus, CSV or JSON-lines file, or Hub data set.")],
    hook: Annotated[list[str], typer.Option(help="Hook name; repeat for several.")],
    out: Annotated[Path, typer.Option(callback=common.writable, help="File to write, or folder for several hooks.")],
    position: Annotated[
        str, typer.Option(help="mean, last, a number, a slice such as -4:, answer, or changed.")
    ] = "mean",
    kind: common.Kind = "auto",
    split: Annotated[str | None, typer.Option(help="train or test.")] = None,
    n: Annotated[int | None, typer.Option(help="Number of pairs.")] = None,
    columns: Annotated[
        list[str] | None, typer.Option(help="Rename a column of the pairs, as source=before; repeat for several.")
    ] = None,
    label_columns: Annotated[
        list[str] | None,
        typer.Option(
            help="Column of labels -1, 0 and 1, or concept=before:after with the columns of either side's category; repeat "
            "for several."
        ),
    ] = None,
    prepend_bos: Annotated[
        bool | None,
        typer.Option(
            help="Prepend the beginning-of-sequence token to every text; by default where the model does, or where the "
            "position is the first token of a text."
        ),
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Truncate texts that exceed the context length.")
    ] = False,
    device: common.Device = None,
    dtype: Annotated[str, typer.Option(help="Store as float32 or float16.")] = "float32",
    config: common.Config = None,
    quiet: common.Quiet = False,
) -> None:
    """Capture shifts of a model on pairs of texts.

    Example: ssae-lens capture smollm2-135m gender --hook blocks.15.hook_resid_post --out gender.h5
    """
    from ssae_lens.pairs import load_pairs
    from ssae_lens.pairs.chat import NoTokenizerError

    common.further_settings(context)
    read = {"n": n, "columns": _column_names(columns or []), "label_columns": _label_columns(label_columns or [])}
    try:
        rows = load_pairs(pairs, split, **read)
    except NoTokenizerError:  # only chat messages need the model to be read
        rows = None

    from ssae_lens.hooks import capture_shifts
    from ssae_lens.models import load_model

    loaded = load_model(model, kind, device=device)  # pyright: ignore[reportArgumentType]
    rows = rows or load_pairs(pairs, split, tokenizer=loaded.tokenizer, **read)
    hooks = hook[0] if len(hook) == 1 else hook
    options = {"position": position, "prepend_bos": prepend_bos, "truncate": truncate, "dtype": dtype}
    stores = capture_shifts(loaded, rows, hooks, path=out, quiet=quiet, **options)
    common.keep_run(context, out)
    for store in stores.values() if isinstance(stores, dict) else [stores]:
        print(f"{store.path}: saved {len(store)} shifts (d_model = {store.d_model}) at {store.origin.hook_name}")


def _column_names(columns: list[str]) -> dict[str, str]:
    """Return a mapping of this package's column names to those of the file, from options such as source=before."""
    names = {}
    for option in columns:
        name, _, own_name = option.partition("=")
        if not (name and own_name):
            raise ValueError(f"--columns is {name!r}; it must be a name and the file's column, such as source=before.")
        names[name] = own_name
    return names


def _label_columns(options: list[str]) -> list[str] | dict[str, list[str]]:
    """Return columns of changes, or concepts with the two columns of their categories, from options."""
    by_side = {}
    for option in options:
        concept, equals, columns = option.partition("=")
        before, colon, after = columns.partition(":")
        if equals and not (concept and before and colon and after):
            raise ValueError(f"--label-columns is {option!r}; it must be a column, or concept=before:after.")
        if equals:
            by_side[concept] = [before, after]
    if by_side and len(by_side) < len(options):
        raise ValueError("--label-columns has columns of changes and of categories; give only one of them.")
    return by_side or options


def inspect(
    context: typer.Context,
    file: common.Shifts,
    figure: Annotated[
        Path | None, typer.Option(callback=common.writable, help="Save a plot of the spectrum as HTML.")
    ] = None,
    json_out: common.Json = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
) -> None:
    """Print the provenance, norms, labels and spectrum of captured shifts.

    Example: ssae-lens inspect gender.h5 --figure spectrum.html
    """
    from ssae_lens.base.files import writing
    from ssae_lens.shifts import open_shifts, spectrum_figure, summarise

    common.replaceable(overwrite, figure, json_out)
    summary = summarise(open_shifts(file), quiet=quiet)
    common.print_nested(summary)
    if figure is not None:
        with writing(figure) as temporary:
            spectrum_figure(summary).write_html(temporary, include_plotlyjs=True)
    common.write_numbers(context, json_out, summary)


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
    refine: Annotated[bool | None, typer.Option("--refine", help="Refine the SSAE by sparse inference.")] = None,
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

    settings = {
        "level": level,
        "preset": preset,
        "refine": bool(refine),
        **common.further_settings(context, takes=True),
    }
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
    refine: Annotated[
        bool | None, typer.Option("--refine/--no-refine", help="Refine by sparse inference; default: where possible.")
    ] = None,
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
    settings |= {"refine": refine, "device": device, "overwrite": overwrite, "quiet": quiet}
    result = sweep_ssaes(open_shifts(shifts), d_sae=d_sae, seeds=seeds, out=out, **settings)
    common.keep_run(context, out)
    table = result.table()
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    best, width = result.best, result.chosen.d_sae
    merged = "" if best.cfg.d_sae == width else f", {'refined' if best.cfg.has_threshold else 'merged'} from {width}"
    print(f"{out}: {best.cfg.d_sae} latents{merged}. {best.outcome.message}")
    rows = json.loads(str(table.to_json(orient="records")))
    common.write_numbers(context, json_out, {"settings": rows, "best": best.cfg.metadata.training})
