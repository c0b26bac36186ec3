"""What is measured in a cell: numbers from data, by the kind of line it is."""

import time
import warnings
from typing import Any

from ssae_lens.evals.cells import Cell
from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import best_of
from studies.fitted_dictionary import Found, from_sae
from studies.language import transfer
from studies.language.bending import bending, categories
from studies.language.data import Data
from studies.language.methods import METHODS
from studies.language.names import naming
from studies.language.scores import agreement, chances, scores

# A sweep is made from more seeds than a method is tried with.
MORE_SEEDS = 2


def measured(data: Data, cell: Cell) -> dict[str, Any]:
    """Measure one cell."""
    began = time.process_time()
    numbers = KINDS[cell["kind"]](data, cell)
    sizes = {"n_train": len(data.train), "n_test": len(data.test), "left_out": data.left_out}
    return {**numbers, **sizes, "cpu_seconds": round(time.process_time() - began, 1)}


def _sweep(data: Data, cell: Cell) -> dict[str, Any]:
    steps = {} if cell["steps"] is None else {"steps": cell["steps"]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what halves of a corpus have in common, and few pairs, are seen in the scores
        # The store, and not its shifts alone: it knows which pairs share a word.
        found = sweep(
            data.train, seeds=len(cell["seeds"]) + MORE_SEEDS, device="cpu", quiet=True, **steps, **cell["settings"]
        )
    settings = []
    for each in found.settings:
        fit = from_sae(found.merged(each, best_of(each.outcomes)))
        about = {
            "width": each.d_sae,
            "split_half_score": each.split_half_score,
            "udr": each.udr.codes,
            "stability": each.udr.decoders,
        }
        settings.append({**about, **scores(fit, data), **chances(data, each.d_sae)})
    return {**_beside(data), "chosen": found.chosen.d_sae, "settings": settings}


def _fit(data: Data, cell: Cell) -> dict[str, Any]:
    found = _found(data, cell)
    width = len(found[0].directions)
    return {
        "fits": [scores(each, data) for each in found],
        "latents": width,
        **agreement(found, data),
        **chances(data, width),
        **_beside(data),
    }


def _transfer(data: Data, cell: Cell) -> dict[str, Any]:
    found = _found(data, cell)
    return {"fits": transfer.scores(found, data), "latents": len(found[0].directions), "unsteered": data.unsteered}


def _found(data: Data, cell: Cell) -> list[Found]:
    fit = METHODS[cell["method"]].fit
    return fit(data, cell["corpus"], cell["width"], cell["seeds"], cell["steps"], **cell["settings"])


def _beside(data: Data) -> dict[str, float]:
    return {"ceiling": data.ceiling, "unsteered": data.unsteered}


KINDS = {
    "sweep": _sweep,
    "fit": _fit,
    "transfer": _transfer,
    "naming": naming,
    "bending": lambda data, _cell: {"concepts": bending(data)},
    "categories": lambda data, _cell: {"concepts": categories(data)},
}
