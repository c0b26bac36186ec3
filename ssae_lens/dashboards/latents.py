"""Statistics of an SSAE's latents on shifts: strength, density, correlations, cosines."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from ssae_lens.base.checks import one_of
from ssae_lens.latents.codes import Shifts, active_in, codes_of
from ssae_lens.metrics import correlations, cosines
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from ssae_lens.sae import SSAE

BINS = 40


class Latents:
    """The latents of an SSAE, with their codes of some shifts.

    Parameters
    ----------
    ssae
        The SSAE.
    shifts
        Shifts at its hook, a `ShiftStore` or an array; without any, only the decoder is known.

    Attributes
    ----------
    decoder
        The decoder.
    codes
        The codes of the shifts, or None.
    broken
        Whether the decoder row or the codes of a latent hold NaN or infinity; they are zero in all other attributes.
    concepts, labels
        Those of the store, if it has any.
    """

    def __init__(self, ssae: "SSAE", shifts: Shifts | None = None) -> None:
        self._ssae = ssae
        self.decoder: Float[np.ndarray, "k d"] = ssae.W_dec.detach().float().cpu().numpy()
        self.codes: Float[np.ndarray, "n k"] | None = None if shifts is None else codes_of(ssae, shifts)
        broken = ~np.isfinite(self.decoder).all(axis=1)
        if self.codes is not None:
            broken = broken | ~np.isfinite(self.codes).all(axis=0)
        self.broken: Bool[np.ndarray, " k"] = np.asarray(broken)
        if self.broken.any():
            self.decoder = np.where(self.broken[:, None], 0, self.decoder)
            self.codes = None if self.codes is None else np.where(self.broken, 0, self.codes)
        self.concepts = shifts.concepts if isinstance(shifts, ShiftStore) else []
        self.labels = shifts.labels if isinstance(shifts, ShiftStore) and self.concepts else None

    def __len__(self) -> int:
        return len(self.decoder)

    @cached_property
    def strength(self) -> Float[np.ndarray, " k"]:
        """The mean |code| of each latent; NaN where it is broken, or without shifts."""
        if self.codes is None:
            return np.full(len(self), np.nan)
        return np.where(self.broken, np.nan, abs(self.codes).mean(axis=0, dtype=np.float64))

    @cached_property
    def density(self) -> Float[np.ndarray, " k"]:
        """The fraction of shifts in which each latent is active (`active_in`)."""
        if self.codes is None:
            return np.full(len(self), np.nan)
        return np.where(self.broken, np.nan, active_in(self._ssae, self.codes).mean(axis=0))

    @cached_property
    def correlations(self) -> Float[np.ndarray, "k c"] | None:
        """The correlation of each latent with each labelled concept."""
        if self.codes is None or self.labels is None or len(self.codes) < 2:
            return None
        return correlations(self.codes, self.labels)

    @cached_property
    def cosines(self) -> Float[np.ndarray, "k k"]:
        """The cosine similarities of decoder rows."""
        return cosines(self.decoder, self.decoder)

    @cached_property
    def order(self) -> list[int]:
        """The latents, strongest first."""
        return np.argsort(-np.nan_to_num(self.strength, nan=-1), kind="stable").tolist()

    def nearest(self, latent: int, n: int = 6) -> list[tuple[int, float]]:
        """Return the latents of the largest |cosine| with a latent, with their cosines."""
        values = self.cosines[latent]
        order = np.argsort(-abs(values), kind="stable")
        return [(int(other), float(values[other])) for other in order[order != latent][:n]]

    def histogram(self, latent: int) -> tuple[Float[np.ndarray, " b1"], Float[np.ndarray, " b"]]:
        """Return the edges and counts of a histogram of a latent's nonzero codes; zero is an edge between two bins."""
        assert self.codes is not None
        codes = self.codes[:, latent].astype(np.float64)
        codes = codes[codes != 0]
        low, high = min(codes.min(initial=0), 0), max(codes.max(initial=0), 0)
        width = (high - low) / BINS or 1.0
        edges = width * np.arange(np.floor(low / width), max(np.ceil(high / width), 1) + 1)
        # Rounding can put the extreme codes just outside of the outermost edges.
        return edges, np.histogram(np.clip(codes, edges[0], edges[-1]), edges)[0]

    def order_by_similarity(self, latents: list[int]) -> list[int]:
        """Return latents in the order of a hierarchical clustering by |cosine|."""
        from scipy.cluster.hierarchy import leaves_list, linkage
        from scipy.spatial.distance import squareform

        if len(latents) < 3:
            return latents
        distances = 1 - abs(self.cosines[np.ix_(latents, latents)].astype(np.float64))
        np.fill_diagonal(distances, 0)
        tree = linkage(squareform((distances + distances.T) / 2, checks=False), method="average")
        return [latents[leaf] for leaf in leaves_list(tree)]


@dataclass(frozen=True)
class LatentName:
    """The concept that a latent is matched with, the fit of the match or the confidence of the name, and the sign."""

    name: str = ""
    fit: float | None = None
    sign: float = 1.0


def latent_names(n_latents: int, concepts: Mapping[str, Any] | None) -> dict[int, LatentName]:
    """Return the names of matched latents; of two concepts of one latent, that of the better fit.

    `concepts` is the result of `match_concepts`: by name, objects with `latents` and `weights`, and perhaps `fit` or
    `confidence`.
    """
    names: dict[int, LatentName] = {}
    for name, concept in (concepts or {}).items():
        fit = getattr(concept, "fit", None)
        fit = getattr(concept, "confidence", None) if fit is None else fit
        for latent, weight in zip(concept.latents, concept.weights, strict=True):
            one_of(f"the latent of {name!r}", latent, range(n_latents))
            current = names.get(latent)
            if current is None or (fit or 0) > (current.fit or 0):
                names[latent] = LatentName(str(name), fit, -1.0 if weight < 0 else 1.0)
    return names
