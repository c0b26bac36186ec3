"""`Outcome`: how training ended, and how well the SSAE that is saved writes the shifts."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.sae import SSAE

# A code is active beyond this share of its shift's largest.
ACTIVE = 0.1


@dataclass(frozen=True)
class FitQuality:
    """How well an SSAE writes shifts.

    Attributes
    ----------
    fvu
        The fraction of variance unexplained, about zero: Σ‖δ − δ̂‖² / Σ‖δ‖², in residual-stream units.
    active
        The mean number of codes beyond a tenth of a shift's largest.
    mean_abs
        The mean ``|code|``.
    n_rows
        The number of shifts measured.
    """

    fvu: float
    active: float
    mean_abs: float
    n_rows: int

    def summary(self, n_shifts: int | None) -> str:
        """Return this in words, with the sample measured where it is not all of the shifts."""
        sample = (
            f" on the first {self.n_rows} shifts" if n_shifts is None else f" on {self.n_rows} of {n_shifts} shifts"
        )
        of = "" if self.n_rows == n_shifts else sample
        return f"FVU {self.fvu:.4f}{of}, {self.active:.1f} active latents per pair"


@torch.no_grad()
def measure_fit(ssae: SSAE, blocks: Iterable[Float[Tensor, "b d"]]) -> FitQuality:
    """Measure an SSAE on blocks of shifts."""
    lost = energy = active = total = 0.0
    n_rows = 0
    for block in blocks:
        codes = ssae.encode(block.to(ssae.W_enc))
        back = ssae.decode(codes).to(block)
        # Norms are taken in float64, where squares of tiny and huge shifts fit.
        lost += torch.linalg.vector_norm(block - back, dtype=torch.float64).item() ** 2
        energy += torch.linalg.vector_norm(block, dtype=torch.float64).item() ** 2
        active += active_codes(codes) * len(block)
        total += codes.abs().mean().item() * len(block)
        n_rows += len(block)
    return FitQuality(lost / energy if energy else float(lost > 0), active / n_rows, total / n_rows, n_rows)


def active_codes(codes: Float[Tensor, "b h"]) -> float:
    """Return the mean number of codes of a shift beyond a tenth of its largest."""
    sizes = codes.abs()
    return (sizes > ACTIVE * sizes.amax(-1, keepdim=True)).float().sum(-1).mean().item()


@dataclass(frozen=True)
class Outcome:
    """What training gave.

    The loss, the sparsity, the multiplier and the objective are of the constrained problem, whose shifts are those that the
    encoder reads (`ProblemConfig.input`). The FVU, the active latents and the mean ``|code|`` are of the SSAE that is saved,
    after its rows were fitted anew and split features merged, on the shifts themselves: on all of them where memory holds
    them, else on at most 100 000, evenly spaced or, of an iterator, the first.

    Attributes
    ----------
    status
        ``"binding"``, ``"slack"`` (the bound does nothing), ``"infeasible"`` (it could not be met) or ``"diverged"``.
    message
        The same in words, with the FVU and the active latents.
    loss
        The loss at the end, of the kind the problem states.
    sparsity
        The sparsity measure at the end.
    mean_abs, active
        The mean ``|code|``, and the mean number of codes beyond a tenth of a shift's largest.
    multiplier
        Of the bound, over the last third of training.
    objective
        What was minimised; the lowest of several restarts is kept.
    fvu
        The fraction of variance unexplained, about zero: Σ‖δ − δ̂‖² / Σ‖δ‖².
    summary, details
        What `message` is made of: the fit, and what is to be said of the bound and of the latents.
    """

    seed: int
    bound: float
    status: str
    message: str
    loss: float
    sparsity: float
    mean_abs: float
    active: float
    multiplier: float
    objective: float
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)
    fvu: float = float("nan")
    summary: str = field(default="", repr=False)
    details: str = field(default="", repr=False)

    def of_fit(self, fit: FitQuality, n_shifts: int | None) -> "Outcome":
        """Return this outcome with the fit of the SSAE that is saved."""
        numbers = {"fvu": fit.fvu, "active": fit.active, "mean_abs": fit.mean_abs}
        return replace(self, **numbers, summary=fit.summary(n_shifts))._worded()

    def adding(self, details: str) -> "Outcome":
        """Return this outcome with a sentence more in its message."""
        return replace(self, details=" ".join(filter(None, (self.details, details))))._worded()

    def _worded(self) -> "Outcome":
        verdict = "Not converged" if self.status == "infeasible" else "Converged"
        said = "" if self.status == "diverged" else f"{verdict}: {self.summary}."
        return replace(self, message=" ".join(filter(None, (said, self.details))))

    def to_metadata(self) -> dict[str, Any]:
        """Return what an SSAE's metadata keep of it."""
        names = ("status", "message", "fvu", "active", "mean_abs", "loss", "sparsity", "bound", "multiplier", "seed")
        return {name: getattr(self, name) for name in names}
