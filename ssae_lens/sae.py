"""The Sparse Shift Autoencoder, as SAELens knows architectures.

`SSAE` and `SSAEConfig` are what is saved, loaded and steered with; `TrainingSSAE` and `TrainingSSAEConfig` are their
twins for SAELens's own `SAETrainer`. `register()` makes SAELens's loaders know the architecture ``"ssae"``.

An SSAE reads a shift δ = z̃ − z between two activations of a pair of texts::

    h = δ · W_enc + b_enc          signed codes, no activation function
    δ̂ = h · W_dec + b_dec          rows of W_dec have unit length

so ``decode(e_k) − b_dec`` is row k of ``W_dec``: a steering vector in residual-stream units.
"""

import json
import shutil
import sys
import tempfile
import warnings
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from sae_lens.registry import (
    SAE_CLASS_REGISTRY,
    SAE_TRAINING_CLASS_REGISTRY,
    register_sae_class,
    register_sae_training_class,
)
from sae_lens.saes.abstopk_sae import AbsTopK
from sae_lens.saes.sae import (
    SAE,
    SAEConfig,
    TrainCoefficientConfig,
    TrainingSAE,
    TrainingSAEConfig,
    TrainStepInput,
    TrainStepOutput,
)
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self, override

from ssae_lens.base import assets, checks, hub
from ssae_lens.base.origin import Origin

ARCHITECTURE = "ssae"


@dataclass
class SSAEConfig(SAEConfig):
    """Configuration of an `SSAE`: SAELens's fields, and what of a model is not linear.

    Everything linear that training did to its input (standardising, whitening, a subspace, a pre-bias) is folded into the
    weights. What cannot be folded stays here and is applied; all of it is off by default.

    Parameters
    ----------
    k
        Keep only the k largest ``|codes|`` of a shift, with their signs. None keeps all.
    input_norm
        ``"layer"`` standardises each shift over its dimensions before the encoder and leaves the output as it is. (To have
        the output scaled back as well, SAELens's ``normalize_activations="layer_norm"`` is the mode.) ``"whitened_layer"``
        first maps the shift by ``W_in`` and ``b_in``, which then belong to the weights.
    code_norm
        ``"layer"`` or ``"group"`` normalises the codes of a shift, over all latents or over each of `code_groups` groups; a
        learned scale and offset, ``code_scale`` and ``code_offset``, then belong to the weights.
    code_groups
        The number of groups for ``code_norm="group"``.
    """

    apply_b_dec_to_input: bool = False
    k: int | None = None
    input_norm: Literal["none", "layer", "whitened_layer"] = "none"
    code_norm: Literal["none", "layer", "group"] = "none"
    code_groups: int = 1

    @override
    @classmethod
    def architecture(cls) -> str:
        return ARCHITECTURE

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_widths(self.d_in, self.d_sae, self.k)
        checks.one_of("input_norm", self.input_norm, ["none", "layer", "whitened_layer"])
        checks.one_of("code_norm", self.code_norm, ["none", "layer", "group"])
        checks.whole("code_groups", self.code_groups)
        if self.d_sae % self.code_groups:
            raise ValueError(
                f"code_groups is {self.code_groups}, which does not divide d_sae={self.d_sae}; choose a divisor of d_sae."
            )


