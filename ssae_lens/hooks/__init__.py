"""Hooks on a running model: capture of activations, steering, and steered generation."""

from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.divergence import kl_budget
from ssae_lens.hooks.gate import Gate
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.hooks.steering import Steering
from ssae_lens.hooks.token_positions import After

__all__ = ["After", "Gate", "Steering", "capture_shifts", "generate_sweep", "kl_budget", "steer"]
