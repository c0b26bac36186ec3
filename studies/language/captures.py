"""Captures of the corpora: each read once at a place of a model, kept in a folder, and used by all studies."""

from collections.abc import Sequence
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ssae_lens.base.files import fingerprint
from ssae_lens.hooks import capture_shifts
from ssae_lens.hooks.encoding import start_token
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.models import load_model
from ssae_lens.pairs import fingerprint_of
from ssae_lens.shifts import ShiftStore
from studies.language.corpora import FEWER, concatenate, halves
from studies.language.data import Data

# An activation of more than this many times the median norm is no reading of its text.
MOST_NORM = 5.0


class Captures:
    """What a model says of the corpora.

    Parameters
    ----------
    model
        Its name, or the model. A beginning of sequence (BOS) is put before every text of every corpus, so that captures
        are alike whether or not a corpus has words of a single token.
    folder
        Where captures are kept.
    most
        The most pairs to learn from and to hold out; by default as many as `corpora` says.
    """

    def __init__(self, model: Any, folder: Path, *, most: tuple[int, int] | None = None, quiet: bool = False) -> None:
        self._model, self.folder, self.most, self.quiet = model, folder, most, quiet
        self.halves = cache(lambda corpus, fewer=False: halves(corpus, most or (FEWER if fewer else None)))
        self._pairs = cache(lambda corpus, fewer: concatenate(self.halves(corpus, fewer)))
        self._key = cache(lambda corpus, fewer: fingerprint_of(self._pairs(corpus, fewer)))

    @cached_property
    def model(self) -> Any:
        """The model, opened."""
        return load_model(self._model) if isinstance(self._model, str) else self._model

    @cached_property
    def about(self) -> dict[str, Any]:
        """What the model is, for the record."""
        origin = origin_of(self.model, "blocks.0.hook_resid_post").to_dict()
        known = {name: origin[name] for name in ("model_name", "model_class", "d_model", "fingerprint")}
        return known | {"bos": start_token(self.model)}

    def hook(self, depth: float) -> str:
        """Return the residual stream at a share of the model's depth: half of 30 blocks is after block 15."""
        n_layers = self.model.cfg.n_layers
        return f"blocks.{min(n_layers - 1, round(depth * n_layers))}.hook_resid_post"

    def read(self, corpus: str, hooks: Sequence[str], position: str, *, fewer: bool = False) -> None:
        """Capture a corpus at some hooks in one pass, where that was not done before."""
        places = {hook: self.place(corpus, hook, position, fewer=fewer) for hook in hooks}
        missing = [hook for hook, place in places.items() if not place.path.is_file()]
        if missing:
            folder = places[missing[0]].path.parent
            pairs = self._pairs(corpus, fewer)
            options = {"position": position, "prepend_bos": True, "path": folder, "quiet": self.quiet}
            capture_shifts(self.model, pairs, missing, **options)

    def place(self, corpus: str, hook: str, position: str, *, fewer: bool = False) -> "Place":
        """Return the place of a capture, which another process can open."""
        n_train = len(self.halves(corpus, fewer).train)
        key = fingerprint([self.about, self._key(corpus, fewer), n_train, position])
        folder = self.folder / f"{Path(corpus).stem}-{position.strip(':')}-{key}"
        return Place(folder / f"{hook}.h5", n_train)


class Place:
    """Where a corpus was captured: opened in the process that needs it."""

    def __init__(self, path: Path, n_train: int) -> None:
        self.path, self.n_train = path, n_train

    @property
    def name(self) -> str:
        """What it is called in a cell."""
        return f"{self.path.parent.name}/{self.path.stem}"

    def open(self, n: int | None = None, rows: Sequence[int] | None = None) -> Data:
        """Return the data, with the first `n` training pairs, or those of some `rows`.

        Pairs with an enormous activation are left out: here and there a model takes a token for a place to rest its
        attention, and the shift to such a place says nothing of what the text means.
        """
        with ShiftStore.open(self.path) as store:
            sizes = np.maximum(*(np.linalg.norm(each, axis=1) for each in (store.source, store.target)))
            usual = sizes < MOST_NORM * np.median(sizes)
            wanted = np.arange(self.n_train)[:n] if rows is None else np.asarray(rows)
            held_out = np.arange(self.n_train, len(store))
            train, test = (store.subset(each[usual[each]]) for each in (wanted, held_out))
        return Data(train, test, left_out=len(wanted) + len(held_out) - len(train) - len(test))
