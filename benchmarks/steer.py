"""Speed of steered generation on SmolLM2-135M: seconds for each new token, and what a sweep saves.

Each generation function is timed unsteered and steered, in turns of rotating order. A ratio is the median over turns, so
that other load on the machine affects both, with its 95 % interval. `python benchmarks/steer.py` takes ten to twenty
minutes on two cores.
"""

import argparse
import json
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from _turns import ratio, ratios, take_turns
from scipy.stats import binom

from ssae_lens.hooks._steer import steer
from ssae_lens.hooks.generate import generate_sweep
from ssae_lens.models import load_model
from ssae_lens.models.hooked import laid_out_for_generation
from ssae_lens.steering_vector import SteeringVector

PROMPT = "The weather in Paris today is"
HOOK = "blocks.15.hook_resid_post"
# Repetitions of a sweep and of its single calls, which take a minute.
SWEEPS = 3
SCALES = [half / 2 for half in range(-8, 8)]


def interval(values: list[float]) -> tuple[float, float]:
    """Return the 95 % interval of the median, from order statistics of the binomial distribution."""
    ordered = sorted(values)
    lowest = max(0, int(binom.ppf(0.025, len(ordered), 0.5)) - 1)
    return ordered[lowest], ordered[-1 - lowest]


class SteeringBenchmark:
    """The models, the vector and the results."""

    def __init__(self, tokens: int, repeats: int) -> None:
        self.hooked, self.bridge = load_model("smollm2-135m"), load_model("smollm2-135m", "bridge")
        self.vector = SteeringVector(torch.randn(576, generator=torch.Generator().manual_seed(0)), HOOK)
        self.tokens, self.repeats = tokens, repeats
        self.results: list[dict[str, Any]] = []

    def generate(self, model: Any, batch: int) -> object:
        """Generate greedily with TransformerLens."""
        return model.generate(
            [PROMPT] * batch, max_new_tokens=self.tokens, do_sample=False, stop_at_eos=False, verbose=False
        )

    def hugging_face(self, batch: int) -> object:
        """Generate greedily with Hugging Face, with the same model."""
        tokens = self.bridge.to_tokens([PROMPT] * batch)
        settings = {"max_new_tokens": self.tokens, "min_new_tokens": self.tokens, "do_sample": False}
        return self.bridge.original_model.generate(tokens, attention_mask=torch.ones_like(tokens), **settings)

    def compare_steered(self, title: str, model: Any, run: Callable[[int], object], batch: int) -> None:
        """Print the time of a step without and with steering."""

        def steered() -> None:
            with steer(model, self.vector, scale=4.0):
                run(batch)

        took = take_turns({"plain": partial(run, batch), "steered": steered}, self.repeats)
        row = {
            "batch": batch,
            "title": title,
            **{name: statistics.median(values) / self.tokens for name, values in took.items()},
        }
        row |= {"ratio": ratio(took, "steered", "plain"), "interval": interval(ratios(took, "steered", "plain"))}
        self.results.append(row)
        print(
            f"{batch:>5}  {title:<36} {row['plain'] * 1e3:>8.1f} {row['steered'] * 1e3:>8.1f} {row['ratio']:>6.3f} "
            f"({row['interval'][0]:.3f} to {row['interval'][1]:.3f})"
        )

    def calls(self, model: Any) -> None:
        """Generate at each scale, one call for each."""
        for scale in SCALES:
            with steer(model, self.vector, scale=scale):
                self.generate(model, 1)

    def sweep(self, model: Any) -> None:
        """Generate at all scales in one call."""
        generate_sweep(model, PROMPT, self.vector, SCALES, max_new_tokens=self.tokens, stop_tokens=[])

    def compare_sweep(self, title: str, model: Any) -> None:
        """Print the time of the single calls and of the sweep."""
        took = take_turns({"calls": partial(self.calls, model), "sweep": partial(self.sweep, model)}, SWEEPS)
        row = {"title": title, **{name: statistics.median(values) for name, values in took.items()}}
        row["times"] = ratio(took, "calls", "sweep")
        self.results.append(row)
        print(f"{title:<43} {row['calls']:>7.2f}s {row['sweep']:>7.2f}s {row['times']:>6.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 16])
    parser.add_argument("--tokens", type=int, default=16, help="new tokens of each text")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, help="number of threads (default: all cores)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    bench = SteeringBenchmark(args.tokens, args.repeats)
    through_bridge, through_hooked = partial(bench.generate, bench.bridge), partial(bench.generate, bench.hooked)
    print(f"{'batch':>5}  {'milliseconds a step':<36} {'plain':>8} {'steered':>8} {'ratio':>6}")
    for batch in args.batches:
        bench.compare_steered("Hugging Face generate", bench.bridge, bench.hugging_face, batch)
        bench.compare_steered("TransformerBridge.generate", bench.bridge, through_bridge, batch)
        bench.compare_steered("HookedTransformer.generate", bench.hooked, through_hooked, batch)
        with laid_out_for_generation(bench.hooked):
            bench.compare_steered("HookedTransformer, weights laid out", bench.hooked, through_hooked, batch)
    print(f"\n{'one prompt at 16 scales':<43} {'calls':>8} {'sweep':>8} {'times':>6}")
    bench.compare_sweep("TransformerBridge", bench.bridge)
    bench.compare_sweep("HookedTransformer", bench.hooked)
    if args.json:
        args.json.write_text(json.dumps(bench.results, indent=2))


if __name__ == "__main__":
    main()
