"""Questions that the papers leave open, measured: coherence, later layers, the pseudo-inverse, scales.

`run` does what ``python -m studies findings`` does; `study` takes material and settings of one's own.
"""

from studies.findings.material import Material
from studies.findings.result import Result
from studies.findings.settings import QUICK, Settings
from studies.findings.study import run, study

__all__ = ["QUICK", "Material", "Result", "Settings", "run", "study"]
