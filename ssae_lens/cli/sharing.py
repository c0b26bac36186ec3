"""Commands that change and share files: `convert` and `upload`."""

from pathlib import Path
from typing import Annotated

import typer

from ssae_lens.cli.common import Overwrite, Quiet, replaceable, writable


def convert(
    source: Annotated[Path, typer.Argument(help="A file or folder of one kind.")],
    target: Annotated[Path, typer.Argument(callback=writable, help="Where the other kind goes.")],
    hook: Annotated[str, typer.Option(help="The hook that the reference code's files do not name.")] = "",
    model: Annotated[str, typer.Option(help="The model that they do not name.")] = "",
    split: Annotated[str, typer.Option(help="train or test, of the reference code's pairs.")] = "train",
    overwrite: Overwrite = False,
) -> None:
    """Change a file of one kind into another: what it is says what it becomes.

    A steering vector: .safetensors ↔ .gguf, the control vectors of llama.cpp. Pairs: the reference code's HDF5 → a store,
    and a store → the reference code's. A folder of the reference code's (weights.pth, cfg.yaml) → an SSAE.

    Example: ssae-lens convert calm.safetensors calm.gguf
    """
    from ssae_lens.base import checks
    from ssae_lens.base.origin import Origin

    replaceable(overwrite, target)
    if source.is_dir():
        from ssae_lens.sae import SSAE
        from ssae_lens.sae.paper_checkpoints import reference_loader

        ssae = SSAE.load_from_disk(source, converter=reference_loader)
        for name, value in (("hook_name", hook), ("model_name", model)):
            if value:
                ssae.cfg.metadata[name] = value
        ssae.save_model(target, overwrite=overwrite)
        print(f"{target}: an SSAE of {ssae.cfg.d_sae} latents.")
        return
    checks.existing_file(source, "Give a vector's file, a store, or the reference code's HDF5 or folder.")
    if source.suffix in (".safetensors", ".gguf"):
        from ssae_lens.steering_vector import SteeringVector

        checks.one_of("The ending of the target", target.suffix, [".safetensors", ".gguf"])
        vector = SteeringVector.from_gguf(source) if source.suffix == ".gguf" else SteeringVector.load(source)
        (vector.to_gguf if target.suffix == ".gguf" else vector.save)(target, overwrite=overwrite)
        print(f"{target}: {vector!r}")
        return
    from ssae_lens.shifts import ShiftStore, read_reference, write_reference
    from ssae_lens.shifts.reference import is_reference

    if is_reference(source):
        width = read_reference(source, split).d_model
        read_reference(source, split, origin=Origin(hook, width, model_name=model)).save(target, overwrite=overwrite)
        print(f"{target}: a store of pairs {width} wide.")
    else:
        with ShiftStore.open(source) as store:
            write_reference(target, store, overwrite=overwrite)
            print(f"{target}: {len(store)} pairs for the reference code.")


def dashboard(
    result: Annotated[Path, typer.Argument(help="The folder that train or sweep wrote.")],
    out: Annotated[Path, typer.Option(callback=writable, help="The HTML file to write.")],
    shifts: Annotated[Path | None, typer.Option(help="The store that it was trained on: codes, pairs, labels.")] = None,
    comparison: Annotated[Path | None, typer.Option(help="What eval steering --json wrote.")] = None,
    model: Annotated[str, typer.Option(help="The model, to show the tokens that each latent promotes.")] = "",
    title: Annotated[str, typer.Option(help="Of the page.")] = "",
    overwrite: Overwrite = False,
    quiet: Quiet = False,
) -> None:
    """Write one HTML page of an SSAE: its latents, their pairs, tokens and agreement with labels.

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
    named = {"concepts": match_concepts(ssae, store)} if store is not None and store.labels is not None else {}
    report = build_report(
        ssae,
        store,
        run=result,
        comparison=comparison,
        model=load_model(model) if model else None,
        title=title,
        quiet=quiet,
        **named,
    )
    print(write_report(report, out, overwrite=overwrite))


def upload(
    folder: Annotated[Path, typer.Argument(help="An SSAE's folder.")],
    repo: Annotated[str, typer.Argument(help="user/name on the Hugging Face Hub.")],
    sae_id: Annotated[str, typer.Option(help="Its folder there; by default the hook's name.")] = "",
    revision: Annotated[str, typer.Option(help="The branch.")] = "main",
    licence: Annotated[str, typer.Option(help="The weights' licence, as the Hub writes it.")] = "",
    quiet: Quiet = False,
) -> None:
    """Put an SSAE into a repository of the Hugging Face Hub, with a model card.

    Example: ssae-lens upload my-ssae me/my-ssaes
    """
    from ssae_lens.pretrained import upload as send
    from ssae_lens.sae import SSAE

    ssae = SSAE.load_from_disk(folder)
    name = sae_id or ssae.origin.hook_name or folder.resolve().name
    print(send({name: ssae}, repo, revision=revision, licence=licence, quiet=quiet))
