"""Commands that evaluate an SSAE or a steering vector: ``ssae-lens eval NAME``."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ssae_lens.cli.common import (
    Command,
    Config,
    Device,
    Folder,
    Json,
    Kind,
    Model,
    Overwrite,
    Quiet,
    further_settings,
    group,
    keep_run,
    load_ssae,
    load_vectors,
    replaceable,
    writable,
    write_numbers,
)

if TYPE_CHECKING:
    from ssae_lens.evals.results import EvalResult

Labelled = Annotated[Path, typer.Option(help="A store of shifts with labels, of the SSAE's hook.")]
Out = Annotated[
    Path | None, typer.Option(callback=writable, help="A folder for the numbers (JSON) and the figure (HTML).")
]


def identifiability(
    context: typer.Context,
    ssae: Folder,
    shifts: Labelled,
    shuffles: Annotated[int, typer.Option(help="Number of permutations for the p-values.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of permutations and bootstrap.")] = 0,
    out: Out = None,
    config: Config = None,
    json_out: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how well the latents of an SSAE recover labelled concepts: MCC, DCI, and a line for each concept.

    Example: ssae-lens eval identifiability my-ssae --shifts test.h5
    """
    from ssae_lens.evals import identifiability as evaluate
    from ssae_lens.shifts import open_shifts

    _run(
        context,
        lambda: evaluate(load_ssae(ssae), open_shifts(shifts), shuffles=shuffles, seed=seed),
    )


def probes(
    context: typer.Context,
    ssae: Folder,
    shifts: Labelled,
    test: Annotated[Path | None, typer.Option(help="A store to score on; by default a part of the shifts.")] = None,
    concepts: Annotated[
        list[str] | None, typer.Option("--concept", help="A concept; repeat for several. By default all.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    out: Out = None,
    config: Config = None,
    json_out: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Measure from how many latents of an SSAE a probe reads each concept, beside raw shifts.

    Example: ssae-lens eval probes my-ssae --shifts pairs.h5
    """
    from ssae_lens.evals import probes as evaluate
    from ssae_lens.shifts import open_shifts

    def measure() -> "EvalResult":
        held_out = open_shifts(test) if test else None
        options: Any = {"concepts": concepts or None, "seed": seed, "quiet": quiet}
        return evaluate(load_ssae(ssae), open_shifts(shifts), held_out, **options)

    _run(context, measure)


def steering(
    context: typer.Context,
    model: Model,
    vector: Annotated[list[Path], typer.Option(help="A vector's file, .safetensors or .gguf; repeat for several.")],
    task: Annotated[str, typer.Option(help="A built-in task, such as 'positive sentiment'.")],
    scales: Annotated[list[float] | None, typer.Option("--scale", help="A scale to try; repeat for several.")] = None,
    max_new_tokens: Annotated[int, typer.Option(help="Tokens of each text.")] = 20,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    kind: Kind = "auto",
    device: Device = None,
    check: Annotated[bool, typer.Option(help="Check that each vector belongs to this model.")] = True,
    out: Out = None,
    config: Config = None,
    json_out: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Measure behaviour and coherence under vectors: the scale is chosen on one half of prompts, reported on the other.

    Example: ssae-lens eval steering smollm2-135m --vector mood.safetensors --task "positive sentiment"
    """
    vectors = load_vectors(vector)

    from ssae_lens.evals import SteeringSettings
    from ssae_lens.evals import steering as evaluate
    from ssae_lens.models import load_model

    chosen: Any = {"scales": tuple(scales)} if scales else {}
    settings = SteeringSettings(max_new_tokens=max_new_tokens, seed=seed, **chosen)

    def measure() -> "EvalResult":
        running = load_model(model, kind, device=device)  # pyright: ignore[reportArgumentType]
        return evaluate(running, vectors, task, settings=settings, check=check, quiet=quiet)

    _run(context, measure)


def decomposition(
    context: typer.Context,
    vector: Annotated[list[Path], typer.Argument(help="Files of vectors, .safetensors or .gguf.")],
    sae: Annotated[str, typer.Option(help="An SAE's folder, or a release of SAELens or of this package.")],
    sae_id: Annotated[str, typer.Option(help="The SAE of the release; by default the hook of the vector.")] = "",
    lengths: Annotated[
        list[float] | None,
        typer.Option("--length", help="A length at which to read the vector too; repeat for several."),
    ] = None,
    max_atoms: Annotated[int, typer.Option(help="Maximum number of decoder rows in a pursuit.")] = 32,
    seed: Annotated[int, typer.Option(help="Seed of the random rows.")] = 0,
    out: Out = None,
    config: Config = None,
    json_out: Json = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure how much of steering vectors an SAE explains: R², cosine and active features, by encoder and by pursuit.

    Example: ssae-lens eval decomposition mood.safetensors --sae my-sae
    """
    vectors = load_vectors(vector)

    from sae_lens import SAE

    from ssae_lens.evals import decomposition as evaluate

    def measure() -> "EvalResult":
        if Path(sae).is_dir():
            loaded = SAE.load_from_disk(sae)
        else:
            from ssae_lens.pretrained import load_sae

            loaded = load_sae(sae, sae_id or next(iter(vectors.values())).hook_name)
        return evaluate(vectors, loaded, lengths=lengths or (), max_atoms=max_atoms, seed=seed)

    _run(context, measure)


def _run(context: typer.Context, measure: "Callable[[], EvalResult]") -> None:
    """Measure, print the table, and write what the options `out` and `json_out` ask for."""
    further_settings(context)
    name, out, json_out = str(context.info_name), context.params["out"], context.params["json_out"]
    results = (out / f"{name}.json", out / f"{name}.html") if out else ()
    replaceable(context.params["overwrite"], *results, json_out)
    result = measure()
    print(result.text())
    if out is not None:
        result.save(out)
        keep_run(context, out)
    write_numbers(context, json_out, result.to_json())


app = group("Evaluate an SSAE, or a steering vector.", "eval")
for command in (identifiability, probes, steering, decomposition):
    app.command(cls=Command)(command)
