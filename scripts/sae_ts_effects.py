"""Measure SAE-TS's effects for an SAE of a model, fit the approximator, and see whether its vectors beat decoder rows.

    python scripts/sae_ts_effects.py ssae_lens/assets/smollm2-135m-res/blocks.15.hook_resid_post

It steers by decoder rows chosen at random, and if asked by mixtures of two, writes `effects.safetensors` and
`approximator.safetensors` into the SAE's folder, and what it measured into the section "sae_ts" of `measured.json`
there. A run that was interrupted goes on where it was. About two seconds a vector on two cores; on an H100, with
`--device cuda --max-rows 2048`, all of the default in a minute.
"""

import argparse
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sae_lens import SAE

from ssae_lens.base.files import write_json
from ssae_lens.base.versions import versions
from ssae_lens.methods.sae_ts import Approximator, Effects, Settings, compare, fit_approximator, measure_effects
from ssae_lens.methods.sae_ts.approximator import METHODS
from ssae_lens.metrics import wilson_interval
from ssae_lens.models import load_model


def directions(sae: Any, n_rows: int, n_mixtures: int, seed: int) -> torch.Tensor:
    """Return unit decoder rows, chosen at random, and after them sums of two with weights between 0 and 1, all shuffled."""
    random = np.random.default_rng(seed)
    rows = torch.nn.functional.normalize(sae.W_dec.detach().cpu().float(), dim=1)
    alone = rows[random.permutation(len(rows))[:n_rows]]
    pairs = random.integers(len(rows), size=(n_mixtures, 2))
    weights = torch.from_numpy(random.random(size=(n_mixtures, 2, 1))).float()
    both = torch.cat([alone, (rows[pairs] * weights).sum(1)])
    return both[random.permutation(len(both))]


def fitted(effects: Effects, seed: int) -> tuple[Approximator, dict[str, Any]]:
    """Fit in both ways, print what each is worth on vectors held out, and give the better one."""
    ways = {method: fit_approximator(effects, method, seed=seed) for method in METHODS}
    scores: dict[str, Any] = {}
    for method, each in ways.items():
        how = {key: value for key, value in each.fitted.items() if key not in ("method", "held_out")}
        scores[method] = {"r2": each.r2, "r2_shuffled": each.r2_shuffled, **how}
        print(f"{method}: held-out R² {each.r2:.4f}, with effects shuffled {each.r2_shuffled:.4f}  {how}")
    best = max(ways.values(), key=lambda each: each.r2)
    held_out = len(best.fitted["held_out"])
    return best, {"method": best.fitted["method"], "r2": best.r2, "held_out": held_out, "tried": scores}


def attainable(model: Any, sae: Any, effects: Effects, best: Approximator, given: Any) -> float:
    """Measure the vectors held out again with other random numbers, and give the R² that a perfect map would have.

    That is the share of the effects' variance that comes out again; the rest is the chance of sampling.
    """
    out = best.fitted["held_out"]
    kept = given.sae / "again.safetensors"
    settings = replace(effects.settings, seed=given.seed + 2)
    again = measure_effects(model, sae, effects.vectors[out], settings, path=kept, max_rows=given.max_rows)
    kept.unlink()
    fitted = np.setdiff1d(np.arange(len(effects)), out)
    first, second = (each - effects.effects[fitted].mean(0) for each in (effects.effects[out], again.effects))
    share = float((first * second).sum() / first.square().sum())
    print(f"A perfect map would have a held-out R² of about {share:.4f}; the rest is the chance of sampling.")
    return share


def compared(model: Any, sae: Any, best: Approximator, effects: Effects, given: Any) -> dict[str, Any]:
    """Print how much each way to raise a feature does at equal loss, for features chosen at random of those that fire."""
    fire = np.flatnonzero((effects.baseline > 0).numpy() & best.M.any(dim=0).numpy())
    features = np.random.default_rng(given.seed).permutation(fire)[: given.compare].tolist()
    settings = Settings(n_samples=4, max_new_tokens=given.tokens, seed=given.seed + 1)
    partial = given.sae / "comparison.safetensors"
    table = compare(model, sae, best, features, settings, path=partial, max_rows=given.max_rows, seed=given.seed)
    partial.unlink()
    print(f"\nEffect on the feature, at a rise of the loss of {settings.target} nats:\n{table.round(3).to_string()}")
    found: dict[str, Any] = {"features": features, "settings": {"n_samples": 4, "seed": settings.seed}}
    for way in table.columns[1:]:
        wins = int((table[way] > table["decoder row"]).sum())
        share = wilson_interval(wins, len(table))
        found[way] = {"more than the decoder row": wins, "of": len(table), "mean": float(table[way].mean())}
        print(
            f"{way}: more than the decoder row on {wins} of {len(table)} (95 % interval {share.low:.2f} to {share.high:.2f})"
        )
    found["decoder row"] = {"mean": float(table["decoder row"].mean())}
    return found | {"table": table.reset_index().to_dict(orient="records")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sae", type=Path, help="the SAE's folder, as SAELens writes it")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=1600, help="decoder rows to steer by")
    parser.add_argument("--mixtures", type=int, default=0, help="mixtures of two decoder rows to steer by")
    parser.add_argument("--samples", type=int, default=1, help="continuations of each prompt under each vector")
    parser.add_argument("--tokens", type=int, default=20, help="tokens of each continuation")
    parser.add_argument("--compare", type=int, default=20, help="features to compare ways to raise, 0 for none")
    parser.add_argument(
        "--again", action="store_true", help="measure the vectors held out twice, to see what noise allows"
    )
    parser.add_argument("--max-rows", type=int, default=128, help="texts at once")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    begin = time.perf_counter()
    model = load_model(given.model, device=given.device)
    sae = SAE.load_from_disk(given.sae, device=given.device, dtype="float32")
    vectors = directions(sae, given.rows, given.mixtures, given.seed)
    settings = Settings(n_samples=given.samples, max_new_tokens=given.tokens, seed=given.seed)
    print(f"{len(vectors)} vectors, {settings}")
    effects = measure_effects(
        model, sae, vectors, settings, path=given.sae / "effects.safetensors", max_rows=given.max_rows
    )
    scales = effects.scales / effects.mean_norm
    print(
        f"Scales {scales.min():.3f} to {scales.max():.3f} of the mean norm {effects.mean_norm:.1f}, median "
        f"{scales.median():.3f}; {int((~effects.reached).sum())} vectors never raise the loss by {settings.target} nats."
    )
    best, scores = fitted(effects, given.seed)
    best.save(given.sae / "approximator.safetensors")
    section: dict[str, Any] = {
        "vectors": {"decoder rows": given.rows, "mixtures of two": given.mixtures, "seed": given.seed},
        "never reached": int((~effects.reached).sum()),
        "median scale in mean norms": float(scales.median()),
        "approximator": scores,
    }
    if given.again:
        section["approximator"]["r2 of a perfect map, about"] = attainable(model, sae, effects, best, given)
    if given.compare:
        section["comparison"] = compared(model, sae, best, effects, given)
    device = torch.cuda.get_device_name(given.device) if given.device.startswith("cuda") else given.device
    section |= {"device": device, "seconds": round(time.perf_counter() - begin), "versions": versions()}
    card = given.sae / "measured.json"
    said = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    write_json(card, {**said, "sae_ts": section})
    sizes = {each.name: each.stat().st_size / 1e6 for each in sorted(given.sae.iterdir())}
    print(f"{section['seconds']} seconds; " + ", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items()))


if __name__ == "__main__":
    main()
