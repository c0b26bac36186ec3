"""Synthetic worlds, where the truth is known: what our method and others find of it."""

from ssae_lens.evals.synthetic.grid import QUICK, ROWS, Row
from ssae_lens.evals.synthetic.methods import METHODS, Method
from ssae_lens.evals.synthetic.result import Result
from ssae_lens.evals.synthetic.runner import run, study
from ssae_lens.evals.synthetic.worlds import World, cat, dgp, world

__all__ = ["METHODS", "QUICK", "ROWS", "Method", "Result", "Row", "World", "cat", "dgp", "run", "study", "world"]
