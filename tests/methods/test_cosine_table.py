"""Cosines of many vectors, and what they are called."""

import numpy as np
import pytest

from ssae_lens.methods import cosine_table
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.3.hook_resid_post"


def vector(*numbers, hook=HOOK, **more):
    return SteeringVector(list(numbers) or [1.0, 2.0, 3.0, 4.0], hook, **more)


def test_against_numpy():
    numbers = np.random.default_rng(0).standard_normal((3, 4))
    table = cosine_table({name: vector(*row) for name, row in zip("abc", numbers, strict=True)})
    assert list(table.index) == list(table.columns) == ["a", "b", "c"]
    unit = numbers / np.linalg.norm(numbers, axis=1, keepdims=True)
    np.testing.assert_allclose(table.to_numpy(), unit @ unit.T, atol=1e-6)


def test_names():
    listed = [vector(concept="calm"), vector(method="pca"), vector()]
    assert list(cosine_table(listed).index) == ["calm", "pca", "2"]
    assert list(cosine_table([vector(concept="calm")] * 2).index) == ["calm (0)", "calm (1)"]


def test_only_at_one_hook():
    low = vector(hook="blocks.1.hook_resid_post")
    with pytest.raises(ValueError, match=r"'a' and 'b' cannot be compared .*hook_name"):
        cosine_table({"a": vector(), "b": low})
    assert cosine_table([vector() + low, low], "blocks.1.hook_resid_post").iloc[0, 1] == pytest.approx(1)
    with pytest.raises(ValueError, match="empty"):
        cosine_table([])
