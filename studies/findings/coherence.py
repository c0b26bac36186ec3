"""Coherence: whether steering raises it above the unsteered model's by chance, less repetition or lower entropy.

Coherence is (1 − loss/worst) · distinct, as in ``python -m studies steering``. For comparison, the unsteered model also
generates at other temperatures, which lowers the entropy of its next tokens and changes nothing else.
"""

import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.evals import text_scores
from ssae_lens.evals.tasks import CHOOSING, NEUTRAL, REPORTING
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.decoding import Sampler
from ssae_lens.methods.sae_ts.steered import Rollouts, rollouts
from studies.findings.inputs import BATCH_SIZE, FindingsInputs, Numbers, estimate, rank_correlation, unit

TOKENS, TEMPERATURE, TOP_P = 20, 0.7, 0.9
# Rows of logits at once: each is as wide as the vocabulary.
LOGIT_ROWS = 32
UNSTEERED = "unsteered"
SCORES = ("coherence", "loss", "distinct", "entropy", "names")


def measure(inputs: FindingsInputs) -> Numbers:
    """Generate with each vector at each scale, and unsteered at each temperature, and score the texts."""
    settings, mean_norm = inputs.settings, inputs.effects.mean_norm
    vectors, worst = _vectors(inputs), _worst(inputs)
    steered = [(name, row, scale * mean_norm) for name, row in vectors.items() for scale in settings.scales]
    unsteered = (UNSTEERED, next(iter(vectors.values())), 0.0)
    rows: list[Numbers] = []
    for temperature in (TEMPERATURE, *settings.temperatures):
        points = [unsteered, *(steered if temperature == TEMPERATURE else ())]
        numbers = _scored(inputs, points, temperature, worst)
        rows += [
            {"vector": name, "scale": scale / mean_norm, "temperature": temperature, **scored}
            for (name, _, scale), scored in zip(points, numbers, strict=True)
        ]
    return {"worst": worst, "rows": rows, **summary(rows)}


def summary(rows: Sequence[Numbers]) -> Numbers:
    """Return how often coherence rises, whether the best rise holds on other prompts, and what it correlates with."""
    frame: Any = pd.DataFrame(list(rows))
    means = frame[list(SCORES)].map(np.mean)
    unsteered = frame["vector"] == UNSTEERED
    base = frame.index[unsteered & (frame["temperature"] == TEMPERATURE)][0]
    curve, steered = means[unsteered].sort_values("entropy"), frame[~unsteered]
    rise = means[~unsteered] - means.loc[base]
    expected = np.interp(means[~unsteered]["entropy"], curve["entropy"], curve["coherence"]) - means["coherence"][base]
    # The best is chosen on the first half of the prompts, and its rise is reported on the second.
    differences = [np.array(values) - frame["coherence"][base] for values in steered["coherence"]]
    middle = len(CHOOSING)
    best = int(np.argmax([values[:middle].mean() for values in differences]))
    above = (rise["coherence"] > 0).to_numpy()
    by_likelihood = np.array([_rise_by_likelihood(row, rows[base]) for _, row in steered.iterrows()])
    parts = {
        "rise": rise["coherence"],
        "by_likelihood": by_likelihood,
        "expected": expected,
        "entropy": rise["entropy"],
    }
    return {
        "points": len(steered),
        "above": int(above.sum()),
        "best": {
            "vector": steered["vector"].iloc[best],
            "scale": float(steered["scale"].iloc[best]),
            "chosen": float(differences[best][:middle].mean()),
            "reported": estimate(differences[best][middle:]),
        },
        # Rank correlations with the rise of coherence.
        "entropy": estimate(rise[["entropy", "coherence"]].to_numpy(), rank_correlation),
        "distinct": estimate(rise[["distinct", "coherence"]].to_numpy(), rank_correlation),
        "temperature": estimate(np.stack([expected, rise["coherence"]], 1), rank_correlation),
        "mean_of_those_above": {
            name: float(values[above].mean()) if above.any() else 0.0 for name, values in parts.items()
        },
        "beyond_entropy": estimate(rise["coherence"].to_numpy() - expected),
        "names": {
            frame["vector"][index]: float(means["names"][index])
            for index in (base, *frame.index[frame["vector"].isin(("−Mb", "+Mb"))])
        },
    }


