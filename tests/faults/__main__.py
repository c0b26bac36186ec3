"""Run many faults and print a table of kinds of fault by outcome: ``make faults``."""

import argparse
import random
import sys
from collections import Counter

import torch
from tqdm import tqdm

from faults.inject import FAULTS, OUTCOMES, truth_of, workplace
from faults.jobs import JOBS, warm_up


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--each", type=int, default=3, help="faults of every kind for every job")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", help="one kind of fault alone")
    parser.add_argument("--job", help="one job alone")
    given = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    counts: Counter[tuple[str, str]] = Counter()
    bad = []
    cases = [
        (job, kind, number)
        for job in JOBS
        for kind in FAULTS
        for number in range(given.each)
        if given.job in (None, job.name) and given.kind in (None, kind)
    ]
    truths = {}
    with workplace() as folder:
        for job, kind, number in tqdm(cases, unit="fault", disable=not sys.stderr.isatty()):
            if job.name not in truths:
                truths[job.name] = truth_of(job, folder / "undisturbed")
            dice = random.Random(f"{given.seed} {job.name} {kind} {number}")
            outcome = FAULTS[kind](job, folder / "disturbed", truths[job.name], dice)
            if outcome is not None:
                counts[kind, outcome] += 1
            if outcome not in ("right", "clear error", None):
                bad.append(f"{outcome}: {kind} in {job.name}, number {number} (--seed {given.seed})")
    print(f"{sum(counts.values())} faults in {len(truths)} jobs (`make faults`, seed {given.seed})\n")
    print("| fault | " + " | ".join(OUTCOMES) + " |\n|---|" + "---|" * len(OUTCOMES))
    for kind in FAULTS:
        print(f"| {kind} | " + " | ".join(str(counts[kind, each]) for each in OUTCOMES) + " |")
    print("".join(f"\n{each}" for each in bad))
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
