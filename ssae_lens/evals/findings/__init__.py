"""Questions that the papers leave open, measured: coherence, later layers, the pseudo-inverse, scales.

`run` does what ``ssae-lens eval findings`` does; `study` takes material and settings of one's own.
"""

from ssae_lens.evals.findings.material import Material
from ssae_lens.evals.findings.result import Result
from ssae_lens.evals.findings.settings import QUICK, Settings
from ssae_lens.evals.findings.study import run, study

__all__ = ["QUICK", "Material", "Result", "Settings", "run", "study"]
