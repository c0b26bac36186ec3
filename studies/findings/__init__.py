"""The study of questions that the papers leave open: coherence, later layers, the pseudo-inverse, the range of the map.

`run` does what ``python -m studies findings`` does; `study` takes inputs and settings of your own.
"""

from studies.findings.inputs import QUICK, FindingsInputs, FindingsSettings
from studies.findings.result import FindingsResult
from studies.findings.runner import run, study

__all__ = ["QUICK", "FindingsInputs", "FindingsResult", "FindingsSettings", "run", "study"]
