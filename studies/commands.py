"""The commands ``python -m studies NAME``."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from ssae_lens.cli.common import (
    Command,
    Config,
    Json,
    Quiet,
    further_settings,
    group,
    keep_run,
    writable,
    write_numbers,
)

Out = Annotated[
    Path | None,
    typer.Option(callback=writable, help="A folder for the tables, the figure, and measurements to resume from."),
]
Model = Annotated[str, typer.Option(help="smollm2-135m, a TransformerLens name, or a folder.")]
Hook = Annotated[str, typer.Option(help="The hook name; by default after the middle block.")]
Quick = Annotated[bool, typer.Option("--quick", help="A smoke run with reduced settings.")]

app = group("Studies that print tables.", "studies")


@app.command(cls=Command)
def synthetic(
    context: typer.Context,
    out: Out = None,
    quick: Quick = False,
    config: Config = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure how well the SSAE and other methods recover the concepts of synthetic data.

    Example: python -m studies synthetic --quick --out synthetic
    """
    _run(context, "studies.synthetic", out, quick, quiet, json_out)


@app.command(cls=Command)
def language(
    context: typer.Context,
    out: Out = None,
    model: Model = "smollm2-135m",
    study: Annotated[list[str] | None, typer.Option(help="One study; repeat for several. By default all.")] = None,
    sentences: Annotated[Path | None, typer.Option(help="A file of labelled sentences, as one more corpus.")] = None,
    quick: Quick = False,
    config: Config = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure which concepts of labelled pairs are recovered in a language model, beside other methods and the paper.

    Example: python -m studies language --quick --out language
    """
    _run(context, "studies.language", out, quick, quiet, json_out, model=model, studies=study, sentences=sentences)


@app.command(cls=Command)
def steering(
    context: typer.Context,
    out: Out = None,
    model: Model = "smollm2-135m",
    hook: Hook = "",
    behaviours: Annotated[Path | None, typer.Option(help="A folder of A/B and yes/no behaviour files.")] = None,
    topics: Annotated[Path | None, typer.Option(help="A folder of SAE-TS topics.")] = None,
    quick: Quick = False,
    config: Config = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure how well methods steer, with scales chosen on one half of the prompts and reported on the other.

    Example: python -m studies steering --quick --out steering
    """
    options = {"model": model, "hook": hook, "behaviours": behaviours, "topics": topics}
    _run(context, "studies.steering", out, quick, quiet, json_out, **options)


def _run(
    context: typer.Context,
    module: str,
    out: Path | None,
    quick: bool,
    quiet: bool,
    json_out: Path | None,
    **options: Any,
) -> None:
    """Run a study, print its tables, and save its settings and numbers."""
    further_settings(context)
    result = import_module(module).run(out, quick, quiet, **options)
    print(result.text())
    if out is not None:
        keep_run(context, out)
    write_numbers(context, json_out, result.to_json())


def _command(name: str, about: str) -> Callable[..., None]:
    """Return the command of a study that has no option of its own but a model."""

    def command(
        context: typer.Context,
        out: Out = None,
        model: Model = "smollm2-135m",
        quick: Quick = False,
        config: Config = None,
        json_out: Json = None,
        quiet: Quiet = False,
    ) -> None:
        _run(context, f"studies.{name}", out, quick, quiet, json_out, model=model)

    command.__doc__ = f"{about}\n\nExample: python -m studies {name} --quick --out {name}"
    return command


for _name, _about in {
    "probes": "Measure how few features a probe needs for each concept: of SSAE codes, of SAE codes, of raw shifts.",
    "decomposition": "Measure how well an SAE and an SSAE decompose steering vectors.",
    "findings": "Measure four open questions of the steering literature.",
}.items():
    app.command(_name, cls=Command)(_command(_name, _about))
