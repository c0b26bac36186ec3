"""Training of SSAEs: the constrained problem, Cooper's solvers, one SSAE (`train`) or many (`sweep`)."""

from ssae_lens.training._sweep import sweep
from ssae_lens.training._train import train
from ssae_lens.training.config import PRESETS, ProblemConfig, SolverConfig
from ssae_lens.training.infer import refine
from ssae_lens.training.merge import merge_split_latents
from ssae_lens.training.outcome import Outcome
from ssae_lens.training.sweep_result import Setting, Sweep

__all__ = [
    "PRESETS",
    "Outcome",
    "ProblemConfig",
    "Setting",
    "SolverConfig",
    "Sweep",
    "merge_split_latents",
    "refine",
    "sweep",
    "train",
]
