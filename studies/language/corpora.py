"""The corpora of the study: split into training and held-out pairs, and captured once at a hook of the model.

Captures are kept in a folder and used by all studies.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ssae_lens.base.checksums import fingerprint
from ssae_lens.hooks import capture_shifts
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.hooks.tokens import start_token
from ssae_lens.models import load_model
from ssae_lens.pairs import fingerprint_of, load_pairs
from ssae_lens.pairs.built_in import CORPORA
from ssae_lens.pairs.splits import keys_of
from ssae_lens.shifts import ShiftStore
from studies.language.data import LanguageData

if TYPE_CHECKING:
    from datasets import Dataset

TEST_FRACTION = 0.2
# Numbers of training and held-out pairs, of generated corpora and of files of labelled sentences.
SIZES = {"sentences": (4000, 1000), "cat": (8000, 1000)}
FILE = (4000, 1000)
# The same for corpora that are read at many hooks, and for quick runs.
FEWER, QUICK = (1000, 500), (800, 300)
# A generated corpus with another seed: "sentences@1".
AT = "@"
# Pairs with an activation above this many times the median norm are left out.
MAX_RELATIVE_NORM = 5.0


@dataclass(frozen=True)
class CorpusSplit:
    """The training and held-out pairs of a corpus, which share no text and no content."""

    train: "Dataset"
    test: "Dataset"

    @property
    def both(self) -> "Dataset":
        """All pairs as one data set, training pairs first."""
        from datasets import concatenate_datasets

        columns = [name for name in ("source", "target", "changes", "content") if name in self.train.column_names]
        return concatenate_datasets([part.select_columns(columns) for part in (self.train, self.test)])


def load_split(name: str, sizes: tuple[int, int] | None = None) -> CorpusSplit:
    """Load a corpus, a generated one with a seed (``name@seed``), or a file of labelled sentences, split by content.

    `sizes` are the numbers of training and held-out pairs of corpora that generate any number.
    """
    corpus, _, seed = name.partition(AT) if name.partition(AT)[0] in SIZES else (name, "", "")
    counts = SIZES.get(corpus) or ((None, None) if corpus in CORPORA else FILE)
    if sizes and counts[0]:
        counts = sizes
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*pairs were dropped")
        train, test = (
            load_pairs(corpus, split, n=n, seed=int(seed or 0), test_fraction=TEST_FRACTION)
            for split, n in zip(("train", "test"), counts, strict=True)
        )
    if common := shared_keys(train, test):
        raise ValueError(f"{len(common)} texts or contents of {name!r} are in both splits: {common[0]!r}.")
    return CorpusSplit(train, test)


def shared_keys(train: "Dataset", test: "Dataset") -> list[str]:
    """Return the texts and contents that two sets of pairs have in common."""
    known = {key for keys in keys_of(train) for key in keys}
    return sorted({key for keys in keys_of(test) for key in keys} & known)


def disjoint_rows(train: "Dataset", test: "Dataset") -> list[int]:
    """Return the rows of `train` that have no text or content in common with any row of `test`."""
    held_out = {key for keys in keys_of(test) for key in keys}
    return [row for row, keys in enumerate(keys_of(train)) if held_out.isdisjoint(keys)]


class Captures:
    """Captured corpora of one model, kept in a folder.

    A beginning-of-sequence token is put before all texts, whether they are single-token words or sentences.
    """

    def __init__(self, model: Any, folder: Path, *, sizes: tuple[int, int] | None = None, quiet: bool = False) -> None:
        self._model, self.folder, self.quiet = model, folder, quiet
        self.split = cache(lambda corpus, fewer=False: load_split(corpus, sizes or (FEWER if fewer else None)))
        self._key = cache(lambda corpus, fewer: fingerprint_of(self.split(corpus, fewer).both))

    @cached_property
    def model(self) -> Any:
        """The loaded model."""
        return load_model(self._model) if isinstance(self._model, str) else self._model

    @cached_property
    def about(self) -> dict[str, Any]:
        """The model's name, class, width, fingerprint and beginning-of-sequence token."""
        origin = origin_of(self.model, "blocks.0.hook_resid_post").to_dict()
        names = ("model_name", "model_class", "d_model", "fingerprint")
        return {name: origin[name] for name in names} | {"bos": start_token(self.model)}

    def hook(self, depth: float) -> str:
        """Return the residual stream at a fraction of the depth: a half of 30 blocks is after block 15."""
        n_layers = self.model.cfg.n_layers
        return f"blocks.{min(n_layers - 1, round(depth * n_layers))}.hook_resid_post"

    def read(self, corpus: str, hooks: Sequence[str], position: str, *, fewer: bool = False) -> None:
        """Capture a corpus at all hooks that were not captured before, in one pass."""
        files = {hook: self.file(corpus, hook, position, fewer=fewer).path for hook in hooks}
        missing = [hook for hook, path in files.items() if not path.is_file()]
        if missing:
            capture_shifts(
                self.model,
                self.split(corpus, fewer).both,
                missing,
                position=position,
                prepend_bos=True,
                path=files[missing[0]].parent,
                quiet=self.quiet,
            )

    def file(self, corpus: str, hook: str, position: str, *, fewer: bool = False) -> "CaptureFile":
        """Return the file of a capture, which other processes can open."""
        n_train = len(self.split(corpus, fewer).train)
        key = fingerprint([self.about, self._key(corpus, fewer), n_train, position])
        folder = self.folder / f"{Path(corpus).stem}-{position.strip(':')}-{key}"
        return CaptureFile(folder / f"{hook}.h5", n_train)


@dataclass(frozen=True)
class CaptureFile:
    """The path of a captured corpus, and the number of its training pairs."""

    path: Path
    n_train: int

    @property
    def name(self) -> str:
        """The name in the settings of a cell."""
        return f"{self.path.parent.name}/{self.path.stem}"

    def open(self, n: int | None = None, rows: Sequence[int] | None = None) -> LanguageData:
        """Return the data, with the first `n` training pairs, or with certain `rows`.

        Pairs with an enormous activation are left out: some models use a token as an attention sink, and such an activation
        says nothing about the meaning of the text.
        """
        with ShiftStore.open(self.path) as store:
            norms = np.maximum(*(np.linalg.norm(side, axis=1) for side in (store.source, store.target)))
            usual = norms < MAX_RELATIVE_NORM * np.median(norms)
            chosen = np.arange(self.n_train)[:n] if rows is None else np.asarray(rows)
            held_out = np.arange(self.n_train, len(store))
            train, test = (store.subset(part[usual[part]]) for part in (chosen, held_out))
        return LanguageData(train, test)
