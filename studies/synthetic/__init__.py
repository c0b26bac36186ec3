"""The study of synthetic data, where concepts are known: how well the SSAE and other methods recover them."""

from studies.synthetic.grid import QUICK, ROWS, SyntheticRow
from studies.synthetic.methods import METHODS
from studies.synthetic.result import SyntheticResult
from studies.synthetic.runner import run, study

__all__ = ["METHODS", "QUICK", "ROWS", "SyntheticResult", "SyntheticRow", "run", "study"]
