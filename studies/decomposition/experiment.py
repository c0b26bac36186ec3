"""`DecompositionExperiment`: a model and an SAE, with activations, codes of a behaviour's texts, and trained SSAEs."""

import warnings
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Bool, Float

from ssae_lens.base.checksums import DamagedFileError, fingerprint, json_text, read_json
from ssae_lens.base.files import settle
from ssae_lens.base.provenance import versions
from ssae_lens.evals._decomposition import read
from ssae_lens.evals.built_in_tasks import topic_texts
from ssae_lens.evals.local_judges import mean_activations
from ssae_lens.evals.shipped_sae import ModelSAE
from ssae_lens.evals.tasks import NEUTRAL, Task, UnlabelledPairs
from ssae_lens.hooks.capture import capture_shifts
from ssae_lens.hooks.hook_points import origin_of
from ssae_lens.latents.concepts import Concept
from ssae_lens.latents.match import match_concepts
from ssae_lens.pairs import load_pairs
from ssae_lens.pairs.schema import TEXTS, fingerprint_of
from ssae_lens.sae import SSAE
from ssae_lens.training._sweep import sweep
from studies.decomposition.settings import DecompositionSettings

if TYPE_CHECKING:
    from ssae_lens.models.identity import Model

# A feature's change between the texts of a behaviour counts as known beyond this many standard errors.
STANDARD_ERRORS = 3.0
# A feature that fires at a larger share of tokens stands for what all activations have.
ALWAYS = 0.9
CONCEPTS = "concepts.json"


@dataclass(frozen=True, eq=False)
class Sides:
    """The texts of a behaviour: its vector, and an SAE's codes of them.

    Attributes
    ----------
    vector
        The mean activation of the texts with the behaviour less that of those without: CAA over tokens, unscaled.
    change
        For each feature, the mean code of the texts with the behaviour less that of those without.
    known
        Whether that is more than three standard errors from 0, over pairs.
    firing
        The larger of the two sides' shares of tokens at which it fires.
    """

    vector: Float[np.ndarray, " d"]
    change: Float[np.ndarray, " d_sae"]
    known: Bool[np.ndarray, " d_sae"]
    firing: Float[np.ndarray, " d_sae"]


