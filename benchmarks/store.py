"""Memory does not grow with rows: make a store, lay its shifts flat, and train on them, at two sizes.

Each stage runs in a process of its own, whose peak resident memory (the system's own count, memory-mapped pages included)
is printed. `python benchmarks/store.py --rows 10000000` shows the full size where the disk has 330 GB.
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
    """Run one stage here, and give its seconds and this process's peak memory in MB."""
    import numpy as np
    import torch

    from ssae_lens.base.origin import Origin
    from ssae_lens.hooks.shards import Parts, Side
    from ssae_lens.shifts import ShiftStore, layout
    from ssae_lens.shifts import rows as incoming
    from ssae_lens.shifts.batches import RowReader
    from ssae_lens.shifts.layout import SIDES
    from ssae_lens.training.data import Rows

    torch.set_num_threads(1)
    begin = time.perf_counter()
    if stage == "capture":
        generator = np.random.default_rng(0)
        about = incoming.describe(d_model, Origin("blocks.0.hook_resid_post", d_model))
        # As a capture sorted by length does: each batch in a file of its own, rows of a batch anywhere in the store.
        parts = Parts.of(path, {"rows": n_rows}, 4 * n_rows * d_model * 2)
        for batch in range(-(-n_rows // BATCH)):
            parts.put(batch, generator.standard_normal((1, BATCH, d_model), dtype=np.float32).astype(np.float16))
        data = {}
        for name in SIDES:
            order = generator.permutation(n_rows)
            data[name] = Side(parts, 0, order // BATCH, order % BATCH, d_model, np.dtype(np.float16))
        with parts.becoming(path) as temporary:
            layout.write(temporary, data | incoming.annotations(n_rows), about)
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
    parser.add_argument("--folder", type=Path, help="where the files go (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the numbers there too")
    parser.add_argument("--stage", choices=STAGES, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.stage:
        print(json.dumps(run_stage(given.stage, given.folder, given.rows[0], given.d_model)))
        return
    results = []
    print(f"{'rows':>10} {'stage':>8} {'seconds':>8} {'µs/row':>8} {'peak MB':>8}")
    for n_rows in given.rows:
        # Importing takes its memory whatever the rows.
        stages = STAGES if n_rows == given.rows[0] else STAGES[1:]
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            for stage in stages:
                command = [sys.executable, __file__, "--stage", stage, "--folder", str(Path(folder) / "shifts.h5")]
                command += ["--rows", str(n_rows), "--d-model", str(given.d_model)]
                found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
                results.append({"rows": n_rows, "d_model": given.d_model, "stage": stage, **found})
                row = found["seconds"] / n_rows * 1e6
                print(f"{n_rows:>10} {stage:>8} {found['seconds']:>8.1f} {row:>8.1f} {found['peak_mb']:>8.0f}")
    if given.json:
        given.json.write_text(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
