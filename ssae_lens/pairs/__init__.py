"""Data sets of text pairs: their schema, the built-in corpora, loading and splitting."""

from ssae_lens.pairs.built_in import corpora
from ssae_lens.pairs.load import load_pairs
from ssae_lens.pairs.schema import concept_names, fingerprint_of, signed_changes, validate
from ssae_lens.pairs.splits import split_by_content

__all__ = [
    "concept_names",
    "corpora",
    "fingerprint_of",
    "load_pairs",
    "signed_changes",
    "split_by_content",
    "validate",
]
