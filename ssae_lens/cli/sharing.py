"""Commands that convert, upload and show SSAEs: `convert`, `upload` and `dashboard`."""

from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli.common import Overwrite, Quiet, replaceable, writable


def convert(
    source: Annotated[Path, typer.Argument(help="File or folder to convert.")],
    target: Annotated[Path, typer.Argument(callback=writable, help="File or folder to write.")],
    hook: Annotated[str, typer.Option(help="Hook name, which the reference code's files do not hold.")] = "",
    model: Annotated[str, typer.Option(help="Model name, which the reference code's files do not hold.")] = "",
    split: Annotated[str, typer.Option(help="train or test, of the reference code's pairs.")] = "train",
    overwrite: Overwrite = False,
) -> None:
    """Convert a steering vector, captured shifts or an SSAE to another file format.

    Steering vectors: .safetensors ↔ .gguf (control vectors of llama.cpp). Captured shifts: HDF5 of the reference code ↔
    HDF5 of this package. SSAEs: folder of the reference code (weights.pth, cfg.yaml) → SAELens folder.

    Example: ssae-lens convert calm.safetensors calm.gguf
    """
    from ssae_lens.base import checks
    from ssae_lens.base.provenance import Origin

    replaceable(overwrite, target)
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
        from ssae_lens.steering_vector import SteeringVector

        checks.one_of("The suffix of the target", target.suffix, [".safetensors", ".gguf"])
        vector = SteeringVector.from_gguf(source) if source.suffix == ".gguf" else SteeringVector.load(source)
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
    result: Annotated[Path, typer.Argument(help="Folder of train or sweep.")],
    out: Annotated[Path, typer.Option(callback=writable, help="HTML file to write.")],
    shifts: Annotated[
        Path | None, typer.Option(help="Shifts that the SSAE was trained on, for codes, pairs and labels.")
    ] = None,
    comparison: Annotated[Path | None, typer.Option(help="JSON file of eval steering --json.")] = None,
    model: Annotated[str, typer.Option(help="Model, for the promoted tokens of each latent.")] = "",
    title: Annotated[str, typer.Option(help="Title of the page.")] = "",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write an HTML report of an SSAE: its latents, their pairs, tokens and correlations with labels.

    Example: ssae-lens dashboard my-ssae --shifts gender.h5 --out gender.html
    """
    from ssae_lens.dashboards import build_report, write_report
    from ssae_lens.latents.match import match_concepts
    from ssae_lens.models import load_model
    from ssae_lens.sae import SSAE
    from ssae_lens.shifts import open_shifts

    replaceable(overwrite, out)
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
    quiet: Quiet = False,
) -> None:
    """Upload an SSAE to a repository of the Hugging Face Hub, with a model card.

    Example: ssae-lens upload my-ssae me/my-ssaes
    """
    from ssae_lens.pretrained import upload as upload_saes
    from ssae_lens.sae import SSAE

    ssae = SSAE.load_from_disk(folder)
    name = sae_id or ssae.origin.hook_name or folder.resolve().name
    print(upload_saes({name: ssae}, repo, revision=revision, licence=licence, quiet=quiet))
