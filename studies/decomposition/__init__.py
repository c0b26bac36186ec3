"""Steering vectors taken apart: what an SAE makes of them, what remedies make of them, and what an SSAE does.

`run` does what ``python -m studies decomposition`` does; `study` takes tasks, an SAE and settings of one's own.
"""

from studies.decomposition.result import DecompositionStudyResult
from studies.decomposition.runner import run, study
from studies.decomposition.settings import QUICK, DecompositionSettings

__all__ = ["QUICK", "DecompositionSettings", "DecompositionStudyResult", "run", "study"]
