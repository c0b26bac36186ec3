"""The Sparse Shift Autoencoder (SSAE), a SAELens architecture.

Its input is a shift δ = z̃ − z between the activations of the two texts of a pair::

    h = δ · W_enc + b_enc          signed codes; zero where |h| ≤ threshold, if there is one
    δ̂ = h · W_dec + b_dec          rows of W_dec have unit length

so ``decode(e_k) − b_dec`` is row k of ``W_dec``: a steering vector in residual-stream units.
"""

import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

import torch
from jaxtyping import Float
from sae_lens.loading.pretrained_saes_directory import get_pretrained_saes_directory
from sae_lens.saes.abstopk_sae import AbsTopK
from sae_lens.saes.sae import SAE, SAEConfig, TrainingSAE
from torch import Tensor, nn
from torch.nn import functional as F
from typing_extensions import Self, override

from ssae_lens.base import assets, checks, checksums, hub
from ssae_lens.base.provenance import Origin
from ssae_lens.sae.files import ARCHITECTURE, CFG, SavedSSAE, check_shapes, check_weights, consistently, save
from ssae_lens.sae.selection import latent_entries, row_weights


@dataclass
class SSAEConfig(SAEConfig):
    """Configuration of an `SSAE`: SAELens's fields, and the parts of a model that are not linear.

    Everything linear that training did to its input (whitening, a subspace, a pre-bias) is folded into the weights. What
    cannot be folded is a field here; all of it is off by default.

    Parameters
    ----------
    k
        Keep only the k largest ``|codes|`` of a shift, with their signs. None keeps all.
    input_norm
        ``"layer"`` standardises each shift over its dimensions before the encoder. (SAELens's
        ``normalize_activations="layer_norm"`` also scales the output back.) ``"whitened_layer"`` first maps the shift by
        the weights ``W_in`` and ``b_in``.
    code_norm
        ``"layer"`` or ``"group"`` normalises the codes of a shift, over all latents or over each of `code_groups` groups,
        and applies the weights ``code_scale`` and ``code_offset``.
    code_groups
        The number of groups for ``code_norm="group"``.
    has_threshold
        Whether codes with ``|code|`` ≤ the weight ``threshold`` of their latent are zero.
    """

    apply_b_dec_to_input: bool = False
    k: int | None = None
    input_norm: Literal["none", "layer", "whitened_layer"] = "none"
    code_norm: Literal["none", "layer", "group"] = "none"
    code_groups: int = 1
    has_threshold: bool = False

    @override
    @classmethod
    def architecture(cls) -> str:
        return ARCHITECTURE

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.python_numbers(self)
        check_widths(self.d_in, self.d_sae, self.k)
        if not isinstance(self.apply_b_dec_to_input, bool):
            # SAELens multiplies by it: another number would scale b_dec.
            raise ValueError(  # noqa: TRY004 - every unusable setting is a ValueError
                f"apply_b_dec_to_input is {str(self.apply_b_dec_to_input)[:80]}; it must be True or False."
            )
        if not isinstance(self.has_threshold, bool):
            raise ValueError(f"has_threshold is {str(self.has_threshold)[:80]}; it must be True or False.")  # noqa: TRY004
        checks.one_of("input_norm", self.input_norm, ["none", "layer", "whitened_layer"])
        checks.one_of("code_norm", self.code_norm, ["none", "layer", "group"])
        checks.integer("code_groups", self.code_groups)
        if self.d_sae % self.code_groups:
            raise ValueError(
                f"code_groups is {self.code_groups}, which does not divide d_sae={self.d_sae}; choose a divisor of d_sae."
            )