def _vectors(inputs: FindingsInputs) -> dict[str, Float[Tensor, " d"]]:
    """Return decoder rows, random directions, and both signs of the direction of the bias of the map (Mb)."""
    settings, map_ = inputs.settings, inputs.approximator
    rows = unit(inputs.effects.vectors[inputs.fitted[: settings.rows]])
    generator = torch.Generator().manual_seed(settings.seed)
    drawn = unit(torch.randn(max(1, settings.rows // 3), rows.shape[1], generator=generator))
    bias = unit((map_.M @ map_.b)[None])[0]
    vectors = {f"row {number}": row for number, row in zip(inputs.fitted.tolist(), rows, strict=False)}
    return {**vectors, **{f"random {number}": row for number, row in enumerate(drawn)}, "−Mb": -bias, "+Mb": bias}


def _scored(
    inputs: FindingsInputs, points: Sequence[tuple[str, Tensor, float]], temperature: float, worst: float
) -> list[Numbers]:
    """Generate continuations of all prompts at each point, and return the scores of each text."""
    units, scales = torch.stack([row for _, row, _ in points]), [scale for _, _, scale in points]
    texts = rollouts(
        inputs.model,
        inputs.vectors(units),
        scales,
        CHOOSING + REPORTING,
        Sampler(temperature, top_p=TOP_P),
        max_new_tokens=TOKENS,
        seed=inputs.settings.seed,
        max_rows=BATCH_SIZE,
    )
    loss, entropy = _loss_and_entropy(inputs, texts, units, scales, temperature)
    tokenizer: Any = inputs.model.tokenizer
    numbers = []
    for point, (tokens, generated) in enumerate(zip(texts.tokens, texts.generated, strict=True)):
        ids = [row[mask].tolist() for row, mask in zip(tokens, generated, strict=True)]
        distinct = np.array([text_scores.distinct(text) for text in ids])
        numbers.append(
            {
                "coherence": text_scores.coherence(loss[point], distinct, worst).tolist(),
                "loss": loss[point].tolist(),
                "distinct": distinct.tolist(),
                "entropy": entropy[point].tolist(),
                "names": [share_of_names(tokenizer.decode(text)) for text in ids],
            }
        )
    return numbers


@torch.no_grad()
def _loss_and_entropy(
    inputs: FindingsInputs, texts: Rollouts, units: Tensor, scales: Sequence[float], temperature: float
) -> tuple[Float[np.ndarray, "points texts"], Float[np.ndarray, "points texts"]]:
    """Return the mean loss of each text under the unsteered model, and the mean entropy of its steered next tokens."""
    model: Any = inputs.model
    shape = texts.tokens.shape[:2]
    tokens, generated = texts.tokens.flatten(0, 1), texts.generated.flatten(0, 1)
    vectors = [vector for vector in inputs.vectors(units) for _ in range(shape[1])]
    row_scales = [scale for scale in scales for _ in range(shape[1])]
    loss, entropy = [], []
    for start in range(0, len(tokens), LOGIT_ROWS):
        rows = slice(start, start + LOGIT_ROWS)
        ids, is_generated = tokens[rows].to(model.cfg.device), generated[rows][:, 1:]
        unsteered = model(ids, return_type="logits", padding_side="right")[:, :-1].float().log_softmax(-1)
        loss.append(_masked_mean(-unsteered.gather(-1, ids[:, 1:, None])[..., 0], is_generated))
        with steer(model, vectors[rows], scale=row_scales[rows], per_row=True, check=False):
            logits = model(ids, return_type="logits", padding_side="right")[:, :-1].float()
        log_probabilities = (logits / temperature).log_softmax(-1)
        entropy.append(_masked_mean(-(log_probabilities.exp() * log_probabilities).sum(-1), is_generated))
    return np.concatenate(loss).reshape(shape), np.concatenate(entropy).reshape(shape)


def _masked_mean(values: Float[Tensor, "n pos"], mask: Bool[Tensor, "n pos"]) -> Float[np.ndarray, " n"]:
    mask = mask.to(values.device)
    return ((values * mask).sum(1) / mask.sum(1)).double().cpu().numpy()


def share_of_names(text: str) -> float:
    """Return the share of words that are capitalised and do not start a sentence: most of them are names.

    Examples
    --------
    >>> share_of_names("met Anna in Rome. She is well")
    0.2857142857142857
    """
    words = list(re.finditer(r"[^\W\d_][\w'’]*", text))
    inner = [match.group() for match in words if text[: match.start()].rstrip(" \"'“‘(")[-1:] not in set(".!?:\n")]
    return sum(word[0].isupper() and word.split("'")[0] != "I" for word in inner) / max(1, len(words))


def _worst(inputs: FindingsInputs) -> float:
    """Return the mean loss of neutral texts with shuffled words, as in the score of coherence."""
    rng = random.Random(0)
    shuffled = [" ".join(rng.sample(words, len(words))) for words in (text.split() for text in NEUTRAL)]
    return float(text_scores.losses(inputs.model, shuffled).mean())


def _rise_by_likelihood(row: Any, base: Numbers) -> float:
    """Return the rise of coherence with the share of distinct n-grams held fixed."""
    steered, unsteered = (np.array(each["coherence"]) / np.maximum(each["distinct"], 1e-9) for each in (row, base))
    return float(((steered - unsteered) * base["distinct"]).mean())