class SSAE(SAE[SSAEConfig]):
    """A Sparse Shift Autoencoder: signed, unactivated codes of shifts, and unit-norm decoder rows to steer with."""

    b_enc: nn.Parameter
    # What training says of how it ended, where `train` made this SSAE.
    outcome: Any = None
    _warned_of_splicing = False

    @override
    def initialize_weights(self) -> None:
        super().initialize_weights()
        _initialise(self)
        if self.cfg.input_norm == "whitened_layer":
            self.W_in = nn.Parameter(torch.eye(self.cfg.d_in, dtype=self.dtype, device=self.device))
            self.b_in = nn.Parameter(torch.zeros_like(self.b_dec))
        if self.cfg.code_norm != "none":
            ones = torch.ones(self.cfg.d_sae, dtype=self.dtype, device=self.device)
            self.code_scale = nn.Parameter(ones)
            self.code_offset = nn.Parameter(torch.zeros_like(ones))

    @override
    def get_activation_fn(self) -> Any:
        return nn.Identity() if self.cfg.k is None else AbsTopK(self.cfg.k)

    @override
    def encode(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_sae"]:
        """Give the signed codes of shifts."""
        self._warn_if_spliced_bare()
        shifts = self.process_sae_in(x)
        if self.cfg.input_norm == "whitened_layer":
            shifts = shifts @ self.W_in + self.b_in
        if self.cfg.input_norm != "none":
            shifts = F.layer_norm(shifts, (self.cfg.d_in,))
        codes = self.hook_sae_acts_pre(shifts @ self.W_enc + self.b_enc)
        if self.cfg.code_norm != "none":
            groups = self.cfg.code_groups if self.cfg.code_norm == "group" else 1
            flat = codes.reshape(-1, self.cfg.d_sae)
            codes = F.group_norm(flat, groups, self.code_scale, self.code_offset).reshape(codes.shape)
        return self.hook_sae_acts_post(self.activation_fn(codes))

    @override
    def decode(self, feature_acts: Float[Tensor, "... d_sae"]) -> Float[Tensor, "... d_in"]:
        """Give the shifts that codes stand for."""
        shifts = self.hook_sae_recons(feature_acts @ self.W_dec + self.b_dec)
        return self.reshape_fn_out(self.run_time_activation_norm_fn_out(shifts), self.d_head)

    @property
    def origin(self) -> Origin:
        """Where the shifts came from that this SSAE was trained on."""
        return _origin(self.cfg)

    @classmethod
    def from_weights(
        cls,
        W_enc: Float[Tensor, "d_in d_sae"],
        W_dec: Float[Tensor, "d_sae d_in"],
        b_enc: Float[Tensor, "d_sae"] | None = None,
        b_dec: Float[Tensor, "d_in"] | None = None,
        **config: Any,
    ) -> Self:
        """Make an SSAE of weights at hand; biases are zero unless given, and `config` goes to `SSAEConfig`."""
        d_in, d_sae = W_enc.shape
        ssae = cls(SSAEConfig(d_in=d_in, d_sae=d_sae, **config))
        weights = {"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec}
        state = {name: value.detach().contiguous() for name, value in weights.items() if value is not None}
        ssae.process_state_dict_for_loading(ssae.state_dict() | state)
        ssae.load_state_dict(state, strict=False)
        return ssae

    @override
    @torch.no_grad()
    def fold_and_get_W_dec_norm(self) -> Tensor:
        norms = self.get_W_dec_norm()
        if self.cfg.k is not None and not torch.allclose(norms, torch.ones_like(norms), atol=1e-3):
            raise ValueError(
                f"W_dec has rows of norm {norms.min():.3g} to {norms.max():.3g} and k={self.cfg.k}: folding the norms would "
                "change which codes are the k largest. Train with unit-norm rows, or set cfg.k to None first."
            )
        if self.cfg.code_norm == "none":
            return super().fold_and_get_W_dec_norm()
        # A normalised code forgets the encoder's scale: what multiplies a code stands behind the normalisation.
        self.W_dec.div_(norms[:, None])
        self.code_scale.mul_(norms)
        self.code_offset.mul_(norms)
        return norms

    @override
    def save_model(self, path: str | Path) -> tuple[Path, Path]:
        """Save weights and configuration the SAELens way, each file whole or not at all."""
        return _move_in(super().save_model, path)

    @classmethod
    @override
    def load_from_disk(cls, path: str | Path, *args: Any, **kwargs: Any) -> Self:
        """Load what `save_model` wrote, or any folder that a SAELens ``converter=`` reads."""
        if "converter" not in kwargs and len(args) < 3:
            _check_folder(path)
        try:
            return super().load_from_disk(path, *args, **kwargs)
        except SafetensorError as error:
            raise ValueError(f"The weights in {path} are not whole ({error}); save or copy the SSAE again.") from None

    @classmethod
    @override
    def from_pretrained_with_cfg_and_sparsity(
        cls, release: str, sae_id: str, device: str = "cpu", dtype: str = "float32", *args: Any, **kwargs: Any
    ) -> tuple[Self, dict[str, Any], Tensor | None]:
        """Load a release that ships with the package, else one of SAELens's releases or a Hub repository ``user/name``."""
        if release in assets.shipped():
            folder = assets.asset_path(release, sae_id)
            ssae = cls.load_from_disk(folder, device, dtype, fold_W_dec_norm=kwargs.get("fold_W_dec_norm", False))
            return ssae, ssae.cfg.to_dict(), None
        if "/" not in release and release not in get_pretrained_saes_directory():
            raise ValueError(assets.no_release(release))
        with hub.explained(release, sae_id):
            return super().from_pretrained_with_cfg_and_sparsity(release, sae_id, device, dtype, *args, **kwargs)

    @override
    def process_state_dict_for_loading(self, state_dict: dict[str, Any]) -> None:
        expected = {name: tuple(value.shape) for name, value in self.state_dict().items()}
        _check_shapes(expected, {name: tuple(value.shape) for name, value in state_dict.items()})

    def _warn_if_spliced_bare(self) -> None:
        """Warn, once, when a model runs this SSAE in place of its activations.

        SAELens tells an SAE nothing of how it was spliced; the only witness is the wrapper that calls `encode`.
        """
        if self._warned_of_splicing or torch.compiler.is_compiling():
            return
        caller = sys._getframe(2).f_locals.get("self")
        if isinstance(caller, nn.Module) and caller is not self and getattr(caller, "use_error_term", None) is False:
            self._warned_of_splicing = True
            warnings.warn(
                "An SSAE encodes shifts, not activations: spliced into a model without the error term it replaces the "
                "activations by what it makes of them. Use add_sae(ssae, use_error_term=True).",
                stacklevel=4,
            )


@dataclass(kw_only=True)
class TrainingSSAEConfig(TrainingSAEConfig):
    """Configuration of a `TrainingSSAE`, for SAELens's trainers.

    Parameters
    ----------
    level
        What the mean ``|code|`` of a batch may be at most, in the units of the shifts. None sets no bound.
    dual_lr
        How fast the multiplier of that bound answers a violation, relative to the energy of the shifts.
    k
        Train with the k largest ``|codes|`` of each shift alone, as SAELens's AbsTopK does. None keeps all.
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
        _check_widths(self.d_in, self.d_sae, self.k)
        if self.level is not None:
            checks.above("level", self.level, 0, "Give a bound on the mean |code|, or None for no bound.")
        checks.above("dual_lr", self.dual_lr, 0)

    @override
    def get_inference_sae_cfg_dict(self) -> dict[str, Any]:
        self.add_training_info_to_metadata()
        shared = {each.name for each in fields(self)} & {each.name for each in fields(SSAEConfig)}
        return SSAEConfig(**{name: getattr(self, name) for name in shared}).to_dict()


class TrainingSSAE(TrainingSAE[TrainingSSAEConfig]):
    """An SSAE in training by SAELens's `SAETrainer`: reconstruction, subject to mean ``|code|`` ≤ level.

    The multiplier of the bound is raised while the bound is violated and lowered, not below zero, while it is slack. Decoder
    rows are of unit length at every step, and gradients reach them in the tangent of that sphere. (`ssae_lens.train` solves
    the same problem faster, with any of Cooper's solvers.)
    """

    b_enc: nn.Parameter
    multiplier: Tensor

    @override
    def initialize_weights(self) -> None:
        super().initialize_weights()
        _initialise(self)
        self.register_buffer("multiplier", torch.zeros((), dtype=torch.float32, device=self.device))

    @override
    def get_activation_fn(self) -> Any:
        return nn.Identity() if self.cfg.k is None else AbsTopK(self.cfg.k)

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
            # In the units of the loss, so that one rate serves shifts of any size.
            energy = step_input.sae_in.float().square().sum(-1).mean()
            self.multiplier.add_(self.cfg.dual_lr * energy * violation.float()).clamp_(min=0)
        return {"sparsity_loss": (self.multiplier * violation).to(sae_out.dtype)}

    @override
    def process_state_dict_for_saving_inference(self, state_dict: dict[str, Any]) -> None:
        super().process_state_dict_for_saving_inference(state_dict)
        del state_dict["multiplier"]
        # The optimiser's last step left the rows a little off the sphere: the scale goes where the codes are made.
        norms = self.get_W_dec_norm()
        state_dict["W_dec"] = state_dict["W_dec"] / norms[:, None]
        if self.cfg.k is None:
            state_dict["W_enc"] = state_dict["W_enc"] * norms
            state_dict["b_enc"] = state_dict["b_enc"] * norms

    @override
    def save_model(self, path: str | Path) -> tuple[Path, Path]:
        return _move_in(super().save_model, path)

    @override
    def save_inference_model(self, path: str | Path) -> tuple[Path, Path]:
        return _move_in(super().save_inference_model, path)


class _TangentRows(torch.autograd.Function):
    """The identity on a matrix of unit rows, whose gradient loses what points along each row."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        ctx.save_for_backward(rows)
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        (rows,) = ctx.saved_tensors
        return gradient - rows * (gradient * rows).sum(-1, keepdim=True)


def register() -> None:
    """Make SAELens's loaders know the architecture; a second call changes nothing."""
    if ARCHITECTURE not in SAE_CLASS_REGISTRY:
        register_sae_class(ARCHITECTURE, SSAE, SSAEConfig)
    if ARCHITECTURE not in SAE_TRAINING_CLASS_REGISTRY:
        register_sae_training_class(ARCHITECTURE, TrainingSSAE, TrainingSSAEConfig)


def _initialise(sae: SSAE | TrainingSSAE) -> None:
    sae.b_enc = nn.Parameter(torch.zeros(sae.cfg.d_sae, dtype=sae.dtype, device=sae.device))
    if sae.device.type != "meta":
        with torch.no_grad():
            sae.W_dec.div_(sae.get_W_dec_norm()[:, None])
            sae.W_enc.copy_(sae.W_dec.T)


def _origin(cfg: SSAEConfig) -> Origin:
    stated = cfg.metadata.get("origin") or {}
    plain = {
        "hook_name": cfg.metadata.hook_name or "",
        "model_name": cfg.metadata.model_name or "",
        "d_model": cfg.d_in,
    }
    return Origin.from_dict(plain | stated)


def _check_widths(d_in: int, d_sae: int, k: int | None) -> None:
    checks.whole("d_in", d_in, mend="It is the width of the hook that the shifts come from.")
    checks.whole("d_sae", d_sae, mend="It is the number of latents to learn.")
    if k is not None:
        checks.whole("k", k, mend="Give None to keep every code.")
        if k > d_sae:
            raise ValueError(f"k is {k}, more than d_sae={d_sae}; give at most d_sae, or None to keep every code.")


def _check_folder(path: str | Path) -> None:
    """Say in one line what is wrong with a folder, before SAELens reads it."""
    folder = checks.existing_folder(path, "Give the folder that save_model wrote.")
    file = checks.existing_file(folder / "cfg.json", "save_model writes it beside the weights.")
    try:
        cfg = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not whole JSON ({error}); save or copy the SSAE again.") from None
    cfg = cfg if isinstance(cfg, dict) else {}
    architecture = cfg.get("architecture")
    if architecture != ARCHITECTURE:
        raise ValueError(
            f"{file} has the architecture {architecture!r}, not {ARCHITECTURE!r}; load it with sae_lens.SAE.load_from_disk."
        )
    names = {each.name for each in fields(SSAEConfig)}
    # SAELens passes over a key it does not know: a setting that is not applied gives wrong codes without a word.
    if unknown := sorted(cfg.keys() - names - {"architecture"}):
        raise ValueError(
            f"{file} has {unknown[0]!r}, which SSAEConfig does not know.{checks.did_you_mean(unknown[0], names)} A later "
            "version may know it; a TrainingSSAE is loaded with TrainingSSAE.load_from_disk."
        )
    if missing := {"d_in", "d_sae"} - cfg.keys():
        raise ValueError(f"{file} does not give {min(missing)}; save or copy the SSAE again.")
    if (kind := type(cfg.get("metadata", {}))) is not dict:
        raise ValueError(f"{file} has metadata of type {kind.__name__}; it must be an object.")
    checks.existing_file(folder / "sae_weights.safetensors", "save_model writes it beside cfg.json.")


def _check_shapes(expected: dict[str, tuple[int, ...]], found: dict[str, tuple[int, ...]]) -> None:
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise ValueError(
                f"The weight {name} has shape {found.get(name, 'none')} where the configuration asks for "
                f"{expected.get(name, 'none')}; cfg.json and the weights are not of one SSAE."
            )


def _move_in(save: Any, path: str | Path) -> tuple[Path, Path]:
    """Run a SAELens `save(folder)` in a folder of its own, then move each file to its place."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path, prefix=".saving-") as temporary:
        weights, cfg = save(temporary)
        return Path(shutil.move(weights, path / weights.name)), Path(shutil.move(cfg, path / cfg.name))
