"""Synthetic stores of shifts with known concepts: their directions, and the change of each concept in each pair."""

import numpy as np
import torch

from ssae_lens.base.provenance import Origin
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore

HOOK = "blocks.1.hook_resid_post"
CONCEPTS = ["tense", "gender", "number", "noise"]
WORDS = {"tense": ("is", "was"), "gender": ("king", "queen"), "number": ("one", "many")}
SIZES = np.array([4.0, 2.0, 9.0])
D = 32


def directions(seed=0):
    """Return three orthonormal directions, one for each concept but the last, which is in no shift."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(D, 3))).Q.T


def planted_store(n=300, *, seed=0, noise=0.01, rows_per_pair=1, **options):
    """Return pairs whose first three labels change the shifts, by SIZES, and the texts; the fourth changes neither."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(-1, 2, (n, len(CONCEPTS)))
    before = np.where(labels == 0, rng.integers(0, 2, labels.shape), labels < 0)
    after = before + labels
    source = rng.normal(size=(n, D))
    target = source + (labels[:, :3] * SIZES) @ directions() + noise * rng.normal(size=(n, D))
    texts = [
        [f"item {i} " + " ".join(pair[side[i, c]] for c, pair in enumerate(WORDS.values())) for i in range(n)]
        for side in (before, after)
    ]
    store = {
        "labels": labels,
        "concepts": CONCEPTS,
        "texts": texts,
        "row_ids": np.arange(n) // rows_per_pair,
        "origin": Origin(HOOK, D, "tiny-gpt2"),
    }
    return ShiftStore.from_arrays(source, target, **{**store, **options})


def planted_ssae(order=(2, 0, 1), signs=(-1, 1, 1), spare=2, hook_name=HOOK):
    """Return an SSAE whose latents are the directions in another order, some negated, and spare latents along none."""
    everything = np.linalg.qr(np.concatenate([directions(), np.random.default_rng(1).normal(size=(spare, D))]).T).Q.T
    everything[:3] = directions()
    rows = np.concatenate([everything[:3][list(order)] * np.array(signs)[:, None], everything[3:]])
    W_dec = torch.tensor(rows, dtype=torch.float32)
    ssae = SSAE.from_weights(W_dec.T.contiguous(), W_dec)
    ssae.cfg.metadata.hook_name = hook_name
    return ssae
