"""Gates: conditions on activations under which a token is steered."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ssae_lens.base import checks
from ssae_lens.steering_vector import SteeringVector

MEASURES = ("cosine", "projection")


@dataclass(frozen=True)
class Gate:
    """A condition under which `steer` steers a token: a measure of its activation is above a threshold.

    The activation is read at the gate's own hook, which must not be after the hooks that are steered, before it is steered.

    Parameters
    ----------
    on
        A vector with one hook, or an SAE of SAELens with `latent`.
    threshold
        Tokens with a value above it are steered.
    measure
        Of a vector: ``"cosine"`` of activation and direction, or ``"projection"``, the component along the direction.
    latent
        Of an SAE: the number of the latent whose code is the value.

    Examples
    --------
    >>> from ssae_lens.hooks import steer
    >>> from ssae_lens.models import tiny_model
    >>> vector = SteeringVector(torch.ones(32), "blocks.1.hook_resid_post")
    >>> with steer(tiny_model("gpt2"), vector, gate=Gate(vector, 0.1)) as steering:
    ...     logits = steering.model("The man said")
    """

    on: Any
    threshold: float
    measure: Literal["cosine", "projection"] = "cosine"
    latent: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.on, SteeringVector):
            checks.one_of("measure", self.measure, MEASURES)
            _ = self.on.hook_name  # raises where there are several
            if self.latent is not None:
                raise ValueError(f"latent is {self.latent!r}; a gate on a vector has none. Give the SAE instead.")
        elif not (hasattr(self.on, "encode") and hasattr(self.on, "cfg")):
            raise ValueError(f"on is {type(self.on).__name__}; give a SteeringVector, or an SAE with latent=….")
        elif checks.as_int(self.latent) is None or not 0 <= int(self.latent or 0) < self.on.cfg.d_sae:
            raise ValueError(f"latent is {self.latent!r}; this SAE has latents 0 to {self.on.cfg.d_sae - 1}.")
        elif not self.on.cfg.metadata.hook_name:
            raise ValueError("The SAE has no hook_name in its metadata; set cfg.metadata.hook_name.")

    @property
    def hook_name(self) -> str:
        """The hook at which activations are read."""
        return self.on.hook_name if isinstance(self.on, SteeringVector) else self.on.cfg.metadata.hook_name

    @torch.no_grad()
    def is_open(self, x: Float[Tensor, "batch pos d"]) -> Bool[Tensor, "batch pos"]:
        """Return which tokens are above the threshold."""
        return self.values(x) > self.threshold

    @torch.no_grad()
    def values(self, x: Float[Tensor, "batch pos d"]) -> Float[Tensor, "batch pos"]:
        """Return the measure of each token."""
        if not isinstance(self.on, SteeringVector):
            return self.on.encode(x.to(self.on.W_enc))[..., self.latent].to(x.device)
        direction = self.on.direction.to(x.device, torch.float32)
        projection = x.float() @ (direction / direction.norm())
        return projection if self.measure == "projection" else projection / x.float().norm(dim=-1).clamp_min(1e-12)
