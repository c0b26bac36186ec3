"""Stand-ins with which all studies and the demonstration run in seconds, from their command line to their files.

A tiny random model replaces SmolLM2 under its name, and an SAE of it, with SAE-TS's effects and map, replaces the one
that ships with the package. `SMALLER` lists all other values that are reduced: data sets, rows, pairs, steps, scales.
Everything runs in one process, since other processes would not have these values.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from ssae_lens import demo
from ssae_lens.base import assets
from ssae_lens.evals.built_in_tasks import built_in
from ssae_lens.evals.shipped_sae import APPROXIMATOR
from ssae_lens.evals.tasks import Task
from ssae_lens.methods import sae_ts
from ssae_lens.models import load_model, smollm2
from ssae_lens.models.tiny import tiny_hugging_face, tiny_tokenizer
from ssae_lens.training import sweep
from studies import cells, decomposition, findings, language, steering, synthetic
from studies.language.methods import sae_of_activations

MODEL, BLOCKS, D_MODEL, D_SAE = "smollm2-135m", 4, 32, 48
HOOK = f"blocks.{BLOCKS // 2}.hook_resid_post"
# Its tokenizer makes several tokens of a word, and judges are shown pages of them.
READS = 1024
STEPS, PAIRS, WIDEST = 20, 60, 24
# One of attributes and one of topics, which learn from pairs of their own.
TASKS = ("past tense", "the sea")
SYNTHETIC_ROWS = tuple(row for row in synthetic.ROWS if row.name in ("DGP1", "width 135"))

_sweep = partial(sweep, steps=STEPS)
_learned: dict[str, Any] = {"n_pairs": PAIRS, "n_seeds": 2}


def _some_tasks(names: Any = None, **options: Any) -> list[Task]:
    return [task.with_prompts(2) for task in built_in(names or TASKS, **options)]


def _first_rows(corpora: tuple[str, ...], *, quick: bool) -> list[language.LanguageRow]:
    """Return the first row of each study."""
    first = {row.study: row for row in reversed(language.study_rows(corpora, quick=quick))}
    return [
        replace(first[name], width=first[name].width and min(first[name].width or 0, WIDEST))
        for name in language.STUDIES
    ]


# The replaced values of each module.
SMALLER: dict[str, dict[str, Any]] = {
    "ssae_lens.demo": {
        "HOOK": HOOK,
        "PAIRS": PAIRS,
        "WIDTHS": (15, 16),
        "SETTINGS": replace(demo.SETTINGS, scales=(0.2, 0.35), max_new_tokens=4),
        "sweep": _sweep,
    },
    "studies.synthetic.runner": {
        "ROWS": SYNTHETIC_ROWS,
        "QUICK": SYNTHETIC_ROWS,
        "study": partial(synthetic.study, n=150, steps=STEPS),
    },
    "studies.language.corpora": {"SIZES": {"sentences": (120, 80), "cat": (120, 80)}, "FEWER": (60, 40)},
    "studies.language.grid": {"WIDTHS": dict.fromkeys(language.grid.WIDTHS, (2, 3)), "DEFAULT_WIDTHS": (8, 12)},
    "studies.language.runner": {
        "study_rows": _first_rows,
        "METHODS": {name: replace(method, steps=STEPS) for name, method in language.METHODS.items()},
    },
    "studies.probes": {
        "SEEDS": 2,
        "WIDE": 64,
        "KS": (1, 5),
        "sweep": _sweep,
        "sae_of_activations": partial(sae_of_activations, steps=STEPS),
    },
    "ssae_lens.evals.built_in_tasks": {"built_in": _some_tasks},
    "studies.steering.learning": {"sweep": _sweep},
    "studies.steering.runner": {
        "SteeringStudySettings": partial(
            steering.SteeringStudySettings,
            scales=(0.2, 0.5),
            multipliers=(-1.0, 0.0, 1.0),
            n_texts=4,
            n_contents=1,
            max_new_tokens=4,
            long_tasks=TASKS[1:],
            long_prompts=2,
            long_tokens=8,
            window=4,
            layer_tasks=TASKS[:1],
            depths=(0.0,),
            **_learned,
        ),
    },
    "studies.decomposition.experiment": {"sweep": _sweep},
    "studies.decomposition.runner": {
        "DecompositionSettings": partial(
            decomposition.DecompositionSettings, lengths=(0.5, 1.0), atoms=(1, 4), n_texts=4, **_learned
        ),
        "built_in": _some_tasks,
    },
    "studies.findings.runner": {
        "FindingsSettings": partial(
            findings.FindingsSettings,
            rows=3,
            scales=(0.5,),
            temperatures=(0.3, 1.5),
            layers=(0.5, 1.0),
            carried=5,
            features=3,
            held_out=4,
            multiples=(1.0, 2.0),
        ),
    },
}


@contextmanager
def stand_ins(folder: Path) -> Iterator[None]:
    """Replace all values, with the needed files in a folder, and restore them afterwards."""
    opened = [import_module("studies.steering.runner")._loaded, import_module("studies.findings.runner")._opened]
    in_processes = cells.in_processes
    with pytest.MonkeyPatch.context() as patch:
        _write_model(folder / "model")
        patch.setattr(smollm2, "smollm2_folder", lambda: folder / "model")
        _write_sae(folder / "assets" / f"{MODEL}-res" / HOOK)
        patch.setattr(assets, "ASSETS", folder / "assets")
        patch.setattr(cells, "in_processes", lambda jobs, _workers: in_processes(jobs, 1))
        for module, values in SMALLER.items():
            for name, value in values.items():
                patch.setattr(import_module(module), name, value)
        _clear_caches(opened)
        try:
            yield
        finally:
            _clear_caches(opened)


def _clear_caches(opened: list[Any]) -> None:
    """Clear the models that studies keep by name: the same name now means another model."""
    for function in opened:
        function.cache_clear()


def _write_model(folder: Path) -> None:
    model, tokenizer = tiny_hugging_face("llama", n_layers=BLOCKS, d_model=D_MODEL), tiny_tokenizer()
    model.config.max_position_embeddings = tokenizer.model_max_length = READS
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _write_sae(folder: Path) -> None:
    """Write an SAE of random rows, the effects of twenty of them, and the map fitted to these."""
    from sae_lens import JumpReLUSAE, JumpReLUSAEConfig

    sae = JumpReLUSAE(JumpReLUSAEConfig(d_in=D_MODEL, d_sae=D_SAE))
    with torch.no_grad():
        rows = torch.randn(D_SAE, D_MODEL, generator=torch.Generator().manual_seed(0))
        sae.W_dec.copy_(rows / rows.norm(dim=1, keepdim=True))
        sae.W_enc.copy_(sae.W_dec.T)
        sae.threshold.fill_(0.1)
    sae.cfg.metadata.hook_name, sae.cfg.metadata.model_name = HOOK, MODEL
    sae.save_model(folder)
    how = sae_ts.Settings(
        target=0.05,
        texts=("The man said that he was happy.", "I think that she is"),
        prompts=("The man", "She said"),
        n_baseline=2,
        max_new_tokens=4,
        top_p=0.9,
    )
    effects = sae_ts.measure_effects(load_model(MODEL), sae, sae.W_dec.detach()[:20], how, quiet=True)
    effects.save(folder / findings.inputs.EFFECTS)
    sae_ts.fit_approximator(effects, held_out=0.2).save(folder / APPROXIMATOR)
