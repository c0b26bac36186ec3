"""Speed of a capture relative to a bare forward hook: SmolLM2, the last token of 2000 texts after block 15.

The texts are captured in parts. Each part is captured by `capture_shifts` (from texts to an HDF5 file, as a user calls
it); by a forward hook on the Hugging Face model that ends the forward pass with an exception (with the same batches,
already tokenized); and, for fewer texts, by `run_with_cache` of all activations. A ratio is the median over parts, so
that other load on the machine affects all of them.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _turns import seconds

from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.capture_job import BatchPlan
from ssae_lens.hooks.spans import Spans
from ssae_lens.hooks.tokens import TokenizedTexts
from ssae_lens.models import load_model
from ssae_lens.models.load import open_folder
from ssae_lens.models.smollm2 import smollm2_folder
from ssae_lens.pairs import load_pairs

LAYER = 15
HOOK = f"blocks.{LAYER}.hook_resid_post"
BATCH_TOKENS = 4096


class Enough(Exception):  # noqa: N818
    """Raised by a hook to end a forward pass."""


def bare(hugging_face: Any, plan: BatchPlan, ready: list[torch.Tensor]) -> torch.Tensor:
    """Read the last tokens with one forward hook on the Hugging Face model."""
    seen: list[torch.Tensor] = []

    def hook(module: Any, inputs: Any, output: Any) -> None:  # noqa: ARG001
        seen.append(output[0] if isinstance(output, tuple) else output)
        raise Enough

    rows = torch.empty(len(plan.texts), hugging_face.config.hidden_size)
    handle = hugging_face.model.layers[LAYER].register_forward_hook(hook)
    with torch.inference_mode():
        for texts, tokens in zip(plan.batches, ready, strict=True):
            try:
                hugging_face(tokens, use_cache=False)
            except Enough:
                last = torch.from_numpy(plan.texts.lengths[texts] - 1)
                rows[torch.from_numpy(texts)] = seen.pop()[torch.arange(len(last)), last]
    handle.remove()
    return rows


def cached(model: Any, plan: BatchPlan, ready: list[torch.Tensor]) -> None:
    """Read the last tokens from a cache of all activations."""
    with torch.no_grad():
        for texts, tokens in zip(plan.batches, ready, strict=True):
            _, cache = model.run_with_cache(tokens)
            cache[HOOK][torch.arange(len(texts)), torch.from_numpy(plan.texts.lengths[texts] - 1)].clone()
            del cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument("--cached-texts", type=int, default=100, help="number of texts of each part for run_with_cache")
    parser.add_argument("--kinds", nargs="+", default=["hooked", "bridge"])
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()

    hugging_face = open_folder(smollm2_folder(), torch.float32)[0]
    models = {kind: load_model("smollm2-135m", kind, device="cpu") for kind in args.kinds}
    a_model = next(iter(models.values()))
    # A pair has two texts.
    pairs = load_pairs("sentences", n=args.texts // 2)
    size = len(pairs) // args.parts
    took: list[dict[str, float]] = []
    n_texts = 0
    for part in range(-1, args.parts):
        # The first pass is a warm-up.
        some = pairs.select(range(max(part, 0) * size, max(part, 0) * size + size))
        plan = plan_of(a_model, some)
        few = plan_of(a_model, some.select(range(min(size, args.cached_texts // 2))))
        with tempfile.TemporaryDirectory() as folder:
            work = functions(hugging_face, models, some, plan, few, Path(folder))
            # The order rotates.
            names = list(work)[part % len(work) :] + list(work)[: part % len(work)]
            times = {name: seconds(work[name]) for name in names}
        if part >= 0:
            n_texts += len(plan.texts)
            took.append({name: time / len((few if "cache" in name else plan).texts) for name, time in times.items()})

    print(f"SmolLM2-135M, {HOOK}, last token of {n_texts} texts in {args.parts} parts")
    print(f"{'':>28} {'ms/text':>8} {'× bare':>8} {'min':>8} {'max':>8}")
    results = []
    for name in sorted(took[0], key=lambda name: took[0][name]):
        ratios = [times[name] / times["bare"] for times in took]
        ms = statistics.median(times[name] for times in took) * 1e3
        result = {"ms_per_text": ms, "of_bare": statistics.median(ratios), "min": min(ratios), "max": max(ratios)}
        results.append({"name": name, **result})
        print(f"{name:>28} " + " ".join(f"{value:>8.2f}" for value in result.values()))
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


def functions(
    hugging_face: Any, models: dict[str, Any], pairs: Any, plan: BatchPlan, few: BatchPlan, folder: Path
) -> dict[str, Callable[[], Any]]:
    """Return the functions to time, by name."""
    ready = {id(some): [some.tokens(number) for number in range(len(some.batches))] for some in (plan, few)}
    work: dict[str, Callable[[], Any]] = {"bare": partial(bare, hugging_face, plan, ready[id(plan)])}
    for kind, model in models.items():
        work[kind] = partial(
            capture_shifts, model, pairs, HOOK, path=folder / f"{kind}.h5", batch_tokens=BATCH_TOKENS, quiet=True
        )
        work[f"{kind}, cache of all"] = partial(cached, model, few, ready[id(few)])
    return work


def plan_of(model: Any, pairs: Any) -> BatchPlan:
    texts = TokenizedTexts.of(model, pairs)
    return BatchPlan.of(texts, Spans.of(texts, "last"), BATCH_TOKENS)


if __name__ == "__main__":
    main()
