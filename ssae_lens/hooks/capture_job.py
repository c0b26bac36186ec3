"""Capture job: a validated capture, run by one or several processes, at once or resumed.

`BatchPlan` depends on the whole data set alone, so the batches of a capture are the same in every run, and the shards of an
interrupted run (`shards`) can be used.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float, Int
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.files import locked, tidy
from ssae_lens.base.progress_bars import progress
from ssae_lens.hooks.hook_points import record_activations
from ssae_lens.hooks.shards import ShardedRows, Shards, folder_of
from ssae_lens.hooks.spans import Spans
from ssae_lens.hooks.tokens import TokenizedTexts, batch_by_length, pad_right
from ssae_lens.shifts import ShiftStore, contents, layout
from ssae_lens.shifts.contents import SIDES, Metadata

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# Processes wait for one another until the slowest is done.
TIMEOUT = timedelta(days=30)


@dataclass
class BatchPlan:
    """The batches of a capture, and the location of each span's mean in their results.

    Attributes
    ----------
    texts, spans
        The texts to run, and the spans to average.
    batches
        The numbers of each batch's texts.
    span_bounds
        The offset of each text's spans, with the number of spans at the end.
    batch, row
        For each span, the batch of its text and its index among the batch's spans.
    """

    texts: TokenizedTexts
    spans: Spans
    batches: list[Int[np.ndarray, " batch"]]
    span_bounds: Int[np.ndarray, " texts+1"]
    batch: Int[np.ndarray, " spans"]
    row: Int[np.ndarray, " spans"]

    @classmethod
    def of(cls, texts: TokenizedTexts, spans: Spans, batch_tokens: int) -> "BatchPlan":
        """Return the plan for some spans of texts."""
        bounds = np.searchsorted(spans.text, np.arange(len(texts) + 1))
        batch, row = np.empty((2, len(spans)), dtype=np.int64)
        plan = cls(texts, spans, batch_by_length(texts.lengths, batch_tokens), bounds, batch, row)
        for number in range(len(plan.batches)):
            of_batch = plan.spans_of(number)
            batch[of_batch], row[of_batch] = number, np.arange(len(of_batch))
        return plan

    def spans_of(self, number: int) -> Int[np.ndarray, " some"]:
        """Return the numbers of a batch's spans, text after text."""
        batch = self.batches[number]
        bounds = zip(self.span_bounds[batch].tolist(), self.span_bounds[batch + 1].tolist(), strict=True)
        return np.concatenate([np.arange(start, stop) for start, stop in bounds])

    def tokens(self, number: int) -> Int[Tensor, "batch pos"]:
        """Return a batch's tokens, padded on the right."""
        return pad_right([self.texts[text] for text in self.batches[number].tolist()])[0]

    def means(self, number: int, values: Float[Tensor, "batch pos d_model"]) -> Float[Tensor, "some d_model"]:
        """Return the mean of a batch's activations over each of its spans."""
        spans = self.spans_of(number)
        row = np.repeat(np.arange(len(self.batches[number])), np.diff(self.span_bounds)[self.batches[number]])
        counts = self.spans.stop[spans] - self.spans.start[spans]
        first = row * values.shape[1] + self.spans.start[spans]
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        indices = torch.from_numpy(np.repeat(first, counts) + within).to(values.device)
        selected = values.flatten(0, 1).index_select(0, indices).float()
        if (counts == 1).all():
            return selected
        return torch.segment_reduce(selected, "mean", lengths=torch.from_numpy(counts).to(values.device))


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that share a job: the rank of this one, their number, and a barrier."""

    rank: int = 0
    size: int = 1
    wait: Callable[[], object] = lambda: None

    @contextmanager
    def lock(self, path: Path) -> Iterator[None]:
        """Lock `path` against other jobs; rank 0 holds the lock for all."""
        with locked(path) if self.rank == 0 else nullcontext():
            self.wait()
            yield


@contextmanager
def process_group() -> Iterator[ProcessGroup]:
    """Return the processes started by ``torchrun``, or this process alone."""
    initialized = dist.is_available() and dist.is_initialized()
    size = dist.get_world_size() if initialized else int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield ProcessGroup()
        return
    if not initialized:
        dist.init_process_group("gloo", timeout=TIMEOUT)
    try:
        group: Any = dist.new_group(backend="gloo", timeout=TIMEOUT)
        yield ProcessGroup(dist.get_rank(), size, lambda: dist.barrier(group))
    finally:
        if not initialized:
            dist.destroy_process_group()


@dataclass
class CaptureJob:
    """A validated capture at one or several hooks."""

    model: "Model"
    hook_names: list[str]
    plan: BatchPlan
    abouts: list[Metadata]
    annotations: dict[str, np.ndarray]
    dtype: np.dtype
    settings: dict[str, Any]

    def in_memory(self, quiet: bool) -> list[ShiftStore]:
        """Run all batches and return a store for each hook."""
        shards = Shards(None)
        with process_group() as group:
            if group.size > 1:
                raise ValueError(f"path is None with {group.size} processes; give a path that all of them can write.")
            self._run(shards, group, quiet)
        stores = []
        for hook, about in enumerate(self.abouts):
            data = self._contents(shards, hook)
            stores.append(ShiftStore({name: values[0 : len(values)] for name, values in data.items()}, about))
        return stores

    def in_files(self, path: Path, files: list[Path], quiet: bool) -> list[ShiftStore]:
        """Run the batches that are not done, write the files that do not exist, and open all files."""
        headers = [self._header(about) for about in self.abouts]
        with process_group() as group:
            # Several processes check under the lock, so that all decide alike.
            if group.size > 1 or not self._finished(files, headers):
                with group.lock(path):
                    if not self._finished(files, headers):
                        self._complete(path, files, {**headers[0], **self.settings}, group, quiet)
                    group.wait()
        tidy(path, folder_of(path))
        return [ShiftStore.open(file) for file in files]

    def _finished(self, files: list[Path], headers: list[dict[str, Any]]) -> bool:
        """Return whether all files exist; raise if one of them belongs to another capture."""
        for file, header in zip(files, headers, strict=True):
            if file.exists():
                checks.made_for(file, _header_of_file(file), header)
        return all(file.exists() for file in files)

    def _complete(
        self, path: Path, files: list[Path], header: dict[str, Any], group: ProcessGroup, quiet: bool
    ) -> None:
        """Run the batches that are not done, then write the files that do not exist."""
        shards = Shards.of(path, header, self._n_bytes()) if group.rank == 0 else None
        group.wait()
        shards = shards or Shards.of(path, header, self._n_bytes())
        try:
            self._run(shards, group, quiet)
        except ValueError:
            # The same call would fail again. Shards left by a kill or a full disk are kept.
            shards.remove()
            raise
        group.wait()
        if group.rank == 0:
            for hook, file in enumerate(files):
                if not file.exists():
                    layout.write(file, self._contents(shards, hook), self.abouts[hook])
            shards.remove()

    def _run(self, shards: Shards, group: ProcessGroup, quiet: bool) -> None:
        """Run this process's share of the batches that are not done."""
        numbers = [number for number in range(group.rank, len(self.plan.batches), group.size) if number not in shards]
        if not numbers:
            return
        n_texts = sum(len(self.plan.batches[number]) for number in numbers)
        bar = progress(total=n_texts, unit="texts", desc="Capturing", quiet=quiet or group.rank > 0)
        began, n_tokens = time.monotonic(), 0
        with bar, record_activations(self.model, self.hook_names) as record:
            for number in numbers:
                tokens = self.plan.tokens(number)
                activations = record(tokens.to(self.model.cfg.device))
                shards.put(number, self._rows(number, activations))
                n_tokens += int(self.plan.texts.lengths[self.plan.batches[number]].sum())
                bar.update(len(tokens))
                bar.set_postfix_str(f"{n_tokens / (time.monotonic() - began):.0f} tokens/s")

    def _rows(
        self, number: int, activations: dict[str, Float[Tensor, "batch pos d_model"]]
    ) -> Float[np.ndarray, "hooks some d_model"]:
        """Return the means over a batch's spans at every hook, checked and in the stored type."""
        pairs = self.plan.spans.example_pair[self.plan.spans_of(number)]
        return np.stack(
            [
                contents.activations(f"The activation at {name!r}", self.plan.means(number, values), self.dtype, pairs)
                for name, values in activations.items()
            ]
        )

    def _contents(self, shards: Shards, hook: int) -> dict[str, Any]:
        """Return the contents of a hook's store."""
        plan = self.plan
        d_model = self.abouts[hook].origin.d_model
        sides = {
            name: ShardedRows(shards, hook, plan.batch[spans], plan.row[spans], d_model, self.dtype)
            for name, spans in zip(SIDES, plan.spans.sides, strict=True)
        }
        return sides | self.annotations

    def _n_bytes(self) -> int:
        """Return the size of the shards and the files."""
        rows = len(self.plan.spans) + self.plan.spans.sides.size
        return sum(rows * about.origin.d_model * self.dtype.itemsize for about in self.abouts)

    def _header(self, about: Metadata) -> dict[str, Any]:
        """Return the header that a store of this capture must have."""
        digests = {name: layout.digest_of(values) for name, values in self.annotations.items()}
        return _header(replace(about, digests=digests), len(self.plan.spans.pair), self.dtype)


def _header(about: Metadata, n_rows: int, dtype: np.dtype) -> dict[str, Any]:
    """Return what identifies a store, apart from its activations, as a flat dictionary for JSON."""
    origin = {f"origin.{name}": value for name, value in about.origin.to_dict().items()}
    digests = {name: digest for name, digest in sorted(about.digests.items()) if name not in SIDES}
    return {
        "rows": n_rows,
        "dtype": dtype.name,
        **origin,
        "concepts": list(about.concepts),
        "pairs": about.pairs,
        **digests,
    }


def _header_of_file(path: Path) -> dict[str, Any]:
    file, about = layout.open_file(path)
    with file:
        return _header(about, len(file["source"]), file["source"].dtype)
