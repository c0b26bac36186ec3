"""Synthetic worlds, where the truth is known: what our method and others find of it."""

from ssae_lens.evals.synthetic_data import World, cat, dgp, world
from studies.synthetic.grid import QUICK, ROWS, Row
from studies.synthetic.methods import METHODS, Method
from studies.synthetic.result import Result
from studies.synthetic.runner import run, study

__all__ = ["METHODS", "QUICK", "ROWS", "Method", "Result", "Row", "World", "cat", "dgp", "run", "study", "world"]
