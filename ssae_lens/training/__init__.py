"""Training: the constrained problem, Cooper's solvers, one SSAE (`train`) or many (`sweep`)."""

from ssae_lens.training.config import PRESETS, ProblemConfig, SolverConfig
from ssae_lens.training.outcome import Outcome
from ssae_lens.training.sweep import sweep
from ssae_lens.training.swept import Setting, Sweep
from ssae_lens.training.train import train
from ssae_lens.training.wordings import merge_wordings

__all__ = [
    "PRESETS",
    "Outcome",
    "ProblemConfig",
    "Setting",
    "SolverConfig",
    "Sweep",
    "merge_wordings",
    "sweep",
    "train",
]
