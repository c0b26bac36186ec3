"""A real language model, where labels say what changes: which concepts our method and others find, and how surely."""

from studies.language.bending import bending, categories
from studies.language.grid import CORPORA, STUDIES, Row
from studies.language.methods import METHODS, Method
from studies.language.paper import FIGURES, Figure
from studies.language.result import Result
from studies.language.runner import run, study

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
