"""Hooks on a running model: capture of activations, steering, and steered generation."""

from ssae_lens.hooks._steer import Steering, steer
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.hooks.token_positions import After

__all__ = ["After", "Steering", "capture_shifts", "generate_sweep", "steer"]
