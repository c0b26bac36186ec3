"""`Latents`: an SSAE's latents in numbers, and, where shifts are given, what they say of these."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float

from ssae_lens.base.checks import one_of
from ssae_lens.latents.codes import Shifts, codes_of
from ssae_lens.metrics import correlations, cosines, density
from ssae_lens.shifts import ShiftStore

if TYPE_CHECKING:
    from ssae_lens.sae import SSAE

BINS = 40


class Latents:
    """The latents of an SSAE on some shifts.

    Parameters
    ----------
    ssae
        The SSAE.
    shifts
        A store of shifts of its hook, or an array of them; without any, only the decoder is known.

    Attributes
    ----------
    decoder
        Its decoder.
    codes
        Its codes of the shifts, or None.
    broken
        Whether a latent's decoder row or codes hold what is not a number; these count as zero in all that follows.
    concepts, labels
        The store's, where it has any.
    """

    def __init__(self, ssae: "SSAE", shifts: Shifts | None = None) -> None:
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

    def require(self, latent: object) -> int:
        """Return the number of a latent, or raise."""
        if not isinstance(latent, int | np.integer) or isinstance(latent, bool) or not 0 <= latent < len(self):
            raise ValueError(f"latent is {latent!r}; this SSAE has latents 0 to {len(self) - 1}.")
        return int(latent)

    @cached_property
    def strength(self) -> Float[np.ndarray, " k"]:
        """Each latent's mean |code|; NaN where it is broken, or there are no shifts."""
        if self.codes is None:
            return np.full(len(self), np.nan)
        return np.where(self.broken, np.nan, abs(self.codes).mean(axis=0, dtype=np.float64))

    @cached_property
    def density(self) -> Float[np.ndarray, " k"]:
        """The share of shifts that each latent is active in, as `metrics.density` counts."""
        if self.codes is None:
            return np.full(len(self), np.nan)
        return np.where(self.broken, np.nan, density(self.codes))

    @cached_property
    def correlations(self) -> Float[np.ndarray, "k c"] | None:
        """Every latent's correlation with every labelled concept."""
        if self.codes is None or self.labels is None or len(self.codes) < 2:
            return None
        return correlations(self.codes, self.labels)

    @cached_property
    def cosines(self) -> Float[np.ndarray, "k k"]:
        """The cosine of every two decoder rows."""
        return cosines(self.decoder, self.decoder)

    @cached_property
    def order(self) -> list[int]:
        """The latents, strongest first."""
        return np.argsort(-np.nan_to_num(self.strength, nan=-1), kind="stable").tolist()

    def nearest(self, latent: int, most: int = 6) -> list[tuple[int, float]]:
        """Return the latents whose decoder rows are most along a latent's, either way round, with their cosines."""
        found = self.cosines[latent]
        order = np.argsort(-abs(found), kind="stable")
        return [(int(other), float(found[other])) for other in order[order != latent][:most]]

    def histogram(self, latent: int) -> tuple[Float[np.ndarray, " b1"], Float[np.ndarray, " b"]]:
        """Count a latent's codes, but for those of exactly zero, in about forty bins: the bins' edges and the counts.

        Zero is an edge between two bins.
        """
        assert self.codes is not None
        codes = self.codes[:, latent].astype(np.float64)
        codes = codes[codes != 0]
        low, high = min(codes.min(initial=0), 0), max(codes.max(initial=0), 0)
        width = (high - low) / BINS or 1.0
        edges = width * np.arange(np.floor(low / width), max(np.ceil(high / width), 1) + 1)
        # The outermost codes may round to just beyond the outermost edges.
        return edges, np.histogram(np.clip(codes, edges[0], edges[-1]), edges)[0]

    def similar_together(self, latents: list[int]) -> list[int]:
        """Return latents in an order in which those of like directions lie side by side."""
        from scipy.cluster.hierarchy import leaves_list, linkage
        from scipy.spatial.distance import squareform

        if len(latents) < 3:
            return latents
        apart = 1 - abs(self.cosines[np.ix_(latents, latents)].astype(np.float64))
        np.fill_diagonal(apart, 0)
        tree = linkage(squareform((apart + apart.T) / 2, checks=False), method="average")
        return [latents[each] for each in leaves_list(tree)]


@dataclass(frozen=True)
class Name:
    """What a latent was matched with: a concept, how surely, and which way round."""

    name: str = ""
    confidence: float | None = None
    sign: float = 1.0


def with_names(n_latents: int, concepts: Mapping[str, Any] | None) -> dict[int, Name]:
    """Return the names of the latents that have one.

    `concepts` maps names to what `match_concepts` gives: objects with `latent`, and perhaps `sign` and `confidence`. One
    without a latent was not found. Of two concepts of one latent the more confident names it.
    """
    named: dict[int, Name] = {}
    for name, concept in (concepts or {}).items():
        latent = getattr(concept, "latent", None)
        if latent is None:
            continue
        one_of(f"the latent of {name!r}", latent, range(n_latents))
        found = Name(str(name), getattr(concept, "confidence", None), float(getattr(concept, "sign", 1)))
        before = named.get(latent)
        if before is None or (found.confidence or 0) > (before.confidence or 0):
            named[latent] = found
    return named
