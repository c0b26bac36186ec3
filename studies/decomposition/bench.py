"""`Bench`: what the study reads once: activations, an SAE's codes of a behaviour's texts, vectors, and trained SSAEs."""

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssae_lens.base.files import DamagedFileError, fingerprint, json_text, read_json, settle
from ssae_lens.base.versions import versions
from ssae_lens.evals.steering import Features, Pool, Task
from ssae_lens.evals.steering._topic_texts import LINES, halves
from ssae_lens.evals.steering.local_judges import mean_activations
from ssae_lens.evals.steering.prompts import NEUTRAL
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.latents.concepts import Concept
from ssae_lens.latents.match import match_concepts
from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.schema import TEXTS, fingerprint_of
from ssae_lens.sae import SSAE
from ssae_lens.training._sweep import sweep
from studies.decomposition.reading import read
from studies.decomposition.settings import Settings

if TYPE_CHECKING:
    from ssae_lens.hooks.hook_points import Model

# Beyond this many standard errors a feature's change between the texts of a behaviour is taken for known.
SURE = 3.0
# Of tokens.
ALWAYS = 0.9
CONCEPTS = "concepts.json"


@dataclass(frozen=True, eq=False)
class Sides:
    """The texts of a behaviour: its vector, and what an SAE sees in them.

    Attributes
    ----------
    vector
        The mean activation of the texts with the behaviour less that of those without: CAA over tokens, as long as it is.
    change
        For each feature, the mean code of the texts with the behaviour less that of those without.
    known
        Whether that is more than three standard errors from 0, pair by pair.
    firing
        The larger of the two sides' shares of tokens at which it fires.
    """

    vector: Float[np.ndarray, " d"]
    change: Float[np.ndarray, " d_sae"]
    known: Bool[np.ndarray, " d_sae"]
    firing: Float[np.ndarray, " d_sae"]


