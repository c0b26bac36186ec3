"""Small activations for the tests of this room."""

import numpy as np
import pytest

from ssae_lens.base.provenance import Origin

N, D = 150, 16
CONCEPTS = ["gender", "tense", "größe"]


@pytest.fixture
def origin():
    return Origin("blocks.3.hook_resid_post", D, "tiny", "HookedTransformer", {"fold_ln": True}, "last", "abc")


@pytest.fixture
def sides():
    generator = np.random.default_rng(0)
    return generator.normal(size=(2, N, D)).astype(np.float32)


@pytest.fixture
def known(origin):
    """What is known of the rows beside their activations."""
    generator = np.random.default_rng(1)
    return {
        "origin": origin,
        "labels": generator.integers(-1, 2, (N, len(CONCEPTS))),
        "concepts": CONCEPTS,
        "row_ids": np.arange(N) // 2 + 5,
        "texts": ([f"Où est le chat {row}?" for row in range(N)], ["犬は\0どこ 🐕" * (row % 3) for row in range(N)]),
        "pairs": {"name": "päirs", "fingerprint": "123"},
    }
