"""The training SSAE, for SAELens's own `SAETrainer`.

It minimises the reconstruction error, subject to a bound on the mean ``|code|``.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from sae_lens.saes.sae import (
    TrainCoefficientConfig,
    TrainingSAE,
    TrainingSAEConfig,
    TrainStepInput,
    TrainStepOutput,
)
from torch import Tensor, nn
from typing_extensions import override

from ssae_lens.base import checks
from ssae_lens.sae.files import ARCHITECTURE, check_weights, save
from ssae_lens.sae.ssae import SSAEConfig, activation, check_widths, initialise


@dataclass(kw_only=True)
class TrainingSSAEConfig(TrainingSAEConfig):
    """Configuration of a `TrainingSSAE`.

    Parameters
    ----------
    level
        The bound on the mean ``|code|`` of a batch, in the units of the shifts. None sets no bound.
    dual_lr
        The learning rate of the bound's multiplier, relative to the mean squared norm of the shifts.
    k
        Keep only the k largest ``|codes|`` of each shift, as SAELens's AbsTopK does. None keeps all.
    """

    apply_b_dec_to_input: bool = False
    decoder_init_norm: float | None = 1.0
    level: float | None = 0.1
    dual_lr: float = 0.01
    k: int | None = None

    @override
    @classmethod
    def architecture(cls) -> str:
        return ARCHITECTURE

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.python_numbers(self)
        check_widths(self.d_in, self.d_sae, self.k)
        if self.level is not None:
            checks.above("level", self.level, 0, "Give a bound on the mean |code|, or None for no bound.")
        checks.above("dual_lr", self.dual_lr, 0)

    @override
    def get_inference_sae_cfg_dict(self) -> dict[str, Any]:
        self.add_training_info_to_metadata()
        shared = {field.name for field in fields(self)} & {field.name for field in fields(SSAEConfig)}
        return SSAEConfig(**{name: getattr(self, name) for name in shared}).to_dict()


class TrainingSSAE(TrainingSAE[TrainingSSAEConfig]):
    """An SSAE that SAELens's `SAETrainer` trains: reconstruction, subject to mean ``|code|`` ≤ level.

    The multiplier of the bound rises while the bound is violated and falls, not below zero, while it is slack. Decoder rows
    have unit norm at every step, and their gradients are tangent to that sphere. (`ssae_lens.train` solves the same problem
    faster, with Cooper.)
    """

    b_enc: nn.Parameter
    multiplier: Tensor

    @override
    def initialize_weights(self) -> None:
        super().initialize_weights()
        initialise(self)
        self.register_buffer("multiplier", torch.zeros((), dtype=torch.float32, device=self.device))

    @override
    def get_activation_fn(self) -> Any:
        return activation(self.cfg.k)

    @override
    def get_coefficients(self) -> dict[str, float | TrainCoefficientConfig]:
        return {}

    @override
    def encode_with_hidden_pre(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hook_sae_acts_pre(self.process_sae_in(x) @ self.W_enc + self.b_enc)
        return self.hook_sae_acts_post(self.activation_fn(hidden)), hidden

    @override
    def decode(self, feature_acts: Tensor) -> Tensor:
        shifts = self.hook_sae_recons(feature_acts @ _TangentRows.apply(self.W_dec) + self.b_dec)
        return self.reshape_fn_out(self.run_time_activation_norm_fn_out(shifts), self.d_head)

    @override
    def training_forward_pass(self, step_input: TrainStepInput) -> TrainStepOutput:
        with torch.no_grad():
            self.W_dec.div_(self.get_W_dec_norm()[:, None])
        output = super().training_forward_pass(step_input)
        output.metrics["multiplier"] = self.multiplier.detach().clone()
        return output

    @override
    def calculate_aux_loss(
        self, step_input: TrainStepInput, feature_acts: Tensor, hidden_pre: Tensor, sae_out: Tensor
    ) -> dict[str, Tensor]:
        if self.cfg.level is None:
            return {}
        violation = feature_acts.abs().mean() / self.cfg.level - 1
        with torch.no_grad():
            # In the units of the loss, so that one learning rate suits shifts of any size.
            energy = step_input.sae_in.float().square().sum(-1).mean()
            self.multiplier.add_(self.cfg.dual_lr * energy * violation.float()).clamp_(min=0)
        return {"sparsity_loss": (self.multiplier * violation).to(sae_out.dtype)}

    @override
    def process_state_dict_for_saving_inference(self, state_dict: dict[str, Any]) -> None:
        super().process_state_dict_for_saving_inference(state_dict)
        del state_dict["multiplier"]
        # The optimiser's last step left the rows' norms near one: they are folded into the encoder.
        norms = self.get_W_dec_norm()
        state_dict["W_dec"] = state_dict["W_dec"] / norms[:, None]
        if self.cfg.k is None:
            state_dict["W_enc"] = state_dict["W_enc"] * norms
            state_dict["b_enc"] = state_dict["b_enc"] * norms

    @override
    def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
        check_weights(self.cfg.metadata, state_dict, self.cfg.dtype)
        super().process_state_dict_for_loading(state_dict)

    @override
    def save_model(self, path: str | Path) -> tuple[Path, Path]:
        # SAELens's trainer chooses its folders, and saves to them repeatedly.
        return save(super().save_model, path, {}, overwrite=True)

    @override
    def save_inference_model(self, path: str | Path) -> tuple[Path, Path]:
        return save(super().save_inference_model, path, {}, overwrite=True)


class _TangentRows(torch.autograd.Function):
    """The identity on a matrix of unit rows, whose gradient has no component along each row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(rows)
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (rows,) = ctx.saved_tensors
        return gradient - rows * (gradient * rows).sum(-1, keepdim=True)
