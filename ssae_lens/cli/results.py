"""Commands on SSAEs and vectors: `describe`, `vector`, `steer`, `demo`, `convert`, `dashboard` and `upload`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ssae_lens.cli import common


def describe(
    context: typer.Context,
    ssae: common.Folder,
    shifts: Annotated[Path, typer.Option(help="Shifts of the SSAE's hook, with their texts.")],
    out: Annotated[
        Path | None, typer.Option(callback=common.writable, help="File to write the table to, as CSV.")
    ] = None,
    json_out: common.Json = None,
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
) -> None:
    """Print the words that change with each latent and, if the shifts have labels, the latents of each concept.

    Example: ssae-lens describe my-ssae --shifts pairs.h5
    """
    from ssae_lens.base.files import writing
    from ssae_lens.latents.describe import describe_latents
    from ssae_lens.latents.match import match_concepts
    from ssae_lens.shifts import open_shifts

    common.further_settings(context)
    common.replaceable(overwrite, out, json_out)
    loaded, store = common.load_ssae(ssae), open_shifts(shifts)
    described = describe_latents(loaded, store, quiet=quiet)
    print(described)
    numbers: dict[str, Any] = {"latents": [each.to_dict() for each in described]}
    if store.labels is not None:
        concepts = match_concepts(loaded, store)
        print(f"\n{concepts}")
        numbers |= concepts.to_json()
    if out is not None:
        with writing(out) as temporary:
            described.table().to_csv(temporary)
    common.write_numbers(context, json_out, numbers)


def vector(
    context: typer.Context,
    ssae: common.Folder,
    out: Annotated[Path, typer.Option(callback=common.writable, help="File to write, .safetensors or .gguf.")],
    latent: Annotated[list[int] | None, typer.Option(help="Number of a latent; repeat to add several.")] = None,
    concept: Annotated[str, typer.Option(help="A name that the SSAE has for latents, or a label of the shifts.")] = "",
    shifts: Annotated[Path | None, typer.Option(help="Shifts with labels, to match latents with concepts.")] = None,
    overwrite: common.Overwrite = False,
) -> None:
    """Write the steering vector of a latent or a concept, one typical change long.

    With --shifts alone, all concepts that have latents are written as a set of vectors in one file.

    Example: ssae-lens vector my-ssae --shifts pairs.h5 --concept tense --out tense.safetensors
    """
    from ssae_lens.base import checks
    from ssae_lens.latents.match import match_concepts
    from ssae_lens.shifts import open_shifts
    from ssae_lens.steering_vector import SteeringVector
    from ssae_lens.vector_set import VectorSet

    common.further_settings(context)
    common.replaceable(overwrite, out)
    if bool(latent) == bool(concept or shifts):
        raise ValueError("Give --latent, or a concept by --concept, --shifts or both.")
    checks.one_of(
        "The suffix of --out", out.suffix, [".safetensors", ".gguf"] if latent or concept else [".safetensors"]
    )
    loaded = common.load_ssae(ssae)
    concepts = match_concepts(loaded, open_shifts(shifts)) if shifts else {}
    if concept and concepts:
        checks.one_of("concept", concept, concepts)
    if latent or concept:
        made = SteeringVector.from_ssae(loaded, latent or (concepts[concept] if concepts else concept))
        (made.to_gguf if out.suffix == ".gguf" else made.save)(out, overwrite=overwrite)
    else:
        print(concepts)
        made = VectorSet.from_ssae(loaded, concepts)
        made.save(out, overwrite=overwrite)
    print(f"{out}: {made!r}")


def steer(
    context: typer.Context,
    model: common.Model,
    vector: Annotated[
        list[Path], typer.Option(help="Vector or set of vectors, .safetensors or .gguf; repeat for several.")
    ],
    prompt: Annotated[list[str], typer.Option(help="Text to continue; repeat for several.")],
    scale: Annotated[list[float] | None, typer.Option(help="Steering strength; repeat for several.")] = None,
    kl_budget: Annotated[
        float | None,
        typer.Option(help="In place of a scale, its effect on the next token's probabilities in nats, as 0.5."),
    ] = None,
    unit: Annotated[str, typer.Option(help="Unit of the scale: vector, residual or shift.")] = "vector",
    positions: Annotated[str, typer.Option(help="Tokens to steer: all, prompt or generated.")] = "all",
    operator: Annotated[str, typer.Option(help="add, ablate, ablate_add, clamp, add_keep_norm or rotate.")] = "add",
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
    common.further_settings(context)
    common.replaceable(overwrite, json_out)
    if scale and kl_budget is not None:
        raise ValueError("Give --scale or --kl-budget, not both.")
    vectors = common.load_vectors(vector)

    from ssae_lens import hooks
    from ssae_lens.models import load_model

    scales: Any = sorted({0.0, *(scale or [1.0])}) if operator == "add" else scale or [1.0]

    table = hooks.generate_sweep(
        load_model(model, kind, device=device),  # pyright: ignore[reportArgumentType]
        prompt,
        vectors,
        scales if kl_budget is None else hooks.kl_budget(kl_budget),
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


def convert(
    source: Annotated[Path, typer.Argument(help="File or folder to convert.")],
    target: Annotated[Path, typer.Argument(callback=common.writable, help="File or folder to write.")],
    hook: Annotated[str, typer.Option(help="Hook name, which the reference code's files do not hold.")] = "",
    model: Annotated[str, typer.Option(help="Model name, which the reference code's files do not hold.")] = "",
    split: Annotated[str, typer.Option(help="train or test, of the reference code's pairs.")] = "train",
    overwrite: common.Overwrite = False,
) -> None:
    """Convert a steering vector, captured shifts or an SSAE to another file format.

    Steering vectors: .safetensors ↔ .gguf (control vectors of llama.cpp). Captured shifts: HDF5 of the reference code ↔
    HDF5 of this package. SSAEs: folder of the reference code (weights.pth, cfg.yaml) → SAELens folder.

    Example: ssae-lens convert calm.safetensors calm.gguf
    """
    from ssae_lens.base import checks
    from ssae_lens.base.provenance import Origin

    common.replaceable(overwrite, target)
    if source.is_dir():
        from ssae_lens.sae import SSAE
        from ssae_lens.sae.paper_checkpoints import reference_loader

        ssae = SSAE.load_from_disk(source, converter=reference_loader)
        for name, value in (("hook_name", hook), ("model_name", model)):
            if value:
                ssae.cfg.metadata[name] = value
        ssae.save_model(target, overwrite=overwrite)
        print(f"{target}: SSAE with {ssae.cfg.d_sae} latents.")
        return
    checks.existing_file(source, "Give a steering vector, captured shifts, or a file or folder of the reference code.")
    if source.suffix in (".safetensors", ".gguf"):
        checks.one_of("The suffix of the target", target.suffix, [".safetensors", ".gguf"])
        vector = common.load_vector(source)
        (vector.to_gguf if target.suffix == ".gguf" else vector.save)(target, overwrite=overwrite)
        print(f"{target}: {vector!r}")
        return
    from ssae_lens.shifts import ShiftStore, read_reference, write_reference
    from ssae_lens.shifts.reference import is_reference

    if is_reference(source):
        d_model = read_reference(source, split).d_model
        read_reference(source, split, origin=Origin(hook, d_model, model_name=model)).save(target, overwrite=overwrite)
        print(f"{target}: shifts (d_model = {d_model}).")
    else:
        with ShiftStore.open(source) as store:
            write_reference(target, store, overwrite=overwrite)
            print(f"{target}: {len(store)} pairs in the reference code's format.")


def dashboard(
    result: Annotated[Path, typer.Argument(help="Folder of an SSAE, as train or sweep wrote it.")],
    out: Annotated[Path, typer.Option(callback=common.writable, help="HTML file to write.")],
    shifts: Annotated[
        Path | None, typer.Option(help="Shifts that the SSAE was trained on, for codes, pairs and labels.")
    ] = None,
    comparison: Annotated[Path | None, typer.Option(help="JSON file of eval steering --json.")] = None,
    model: Annotated[str, typer.Option(help="Model, for the promoted tokens of each latent.")] = "",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    overwrite: common.Overwrite = False,
    quiet: common.Quiet = False,
) -> None:
    """Write an HTML report of an SSAE: its latents, their pairs, tokens and correlations with labels.

    Example: ssae-lens dashboard my-ssae --shifts gender.h5 --out gender.html
    """
    from ssae_lens.dashboards import build_report, write_report
    from ssae_lens.latents.match import match_concepts
    from ssae_lens.models import load_model
    from ssae_lens.sae import SSAE
    from ssae_lens.shifts import open_shifts

    common.replaceable(overwrite, out)
    ssae = SSAE.load_from_disk(result)
    store = open_shifts(shifts) if shifts else None
    concepts = {"concepts": match_concepts(ssae, store)} if store is not None and store.labels is not None else {}
    report = build_report(
        ssae,
        store,
        run=result,
        comparison=comparison,
        model=load_model(model) if model else None,
        title=title,
        quiet=quiet,
        **concepts,
    )
    print(write_report(report, out, overwrite=overwrite))


def upload(
    folder: Annotated[Path, typer.Argument(help="Folder of an SSAE.")],
    repo: Annotated[str, typer.Argument(help="Hugging Face Hub repository, as user/name.")],
    sae_id: Annotated[str, typer.Option(help="Folder in the repository; by default the hook name.")] = "",
    revision: Annotated[str, typer.Option(help="Branch of the repository.")] = "main",
    licence: Annotated[str, typer.Option(help="Licence of the weights, as the Hub writes it.")] = "",
    quiet: common.Quiet = False,
) -> None:
    """Upload an SSAE to a repository of the Hugging Face Hub, with a model card.

    Example: ssae-lens upload my-ssae me/my-ssaes
    """
    from ssae_lens.pretrained import upload as upload_saes
    from ssae_lens.sae import SSAE

    ssae = SSAE.load_from_disk(folder)
    name = sae_id or ssae.origin.hook_name or folder.resolve().name
    print(upload_saes({name: ssae}, repo, revision=revision, licence=licence, quiet=quiet))
