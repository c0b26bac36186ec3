"""Jobs: small pieces of real work that write files, each with what it should come to."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

from ssae_lens import SSAE, ShiftStore, SteeringVector, capture_shifts, load_pairs, sweep, train
from ssae_lens.dashboards import build_report
from ssae_lens.methods.sae_ts import Approximator, Effects, Settings, fit_approximator, measure_effects
from ssae_lens.models import tiny_model
from ssae_lens.shifts import merge
from studies.synthetic import ROWS, study

HOOKS = ["blocks.1.hook_resid_post", "blocks.0.hook_resid_mid"]
TRAINING = {"steps": 24, "batch_size": 32, "checkpoint_every": 3, "quiet": True}


@dataclass(frozen=True)
class Job:
    """A piece of work.

    Attributes
    ----------
    run
        Does it in a folder. Called again after a fault, it completes or repeats the work.
    read
        Reads what it wrote and returns hashes of the contents by name.
    prepare
        Writes what the work starts from.
    either
        Whether the folder may also hold, whole, what it held before.
    """

    name: str
    run: Callable[[Path], Any]
    read: Callable[[Path], dict[str, str]]
    prepare: Callable[[Path], Any] = lambda folder: None
    either: bool = False


@cache
def model() -> Any:
    return tiny_model("gpt2")


@cache
def pairs() -> Any:
    return load_pairs("sentences", n=8)


@cache
def shifts(seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randn(120, 4, generator=generator) * (torch.rand(120, 4, generator=generator) < 0.4)
    return codes @ torch.randn(4, 10, generator=generator)


@cache
def sae() -> Any:
    generator = torch.Generator().manual_seed(0)
    made = JumpReLUSAE(JumpReLUSAEConfig(d_in=32, d_sae=12))
    with torch.no_grad():
        for each in (made.W_enc, made.W_dec):
            each.copy_(torch.randn(each.shape, generator=generator))
        made.threshold.fill_(0.5)
    made.cfg.metadata.hook_name = HOOKS[0]
    return made


def warm_up() -> None:
    """Make what the processes of all jobs share."""
    model(), pairs(), sae(), shifts()


def digest(values: Any) -> str:
    if isinstance(values, torch.Tensor):
        values = values.detach().numpy()
    if isinstance(values, np.ndarray):
        values = np.ascontiguousarray(values).tobytes()
    return hashlib.sha256(values if isinstance(values, bytes) else json.dumps(values).encode()).hexdigest()


def store_of(path: Path) -> dict[str, str]:
    with ShiftStore.open(path) as store:
        return {"source": digest(store.source), "target": digest(store.target), "texts": digest(store.texts)}


def ssae_of(folder: Path) -> dict[str, str]:
    ssae = SSAE.load_from_disk(folder)
    metadata = {name: value for name, value in ssae.cfg.metadata.items() if name != "versions"}
    return {name: digest(value) for name, value in ssae.state_dict().items()} | {"metadata": digest(metadata)}


def report_of(folder: Path) -> dict[str, str]:
    """Read a run as a dashboard does: its settings, its log and its table."""
    report = build_report(folder, quiet=True)
    return {name: digest(str(value)) for name, value in report.overview.items()}


def ssae(seed: int) -> SSAE:
    torch.manual_seed(seed)
    rows = torch.nn.functional.normalize(torch.randn(4, 10), dim=1)
    return SSAE.from_weights(rows.T.contiguous(), rows)


def vector(seed: int) -> SteeringVector:
    return SteeringVector(torch.randn(16, generator=torch.Generator().manual_seed(seed)), HOOKS[0], concept="calm")


def effects(seed: int) -> Effects:
    generator = torch.Generator().manual_seed(seed)
    origin = ShiftStore.from_arrays(np.zeros((1, 6)), np.ones((1, 6))).origin
    x = torch.nn.functional.normalize(torch.randn(20, 6, generator=generator), dim=1).half().float()
    y = (x @ torch.randn(6, 5, generator=generator)).half().float()
    return Effects(x, y, torch.ones(20), torch.ones(20), torch.zeros(5), origin, "sae", 1.0, Settings(), {})


def vectors_of(path: Path) -> dict[str, str]:
    found = SteeringVector.from_gguf(path) if path.suffix == ".gguf" else SteeringVector.load(path)
    return {hook: digest(found.directions[hook]) for hook in found.hook_names} | {"concept": found.concept}


def run_effects(folder: Path) -> None:
    settings = Settings(
        target=0.2, texts=("The man said.",), prompts=("The man",), n_baseline=1, max_new_tokens=2, top_p=0.9
    )
    units = torch.randn(4, 32, generator=torch.Generator().manual_seed(1))
    measure_effects(model(), sae(), units, settings, path=folder / "effects.safetensors", max_rows=1, quiet=True)


def read_effects(folder: Path) -> dict[str, str]:
    found = Effects.load(folder / "effects.safetensors")
    return {name: digest(getattr(found, name)) for name in ("vectors", "effects", "scales", "rises", "baseline")}


def run_study(folder: Path) -> None:
    rows = [each for each in ROWS if each.name == "DGP1"]
    study(rows, seeds=2, n=200, steps=20, out=folder, workers=1, quiet=True).save(folder)


def read_study(folder: Path) -> dict[str, str]:
    """Read the cells as the study does: from what is kept, without running a method."""
    found = json.loads((folder / "synthetic.json").read_text())
    return {
        str(cell["cell"]["method"]) + str(cell["cell"]["seed"]): digest(
            {name: value for name, value in cell.items() if name != "cpu_seconds"}
        )
        for cell in found["cells"]
    }


def shards(folder: Path) -> None:
    whole = ShiftStore.from_arrays(shifts(1), shifts(2), texts=(["a"] * 120, ["b"] * 120))
    for number in range(2):
        whole.subset(np.arange(number, 120, 2)).save(folder / f"{number}.h5").close()


JOBS = [
    Job(
        "capture",
        lambda folder: capture_shifts(
            model(), pairs(), HOOKS[0], path=folder / "c.h5", batch_tokens=64, quiet=True
        ).close(),
        lambda folder: store_of(folder / "c.h5"),
    ),
    Job(
        "capture of two hooks",
        lambda folder: [
            each.close()
            for each in capture_shifts(
                model(), pairs(), HOOKS, path=folder / "c", batch_tokens=128, quiet=True
            ).values()
        ],
        lambda folder: {hook: str(store_of(folder / "c" / f"{hook}.h5")) for hook in HOOKS},
    ),
    Job(
        "merge",
        lambda folder: merge([folder / "0.h5", folder / "1.h5"], folder / "all.h5").close(),
        lambda folder: store_of(folder / "all.h5"),
        shards,
    ),
    Job("train", lambda folder: train(shifts(), d_sae=4, restarts=2, out=folder / "ssae", **TRAINING),
        lambda folder: ssae_of(folder / "ssae")),
    Job("sweep", lambda folder: sweep(shifts(), d_sae=[3, 4], seeds=2, out=folder / "ssae", **TRAINING),
        lambda folder: ssae_of(folder / "ssae") | report_of(folder / "ssae")),
    Job("effects", run_effects, read_effects),
    Job("study", run_study, read_study),
    Job("SSAE saved over another", lambda folder: ssae(1).save_model(folder / "ssae", overwrite=True),
        lambda folder: ssae_of(folder / "ssae"), lambda folder: ssae(0).save_model(folder / "ssae"), either=True),
    Job("vector saved over another", lambda folder: vector(1).save(folder / "v.safetensors", overwrite=True),
        lambda folder: vectors_of(folder / "v.safetensors"), lambda folder: vector(0).save(folder / "v.safetensors"),
        either=True),
    Job("control vector", lambda folder: vector(1).to_gguf(folder / "v.gguf", overwrite=True),
        lambda folder: vectors_of(folder / "v.gguf"), lambda folder: vector(0).to_gguf(folder / "v.gguf"), either=True),
    Job("store saved over another",
        lambda folder: ShiftStore.from_arrays(shifts(1), shifts(2)).save(folder / "s.h5", overwrite=True).close(),
        lambda folder: store_of(folder / "s.h5"),
        lambda folder: ShiftStore.from_arrays(shifts(3), shifts(4)).save(folder / "s.h5").close(), either=True),
    Job("flat shifts",
        lambda folder: ShiftStore.open(folder / "s.h5").memmap(),
        lambda folder: {"shifts": digest(np.array(ShiftStore.open(folder / "s.h5").memmap()))},
        lambda folder: ShiftStore.from_arrays(shifts(3), shifts(4)).save(folder / "s.h5").close()),
    Job("approximator",
        lambda folder: fit_approximator(effects(1)).save(folder / "a.safetensors", overwrite=True),
        lambda folder: {"M": digest(Approximator.load(folder / "a.safetensors").M)},
        lambda folder: fit_approximator(effects(0)).save(folder / "a.safetensors"), either=True),
]  # fmt: skip


def quietly(work: Callable[[Path], Any], folder: Path) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return work(folder)


def started(job: Job, folder: Path) -> Path:
    """Return the folder, emptied, with what the work starts from."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    quietly(job.prepare, folder)
    return folder