class Bench:
    """A model with an SAE of its residual stream, and what is read there."""

    def __init__(
        self, model: "Model", features: Features, settings: Settings, learned: Path | None = None, *, quiet: bool = True
    ) -> None:
        self.model, self.features, self.settings, self.learned, self.quiet = model, features, settings, learned, quiet
        self.sae, self.hook = features.sae, features.hook_name
        self._sides: dict[str, Sides] = {}
        self._ssaes: dict[int, tuple[SSAE, dict[str, Concept]]] = {}

    @cached_property
    def activations(self) -> Float[np.ndarray, "tokens d"]:
        """Activations of tokens of many texts, the first of each text left out."""
        return activations_of(self.model, texts_read(self.settings.n_texts), self.hook)

    @cached_property
    def mean_norm(self) -> float:
        """Their mean norm."""
        return float(self.norms.mean())

    @cached_property
    def codes(self) -> Float[np.ndarray, "tokens d_sae"]:
        """The SAE's codes of them."""
        return read(self.sae, self.activations)

    @cached_property
    def always(self) -> Bool[np.ndarray, " d_sae"]:
        """Which features fire at nearly every token: they stand for what all activations have."""
        return (self.codes > 0).mean(0) > ALWAYS

    @cached_property
    def norms(self) -> Float[np.ndarray, " tokens"]:
        """Norms of the activations."""
        return np.linalg.norm(self.activations, axis=1)

    @cached_property
    def atoms(self) -> Float[np.ndarray, "d_sae d"]:
        """The SAE's decoder rows."""
        return self.sae.W_dec.detach().cpu().float().numpy()

    def held_out(self, task: Task) -> Float[np.ndarray, " d"]:
        """Return the same difference between the task's held-out texts."""
        without, with_it = (mean_activations(self.model, texts, self.hook) for texts in (task.without, task.with_it))
        return (with_it - without).mean(0)

    def random(self, task: Task, length: float) -> Float[np.ndarray, " d"]:
        """Return a random vector of a length, another for each task."""
        generator = np.random.default_rng([self.settings.seed, int(fingerprint([task.name]), 16) % 2**32])
        drawn = generator.normal(size=self.sae.cfg.d_in)
        return (length * drawn / np.linalg.norm(drawn)).astype(np.float32)

    def sides(self, task: Task) -> Sides:
        """Read both sides of a task's contrasts."""
        key = task.fingerprint
        if key not in self._sides:
            self._sides[key] = self._read(task)
        return self._sides[key]

    def _read(self, task: Task) -> Sides:

        def all_three(rows: np.ndarray) -> np.ndarray:
            codes = read(self.sae, rows)
            return np.concatenate([rows, codes, codes > 0], axis=1)

        before, after = (mean_activations(self.model, task.contrasts[side][:], self.hook, all_three) for side in TEXTS)
        parts = np.cumsum([self.sae.cfg.d_in, self.sae.cfg.d_sae])
        vectors, pairs, _ = np.split(after - before, parts, axis=1)
        error = pairs.std(0, ddof=1) / np.sqrt(len(pairs))
        change = pairs.mean(0)
        firing = np.maximum(before[:, parts[1] :].mean(0), after[:, parts[1] :].mean(0))
        return Sides(vectors.mean(0), change, abs(change) > SURE * error, firing)

    def ssae(self, pool: Pool, position: str) -> tuple[SSAE, dict[str, Concept]]:
        """Return the SSAE learned from pairs without their labels, and, by the labels, which latent is which concept."""
        if id(pool) not in self._ssaes:
            self._ssaes[id(pool)] = self._learn(pool, position)
        return self._ssaes[id(pool)]

    def _learn(self, pool: Pool, position: str) -> tuple[SSAE, dict[str, Concept]]:
        pairs = pool.pairs.select(range(min(self.settings.n_pairs, len(pool.pairs))))
        origin = origin_of(self.model, self.hook, position).to_dict()
        key = fingerprint([pool.widths, fingerprint_of(pairs), origin, self.settings.n_seeds, versions()])
        path = None if self.learned is None else self.learned / key
        if path is not None and path.is_dir():
            settle(path)
            try:
                stated = read_json(path / CONCEPTS, checksum=True)["concepts"]
                return SSAE.load_from_disk(path), {each["concept"]: Concept(**each) for each in stated}
            except (FileNotFoundError, DamagedFileError):
                pass  # it is made again
        shifts = capture_shifts(self.model, pairs, self.hook, position=position, quiet=self.quiet)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a budget that is not met is seen in the scores
            ssae = sweep(shifts, d_sae=pool.widths, seeds=self.settings.n_seeds, quiet=self.quiet).best
        concepts = dict(match_concepts(ssae, shifts, quiet=True))
        if path is not None:
            stated = json_text({"concepts": [asdict(each) for each in concepts.values()]}, checksum=True)
            ssae.save_with(path, {CONCEPTS: stated}, overwrite=True)
        return ssae, concepts


def texts_read(n_sentences: int) -> list[str]:
    """Return texts of several kinds, from none of which anything is learned."""
    topics = [text for lines in LINES.values() for text in halves(lines)[1]]
    return [*NEUTRAL, *topics, *load_pairs("sentences", "test", n=n_sentences)["source"][:]]


def activations_of(model: "Model", texts: list[str], hook: str) -> Float[np.ndarray, "tokens d"]:
    """Return the activations of texts' tokens but each first one, whose activation is enormous in most models."""
    rows: list[np.ndarray] = []

    def keep(values: np.ndarray) -> np.ndarray:
        rows.append(values.copy())
        return values

    mean_activations(model, texts, hook, keep)
    return np.concatenate(rows)


def encoded(ssae: Any, rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n d"]]:
    """Return an SSAE's codes of rows, and what it makes of them."""
    with torch.no_grad():
        codes = ssae.encode(torch.from_numpy(np.asarray(rows, dtype=np.float32)))
        return codes.numpy(), ssae.decode(codes).numpy()
