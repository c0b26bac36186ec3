"""Commands that print a study's table: ``python -m studies NAME``."""

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
    typer.Option(callback=writable, help="A folder for the table, the figure, and what a later call goes on with."),
]
Model = Annotated[str, typer.Option(help="smollm2-135m, a TransformerLens name, or a folder.")]
Hook = Annotated[str, typer.Option(help="Where; by default after the block in the middle.")]
Quick = Annotated[bool, typer.Option("--quick", help="A smoke run with reduced settings.")]


def synthetic(
    context: typer.Context,
    out: Out = None,
    quick: Quick = False,
    config: Config = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure how well concepts are found in worlds where they are known, beside other methods.

    Example: python -m studies synthetic --quick --out synthetic
    """
    from studies.synthetic import run

    _print_study(context, lambda: run(out, quick=quick, quiet=quiet), out, json_out)


def language(
    context: typer.Context,
    out: Out = None,
    model: Model = "smollm2-135m",
    study: Annotated[list[str] | None, typer.Option(help="One study; repeat for several. By default all.")] = None,
    sentences: Annotated[Path | None, typer.Option(help="A file of labelled sentences, studied as well.")] = None,
    quick: Quick = False,
    config: Config = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure which concepts of labelled pairs are found in a language model, beside other methods and the paper's figures.

    Example: python -m studies language --quick --out language
    """
    from studies.language import run

    _print_study(
        context, lambda: run(out, quick, quiet, model=model, studies=study, sentences=sentences), out, json_out
    )


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
    """Measure how well methods steer, each scale chosen on one half of prompts and reported on the other.

    Example: python -m studies steering --quick --out steering
    """
    from ssae_lens.evals.steering import run

    def study() -> Any:
        return run(out, quick, quiet, model=model, hook=hook, behaviours=behaviours, topics=topics)

    _print_study(context, study, out, json_out)


def _of_model(name: str, about: str) -> Callable[..., None]:
    """Make the command of a study that is told of a model and no more."""

    def command(
        context: typer.Context,
        out: Out = None,
        model: Model = "smollm2-135m",
        quick: Quick = False,
        config: Config = None,
        json_out: Json = None,
        quiet: Quiet = False,
    ) -> None:
        run = import_module(f"studies.{name}").run
        _print_study(context, lambda: run(out, quick, quiet, model=model), out, json_out)

    command.__name__ = name
    command.__doc__ = f"{about}\n\nExample: python -m studies {name} --quick --out {name}"
    return command


def _print_study(context: typer.Context, study: Callable[[], Any], out: Path | None, json_out: Path | None) -> None:
    further_settings(context)
    result = study()
    print(result.text())
    if out is not None:
        keep_run(context, out)
    write_numbers(context, json_out, result.to_json())


probes = _of_model(
    "probes",
    "Measure how few features a probe needs for each concept: of SSAE codes, of SAE codes, of shifts as they are.",
)
decomposition = _of_model(
    "decomposition", "Measure what an SAE says of steering vectors, and what an SSAE says of the same."
)
findings = _of_model("findings", "Measure four questions that the literature of steering leaves open.")

app = group("Studies that print a table.", "studies")
for each in (synthetic, language, probes, steering, decomposition, findings):
    app.command(cls=Command)(each)
