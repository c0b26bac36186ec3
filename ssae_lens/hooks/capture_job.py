"""`Work`: a capture, checked and ready to run, alone or by several processes, at once or after an interruption."""

import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.base.files import tidy
from ssae_lens.base.progress import progress
from ssae_lens.hooks.batching import Plan
from ssae_lens.hooks.hook_points import reading
from ssae_lens.hooks.process_group import ProcessGroup, process_group
from ssae_lens.hooks.shards import Parts, Side, folder_of, identity
from ssae_lens.shifts import ShiftStore, layout
from ssae_lens.shifts import rows as incoming
from ssae_lens.shifts.layout import SIDES, About

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model


@dataclass
class Work:
    """A capture, checked and ready to run."""

    model: "Model"
    names: list[str]
    plan: Plan
    abouts: list[About]
    annotations: dict[str, np.ndarray]
    dtype: np.dtype
    settings: dict[str, Any]

    def in_memory(self, quiet: bool) -> list[ShiftStore]:
        """Run it all and give a store for each hook."""
        parts = Parts(None)
        with process_group() as us:
            if us.size > 1:
                raise ValueError(f"path is None with {us.size} processes at work; give one that all of them can write.")
            self._run(parts, us, quiet)
        data = [self._data(parts, number) for number in range(len(self.names))]
        return [
            ShiftStore({name: values[0 : len(values)] for name, values in each.items()}, about)
            for each, about in zip(data, self.abouts, strict=True)
        ]

    def in_files(self, path: Path, files: list[Path], quiet: bool) -> list[ShiftStore]:
        """Run what is not done yet, write the files that are not there yet, and open them."""
        headers = [self._header(about) for about in self.abouts]
        with process_group() as us:
            # Several processes must decide alike, so they look while the first holds the lock.
            if us.size > 1 or not self._finished(files, headers):
                with us.first_holding(path):
                    if not self._finished(files, headers):
                        self._complete(path, files, {**headers[0], **self.settings}, us, quiet)
                    us.wait()
        tidy(path, folder_of(path))
        return [ShiftStore.open(file) for file in files]

    def _finished(self, files: list[Path], headers: list[dict[str, Any]]) -> bool:
        """Whether every file is there; each that is must be of this capture."""
        for file, header in zip(files, headers, strict=True):
            if file.exists():
                checks.made_for(file, _found(file), header)
        return all(file.exists() for file in files)

    def _complete(self, path: Path, files: list[Path], header: dict[str, Any], us: ProcessGroup, quiet: bool) -> None:
        """Run the batches that are not done, then write the files that are not there."""
        parts = Parts.of(path, header, self._n_bytes()) if us.rank == 0 else None
        us.wait()
        parts = parts or Parts.of(path, header, self._n_bytes())
        try:
            self._run(parts, us, quiet)
        except ValueError:
            # It would end in the same way again; what a kill or a full disk leaves is resumed.
            parts.remove()
            raise
        us.wait()
        if us.rank == 0:
            for number, file in enumerate(files):
                if not file.exists():
                    layout.write(file, self._data(parts, number), self.abouts[number])
            parts.remove()

    def _run(self, parts: Parts, us: ProcessGroup, quiet: bool) -> None:
        """Run this process's share of the batches that are not done yet."""
        mine = [each for each in range(us.rank, len(self.plan.batches), us.size) if each not in parts]
        if not mine:
            return
        n_texts = sum(len(self.plan.batches[each]) for each in mine)
        bar = progress(total=n_texts, unit="texts", about="Capturing", quiet=quiet or us.rank > 0)
        began, n_tokens = time.monotonic(), 0
        with bar, reading(self.model, self.names) as read:
            for number in mine:
                tokens = self.plan.tokens(number)
                seen = read(tokens.to(self.model.cfg.device))
                parts.put(number, self._rows(number, seen))
                n_tokens += int(self.plan.texts.lengths[self.plan.batches[number]].sum())
                bar.update(len(tokens))
                bar.set_postfix_str(f"{n_tokens / (time.monotonic() - began):.0f} tokens/s")

    def _rows(self, number: int, seen: dict[str, Float[Tensor, "batch pos d_model"]]) -> np.ndarray:
        """Return what a batch's spans are at every hook, checked and as it is stored."""
        pairs = self.plan.spans.found_in[self.plan.spans_of(number)]
        return np.stack(
            [
                incoming.activations(f"The activation at {name!r}", self.plan.means(number, values), self.dtype, pairs)
                for name, values in seen.items()
            ]
        )

    def _data(self, parts: Parts, hook: int) -> dict[str, Any]:
        """Return all that a hook's store holds."""
        plan = self.plan
        width = self.abouts[hook].origin.d_model
        sides = {
            name: Side(parts, hook, plan.batch[spans], plan.place[spans], width, self.dtype)
            for name, spans in zip(SIDES, plan.spans.sides, strict=True)
        }
        return sides | self.annotations

    def _n_bytes(self) -> int:
        """Return the room that the parts and the files take."""
        rows = len(self.plan.spans) + self.plan.spans.sides.size
        return sum(rows * each.origin.d_model * self.dtype.itemsize for each in self.abouts)

    def _header(self, about: About) -> dict[str, Any]:
        """Say what a store must be to be this capture's."""
        digests = {name: layout.digest_of(values) for name, values in self.annotations.items()}
        return identity(replace(about, digests=digests), len(self.plan.spans.pair), self.dtype)


def _found(path: Path) -> dict[str, Any]:
    """Say what a finished store is."""
    file, about = layout.open_file(path)
    with file:
        return identity(about, len(file["source"]), file["source"].dtype)
