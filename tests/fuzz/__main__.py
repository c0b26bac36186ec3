"""Fuzz every reader: ``python -m tests.fuzz`` from the root of the repository (``make fuzz``).

It gives each reader thousands of damaged and hostile files and prints a table of what became of them. Whatever is not
documented (an exception other than a ValueError or an OSError that names the file in one line, a hang, gigabytes, a crash,
code that runs) is kept in a folder, and the command to read it again is printed; the exit status is then 1.
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

if __name__ == "__main__":
    for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(_name, "1")  # workers are forked, and each has one thread
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")
    os.environ.setdefault("NO_PROXY", "*")

from .campaign import fuzz, keep, read_again, table, undocumented
from .engine import FINE, Finding, input_of, valid_files
from .registry import TARGETS

TOTAL = 240_000


def main(arguments=None):
    """Fuzz, or read one input again; return the exit status."""
    options = _parser().parse_args(arguments)
    if unknown := set(options.target) - TARGETS.keys():
        sys.exit(f"There is no reader {min(unknown)!r}; there are {', '.join(TARGETS)}.")
    _warm_up()
    if options.reproduce:
        return _reproduce(options.reproduce)
    chosen = [TARGETS[name] for name in options.target or TARGETS]
    if options.index is not None:
        return _one(chosen[0], options.seed, options.index, options.findings)
    share = options.inputs / sum(each.weight for each in chosen)
    counts = {each.name: options.each or round(share * each.weight) for each in chosen}
    began = time.monotonic()
    tallies = fuzz(
        chosen,
        counts,
        seed=options.seed,
        jobs=options.jobs,
        findings=options.findings,
        report=lambda line: print(line, file=sys.stderr, flush=True),
    )
    print(table(chosen, tallies))
    print(
        f"\n{sum(counts.values())} inputs, seed {options.seed}, {time.monotonic() - began:.0f} s on {options.jobs} processes"
    )
    if options.json:
        found = {
            name: {**vars(each), "findings": [vars(one) for one in each.findings]} for name, each in tallies.items()
        }
        options.json.write_text(json.dumps(found))
    if refused := [name for name, each in tallies.items() if each.undamaged != "accepted"]:
        print(f"\nUndamaged files are not read: {', '.join(refused)}")
        return 1
    if not undocumented(tallies):
        return 0
    print(f"\nOutcomes that are not documented are kept in {options.findings}; to read one again:")
    for each in [one for tally in tallies.values() for one in tally.findings][:20]:
        place = options.findings / f"{each.target.replace(' ', '-')}-{options.seed}-{each.index}"
        print(
            f"  python -m tests.fuzz --reproduce {place}  # {each.outcome}: {each.detail.strip().splitlines()[-1][:150]}"
        )
    return 1


def _parser():
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=TOTAL, help="how many in all (default %(default)s)")
    parser.add_argument("--each", type=int, help="how many for each reader, instead")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--target", action="append", default=[], help="a reader; by default all")
    parser.add_argument("--index", type=int, help="make the input of this number again, and read it")
    parser.add_argument("--findings", type=Path, default=Path("fuzz-findings"), help="the folder for what is found")
    parser.add_argument("--reproduce", type=Path, help="a folder of what was found: read it again")
    parser.add_argument("--json", type=Path, help="write the counts here as well")
    return parser


def _warm_up():
    """Import what readers import, once for all workers."""
    import datasets  # noqa: F401
    import gguf  # noqa: F401
    import h5py  # noqa: F401
    import torch

    import studies.steering.task_files  # noqa: F401

    torch.set_num_threads(1)


def _one(target, seed, index, findings):
    with tempfile.TemporaryDirectory() as folder:
        files = input_of(target, valid_files(target, Path(folder, "seeds")), seed, index)
    keep(findings, target, Finding(target.name, index, "not read", ""), files, seed)
    return _reproduce(findings / f"{target.name.replace(' ', '-')}-{seed}-{index}")


def _reproduce(place):
    name, outcome, detail = read_again(place, TARGETS)
    print(f"{name}: {outcome}\n{detail}")
    return 0 if outcome in FINE else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what is in memory's folder is removed
    sys.exit(main())
