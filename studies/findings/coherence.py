"""Why coherence can rise above the unsteered model's: by chance, by fewer repetitions, or by a narrower choice of tokens.

Coherence is (1 − loss/worst) · distinct, as ``python -m studies steering`` has it. Vectors steer a little; beside them the
unsteered model writes at other temperatures, which narrows its choice and does nothing else.
"""

import random
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.evals.steering import scores
from ssae_lens.evals.steering.prompts import CHOOSING, NEUTRAL, REPORTING
from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.decoding import Sampler
from ssae_lens.methods.sae_ts.rollouts import Rollouts, rollouts
from studies.findings.arrays import estimate, rank_correlation
from studies.findings.material import MAX_ROWS, Material, unit

Numbers = dict[str, Any]
TOKENS, TEMPERATURE, TOP_P = 20, 0.7, 0.9
# Rows of logits as wide as the vocabulary.
AT_ONCE = 32
READ = ("coherence", "loss", "distinct", "entropy", "names")


def measure(material: Material) -> Numbers:
    """Write under each vector at each scale, and unsteered at each temperature, and read what was written."""
    settings = material.settings
    named = _vectors(material)
    length = material.effects.mean_norm
    points = [(name, row, scale * length, TEMPERATURE) for name, row in named.items() for scale in settings.scales]
    nothing = next(iter(named.values()))
    plain = [("unsteered", nothing, 0.0, each) for each in (TEMPERATURE, *settings.temperatures)]
    worst = _worst(material)
    found: list[Numbers] = []
    for temperature in (TEMPERATURE, *settings.temperatures):
        some = [each for each in (*plain, *points) if each[3] == temperature]
        read = _read(material, some, temperature, worst)
        found += [
            {"vector": name, "scale": scale / length, "temperature": temperature, **numbers}
            for (name, _, scale, _), numbers in zip(some, read, strict=True)
        ]
    return {"worst": worst, "rows": found, **told(found)}


def told(rows: Sequence[Numbers]) -> Numbers:
    """Say what the rows say: how often coherence rises, whether it stays risen, and what goes with it."""
    base = next(each for each in rows if each["vector"] == "unsteered" and each["temperature"] == TEMPERATURE)
    curve = sorted((each for each in rows if each["vector"] == "unsteered"), key=lambda each: _mean(each, "entropy"))
    steered = [each for each in rows if each["vector"] != "unsteered"]
    rise = {name: np.array([_mean(each, name) - _mean(base, name) for each in steered]) for name in READ}
    narrower = np.array([_mean(each, "entropy") for each in steered])
    by_temperature = np.interp(narrower, [_mean(e, "entropy") for e in curve], [_mean(e, "coherence") for e in curve])
    expected = by_temperature - _mean(base, "coherence")
    # The first half of the prompts chooses, the second says whether the choice was luck.
    halves = [np.array(each["coherence"]) - base["coherence"] for each in steered]
    middle = len(CHOOSING)
    best = int(np.argmax([each[:middle].mean() for each in halves]))
    above = rise["coherence"] > 0
    likelier = np.array([_likelier(each, base) for each in steered])
    return {
        "points": len(steered),
        "above": int(above.sum()),
        "best": {
            "vector": steered[best]["vector"],
            "scale": steered[best]["scale"],
            "chosen": float(halves[best][:middle].mean()),
            "reported": estimate(halves[best][middle:]),
        },
        "entropy": estimate(np.stack([rise["entropy"], rise["coherence"]], 1), rank_correlation),
        "distinct": estimate(np.stack([rise["distinct"], rise["coherence"]], 1), rank_correlation),
        "temperature": estimate(np.stack([expected, rise["coherence"]], 1), rank_correlation),
        "of_those_above": {
            "rise": float(rise["coherence"][above].mean()) if above.any() else 0.0,
            "by_likelihood": float(likelier[above].mean()) if above.any() else 0.0,
            "expected": float(expected[above].mean()) if above.any() else 0.0,
            "entropy": float(rise["entropy"][above].mean()) if above.any() else 0.0,
        },
        "left": estimate(rise["coherence"] - expected),
        "names": {each["vector"]: _mean(each, "names") for each in rows if each["vector"] in ("−Mb", "+Mb")}
        | {"unsteered": _mean(base, "names")},
    }


