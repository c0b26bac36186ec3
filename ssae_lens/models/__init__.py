"""Language models: loaded by name or from a folder, built in, or tiny and random."""

from ssae_lens.models.identity import describe
from ssae_lens.models.load import load_model
from ssae_lens.models.tiny import tiny_model

__all__ = ["describe", "load_model", "tiny_model"]
