"""Commands on activations: `capture` and `inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli.common import (
    Config,
    Device,
    Json,
    Kind,
    Model,
    Overwrite,
    Quiet,
    Shifts,
    further_settings,
    keep_run,
    print_nested,
    replaceable,
    writable,
    write_numbers,
)


def capture(
    context: typer.Context,
    model: Model,
    pairs: Annotated[str, typer.Argument(help="A built-in corpus, a CSV or JSON-lines file, or a Hub data set.")],
    hook: Annotated[list[str], typer.Option(help="Where to read; repeat for several.")],
    out: Annotated[Path, typer.Option(callback=writable, help="The file to write, or for several hooks the folder.")],
    position: Annotated[
        str, typer.Option(help="last, mean, a number, a slice such as -4:, answer, or changed.")
    ] = "last",
    kind: Kind = "auto",
    split: Annotated[str | None, typer.Option(help="train or test.")] = None,
    n: Annotated[int | None, typer.Option(help="How many pairs.")] = None,
    columns: Annotated[
        list[str] | None,
        typer.Option(help="A column of the pairs under another name, as source=before; repeat for several."),
    ] = None,
    label_columns: Annotated[
        list[str] | None,
        typer.Option(help="A column of labels of the pairs, of -1, 0 and 1; repeat for several."),
    ] = None,
    prepend_bos: Annotated[
        bool | None,
        typer.Option(
            help="Put a beginning of sequence before every text; by default where the model does, or where a text's "
            "first token would be read."
        ),
    ] = None,
    truncate: Annotated[
        bool, typer.Option("--truncate", help="Cut texts that are longer than the model reads.")
    ] = False,
    device: Device = None,
    dtype: Annotated[str, typer.Option(help="Stored as float32 or float16.")] = "float32",
    config: Config = None,
    quiet: Quiet = False,
) -> None:
    """Run pairs of texts through a model and keep the activations.

    Example: ssae-lens capture smollm2-135m gender --hook blocks.15.hook_resid_post --out gender.h5
    """
    from ssae_lens.pairs import load_pairs

    further_settings(context)
    named = _column_names(columns or [])
    rows = load_pairs(pairs, split, n=n, columns=named, label_columns=label_columns or [])

    from ssae_lens.hooks import capture_shifts
    from ssae_lens.models import load_model

    running = load_model(model, kind, device=device)  # pyright: ignore[reportArgumentType]
    hooks = hook[0] if len(hook) == 1 else hook
    reading = {"position": position, "prepend_bos": prepend_bos, "truncate": truncate, "dtype": dtype}
    stores = capture_shifts(running, rows, hooks, path=out, quiet=quiet, **reading)
    keep_run(context, out)
    for store in stores.values() if isinstance(stores, dict) else [stores]:
        print(f"{store.path}: {len(store)} pairs of {store.d_model} dimensions, {store.origin.hook_name}")


def _column_names(columns: list[str]) -> dict[str, str]:
    """Return our names of columns to the file's own, from options such as source=before."""
    pairs = [each.partition("=") for each in columns]
    for name, _, own in pairs:
        if not (name and own):
            raise ValueError(f"--columns is {name!r}; give our name and the file's, such as source=before.")
    return {name: own for name, _, own in pairs}


def inspect(
    context: typer.Context,
    file: Shifts,
    figure: Annotated[
        Path | None, typer.Option(callback=writable, help="Write a plot of the spectrum to this HTML file.")
    ] = None,
    json_out: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Say what a store of shifts holds: its origin, norms, and spectrum.

    Example: ssae-lens inspect gender.h5 --figure spectrum.html
    """
    from ssae_lens.base.files import writing
    from ssae_lens.shifts import open_shifts, spectrum_figure, summarise

    replaceable(overwrite, figure, json_out)
    summary = summarise(open_shifts(file), quiet=quiet)
    print_nested(summary)
    if figure is not None:
        with writing(figure) as temporary:
            spectrum_figure(summary).write_html(temporary, include_plotlyjs=True)
    write_numbers(context, json_out, summary)
