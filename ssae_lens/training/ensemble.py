"""The SSAEs being trained: the weights of several members of one width, side by side.

Ensemble differ in their seed and in their bound, and share every batch. With one member this is an ordinary model.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.measures import Measure
from ssae_lens.training.objective import Loss, Weights, evaluate

EPS = 1e-5
# Numbers that a core's cache surely holds.
CACHED = 1 << 18


class Ensemble(nn.Module):
    """Weights of members, each begun from its own seed: random decoder rows on the sphere, the encoder their transpose."""

    input_scale: Tensor
    input_offset: Tensor
    code_scale: Tensor
    code_offset: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, problem: ProblemConfig, seeds: Sequence[int]) -> None:
        super().__init__()
        self.problem = problem
        rows = [_rows(problem.d_sae, width, seed) for seed in seeds]
        self.W_dec = nn.Parameter(torch.stack(rows))
        # A copy: the transpose of a single row or column is contiguous as it stands, and would share the decoder's memory.
        self.W_enc = nn.Parameter(self.W_dec.detach().mT.clone(memory_format=torch.contiguous_format))
        n = len(seeds)
        # A batch's normalisation takes an offset before it away again.
        offset = problem.bias and problem.code_norm != "batch"
        self.b_enc = nn.Parameter(torch.zeros(n, problem.d_sae)) if offset else None
        self.b_dec = nn.Parameter(torch.zeros(n, width)) if problem.bias else None
        if problem.sample_norm == "layer":
            self.input_scale = nn.Parameter(torch.ones(n, width))
            self.input_offset = nn.Parameter(torch.zeros(n, width))
        if problem.code_norm != "none":
            self.code_scale = nn.Parameter(torch.ones(n, problem.d_sae))
            self.code_offset = nn.Parameter(torch.zeros(n, problem.d_sae))
        if problem.code_norm == "batch":
            self.register_buffer("running_mean", torch.zeros(n, problem.d_sae))
            self.register_buffer("running_var", torch.ones(n, problem.d_sae))

    def __len__(self) -> int:
        return len(self.W_enc)

    @property
    def weights(self) -> Weights:
        """The weights that `evaluate` differentiates by."""
        return Weights(self.W_enc, self.W_dec, self.b_enc, self.b_dec)

    def loss_and_sparsity(
        self,
        shifts: Float[Tensor, "b r"],
        loss: Loss,
        measure: Measure,
        dtype: torch.dtype = torch.float32,
        into: Weights | None = None,
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Return each member's loss and sparsity on a batch; `evaluate` says what `into` is for."""
        if self.problem.linear:
            return evaluate(shifts, self.weights, loss, measure, dtype, into)
        with torch.autocast(shifts.device.type, dtype, enabled=dtype != torch.float32):
            output, codes = self(shifts, measure)
        lost = (output.float() - shifts).square().sum(2, keepdim=True) * loss.weights(shifts)
        return lost.sum((1, 2)), measure(codes.float())

    def forward(self, shifts: Float[Tensor, "b r"], measure: Measure) -> tuple[Tensor, Tensor]:
        """Return each member's reconstructions and codes, by PyTorch's own differentiation."""
        read, spread, centre = self._normalised(shifts)
        codes = self._codes_of(read, measure)
        output = codes @ _tangent(self.W_dec)
        if self.b_dec is not None:
            output = output + self.b_dec[:, None]
        return output * spread + centre, codes

    def codes(self, shifts: Float[Tensor, "b r"], measure: Measure) -> Float[Tensor, "m b h"]:
        """Return each member's codes alone."""
        return self._codes_of(self._normalised(shifts)[0], measure)

    @torch.no_grad()
    def renormalise(self) -> None:
        """Put decoder rows back on the sphere that a step left."""
        rows = self.W_dec.flatten(0, 1)
        # A block at a time, which is still in a core's cache when its norms are known.
        few = max(1, CACHED // rows.shape[1]) if rows.device.type == "cpu" else len(rows)
        for block in rows.split(few):
            block.div_(torch.linalg.vector_norm(block, dim=1, keepdim=True).clamp_(min=1e-8))

    def _codes_of(self, read: Float[Tensor, "m b r"], measure: Measure) -> Float[Tensor, "m b h"]:
        if self.b_dec is not None:
            read = read - self.b_dec[:, None]
        codes = read @ self.W_enc
        if self.b_enc is not None:
            codes = codes + self.b_enc[:, None]
        return measure.select(self._normalised_codes(codes))

    def _normalised(self, shifts: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """Standardise each shift as asked; the last two put a reconstruction back in its units."""
        if self.problem.sample_norm == "layer":
            read = F.layer_norm(shifts, shifts.shape[-1:])
            return read * self.input_scale[:, None] + self.input_offset[:, None], 1.0, 0.0
        if self.problem.sample_norm == "standardise":
            centre = shifts.mean(1, keepdim=True)
            spread = (shifts - centre).std(1, keepdim=True)
            return ((shifts - centre) / (spread + EPS)).expand(len(self), -1, -1), spread, centre
        return shifts.expand(len(self), -1, -1), 1.0, 0.0

    def _normalised_codes(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, "m b h"]:
        kind = self.problem.code_norm
        if kind == "none":
            return codes
        if kind == "layer":
            codes = F.layer_norm(codes, codes.shape[-1:])
        else:
            if self.training:
                mean, var = codes.mean(1), codes.var(1, correction=0)
                with torch.no_grad():
                    unbiased = var * codes.shape[1] / max(1, codes.shape[1] - 1)
                    self.running_mean.lerp_(mean, 0.1)
                    self.running_var.lerp_(unbiased, 0.1)
            else:
                mean, var = self.running_mean, self.running_var
            codes = (codes - mean[:, None]) * torch.rsqrt(var[:, None] + EPS)
        return codes * self.code_scale[:, None] + self.code_offset[:, None]


def _rows(d_sae: int, width: int, seed: int) -> Float[Tensor, "h r"]:
    rows = torch.randn(d_sae, width, generator=torch.Generator().manual_seed(seed))
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)


def _tangent(rows: Float[Tensor, "m h r"]) -> Float[Tensor, "m h r"]:
    """Return the rows themselves, whose gradient loses its part along each row: the fixed rows carry that part away."""
    fixed = rows.detach()
    return rows - fixed * ((rows - fixed) * fixed).sum(2, keepdim=True)
