"""Several processes that share one piece of work, as ``torchrun`` starts them."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch.distributed as dist

from ssae_lens.base.files import locked

# Processes wait for one another for as long as the slowest takes.
PATIENCE = timedelta(days=30)


@dataclass(frozen=True)
class ProcessGroup:
    """The processes at work: which one this is, of how many, and a way to wait for all of them."""

    rank: int = 0
    size: int = 1
    wait: Callable[[], object] = lambda: None

    @contextmanager
    def first_holding(self, path: Path) -> Iterator[None]:
        """Hold the lock of `path` against processes of another run; the first process holds it for all."""
        with locked(path) if self.rank == 0 else nullcontext():
            self.wait()
            yield


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """Return the processes that share the work: those ``torchrun`` started, or this one alone."""
    started = dist.is_available() and dist.is_initialized()
    size = dist.get_world_size() if started else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ProcessGroup()
        return
    if not started:
        dist.init_process_group("gloo", timeout=PATIENCE)
    try:
        group: Any = dist.new_group(backend="gloo", timeout=PATIENCE)
        yield ProcessGroup(dist.get_rank(), size, lambda: dist.barrier(group))
    finally:
        if not started:
            dist.destroy_process_group()