class SSAE(SAE[SSAEConfig]):
    """A Sparse Shift Autoencoder: signed, unactivated codes of shifts, and unit-norm decoder rows to steer with.

    Examples
    --------
    >>> rows = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    >>> ssae = SSAE.from_weights(rows.T, rows)
    >>> ssae.encode(torch.tensor([3.0, 4.0, -2.0])).detach()
    tensor([ 5., -2.])
    """

    b_enc: nn.Parameter
    # The `Outcome` of training, if `train` made this SSAE.
    outcome: Any = None
    _warned_of_splicing = False

    @override
    def initialize_weights(self) -> None:
        super().initialize_weights()
        initialise(self)
        if self.cfg.input_norm == "whitened_layer":
            self.W_in = nn.Parameter(torch.eye(self.cfg.d_in, dtype=self.dtype, device=self.device))
            self.b_in = nn.Parameter(torch.zeros_like(self.b_dec))
        if self.cfg.code_norm != "none":
            ones = torch.ones(self.cfg.d_sae, dtype=self.dtype, device=self.device)
            self.code_scale = nn.Parameter(ones)
            self.code_offset = nn.Parameter(torch.zeros_like(ones))
        if self.cfg.has_threshold:
            self.threshold = nn.Parameter(torch.zeros(self.cfg.d_sae, dtype=self.dtype, device=self.device))

    @override
    def get_activation_fn(self) -> Any:
        return activation(self.cfg.k)

    @override
    def encode(self, x: Float[Tensor, "... d_in"]) -> Float[Tensor, "... d_sae"]:
        """Return the signed codes of shifts."""
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
        if self.cfg.has_threshold:
            codes = codes * (codes.abs() > self.threshold)
        return self.hook_sae_acts_post(self.activation_fn(codes))

    @override
    def decode(self, feature_acts: Float[Tensor, "... d_sae"]) -> Float[Tensor, "... d_in"]:
        """Return the shifts that codes reconstruct."""
        shifts = self.hook_sae_recons(feature_acts @ self.W_dec + self.b_dec)
        return self.reshape_fn_out(self.run_time_activation_norm_fn_out(shifts), self.d_head)

    def row_weights(self, latent: Any) -> list[tuple[int, float]]:
        """Return rows of `W_dec` with weights: one typical change of a latent, by number or name, or of a `Concept`."""
        return row_weights(self.cfg, latent)

    @property
    def latent_entries(self) -> list[dict[str, Any]]:
        """What the metadata hold of each latent: its name, sign and scale, as far as `Concepts.attach` wrote them."""
        return latent_entries(self.cfg)

    @property
    def origin(self) -> Origin:
        """The origin of the shifts that this SSAE was trained on."""
        metadata = self.cfg.metadata
        names = {
            "hook_name": metadata.hook_name or "",
            "model_name": metadata.model_name or "",
            "d_model": self.cfg.d_in,
        }
        return Origin.from_dict(names | (metadata.get("origin") or {}))

    @classmethod
    def from_weights(
        cls,
        W_enc: Float[Tensor, "d_in d_sae"],
        W_dec: Float[Tensor, "d_sae d_in"],
        b_enc: Float[Tensor, "d_sae"] | None = None,
        b_dec: Float[Tensor, "d_in"] | None = None,
        threshold: Float[Tensor, "d_sae"] | None = None,
        **config: Any,
    ) -> Self:
        """Return an SSAE with these weights; biases are zero by default, and `config` goes to `SSAEConfig`."""
        d_in, d_sae = W_enc.shape
        ssae = cls(SSAEConfig(d_in=d_in, d_sae=d_sae, has_threshold=threshold is not None, **config))
        weights = {"W_enc": W_enc, "W_dec": W_dec, "b_enc": b_enc, "b_dec": b_dec, "threshold": threshold}
        state = {name: value.detach().contiguous() for name, value in weights.items() if value is not None}
        ssae.process_state_dict_for_loading(ssae.state_dict() | state)
        ssae.load_state_dict(state, strict=False)
        return ssae

    @override
    @torch.no_grad()
    def fold_and_get_W_dec_norm(self) -> Tensor:
        norms = self.get_W_dec_norm()
        if self.cfg.has_threshold:
            self.threshold.mul_(norms)
        if self.cfg.k is not None and not torch.allclose(norms, torch.ones_like(norms), atol=1e-3):
            raise ValueError(
                f"W_dec has rows of norm {norms.min():.3g} to {norms.max():.3g} and k={self.cfg.k}: folding the norms would "
                "change which codes are the k largest. Train with unit-norm rows, or set cfg.k to None first."
            )
        if self.cfg.code_norm == "none":
            return super().fold_and_get_W_dec_norm()
        # A normalised code does not depend on the encoder's scale: the norms go behind the normalisation.
        self.W_dec.div_(norms[:, None])
        self.code_scale.mul_(norms)
        self.code_offset.mul_(norms)
        return norms

    @override
    def save_model(self, path: str | Path, *, overwrite: bool = False) -> tuple[Path, Path]:
        """Save weights and configuration in SAELens's format; a folder that holds another SSAE needs `overwrite`."""
        return self.save_with(path, {}, overwrite=overwrite)

    def save_with(self, path: str | Path, extra: Mapping[str, str], *, overwrite: bool) -> tuple[Path, Path]:
        """Save as `save_model` does, together with texts by file name: all of the files or none."""
        return save(super().save_model, path, extra, overwrite=overwrite)

    @classmethod
    @override
    def load_from_disk(
        cls,
        path: str | Path,
        device: str = "cpu",
        dtype: str | None = None,
        converter: Any = None,
        fold_W_dec_norm: bool = False,
    ) -> Self:
        """Load and verify what `save_model` wrote, or any folder that a SAELens ``converter=`` reads.

        Warns
        -----
        UserWarning
            If the folder has no checksum, as those of version 0.1.0.
        """
        if converter is not None:
            return super().load_from_disk(path, device, dtype, converter, fold_W_dec_norm)

        def load() -> Self:
            saved = SavedSSAE.read(path, [field.name for field in fields(SSAEConfig)])

            def components(
                path: str | Path, device: str, cfg_overrides: dict[str, Any] | None
            ) -> tuple[dict[str, Any], dict[str, Tensor]]:
                del path  # both files were read above
                return saved.components(device, cfg_overrides)

            try:
                ssae = super(SSAE, cls).load_from_disk(path, device, dtype, components, fold_W_dec_norm)
                _ = ssae.origin  # raises where cfg.json has an unusable one
            except checksums.DamagedFileError:
                saved.verify()  # raises the same with the file's name
                raise
            except (ValueError, TypeError, KeyError, AttributeError, RuntimeError) as error:
                raise ValueError(f"{saved.path / CFG} cannot be used: {' '.join(str(error).split())}") from None
            saved.verify()
            return ssae

        return consistently(path, load)

    @classmethod
    @override
    def from_pretrained_with_cfg_and_sparsity(
        cls, release: str, sae_id: str, device: str = "cpu", dtype: str = "float32", *args: Any, **kwargs: Any
    ) -> tuple[Self, dict[str, Any], Tensor | None]:
        """Load a release that ships with the package, one of SAELens's releases, or a Hub repository ``user/name``."""
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
        check_shapes(self.state_dict(), state_dict)
        check_weights(self.cfg.metadata, state_dict, self.cfg.dtype)

    def _warn_if_spliced_bare(self) -> None:
        """Warn, once, when a model replaces its activations by this SSAE's reconstructions.

        SAELens does not pass on how an SAE was spliced in, so the wrapper that calls `encode` is inspected.
        """
        if self._warned_of_splicing or torch.compiler.is_compiling():
            return
        caller = sys._getframe(2).f_locals.get("self")
        if isinstance(caller, nn.Module) and caller is not self and getattr(caller, "use_error_term", None) is False:
            self._warned_of_splicing = True
            warnings.warn(
                "An SSAE encodes shifts, not activations: without the error term the model runs on its reconstructions. "
                "Use add_sae(ssae, use_error_term=True).",
                stacklevel=4,
            )


def activation(k: int | None) -> nn.Module:
    """Return the activation function: the identity, or all but the k largest ``|codes|`` set to zero."""
    return nn.Identity() if k is None else AbsTopK(k)


def initialise(sae: SAE[Any] | TrainingSAE[Any]) -> None:
    """Initialise decoder rows with unit norm, the encoder as their transpose, and the codes' bias with zero."""
    sae.b_enc = nn.Parameter(torch.zeros(sae.cfg.d_sae, dtype=sae.dtype, device=sae.device))
    if sae.device.type != "meta":
        with torch.no_grad():
            sae.W_dec.div_(sae.get_W_dec_norm()[:, None])
            sae.W_enc.copy_(sae.W_dec.T)


def check_widths(d_in: int, d_sae: int, k: int | None) -> None:
    """Raise unless widths are positive integers, and k is at most d_sae."""
    checks.integer("d_in", d_in, hint="It is the width of the hook that the shifts come from.")
    checks.integer("d_sae", d_sae, hint="It is the number of latents to learn.")
    if k is not None:
        checks.integer("k", k, hint="Give None to keep every code.")
        if k > d_sae:
            raise ValueError(f"k is {k}, more than d_sae={d_sae}; give at most d_sae, or None to keep every code.")