class DecompositionExperiment:
    """A model with an SAE of its residual stream, and what was captured and trained there."""

    def __init__(
        self, model: "Model", of: ModelSAE, settings: DecompositionSettings, learned: Path | None = None
    ) -> None:
        self.model, self.sae, self.hook, self.settings, self.learned = model, of.sae, of.hook_name, settings, learned
        self._sides: dict[str, Sides] = {}
        self._ssaes: dict[int, tuple[SSAE, dict[str, Concept]]] = {}

    @cached_property
    def activations(self) -> Float[np.ndarray, "tokens d"]:
        """Activations of tokens of many texts, without the first of each text."""
        return activations_of(self.model, texts_read(self.settings.n_texts), self.hook)

    @cached_property
    def norms(self) -> Float[np.ndarray, " tokens"]:
        """Norms of the activations."""
        return np.linalg.norm(self.activations, axis=1)

    @cached_property
    def mean_norm(self) -> float:
        """The mean norm of the activations."""
        return float(self.norms.mean())

    @cached_property
    def codes(self) -> Float[np.ndarray, "tokens d_sae"]:
        """The SAE's codes of the activations."""
        return read(self.sae, self.activations)

    @cached_property
    def always(self) -> Bool[np.ndarray, " d_sae"]:
        """Which features fire at nearly every token."""
        return (self.codes > 0).mean(0) > ALWAYS

    @cached_property
    def atoms(self) -> Float[np.ndarray, "d_sae d"]:
        """The SAE's decoder rows."""
        return self.sae.W_dec.detach().cpu().float().numpy()

    def held_out(self, task: Task) -> Float[np.ndarray, " d"]:
        """Return the vector of the task's held-out texts."""
        negative, positive = (mean_activations(self.model, some, self.hook) for some in (task.negative, task.positive))
        return (positive - negative).mean(0)

    def random(self, task: Task, length: float) -> Float[np.ndarray, " d"]:
        """Return a random vector of a length, another for each task."""
        generator = np.random.default_rng([self.settings.seed, int(fingerprint([task.name]), 16) % 2**32])
        drawn = generator.normal(size=self.sae.cfg.d_in)
        return (length * drawn / np.linalg.norm(drawn)).astype(np.float32)

    def sides(self, task: Task) -> Sides:
        """Return both sides of a task's contrasts."""
        key = task.fingerprint
        if key not in self._sides:
            self._sides[key] = self._encode(task)
        return self._sides[key]

    def ssae(self, unlabelled: UnlabelledPairs, position: str) -> tuple[SSAE, dict[str, Concept]]:
        """Return the SSAE trained on pairs without their labels and, by the labels, which latent is which concept."""
        if id(unlabelled) not in self._ssaes:
            self._ssaes[id(unlabelled)] = self._train(unlabelled, position)
        return self._ssaes[id(unlabelled)]

    def _encode(self, task: Task) -> Sides:

        def all_three(rows: np.ndarray) -> np.ndarray:
            codes = read(self.sae, rows)
            return np.concatenate([rows, codes, codes > 0], axis=1)

        before, after = (mean_activations(self.model, task.contrasts[side][:], self.hook, all_three) for side in TEXTS)
        parts = np.cumsum([self.sae.cfg.d_in, self.sae.cfg.d_sae])
        vectors, codes, _ = np.split(after - before, parts, axis=1)
        error = codes.std(0, ddof=1) / np.sqrt(len(codes))
        change = codes.mean(0)
        firing = np.maximum(before[:, parts[1] :].mean(0), after[:, parts[1] :].mean(0))
        return Sides(vectors.mean(0), change, abs(change) > STANDARD_ERRORS * error, firing)

    def _train(self, unlabelled: UnlabelledPairs, position: str) -> tuple[SSAE, dict[str, Concept]]:
        pairs = unlabelled.pairs.select(range(min(self.settings.n_pairs, len(unlabelled.pairs))))
        origin = origin_of(self.model, self.hook, position).to_dict()
        key = fingerprint([unlabelled.widths, fingerprint_of(pairs), origin, self.settings.n_seeds, versions()])
        path = None if self.learned is None else self.learned / key
        if path is not None and path.is_dir():
            settle(path)
            try:
                saved = read_json(path / CONCEPTS, checksum=True)["concepts"]
                return SSAE.load_from_disk(path), {concept["concept"]: Concept(**concept) for concept in saved}
            except (FileNotFoundError, DamagedFileError):
                pass  # it is trained again
        shifts = capture_shifts(self.model, pairs, self.hook, position=position, quiet=True)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the scores show a budget that is not met
            ssae = sweep(shifts, d_sae=unlabelled.widths, seeds=self.settings.n_seeds, quiet=True).best
        concepts = dict(match_concepts(ssae, shifts, quiet=True))
        if path is not None:
            saved = json_text({"concepts": [asdict(concept) for concept in concepts.values()]}, checksum=True)
            ssae.save_with(path, {CONCEPTS: saved}, overwrite=True)
        return ssae, concepts


def texts_read(n_sentences: int) -> list[str]:
    """Return texts of several kinds, from none of which anything is learned."""
    topics = [text for _, texts in topic_texts().values() for text in texts]
    return [*NEUTRAL, *topics, *load_pairs("sentences", "test", n=n_sentences)["source"][:]]


def activations_of(model: "Model", texts: list[str], hook: str) -> Float[np.ndarray, "tokens d"]:
    """Return the activations of all tokens of texts but each first one, whose activation is enormous in most models."""
    rows: list[np.ndarray] = []

    def keep(values: np.ndarray) -> np.ndarray:
        rows.append(values.copy())
        return values

    mean_activations(model, texts, hook, keep)
    return np.concatenate(rows)


def encoded(ssae: Any, rows: Float[np.ndarray, "n d"]) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n d"]]:
    """Return an SSAE's codes of rows, and their reconstruction."""
    with torch.no_grad():
        codes = ssae.encode(torch.from_numpy(np.asarray(rows, dtype=np.float32)))
        return codes.numpy(), ssae.decode(codes).numpy()
