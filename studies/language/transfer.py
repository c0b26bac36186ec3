"""Transfer: a concept learned on one corpus, steered on another that nothing was learned from."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ssae_lens.metrics import correlations, steered_cosines, steered_cosines_frobenius
from ssae_lens.shifts import ShiftStore
from studies.fitted_dictionary import Found
from studies.language.data import Data
from studies.language.scores import matched, read, steering_shift

# What a concept is called elsewhere, where it is not called the same.
SAME = {("corr", "language"): "french"}


def onto(learned: Data, tried: Data, corpus: str) -> Data:
    """Return the training pairs of one corpus with the held-out pairs of another, whose labels go under the same names."""
    names = [SAME.get((corpus, name), name) for name in tried.concepts]
    missing = [name for name in names if name not in learned.concepts]
    if missing:
        raise ValueError(f"{corpus!r} has no concept {missing[0]!r}, only {', '.join(learned.concepts)}.")
    assert tried.test.labels is not None
    labels = np.zeros((len(tried.test), len(learned.concepts)), dtype=np.int8)
    labels[:, [learned.concepts.index(name) for name in names]] = tried.test.labels
    test = ShiftStore.from_arrays(
        tried.test.source, tried.test.target, origin=tried.test.origin, labels=labels, concepts=learned.concepts
    )
    return Data(learned.train, test, learned.left_out + tried.left_out)


def scores(found: Sequence[Found], data: Data) -> list[dict[str, Any]]:
    """Score what was learned: its latents and scales matched where it was learned, its steering where it is tried."""
    source, target = data.sides
    changes = np.flatnonzero(abs(data.labels).any(axis=0))
    made = []
    for each in found:
        latents, _ = matched(each, data)
        codes, shift = read(each, source, target), steering_shift(each, data)
        fits = [abs(correlations(codes[:, [latents[c]]], data.labels[:, [c]])[0, 0]) for c in changes]
        authors = steered_cosines_frobenius(source, shift, target).mean() if shift.any() else 0.0
        steered = steered_cosines(source, shift, target).mean()
        made.append({"mcc": float(np.mean(fits)), "steered": float(steered), "steered_authors": float(authors)})
    return made
