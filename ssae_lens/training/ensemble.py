"""Ensemble: the weights of several SSAEs of one width that train side by side.

Members differ in their seed and in their bound, and share every batch. An ensemble of one member is an ordinary model.
"""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor, nn
from torch.nn import functional as F

from ssae_lens.sae import SSAE, SSAEConfig
from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.input_map import InputMap
from ssae_lens.training.objective import Loss, Measure, Weights, evaluate

EPS = 1e-5
# The number of floats that surely fit a core's cache.
CACHED = 1 << 18


class Ensemble(nn.Module):
    """Weights of members, each initialised from its seed: random unit decoder rows, and their transpose as the encoder."""

    input_scale: Tensor
    input_offset: Tensor
    code_scale: Tensor
    code_offset: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, problem: ProblemConfig, seeds: Sequence[int]) -> None:
        super().__init__()
        self.problem = problem
        rows = [_random_rows(problem.d_sae, width, seed) for seed in seeds]
        self.W_dec = nn.Parameter(torch.stack(rows))
        # A copy: the transpose of a single row or column is contiguous already, and would share the decoder's memory.
        self.W_enc = nn.Parameter(self.W_dec.detach().mT.clone(memory_format=torch.contiguous_format))
        n = len(seeds)
        # Batch normalisation would remove an offset before it.
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
        self, shifts: Float[Tensor, "b r"], loss: Loss, measure: Measure, into: Weights | None = None
    ) -> tuple[Float[Tensor, " m"], Float[Tensor, " m"]]:
        """Return each member's loss and sparsity on a batch; for `into` see `evaluate`."""
        if self.problem.linear:
            return evaluate(shifts, self.weights, loss, measure, into)
        output, codes = self(shifts, measure)
        errors = (output - shifts).square().sum(2, keepdim=True) * loss.weights(shifts)
        return errors.sum((1, 2)), measure(codes)

    def forward(self, shifts: Float[Tensor, "b r"], measure: Measure) -> tuple[Tensor, Tensor]:
        """Return each member's reconstructions and codes, differentiable by PyTorch."""
        inputs, spread, centre = self._normalise_inputs(shifts)
        codes = self._codes_of(inputs, measure)
        output = codes @ _tangent(self.W_dec)
        if self.b_dec is not None:
            output = output + self.b_dec[:, None]
        return output * spread + centre, codes

    def codes(self, shifts: Float[Tensor, "b r"], measure: Measure) -> Float[Tensor, "m b h"]:
        """Return each member's codes."""
        return self._codes_of(self._normalise_inputs(shifts)[0], measure)

    @torch.no_grad()
    def renormalise(self) -> None:
        """Scale decoder rows back to unit norm after a step."""
        rows = self.W_dec.flatten(0, 1)
        # A block at a time, so that it is still in the core's cache when its norms are known.
        block_rows = max(1, CACHED // rows.shape[1]) if rows.device.type == "cpu" else len(rows)
        for block in rows.split(block_rows):
            block.div_(torch.linalg.vector_norm(block, dim=1, keepdim=True).clamp_(min=1e-8))

    @torch.no_grad()
    def to_ssae(
        self,
        member: int,
        input_map: InputMap,
        metadata: dict[str, Any],
        k: int | None = None,
        rows: Float[Tensor, "h d"] | None = None,
    ) -> SSAE:
        """Return one member as an SSAE of shifts in residual units, with everything linear folded into its weights.

        `rows`, in residual units, replace the member's own decoder rows.
        """
        problem = self.problem
        W_enc = self.W_enc[member]
        b_enc = torch.zeros_like(W_enc[0]) if self.b_enc is None else self.b_enc[member]
        b_dec = torch.zeros_like(W_enc[:, 0]) if self.b_dec is None else self.b_dec[member]
        # The pre-bias: what the encoder subtracts from its input is a constant of its output.
        b_enc = b_enc - b_dec @ W_enc
        config: dict[str, Any] = {} if k is None else {"k": k}
        if problem.sample_norm == "layer":
            b_enc = b_enc + self.input_offset[member] @ W_enc
            W_enc = self.input_scale[member][:, None] * W_enc
            config["input_norm"] = "layer"
        elif problem.sample_norm == "standardise":
            config["normalize_activations"] = "layer_norm"
        if problem.code_norm == "batch":
            gain = self.code_scale[member] * torch.rsqrt(self.running_var[member] + EPS)
            W_enc = W_enc * gain
            b_enc = (b_enc - self.running_mean[member]) * gain + self.code_offset[member]
        elif problem.code_norm == "layer":
            config["code_norm"] = "layer"
        W_enc, b_dec = input_map.fold(W_enc), input_map.restore(b_dec)
        rows = input_map.restore(self.W_dec[member]) if rows is None else rows
        lengths = input_map.lengths(rows)
        d_in, d_sae = W_enc.shape
        ssae = SSAE(SSAEConfig(d_in=d_in, d_sae=d_sae, metadata=SAEMetadata(**metadata), **config))
        state = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": rows / lengths[:, None], "b_dec": b_dec}
        if "code_norm" in config:
            state["code_scale"] = self.code_scale[member] * lengths
            state["code_offset"] = self.code_offset[member] * lengths
        else:
            state["W_enc"], state["b_enc"] = W_enc * lengths, b_enc * lengths
        ssae.load_state_dict(state)
        return ssae

    def _codes_of(self, inputs: Float[Tensor, "m b r"], measure: Measure) -> Float[Tensor, "m b h"]:
        if self.b_dec is not None:
            inputs = inputs - self.b_dec[:, None]
        codes = inputs @ self.W_enc
        if self.b_enc is not None:
            codes = codes + self.b_enc[:, None]
        return measure.select(self._normalise_codes(codes))

    def _normalise_inputs(self, shifts: Tensor) -> tuple[Tensor, Tensor | float, Tensor | float]:
        """Return standardised shifts, and the scale and offset that put a reconstruction back in their units."""
        if self.problem.sample_norm == "layer":
            inputs = F.layer_norm(shifts, shifts.shape[-1:])
            return inputs * self.input_scale[:, None] + self.input_offset[:, None], 1.0, 0.0
        if self.problem.sample_norm == "standardise":
            centre = shifts.mean(1, keepdim=True)
            spread = (shifts - centre).std(1, keepdim=True)
            return ((shifts - centre) / (spread + EPS)).expand(len(self), -1, -1), spread, centre
        return shifts.expand(len(self), -1, -1), 1.0, 0.0

    def _normalise_codes(self, codes: Float[Tensor, "m b h"]) -> Float[Tensor, "m b h"]:
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


def _random_rows(d_sae: int, width: int, seed: int) -> Float[Tensor, "h r"]:
    rows = torch.randn(d_sae, width, generator=torch.Generator().manual_seed(seed))
    return rows / torch.linalg.vector_norm(rows, dim=1, keepdim=True)


def _tangent(rows: Float[Tensor, "m h r"]) -> Float[Tensor, "m h r"]:
    """Return the same rows, whose gradient has no component along each row: the detached rows cancel it."""
    fixed = rows.detach()
    return rows - fixed * ((rows - fixed) * fixed).sum(2, keepdim=True)
