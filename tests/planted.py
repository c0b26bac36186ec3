"""Stores of shifts in which the answer is known: which direction each concept has, and how far each pair goes along it."""

import numpy as np
import torch

from ssae_lens.base.origin import Origin
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore

HOOK = "blocks.1.hook_resid_post"
CONCEPTS = ["tense", "gender", "number", "noise"]
WORDS = {"tense": ("is", "was"), "gender": ("king", "queen"), "number": ("one", "many")}
SIZES = np.array([4.0, 2.0, 9.0])
D = 32


def directions(seed=0):
    """Three directions at right angles, one for each concept but the last, which is in no shift."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(D, 3))).Q.T


def planted_store(n=300, *, seed=0, noise=0.01, rows_per_pair=1, **more):
    """Pairs whose first three labels are in their shifts, by SIZES, and in their texts; the fourth is in neither."""
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
    known = {
        "labels": labels,
        "concepts": CONCEPTS,
        "texts": texts,
        "row_ids": np.arange(n) // rows_per_pair,
        "origin": Origin(HOOK, D, "tiny-gpt2"),
    }
    return ShiftStore.from_arrays(source, target, **{**known, **more})


def planted_ssae(order=(2, 0, 1), signs=(-1, 1, 1), spare=2, hook_name=HOOK):
    """An SSAE whose latents are the directions in another order, some turned round, and spare latents along none."""
    everything = np.linalg.qr(np.concatenate([directions(), np.random.default_rng(1).normal(size=(spare, D))]).T).Q.T
    everything[:3] = directions()
    rows = np.concatenate([everything[:3][list(order)] * np.array(signs)[:, None], everything[3:]])
    W_dec = torch.tensor(rows, dtype=torch.float32)
    ssae = SSAE.from_weights(W_dec.T.contiguous(), W_dec)
    ssae.cfg.metadata.hook_name = hook_name
    return ssae
