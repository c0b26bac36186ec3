"""Steering vectors taken apart: what an SAE makes of them, what remedies make of them, and what an SSAE does.

`run` does what ``python -m studies decomposition`` does; `study` takes tasks, an SAE and settings of one's own.
"""

from studies.decomposition.pursuit import Step, pursuit
from studies.decomposition.result import Result
from studies.decomposition.settings import QUICK, Settings
from studies.decomposition.study import run, study

__all__ = ["QUICK", "Result", "Settings", "Step", "pursuit", "run", "study"]
