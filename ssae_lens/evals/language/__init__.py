"""A real language model, where labels say what changes: which concepts our method and others find, and how surely."""

from ssae_lens.evals.language.bending import bending, categories
from ssae_lens.evals.language.grid import CORPORA, STUDIES, Row
from ssae_lens.evals.language.methods import METHODS, Method
from ssae_lens.evals.language.paper import FIGURES, Figure
from ssae_lens.evals.language.result import Result
from ssae_lens.evals.language.runner import run, study

__all__ = [
    "CORPORA",
    "FIGURES",
    "METHODS",
    "STUDIES",
    "Figure",
    "Method",
    "Result",
    "Row",
    "bending",
    "categories",
    "run",
    "study",
]
