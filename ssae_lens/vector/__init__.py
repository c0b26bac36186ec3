"""Steering vectors: directions in the residual stream, with where they belong and where they came from.

`SteeringVector` holds them, does their arithmetic and keeps them in files; `cosine_table` compares many.
"""

from ssae_lens.vector.cosines import cosine_table, named
from ssae_lens.vector.vector import SteeringVector

__all__ = ["SteeringVector", "cosine_table", "named"]
