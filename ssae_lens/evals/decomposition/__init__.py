"""Steering vectors taken apart: what an SAE makes of them, what remedies make of them, and what an SSAE does.

`run` does what ``ssae-lens eval decomposition`` does; `study` takes tasks, an SAE and settings of one's own.
"""

from ssae_lens.evals.decomposition.pursuit import Step, pursuit
from ssae_lens.evals.decomposition.result import Result
from ssae_lens.evals.decomposition.settings import QUICK, Settings
from ssae_lens.evals.decomposition.study import run, study

__all__ = ["QUICK", "Result", "Settings", "Step", "pursuit", "run", "study"]
