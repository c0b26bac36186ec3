"""k-sweep probes: in how many features of a shift a concept can be read."""

from studies.probes.result import ProbeResult
from studies.probes.study import run
from studies.probes.sweep import KS, probe_sweep

__all__ = ["KS", "ProbeResult", "probe_sweep", "run"]
