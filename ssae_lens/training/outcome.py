"""The outcome of training: the state of the constraint, and the fit of the SSAE that is saved."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ssae_lens.sae import SSAE

# A code counts as active above this fraction of its shift's largest.
ACTIVE = 0.1


@dataclass(frozen=True)
class FitQuality:
    """The fit of an SSAE to `n_rows` shifts: FVU, active latents, mean ``|code|`` and typical codes, as in `Outcome`."""

    fvu: float
    active: float
    mean_abs: float
    n_rows: int
    typical: list[float] = field(default_factory=list)

    def summary(self, n_shifts: int | None) -> str:
        """Return the fit as text, which names the sample where not all of `n_shifts` were measured."""
        sample = f"the first {self.n_rows} shifts" if n_shifts is None else f"{self.n_rows} of {n_shifts} shifts"
        measured_on = "" if self.n_rows == n_shifts else f" on {sample}"
        return f"FVU {self.fvu:.4f}{measured_on}, {self.active:.1f} active latents per pair"


@torch.no_grad()
def measure_fit(ssae: SSAE, blocks: Iterable[Float[Tensor, "b d"]]) -> FitQuality:
    """Return the fit of an SSAE to blocks of shifts."""
    error = energy = active = total = 0.0
    squares, sizes = torch.zeros(2, ssae.cfg.d_sae, dtype=torch.float64)
    n_rows = 0
    for block in blocks:
        codes = ssae.encode(block.to(ssae.W_enc))
        reconstructed = ssae.decode(codes).to(block)
        # Norms are computed in float64, where squares of tiny and huge shifts fit.
        error += torch.linalg.vector_norm(block - reconstructed, dtype=torch.float64).item() ** 2
        energy += torch.linalg.vector_norm(block, dtype=torch.float64).item() ** 2
        active += active_codes(codes, exact=ssae.cfg.has_threshold) * len(block)
        total += codes.abs().mean().item() * len(block)
        precise = codes.cpu().double()
        squares += precise.square().sum(0)
        sizes += precise.abs().sum(0)
        n_rows += len(block)
    fvu = error / energy if energy else float(error > 0)
    typical = squares / sizes.clamp(min=torch.finfo(torch.float64).tiny)
    return FitQuality(fvu, active / n_rows, total / n_rows, n_rows, typical.tolist())


def record_sizes(ssae: SSAE, typical: list[float], norms: dict[str, float]) -> None:
    """Write the typical size of each latent's codes, and the mean norms of the data, into an SSAE's metadata."""
    ssae.cfg.metadata.typical = [float(f"{size:.6g}") for size in typical]
    ssae.cfg.metadata.norms = {name: float(f"{norm:.6g}") for name, norm in norms.items()}


def active_codes(codes: Float[Tensor, "b h"], *, exact: bool = False) -> float:
    """Return the mean number of codes of a shift above a tenth of its largest, or of `exact` ones that are not zero."""
    sizes = codes.abs()
    if exact:
        return (sizes > 0).float().sum(-1).mean().item()
    return (sizes > ACTIVE * sizes.amax(-1, keepdim=True)).float().sum(-1).mean().item()


@dataclass(frozen=True)
class Outcome:
    """The outcome of training.

    The loss, the sparsity, the multiplier and the objective belong to the constrained problem in the encoder's space
    (`ProblemConfig.input`). The FVU, the active latents and the mean ``|code|`` belong to the SSAE that is saved, after its
    rows were refitted and split features merged, and to the shifts themselves: all of them where memory holds them, else at
    most 100 000, evenly spaced or, of an iterator, the first.

    Attributes
    ----------
    status
        ``"binding"``, ``"slack"`` (the bound has no effect), ``"infeasible"`` (it was not met) or ``"diverged"``.
    loss, sparsity
        Both at the end of training, of the kinds the problem states.
    multiplier
        Of the bound, over the last third of training.
    objective
        What was minimised; the restart with the lowest is kept.
    fvu
        The fraction of variance unexplained, about zero: Σ‖δ − δ̂‖² / Σ‖δ‖², in residual-stream units.
    active, mean_abs
        The mean number of codes above a tenth of a shift's largest (with thresholds: that are not zero), and the mean
        ``|code|``.
    typical
        The typical size of each latent's codes, Σh² / Σ|h|.
    history
        The log: a row every hundredth of the steps.
    summary, details
        The parts of `message`: the fit, and remarks on the bound and on the latents' stability.
    """

    seed: int
    bound: float
    status: str
    loss: float
    sparsity: float
    multiplier: float
    objective: float
    fvu: float = float("nan")
    active: float = float("nan")
    mean_abs: float = float("nan")
    summary: str = ""
    details: str = ""
    typical: list[float] = field(default_factory=list, repr=False)
    history: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @property
    def message(self) -> str:
        """The outcome in one or two sentences."""
        verdict = "Not converged" if self.status == "infeasible" else "Converged"
        fit = f"{verdict}: {self.summary}." if self.summary else ""
        return " ".join(filter(None, (fit, self.details)))

    def with_fit(self, fit: FitQuality, n_shifts: int | None) -> "Outcome":
        """Return this outcome with the fit of the SSAE that is saved."""
        summary = fit.summary(n_shifts)
        return replace(
            self, fvu=fit.fvu, active=fit.active, mean_abs=fit.mean_abs, summary=summary, typical=fit.typical
        )

    def with_details(self, details: str) -> "Outcome":
        """Return this outcome with a further sentence in its message."""
        return replace(self, details=" ".join(filter(None, (self.details, details))))

    def to_metadata(self) -> dict[str, Any]:
        """Return what the metadata of an SSAE keep of it."""
        names = ("status", "message", "fvu", "active", "mean_abs", "loss", "sparsity", "bound", "multiplier", "seed")
        return {name: getattr(self, name) for name in names}
