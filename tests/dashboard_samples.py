"""A world small enough to check by hand, and a report in which nothing is missing."""

import numpy as np
import torch

from ssae_lens.base.provenance import Origin
from ssae_lens.dashboards import Report
from ssae_lens.latents.concepts import Concept
from ssae_lens.latents.describe import describe_latents
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore, summarise
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.1.hook_resid_post"
CONCEPTS = ("tense", "number", "polarity", "politeness")
WORDS = {
    "tense": ("walks", "walked"),
    "number": ("gardener", "gardeners"),
    "polarity": ("is", "is not"),
    "politeness": ("now", "please"),
}
WIDTH = 16


def origin(model_name="tiny"):
    return Origin(HOOK, WIDTH, model_name=model_name)


def store(n=200, *, texts=True, model_name="tiny", extra="", seed=0):
    """Shifts along coordinate i wherever concept i changes, and little beside."""
    random = np.random.default_rng(seed)
    labels = random.choice([-1, 0, 1], p=[0.2, 0.6, 0.2], size=(n, len(CONCEPTS))).astype(np.int8)
    source = random.normal(size=(n, WIDTH)).astype(np.float32)
    shifts = 0.02 * random.normal(size=(n, WIDTH)).astype(np.float32)
    shifts[:, : len(CONCEPTS)] += labels * (1 + 0.2 * random.normal(size=labels.shape)).astype(np.float32)
    sides = [
        [
            " ".join(
                ["The old", *(WORDS[c][int(change * way > 0)] for c, change in zip(CONCEPTS, row, strict=True)), extra]
            )
            for row in labels
        ]
        for way in (-1, 1)
    ]
    return ShiftStore.from_arrays(
        source,
        source + shifts,
        origin=origin(model_name),
        labels=labels,
        concepts=CONCEPTS,
        texts=(sides[0], sides[1]) if texts else None,
        pairs={"name": "sample"},
    )


def ssae(k=6, *, dead=()):
    """Latent i reads and writes coordinate i; those named are dead."""
    weights = torch.eye(WIDTH)[:, :k].clone()
    weights[:, list(dead)] = 0
    return SSAE.from_weights(weights, torch.eye(WIDTH)[:k] + 0.05)


def concepts(names=CONCEPTS):
    return {name: Concept(name, [i], [-1.0 if i == 1 else 1.0], fit=0.9 - 0.1 * i) for i, name in enumerate(names)}


def along(coordinate):
    """A vector along a coordinate, nearly."""
    return SteeringVector(torch.eye(WIDTH)[coordinate] + 0.1, origin=origin())


def descriptions(model, shifts, token=""):
    """Descriptions with made-up tokens and steered texts, as a model would give."""
    for said in describe_latents(model, shifts, n_pairs=4, quiet=True):
        yield {
            **said.to_dict(),
            "promoted": [(f" up{token}", 3.5), ("\nvery", 2.25)],
            "suppressed": [("down", -3.0)],
            "steered": [
                {"prompt": "The old gardener", "scale": scale, "text": f" went {scale:g}{token}"}
                for scale in (-0.5, 0.0, 0.5)
            ],
        }


def comparison(task="tense", methods=("ssae", "caa", "sae_ts")):
    table = [
        {
            "task": each,
            "method": method,
            "scale": scale,
            "behaviour": 0.5 + 0.1 * (i + 1) * scale / 2,
            "coherence": 1 - 0.2 * (i + 1) * abs(scale) / 2,
        }
        for each in (task, "number")
        for i, method in enumerate(methods)
        for scale in (-2.0, -1.0, 0.0, 1.0, 2.0)
    ]
    scores = [
        {
            "task": each,
            "method": method,
            "score": 0.6 - 0.1 * i,
            # Intervals that are apart on one task and overlap on the other.
            "low": 0.6 - 0.1 * i - (0.04 if each == task else 0.1),
            "high": 0.6 - 0.1 * i + (0.04 if each == task else 0.1),
            "scale": 1.0,
            "given": "labelled contrasts" if i else "pairs, unlabelled",
        }
        for each in (task, "number")
        for i, method in enumerate(methods)
    ]
    texts = [
        {
            "task": task,
            "prompt": "The old gardener",
            "method": method,
            "scale": 1.0,
            "text": f" walked home, {method} wrote.",
            "coherence": 0.8,
        }
        for method in methods
    ]
    return {"table": table, "scores": scores, "texts": texts}


def decomposition(vector="caa tense"):
    features = [
        {
            "vector": name,
            "dictionary": dictionary,
            "feature": i,
            "value": 5.0 - i * (1 if dictionary == "SAE" else 0.9),
            "zero_value": (4.8 - i) if dictionary == "SAE" else 0.0,
        }
        for name in (vector, "caa number")
        for dictionary in ("SAE", "SSAE")
        for i in range(5)
    ]
    summary = [
        {"vector": vector, "dictionary": d, "explained variance": e, "features shared with zero": s}
        for d, e, s in (("SAE", 0.31, "5 of 5"), ("SSAE", 0.97, "0 of 5"))
    ]
    return {"features": features, "summary": summary}


def sweep_table():
    return [
        {
            "d_sae": width,
            "level": level,
            "budget": None,
            "udr_codes": 0.9,
            "udr_decoders": 0.99 - 0.01 * abs(width - 6) - level,
            "status": "binding",
        }
        for width in (4, 6, 8)
        for level in (0.05, 0.1)
    ]


def history(members=3):
    return [
        {
            "step": step,
            "d_sae": 6,
            "loss": [1 / (step + i + 1) for i in range(members)],
            "sparsity": [0.5 - step / 300 + i / 20 for i in range(members)],
            "bound": [0.1] * members,
            "multiplier": [step / 50 * (i + 1) for i in range(members)],
        }
        for step in range(0, 101, 10)
    ]


def full_report(k=6, token="", *, dead=(5,)):
    """A report with every part; `token` stands in each text that comes from outside."""
    shifts, model = store(extra=token, model_name=f"tiny{token}"), ssae(k, dead=dead)
    names = tuple(f"{name}{token}" for name in CONCEPTS)
    report = Report(f"Six latents{token}", {"model": f"tiny{token}", "hook": HOOK, "pairs": len(shifts)})
    report.add_latents(
        model,
        shifts,
        descriptions=descriptions(model, shifts, token),
        concepts=concepts(names),
        stability=np.linspace(0.5, 1, k),
        steering=[{"latent": 0, "scale": s, "behaviour": s / 2, "coherence": 1 - s * s} for s in (-0.5, 0.0, 0.5)],
        vectors={names[0]: {f"caa{token}": along(0), "mean_shift": along(0)}},
    )
    report.add_sweep(sweep_table()).add_training(history(), [f"bound 0.1, seed {i}" for i in range(3)])
    report.add_spectrum(summarise(shifts, quiet=True))
    report.add_comparison(**comparison(f"tense{token}", (f"ssae{token}", "caa", "sae_ts")))
    return report.add_decomposition(**decomposition(f"caa tense{token}"))
