"""Commands that write text: `steer` and `demo`."""

import json
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
    further_settings,
    replaceable,
    writable,
    write_numbers,
)


def steer(
    context: typer.Context,
    model: Model,
    vector: Annotated[list[Path], typer.Option(help="A vector's file, .safetensors or .gguf; repeat for several.")],
    prompt: Annotated[list[str], typer.Option(help="The text to continue; repeat for several.")],
    scale: Annotated[list[float] | None, typer.Option(help="How much of it; repeat for several.")] = None,
    unit: Annotated[str, typer.Option(help="What a scale of 1 is: vector, residual or shift.")] = "vector",
    positions: Annotated[str, typer.Option(help="all, prompt or generated.")] = "all",
    operator: Annotated[str, typer.Option(help="add, ablate, ablate_add, clamp or add_keep_norm.")] = "add",
    max_new_tokens: Annotated[int, typer.Option(help="How long a text may get.")] = 32,
    temperature: Annotated[float, typer.Option(help="0 takes the likeliest token each time.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Of the sampling.")] = 0,
    kind: Kind = "auto",
    device: Device = None,
    check: Annotated[bool, typer.Option(help="Check that the vector belongs to this model.")] = True,
    config: Config = None,
    json_out: Json = None,
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Generate steered continuations of prompts, beside the unsteered text.

    Example: ssae-lens steer smollm2-135m --vector calm.safetensors --scale 1 --scale 2 --prompt "The old gardener"
    """
    from ssae_lens.steering_vector import SteeringVector

    further_settings(context)
    replaceable(overwrite, json_out)
    reads = {".gguf": SteeringVector.from_gguf}
    vectors = {each.stem: reads.get(each.suffix, SteeringVector.load)(each) for each in vector}

    from ssae_lens.hooks import generate_sweep
    from ssae_lens.models import load_model

    table = generate_sweep(
        load_model(model, kind, device=device),  # pyright: ignore[reportArgumentType]
        prompt,
        vectors,
        sorted({0.0, *(scale or [1.0])}) if operator == "add" else scale or [1.0],
        max_new_tokens=max_new_tokens,
        temperature=temperature,
        seed=seed,
        positions=positions,  # pyright: ignore[reportArgumentType]
        operator=operator,  # pyright: ignore[reportArgumentType]
        unit=unit,  # pyright: ignore[reportArgumentType]
        check=check,
        quiet=quiet,
    )
    texts = table.to_dict("records")
    for row in texts:
        whole = json.dumps(row["prompt"] + row["text"], ensure_ascii=False)
        print(f"{row['vector']} × {row['scale']:g}: {whole}")
    write_numbers(context, json_out, {"texts": texts})


def demo(
    out: Annotated[Path, typer.Option(callback=writable, help="The folder for what it makes, and its report.")] = Path(
        "ssae-demo"
    ),
    quiet: Quiet = False,
) -> None:
    """Show what the package does, on a small language model.

    Example: ssae-lens demo
    """
    from ssae_lens.demo import run

    run(out, quiet=quiet)
