"""Memory of stores, which does not grow with rows: write a store, map its shifts, and read an epoch, at two sizes.

Each stage runs in its own process, whose peak resident memory (as the system counts it, with memory-mapped pages) is
printed. `python benchmarks/store.py --rows 10000000` needs 330 GB of disk.
"""

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = ("import", "capture", "memmap", "epoch")
BATCH = 1024


def run_stage(stage: str, path: Path, n_rows: int, d_model: int) -> dict[str, float]:
    """Run one stage in this process; return its seconds and the peak memory in MB."""
    import numpy as np
    import torch

    from ssae_lens.base.provenance import Origin
    from ssae_lens.hooks.shards import ShardedRows, Shards
    from ssae_lens.shifts import ShiftStore, contents, layout
    from ssae_lens.shifts.contents import SIDES
    from ssae_lens.shifts.disk import RowReader
    from ssae_lens.training.data import Rows

    torch.set_num_threads(1)
    begin = time.perf_counter()
    if stage == "capture":
        generator = np.random.default_rng(0)
        about = contents.describe(d_model, Origin("blocks.0.hook_resid_post", d_model))
        # As in a capture sorted by length: one file for each batch, whose rows are anywhere in the store.
        parts = Shards.of(path, {"rows": n_rows}, 4 * n_rows * d_model * 2)
        for batch in range(-(-n_rows // BATCH)):
            parts.put(batch, generator.standard_normal((1, BATCH, d_model), dtype=np.float32).astype(np.float16))
        data = {}
        for name in SIDES:
            order = generator.permutation(n_rows)
            data[name] = ShardedRows(parts, 0, order // BATCH, order % BATCH, d_model, np.dtype(np.float16))
        layout.write(path, data | contents.annotations(n_rows), about)
        parts.remove()
    elif stage == "memmap":
        with ShiftStore.open(path) as store:
            store.memmap()
    elif stage == "epoch":
        with ShiftStore.open(path) as store:
            data = Rows(RowReader(store.memmap()), store)
            for step in range(n_rows // BATCH):
                data.batch(step, BATCH, 0)
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)
    return {"seconds": seconds, "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[5_000, 40_000])
    parser.add_argument("--d-model", type=int, default=4096)
    parser.add_argument("--folder", type=Path, help="folder of the files (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.stage:
        print(json.dumps(run_stage(args.stage, args.folder, args.rows[0], args.d_model)))
        return
    results = []
    print(f"{'rows':>10} {'stage':>8} {'seconds':>8} {'µs/row':>8} {'peak MB':>8}")
    for n_rows in args.rows:
        # The memory of imports does not depend on the rows.
        stages = STAGES if n_rows == args.rows[0] else STAGES[1:]
        with tempfile.TemporaryDirectory(dir=args.folder) as folder:
            for stage in stages:
                command = [sys.executable, __file__, "--stage", stage, "--folder", str(Path(folder) / "shifts.h5")]
                command += ["--rows", str(n_rows), "--d-model", str(args.d_model)]
                numbers = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                results.append({"rows": n_rows, "d_model": args.d_model, "stage": stage, **numbers})
                row = numbers["seconds"] / n_rows * 1e6
                print(f"{n_rows:>10} {stage:>8} {numbers['seconds']:>8.1f} {row:>8.1f} {numbers['peak_mb']:>8.0f}")
    if args.json:
        args.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
