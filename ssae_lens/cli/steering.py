"""Commands that generate text: `steer` and `demo`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli import common


def steer(
    context: typer.Context,
    model: common.Model,
    vector: Annotated[list[Path], typer.Option(help="Steering vector, .safetensors or .gguf; repeat for several.")],
    prompt: Annotated[list[str], typer.Option(help="Text to continue; repeat for several.")],
    scale: Annotated[list[float] | None, typer.Option(help="Steering strength; repeat for several.")] = None,
    unit: Annotated[str, typer.Option(help="Unit of the scale: vector, residual or shift.")] = "vector",
    positions: Annotated[str, typer.Option(help="Tokens to steer: all, prompt or generated.")] = "all",
    operator: Annotated[str, typer.Option(help="add, ablate, ablate_add, clamp or add_keep_norm.")] = "add",
    max_new_tokens: Annotated[int, typer.Option(help="Maximum number of generated tokens.")] = 32,
    temperature: Annotated[float, typer.Option(help="Sampling temperature; 0 is greedy decoding.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Seed of the sampling.")] = 0,
    kind: common.Kind = "auto",
    device: common.Device = None,
    check: Annotated[bool, typer.Option(help="Check that the vector belongs to this model.")] = True,
    config: common.Config = None,
    json_out: common.Json = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
) -> None:
    """Generate steered continuations of prompts, beside the unsteered text.

    Example: ssae-lens steer smollm2-135m --vector calm.safetensors --scale 1 --scale 2 --prompt "The old gardener"
    """
    from ssae_lens.steering_vector import SteeringVector

    common.further_settings(context)
    common.replaceable(overwrite, json_out)
    loaders = {".gguf": SteeringVector.from_gguf}
    vectors = {path.stem: loaders.get(path.suffix, SteeringVector.load)(path) for path in vector}

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
        text = json.dumps(row["prompt"] + row["text"], ensure_ascii=False)
        print(f"{row['vector']} × {row['scale']:g}: {text}")
    common.write_numbers(context, json_out, {"texts": texts})


def demo(
    out: Annotated[Path, typer.Option(callback=common.writable, help="Folder for the results and the report.")] = Path(
        "ssae-demo"
    ),
    quiet: common.Quiet = False,
) -> None:
    """Run the demonstration on a small language model and write a report.

    Example: ssae-lens demo
    """
    from ssae_lens.demo import run

    run(out, quiet=quiet)
