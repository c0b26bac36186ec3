"""All that touches a running model: where activations are read, captures of them, steering, and steered generation."""

from ssae_lens.hooks._steer import Steering, steer
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.generation import generate_sweep
from ssae_lens.hooks.token_positions import After

__all__ = ["After", "Steering", "capture_shifts", "generate_sweep", "steer"]
