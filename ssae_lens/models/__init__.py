"""Language models: by any TransformerLens name, from a local folder, without a network, or tiny and random."""

from ssae_lens.models.identity import describe
from ssae_lens.models.load import load_model
from ssae_lens.models.tiny import tiny_model

__all__ = ["describe", "load_model", "tiny_model"]
