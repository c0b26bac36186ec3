"""The built-in corpora row by row: hashes recorded before their words moved into data files."""

import hashlib
import json

import pytest

from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.built_in import CORPORA


def digest(rows):
    return hashlib.sha256(json.dumps(rows, ensure_ascii=False).encode()).hexdigest()[:16]


ROWS = {
    "lang": "da2a00b66527d8ac",
    "gender": "93abb178e57553c9",
    "binary": "c615f625cb436d99",
    "corr": "8a4846d60c435c28",
    "truth": "1ca9f24ba34e300b",
}

GENERATED = {
    ("cat", 1, 0): "e24c7b4aef2851ef",
    ("cat", 7, 1): "f46f5c4b16cd35a1",
    ("cat", 300, 2): "4599c42a46a0b8ef",
    ("cat", 5000, 0): "559d8e25a9b38691",
    ("sentences", 1, 0): "89d37507792d00ee",
    ("sentences", 7, 1): "86ddae77e8c3a922",
    ("sentences", 300, 2): "e6f3b4ed8ea1de83",
    ("sentences", 5000, 0): "e64d372ed3ad3c49",
}

DRAWN = {
    ("lang", None, 20, 0): "4562655245e59cc9",
    ("lang", "train", 50, 1): "530b65b7131859e6",
    ("lang", "test", 10, 2): "22d24b334d8d2908",
    ("gender", None, 20, 0): "d7b6aa4e3ac5e6c4",
    ("gender", "train", 50, 1): "945eb419458300e7",
    ("gender", "test", 10, 2): "69995b1a1a732820",
    ("binary", None, 20, 0): "30aa125cca6dc947",
    ("binary", "train", 50, 1): "04e67a059e7c83f5",
    ("binary", "test", 10, 2): "808051defbe2d28f",
    ("corr", None, 20, 0): "ecb5a5001cdc5ee9",
    ("corr", "train", 50, 1): "e56dadf9261f8de3",
    ("corr", "test", 10, 2): "37a05f2377c97e9c",
    ("cat", None, 20, 0): "bcf79fc348fcea9a",
    ("cat", "train", 50, 1): "3d7c2e765d7fb5be",
    ("cat", "test", 10, 2): "36375298dd23ac5b",
    ("sentences", None, 20, 0): "93d2f9f7b2294665",
    ("sentences", "train", 50, 1): "14b49ddf507da66d",
    ("sentences", "test", 10, 2): "67c36a05b760650b",
    ("truth", None, 20, 0): "b11236a8e8a4d40e",
    ("truth", "train", 50, 1): "c7232bba8ba8686b",
    ("truth", "test", 10, 2): "a00c9232074f30e9",
}

CONCEPTS = {
    "lang": "7afda15219bb5f30",
    "gender": "6b5d3c870d1ac113",
    "binary": "6d55c6ba35440494",
    "corr": "828d5a04b8d448db",
    "cat": "7e8f28c77928adb4",
    "truth": "ba9f19b3728be6fb",
}


@pytest.mark.parametrize("name", [name for name, corpus in CORPORA.items() if not corpus.generated])
def test_every_row(name):
    assert digest(CORPORA[name].rows()) == ROWS[name]


@pytest.mark.parametrize(("name", "n", "seed"), [(*key,) for key in GENERATED])
def test_rows_of_generated_corpora(name, n, seed):
    assert digest(CORPORA[name].rows(n, seed)) == GENERATED[name, n, seed]


@pytest.mark.parametrize(("name", "split", "n", "seed"), [(*key,) for key in DRAWN])
def test_drawn_pairs(name, split, n, seed):
    assert digest(load_pairs(name, split, n=n, seed=seed).to_list()) == DRAWN[name, split, n, seed]


@pytest.mark.parametrize("name", CONCEPTS)
def test_concepts_keep_their_order(name):
    assert digest(CORPORA[name].concepts) == CONCEPTS[name]
