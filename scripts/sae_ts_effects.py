"""Measure SAE-TS's effects for an SAE, fit the approximator, and compare its vectors with decoder rows.

    python scripts/sae_ts_effects.py ssae_lens/assets/smollm2-135m-res/blocks.15.hook_resid_post

It steers by random decoder rows and, with `--mixtures`, by mixtures of two. It writes `effects.safetensors` and
`approximator.safetensors` into the folder of the SAE, and its measurements into the section "sae_ts" of `measured.json`. An
interrupted run resumes. It takes about two seconds for each vector on two cores; on an H100, with
`--device cuda --max-rows 2048`, a minute with the default settings.
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

from ssae_lens.base.checksums import write_json
from ssae_lens.base.provenance import versions
from ssae_lens.methods.sae_ts import Approximator, Effects, Settings, compare, fit_approximator, measure_effects
from ssae_lens.methods.sae_ts.approximator import METHODS
from ssae_lens.metrics import wilson_interval
from ssae_lens.models import load_model


def directions(sae: Any, n_rows: int, n_mixtures: int, seed: int) -> torch.Tensor:
    """Return random unit decoder rows, and sums of two with weights between 0 and 1, in random order."""
    random = np.random.default_rng(seed)
    rows = torch.nn.functional.normalize(sae.W_dec.detach().cpu().float(), dim=1)
    alone = rows[random.permutation(len(rows))[:n_rows]]
    pairs = random.integers(len(rows), size=(n_mixtures, 2))
    weights = torch.from_numpy(random.random(size=(n_mixtures, 2, 1))).float()
    both = torch.cat([alone, (rows[pairs] * weights).sum(1)])
    return both[random.permutation(len(both))]


def fitted(effects: Effects, seed: int) -> tuple[Approximator, dict[str, Any]]:
    """Fit by all methods, print their scores on held-out vectors, and return the best one."""
    fits = {method: fit_approximator(effects, method, seed=seed) for method in METHODS}
    scores: dict[str, Any] = {}
    for method, fit in fits.items():
        options = {key: value for key, value in fit.fitted.items() if key not in ("method", "held_out")}
        scores[method] = {"r2": fit.r2, "r2_shuffled": fit.r2_shuffled, **options}
        print(f"{method}: held-out R² {fit.r2:.4f}, with effects shuffled {fit.r2_shuffled:.4f}  {options}")
    best = max(fits.values(), key=lambda fit: fit.r2)
    held_out = len(best.fitted["held_out"])
    return best, {"method": best.fitted["method"], "r2": best.r2, "held_out": held_out, "tried": scores}


def attainable(model: Any, sae: Any, effects: Effects, best: Approximator, args: Any) -> float:
    """Measure the held-out vectors again with another seed, and return the R² that a perfect map would have.

    This is the reproducible share of the variance of the effects; the rest is sampling noise.
    """
    out = best.fitted["held_out"]
    kept = args.sae / "again.safetensors"
    settings = replace(effects.settings, seed=args.seed + 2)
    again = measure_effects(model, sae, effects.vectors[out], settings, path=kept, max_rows=args.max_rows)
    kept.unlink()
    fitted = np.setdiff1d(np.arange(len(effects)), out)
    first, second = (part - effects.effects[fitted].mean(0) for part in (effects.effects[out], again.effects))
    share = float((first * second).sum() / first.square().sum())
    print(f"A perfect map would have a held-out R² of about {share:.4f}; the rest is sampling noise.")
    return share


def compared(model: Any, sae: Any, best: Approximator, effects: Effects, args: Any) -> dict[str, Any]:
    """Print the effects of all ways to raise a feature at equal loss, for random features that fire."""
    fire = np.flatnonzero((effects.baseline > 0).numpy() & best.M.any(dim=0).numpy())
    features = np.random.default_rng(args.seed).permutation(fire)[: args.compare].tolist()
    settings = Settings(n_samples=4, max_new_tokens=args.tokens, seed=args.seed + 1)
    partial = args.sae / "comparison.safetensors"
    table = compare(model, sae, best, features, settings, path=partial, max_rows=args.max_rows, seed=args.seed)
    partial.unlink()
    print(f"\nEffect on the feature, at a rise of the loss of {settings.target} nats:\n{table.round(3).to_string()}")
    results: dict[str, Any] = {"features": features, "settings": {"n_samples": 4, "seed": settings.seed}}
    for kind in table.columns[1:]:
        wins = int((table[kind] > table["decoder row"]).sum())
        share = wilson_interval(wins, len(table))
        results[kind] = {"more than the decoder row": wins, "of": len(table), "mean": float(table[kind].mean())}
        print(
            f"{kind}: more than the decoder row on {wins} of {len(table)} (95 %: {share.low:.2f} to {share.high:.2f})"
        )
    results["decoder row"] = {"mean": float(table["decoder row"].mean())}
    return results | {"table": table.reset_index().to_dict(orient="records")}


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
        "--again", action="store_true", help="measure the held-out vectors twice, to estimate the noise"
    )
    parser.add_argument("--max-rows", type=int, default=128, help="texts at once")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    begin = time.perf_counter()
    model = load_model(args.model, device=args.device)
    sae = SAE.load_from_disk(args.sae, device=args.device, dtype="float32")
    vectors = directions(sae, args.rows, args.mixtures, args.seed)
    settings = Settings(n_samples=args.samples, max_new_tokens=args.tokens, seed=args.seed)
    print(f"{len(vectors)} vectors, {settings}")
    effects = measure_effects(
        model, sae, vectors, settings, path=args.sae / "effects.safetensors", max_rows=args.max_rows
    )
    scales = effects.scales / effects.mean_norm
    print(
        f"Scales {scales.min():.3f} to {scales.max():.3f} of the mean norm {effects.mean_norm:.1f}, median "
        f"{scales.median():.3f}; {int((~effects.reached).sum())} vectors never raise the loss by {settings.target} nats."
    )
    best, scores = fitted(effects, args.seed)
    best.save(args.sae / "approximator.safetensors")
    section: dict[str, Any] = {
        "vectors": {"decoder rows": args.rows, "mixtures of two": args.mixtures, "seed": args.seed},
        "never reached": int((~effects.reached).sum()),
        "median scale in mean norms": float(scales.median()),
        "approximator": scores,
    }
    if args.again:
        section["approximator"]["r2 of a perfect map, about"] = attainable(model, sae, effects, best, args)
    if args.compare:
        section["comparison"] = compared(model, sae, best, effects, args)
    device = torch.cuda.get_device_name(args.device) if args.device.startswith("cuda") else args.device
    section |= {"device": device, "seconds": round(time.perf_counter() - begin), "versions": versions()}
    card = args.sae / "measured.json"
    content = json.loads(card.read_text(encoding="utf-8")) if card.is_file() else {}
    write_json(card, {**content, "sae_ts": section})
    sizes = {path.name: path.stat().st_size / 1e6 for path in sorted(args.sae.iterdir())}
    print(f"{section['seconds']} seconds; " + ", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items()))


if __name__ == "__main__":
    main()
