"""The command ``ssae-lens``: each subcommand is a thin call of a public function.

Exit status 0 is done, 2 input that cannot be used (one line says what to do), 130 interrupted with what was done kept.
"""

import json
import sys
import warnings
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    name="ssae-lens",
    help="Steering vectors from pairs of texts in which several unknown concepts change at once.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
evaluate = typer.Typer(help="Studies that print a table.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(evaluate, name="eval")

Json = Annotated[Path | None, typer.Option("--json", help="Write the same numbers here, with what made them.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def _one_line(command: Callable[..., None]) -> Callable[..., None]:
    """Turn what a user can mend into one line and exit status 2, and Ctrl-C into 130."""

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> None:
        warnings.showwarning = _show_warning
        try:
            command(*args, **kwargs)
        except (ValueError, OSError) as error:
            print(f"ssae-lens: {' '.join(str(error).split())}", file=sys.stderr)
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            print(
                "ssae-lens: interrupted; what was done is kept, and the same command goes on with it.", file=sys.stderr
            )
            raise typer.Exit(130) from None

    return run


def _show_warning(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
    if issubclass(category, UserWarning):
        print(f"note: {message}", file=sys.stderr)


@app.command()
@_one_line
def demo(quiet: Quiet = False) -> None:
    """Show what the package does, on a small language model: ssae-lens demo."""
    from ssae_lens.demo import run

    run(quiet=quiet)


@app.command()
@_one_line
def capture(
    model: Annotated[str, typer.Argument(help="smollm2-135m, a TransformerLens name, or a folder.")],
    pairs: Annotated[str, typer.Argument(help="A built-in corpus, a CSV or JSON-lines file, or a Hub data set.")],
    hook: Annotated[list[str], typer.Option(help="Where to read; repeat for several.")],
    out: Annotated[Path, typer.Option(help="The file to write, or for several hooks the folder.")],
    position: Annotated[
        str, typer.Option(help="last, mean, a number, a slice such as -4:, answer, or changed.")
    ] = "last",
    kind: Annotated[str, typer.Option(help="hooked or bridge.")] = "hooked",
    split: Annotated[str | None, typer.Option(help="train or test.")] = None,
    n: Annotated[int | None, typer.Option(help="How many pairs.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …")] = None,
    dtype: Annotated[str, typer.Option(help="Stored as float32 or float16.")] = "float32",
    quiet: Quiet = False,
) -> None:
    """Run pairs of texts through a model and keep the activations.

    Example: ssae-lens capture smollm2-135m gender --hook blocks.15.hook_resid_post --out gender.h5
    """
    from ssae_lens.hooks import capture_shifts
    from ssae_lens.models import load_model
    from ssae_lens.pairs import load_pairs

    rows = load_pairs(pairs, split, n=n)
    running = load_model(model, kind, device=device)  # pyright: ignore[reportArgumentType]
    hooks = hook[0] if len(hook) == 1 else hook
    stores = capture_shifts(running, rows, hooks, position=position, path=out, dtype=dtype, quiet=quiet)
    for store in stores.values() if isinstance(stores, dict) else [stores]:
        print(f"{store.path}: {len(store)} pairs of {store.d_model} dimensions, {store.origin.hook_name}")


@app.command()
@_one_line
def inspect(
    file: Annotated[Path, typer.Argument(help="A store of shifts.")],
    figure: Annotated[Path | None, typer.Option(help="Write a plot of the spectrum to this HTML file.")] = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Say what a store of shifts holds: its origin, norms, and spectrum.

    Example: ssae-lens inspect gender.h5 --figure spectrum.html
    """
    from ssae_lens.base.files import write_json, writing
    from ssae_lens.shifts import open_shifts, spectrum_figure, summarise

    summary = summarise(open_shifts(file), quiet=quiet)
    _print_nested(summary)
    if figure is not None:
        with writing(figure) as temporary:
            spectrum_figure(summary).write_html(temporary, include_plotlyjs=True)
    if json_out is not None:
        write_json(json_out, summary)


@app.command()
@_one_line
def train(
    shifts: Annotated[Path, typer.Argument(help="A store of shifts.")],
    out: Annotated[Path, typer.Option(help="The folder for the SSAE, its log and its checkpoint.")],
    d_sae: Annotated[int | None, typer.Option(help="The number of latents.")] = None,
    level: Annotated[
        float | None, typer.Option(help="The bound on sparsity; by default the budget chooses it.")
    ] = None,
    seed: Annotated[int, typer.Option()] = 0,
    preset: Annotated[str | None, typer.Option(help="v1 or v2: the reference code's settings.")] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of settings; options given here win over it.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …")] = None,
    quiet: Quiet = False,
) -> None:
    """Train one SSAE. A run that was interrupted goes on when called again.

    Example: ssae-lens train gender.h5 --d-sae 16 --out my-ssae
    """
    from ssae_lens.shifts import open_shifts
    from ssae_lens.training import train as fit

    given = _configured(config, d_sae=d_sae, level=level, preset=preset)
    if "d_sae" not in given:
        raise ValueError("d_sae is not given; add --d-sae K, the number of latents, or put it into --config.")
    seed = given.pop("seed", seed)
    ssae = fit(open_shifts(shifts), seed=seed, out=out, device=device, quiet=quiet, **given)
    print(f"{out}: {ssae.cfg.d_sae} latents. {ssae.outcome.message}")


@app.command()
@_one_line
def sweep(
    shifts: Annotated[Path, typer.Argument(help="A store of shifts.")],
    out: Annotated[Path, typer.Option(help="The folder for the best SSAE, the table and the log.")],
    d_sae: Annotated[list[int], typer.Option(help="Widths to try; repeat for several.")],
    level: Annotated[list[float] | None, typer.Option(help="Levels to try; repeat for several.")] = None,
    seeds: Annotated[int, typer.Option(help="How many seeds for each.")] = 5,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file of settings; options given here win over it.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, …")] = None,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Train SSAEs for widths, levels and seeds, and keep the one on which seeds agree.

    Example: ssae-lens sweep gender.h5 --d-sae 8 --d-sae 16 --out my-sweep
    """
    from ssae_lens.base.files import write_json
    from ssae_lens.base.versions import versions
    from ssae_lens.shifts import open_shifts
    from ssae_lens.training import sweep as fit

    given = _configured(config, level=level or None)
    result = fit(open_shifts(shifts), d_sae=d_sae, seeds=seeds, out=out, device=device, quiet=quiet, **given)
    table = result.table()
    print(table.to_string(index=False, float_format=lambda x: f"{x:.4g}"))
    print(f"{out}: the SSAE of d_sae={result.chosen.d_sae}, on whose directions the seeds agree.")
    if json_out is not None:
        about = {"seeds": seeds, "d_sae": d_sae, **given, "versions": versions()}
        write_json(json_out, {"about": about, "settings": json.loads(str(table.to_json(orient="records")))})


def _configured(config: Path | None, **given: Any) -> dict[str, Any]:
    """Give the settings of a YAML file, under those given as options."""
    from ssae_lens.base import checks

    read: Any = {}
    if config is not None:
        import yaml

        path = checks.existing_file(config)
        try:
            read = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except yaml.YAMLError as error:
            raise ValueError(f"{path} is not YAML: {error}") from None
        if not isinstance(read, dict):
            raise ValueError(f"{path} holds a {type(read).__name__}; it must hold settings, such as 'd_sae: 16'.")
    return {**read, **{name: value for name, value in given.items() if value is not None}}


def _print_nested(values: dict[str, Any], indent: str = "") -> None:
    for name, value in values.items():
        if isinstance(value, dict):
            print(f"{indent}{name}:")
            _print_nested(value, indent + "  ")
        elif isinstance(value, list) and len(value) > 12:
            shown = ", ".join(f"{each:.3g}" if isinstance(each, float) else str(each) for each in value[:8])
            print(f"{indent}{name}: {shown}, … ({len(value)})")
        else:
            print(f"{indent}{name}: {value:.4g}" if isinstance(value, float) else f"{indent}{name}: {value}")


@evaluate.command()
@_one_line
def synthetic(
    out: Annotated[
        Path | None, typer.Option(help="A folder for the table, the figure, and what a later call goes on with.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer worlds, seeds and steps.")] = False,
    json_out: Json = None,
    quiet: Quiet = False,
) -> None:
    """Measure how well concepts are found in worlds where they are known, beside other methods.

    Example: ssae-lens eval synthetic --quick --out synthetic
    """
    from ssae_lens.base.files import write_json
    from ssae_lens.evals.synthetic import run

    result = run(out, quick=quick, quiet=quiet)
    print(result.text())
    if json_out is not None:
        write_json(json_out, result.to_json())
