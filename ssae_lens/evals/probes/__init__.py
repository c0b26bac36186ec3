"""k-sweep probes: in how many features of a shift a concept can be read."""

from ssae_lens.evals.probes.result import ProbeResult
from ssae_lens.evals.probes.study import run
from ssae_lens.evals.probes.sweep import KS, probe_sweep

__all__ = ["KS", "ProbeResult", "probe_sweep", "run"]