def _vectors(material: Material) -> dict[str, Float[Tensor, " d"]]:
    """Return decoder rows, random directions, and both ways along what any vector does (Mb)."""
    settings, map_ = material.settings, material.approximator
    rows = unit(material.effects.vectors[material.fitted[: settings.rows]])
    generator = torch.Generator().manual_seed(settings.seed)
    drawn = unit(torch.randn(max(1, settings.rows // 3), rows.shape[1], generator=generator))
    bias = unit((map_.M @ map_.b)[None])[0]
    named = {f"row {number}": row for number, row in zip(material.fitted.tolist(), rows, strict=False)}
    named |= {f"random {number}": row for number, row in enumerate(drawn)}
    return {**named, "−Mb": -bias, "+Mb": bias}


def _read(
    material: Material, points: Sequence[tuple[str, Tensor, float, float]], temperature: float, worst: float
) -> list[Numbers]:
    """Write under each point, prompt by prompt, and give what is read of each text."""
    units, scales = torch.stack([each[1] for each in points]), [each[2] for each in points]
    prompts = CHOOSING + REPORTING
    texts = rollouts(
        material.model,
        material.vectors(units),
        scales,
        prompts,
        Sampler(temperature, top_p=TOP_P),
        max_new_tokens=TOKENS,
        seed=material.settings.seed,
        max_rows=MAX_ROWS,
    )
    loss, entropy = _likelihoods(material, texts, units, scales, temperature)
    tokenizer: Any = material.model.tokenizer
    made = [
        [row[where].tolist() for row, where in zip(*each, strict=True)]
        for each in zip(texts.tokens, texts.generated, strict=True)
    ]
    found = []
    for number, ids in enumerate(made):
        different = np.array([scores.distinct(each) for each in ids])
        found.append(
            {
                "coherence": scores.coherence(loss[number], different, worst).tolist(),
                "loss": loss[number].tolist(),
                "distinct": different.tolist(),
                "entropy": entropy[number].tolist(),
                "names": [names(tokenizer.decode(each)) for each in ids],
            }
        )
    return found


@torch.no_grad()
def _likelihoods(
    material: Material, texts: Rollouts, units: Tensor, scales: Sequence[float], temperature: float
) -> tuple[Float[np.ndarray, "points texts"], Float[np.ndarray, "points texts"]]:
    """Return each text's mean loss under the unsteered model, and the mean entropy of what its tokens were drawn from."""
    model: Any = material.model
    shape = texts.tokens.shape[:2]
    tokens, generated = texts.tokens.flatten(0, 1), texts.generated.flatten(0, 1)
    vectors = [each for each in material.vectors(units) for _ in range(shape[1])]
    amounts = [each for each in scales for _ in range(shape[1])]
    loss, entropy = [], []
    for start in range(0, len(tokens), AT_ONCE):
        here = slice(start, start + AT_ONCE)
        ids, where = tokens[here].to(model.cfg.device), generated[here][:, 1:]
        plain = model(ids, return_type="logits", padding_side="right")[:, :-1].float().log_softmax(-1)
        loss.append(_over(-plain.gather(-1, ids[:, 1:, None])[..., 0], where))
        with steer(model, vectors[here], scale=amounts[here], per_row=True, check=False):
            logits = model(ids, return_type="logits", padding_side="right")[:, :-1].float()
        chances = (logits / temperature).log_softmax(-1)
        entropy.append(_over(-(chances.exp() * chances).sum(-1), where))
    return np.concatenate(loss).reshape(shape), np.concatenate(entropy).reshape(shape)


def _over(values: Float[Tensor, "n pos"], where: Bool[Tensor, "n pos"]) -> Float[np.ndarray, " n"]:
    kept = where.to(values.device)
    return ((values * kept).sum(1) / kept.sum(1)).double().cpu().numpy()


def names(text: str) -> float:
    """Return the share of words with a capital that begin no sentence: most of them are names.

    Examples
    --------
    >>> names("met Anna in Rome. She is well")
    0.2857142857142857
    """
    words = list(re.finditer(r"[^\W\d_][\w'’]*", text))
    inner = [match.group() for match in words if text[: match.start()].rstrip(" \"'“‘(")[-1:] not in set(".!?:\n")]
    return sum(word[0].isupper() and word.split("'")[0] != "I" for word in inner) / max(1, len(words))


def _worst(material: Material) -> float:
    """Return the mean loss of neutral texts with their words shuffled, as the judge of coherence has it."""
    rng = random.Random(0)
    mixed = [" ".join(rng.sample(words, len(words))) for words in (text.split() for text in NEUTRAL)]
    return float(scores.losses(material.model, mixed).mean())


def _likelier(row: Numbers, base: Numbers) -> float:
    """Return the rise that is left if only the loss had changed: how much of it likelier text makes."""
    ratio = np.array(row["coherence"]) / np.maximum(row["distinct"], 1e-9)
    before = np.array(base["coherence"]) / np.maximum(base["distinct"], 1e-9)
    return float(((ratio - before) * base["distinct"]).mean())


def _mean(row: Numbers, name: str) -> float:
    return float(np.mean(row[name]))
