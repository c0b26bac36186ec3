"""What a capture costs beside a bare forward hook: SmolLM2, the last token of layer 15 of 2000 texts.

The texts are captured in parts, and each part in turn by `capture_shifts` (from text to HDF5 file, as a user calls it), by a
forward hook on Hugging Face's own model that leaves the forward pass by an exception (given the very same batches, ready
made), and, of fewer texts, by `run_with_cache` of everything. Each ratio is the median over the parts, so that whatever else
the machine does falls on all of them alike.
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

from ssae_lens.hooks.batching import Plan
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.encoding import Texts
from ssae_lens.hooks.spans import Spans
from ssae_lens.models import load_model
from ssae_lens.models.load import open_folder
from ssae_lens.models.smollm2 import smollm2_folder
from ssae_lens.pairs import load_pairs

LAYER = 15
HOOK = f"blocks.{LAYER}.hook_resid_post"
BATCH_TOKENS = 4096


class Enough(Exception):  # noqa: N818
    """The way out of a forward pass."""


def bare(hugging_face: Any, plan: Plan, ready: list[torch.Tensor]) -> torch.Tensor:
    """Read the last tokens with a forward hook on the Hugging Face model and nothing else."""
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


def cached(model: Any, plan: Plan, ready: list[torch.Tensor]) -> None:
    """Read the last tokens from a cache of every activation."""
    with torch.no_grad():
        for texts, tokens in zip(plan.batches, ready, strict=True):
            _, cache = model.run_with_cache(tokens)
            cache[HOOK][torch.arange(len(texts)), torch.from_numpy(plan.texts.lengths[texts] - 1)].clone()
            del cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--parts", type=int, default=5)
    parser.add_argument(
        "--cached-texts", type=int, default=100, help="how many texts of each part run_with_cache reads"
    )
    parser.add_argument("--kinds", nargs="+", default=["hooked", "bridge"])
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    given = parser.parse_args()

    hugging_face = open_folder(smollm2_folder(), torch.float32)[0]
    models = {kind: load_model("smollm2-135m", kind, device="cpu") for kind in given.kinds}
    a_model = next(iter(models.values()))
    # A part is of as many pairs as make its share of different texts, or a little less.
    pairs = load_pairs("sentences", n=given.texts // 2)
    size = len(pairs) // given.parts
    took: list[dict[str, float]] = []
    n_texts = 0
    for part in range(-1, given.parts):
        # One part more, the first, only warms up.
        some = pairs.select(range(max(part, 0) * size, max(part, 0) * size + size))
        plan = plan_of(a_model, some)
        few = plan_of(a_model, some.select(range(min(size, given.cached_texts // 2))))
        with tempfile.TemporaryDirectory() as folder:
            work = contestants(hugging_face, models, some, plan, few, Path(folder))
            # No one is always first.
            names = list(work)[part % len(work) :] + list(work)[: part % len(work)]
            times = {name: seconds(work[name]) for name in names}
        if part >= 0:
            n_texts += len(plan.texts)
            took.append({name: time / len((few if "cache" in name else plan).texts) for name, time in times.items()})

    print(f"SmolLM2-135M, {HOOK}, last token of {n_texts} texts in {given.parts} parts")
    print(f"{'':>28} {'ms/text':>8} {'× bare':>8} {'least':>8} {'most':>8}")
    results = []
    for name in sorted(took[0], key=lambda name: took[0][name]):
        ratios = [each[name] / each["bare"] for each in took]
        ms = statistics.median(each[name] for each in took) * 1e3
        result = {"ms_per_text": ms, "of_bare": statistics.median(ratios), "least": min(ratios), "most": max(ratios)}
        results.append({"name": name, **result})
        print(f"{name:>28} " + " ".join(f"{value:>8.2f}" for value in result.values()))
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


def contestants(
    hugging_face: Any, models: dict[str, Any], pairs: Any, plan: Plan, few: Plan, folder: Path
) -> dict[str, Callable[[], Any]]:
    """Return what is timed, by name."""
    ready = {id(each): [each.tokens(number) for number in range(len(each.batches))] for each in (plan, few)}
    work: dict[str, Callable[[], Any]] = {"bare": partial(bare, hugging_face, plan, ready[id(plan)])}
    for kind, model in models.items():
        work[kind] = partial(
            capture_shifts, model, pairs, HOOK, path=folder / f"{kind}.h5", batch_tokens=BATCH_TOKENS, quiet=True
        )
        work[f"{kind}, cache of everything"] = partial(cached, model, few, ready[id(few)])
    return work


def plan_of(model: Any, pairs: Any) -> Plan:
    texts = Texts.of(model, pairs)
    return Plan.of(texts, Spans.of(texts, "last"), BATCH_TOKENS)


if __name__ == "__main__":
    main()
