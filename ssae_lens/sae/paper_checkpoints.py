"""Checkpoints of the paper's own code, converted to an `SSAE`.

`reference_loader` is a SAELens ``converter=`` for a folder on disk, `reference_hub_loader` one for a Hub repository::

    SSAE.load_from_disk(folder, converter=reference_loader)

The reference code has two models named SSAE. With n(·) for the normalisation of the codes:

====  ===============================================  ========================================
v1    δ' = (δ − mean) / (std + ε), for each shift      h = n((δ' − b_dec) · W_enc) + b
      δ̂ = (h · W_dec + b_dec) · std + mean
v2    δ' = LayerNorm(δ), or δ itself                   h = n((δ' − b_dec) · W_enc + b_enc)
      δ̂ = h · W_dec + b_dec
====  ===============================================  ========================================

v2 may have been trained on ZCA-whitened shifts, (δ − m) · M, which it then reconstructs. What is linear is folded into the
weights: the pre-bias, the weights of normalisations, batch normalisation (as in evaluation), and whitening on both sides,
so that ``decode`` returns shifts in residual-stream units. Rows of ``W_dec`` are scaled to unit norm and the codes by the
inverse: **codes are those of the reference times the norm of their row**, which is far from one only where shifts were
whitened. What is not linear stays a field of the configuration: v1's standardisation is SAELens's
``normalize_activations="layer_norm"``, v2's is ``input_norm``; layer normalisation of the codes is ``code_norm`` (as is
group normalisation with the one group that the reference uses).
"""

import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ssae_lens.base import checks, hub, torch_files
from ssae_lens.base.provenance import versions
from ssae_lens.base.reading import well_formed
from ssae_lens.base.yaml_files import read_yaml
from ssae_lens.sae import ARCHITECTURE

# The weights and the configuration, as the two versions of the code name them.
FILES = {"weights.pth": "cfg.yaml", "sparse_dict_model.pth": "model_config.yaml"}
WHITENING = "whitening_params.npz"

BATCH_STATISTICS = {"running_mean", "running_var", "num_batches_tracked"}
V1 = {"encoder.weight", "encoder_ln.weight", "encoder_ln.bias", "encoder_bias", "decoder.weight", "decoder_bias"}
V2 = {"encoder.weight", "encoder.bias", "enc_norm.weight", "enc_norm.bias", "decoder.weight", "decoder.bias"}
V2_INPUT_NORM = {"input_norm.weight", "input_norm.bias"}
BATCH_NORM_EPS = 1e-5


def reference_loader(
    path: str | Path, device: str = "cpu", cfg_overrides: dict[str, Any] | None = None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Load a folder of the reference code: a ``converter=`` for ``load_from_disk``.

    Parameters
    ----------
    path
        A folder with ``weights.pth`` and ``cfg.yaml`` (the first version: ``sparse_dict_model.pth`` and
        ``model_config.yaml``) and, for whitened shifts, ``whitening_params.npz``, there or one folder up.
    device, cfg_overrides
        As SAELens passes them.

    Returns
    -------
    cfg, state_dict
        The configuration of an `SSAE`, and its weights.
    """
    folder = checks.existing_folder(path, "Give the folder that the reference code wrote.")
    name = next((name for name in FILES if (folder / name).is_file()), "weights.pth")
    weights = _read_weights(checks.existing_file(folder / name, "The reference code writes it with torch.save."))
    config = _read_config(checks.existing_file(folder / FILES[name], f"It has the settings of {name}."))
    whitening = _find_whitening(folder, config)
    cfg, state = _convert(weights, config, _read_whitening(whitening) if whitening else None, str(folder))
    cfg |= {"device": device} | (cfg_overrides or {})
    return cfg, {name: value.float().contiguous().to(device) for name, value in state.items()}


def reference_hub_loader(
    repo_id: str,
    folder_name: str,
    device: str = "cpu",
    force_download: bool = False,
    cfg_overrides: dict[str, Any] | None = None,
) -> tuple[dict[str, Any], dict[str, Tensor], None]:
    """Load a folder of the reference code from a Hub repository: a ``converter=`` for ``from_pretrained``."""
    from huggingface_hub import snapshot_download

    inside = folder_name.strip("/")
    patterns = [f"{inside}/{name}" for name in (*FILES, *FILES.values(), WHITENING)]
    patterns.append(str(PurePosixPath(inside).parent / WHITENING))
    with hub.explained(repo_id, inside):
        snapshot = snapshot_download(repo_id, allow_patterns=patterns, force_download=force_download)
    cfg, state = reference_loader(Path(snapshot, inside), device, cfg_overrides)
    return cfg, state, None


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a `torch.save` file; nothing in it is run."""
    weights = torch_files.read_tensors(path)
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"The weight {name} in {path} holds NaN or infinite values; it cannot be converted.")
    return {name: value.double() for name, value in weights.items()}


def _read_whitening(path: Path) -> tuple[Tensor, Tensor]:
    """Return the mean m and the matrix M of a whitening (δ − m) · M."""
    arrays = {name: torch.from_numpy(array.astype(np.float64)) for name, array in torch_files.read_arrays(path).items()}
    if arrays.keys() != {"mean", "whitening_matrix", "epsilon"}:
        raise ValueError(f"{path} holds {sorted(arrays)[:5]}; it must hold epsilon, mean and whitening_matrix.")
    mean, matrix = arrays["mean"].flatten(), arrays["whitening_matrix"]
    if matrix.shape != (len(mean), len(mean)):
        raise ValueError(f"{path} has a mean of {len(mean)} values but a whitening_matrix of {tuple(matrix.shape)}.")
    if not (torch.isfinite(mean).all() and torch.isfinite(matrix).all()):
        raise ValueError(f"{path} holds NaN or infinite values; it cannot be converted.")
    return mean, matrix


def _convert(
    weights: dict[str, Tensor], config: dict[str, Any], whitening: tuple[Tensor, Tensor] | None, where: str
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    version = _version(weights, where)
    _check_shapes(weights, where)
    _check_agreement(version, weights, config, where)
    norm = "encoder_ln" if version == "v1" else "enc_norm"
    W_enc, W_dec = weights["encoder.weight"].T, weights["decoder.weight"].T
    b_dec = weights["decoder_bias" if version == "v1" else "decoder.bias"]
    d_in, d_sae = W_enc.shape
    folded = ["the pre-bias into b_enc"]
    cfg: dict[str, Any] = {"normalize_activations": "layer_norm" if version == "v1" else "none"}
    state: dict[str, Tensor] = {}

    # From the encoder outwards: what precedes it is composed with it, last first.
    b_enc = weights.get("encoder.bias", torch.zeros(d_sae).double()) - b_dec @ W_enc
    if "input_norm.weight" in weights:
        b_enc = b_enc + weights["input_norm.bias"] @ W_enc
        W_enc = weights["input_norm.weight"][:, None] * W_enc
        cfg["input_norm"] = "layer"
        folded.append("the weights of the input's LayerNorm into W_enc and b_enc")
    if whitening:
        mean, matrix = whitening
        if version == "v1":
            raise ValueError(
                f"{where} holds {WHITENING}, but its weights are of v1, which has no whitening; remove it."
            )
        if matrix.shape != (d_in, d_in):
            raise ValueError(f"{where} has a model of width {d_in} and a whitening of width {len(matrix)}.")
        if "input_norm" in cfg:
            cfg["input_norm"] = "whitened_layer"
            state |= {"W_in": matrix, "b_in": -mean @ matrix}
        else:
            W_enc = matrix @ W_enc
            b_enc = b_enc - mean @ W_enc
            folded.append("whitening into W_enc and b_enc")
        unwhitening = _inverse(matrix, where)
        W_dec, b_dec = W_dec @ unwhitening, b_dec @ unwhitening + mean
        folded.append("un-whitening into W_dec and b_dec, which give residual-stream units")

    scale, offset = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
    offset = offset + weights.get("encoder_bias", 0)
    norms = W_dec.norm(dim=1).clamp(min=1e-8)
    W_dec, scale, offset = W_dec / norms[:, None], scale * norms, offset * norms
    folded.append("the norms of W_dec's rows into the codes")
    if f"{norm}.running_mean" in weights:
        if (weights[f"{norm}.running_var"] < 0).any():
            raise ValueError(f"{where} holds a variance below zero in {norm}.running_var; it cannot be converted.")
        scale = scale / (weights[f"{norm}.running_var"] + BATCH_NORM_EPS).sqrt()
        W_enc, b_enc = W_enc * scale, (b_enc - weights[f"{norm}.running_mean"]) * scale + offset
        folded.append("the codes' BatchNorm, as in evaluation, into W_enc and b_enc")
    else:
        cfg["code_norm"] = "layer"
        state |= {"code_scale": scale, "code_offset": offset}

    state |= {"W_enc": W_enc, "b_enc": b_enc, "W_dec": W_dec, "b_dec": b_dec}
    if large := [name for name, value in state.items() if not torch.isfinite(value.float()).all()]:
        raise ValueError(f"{where} has weights too large for float32, folded into {large[0]}; it cannot be converted.")
    cfg |= {"architecture": ARCHITECTURE, "d_in": d_in, "d_sae": d_sae, "dtype": "float32"}
    return cfg | {"metadata": _metadata(version, config, folded)}, state


def _inverse(matrix: Tensor, where: str) -> Tensor:
    try:
        return torch.linalg.inv(matrix)
    except torch.linalg.LinAlgError:
        raise ValueError(f"{where} has a whitening_matrix with no inverse; it cannot be converted.") from None


def _metadata(version: str, config: dict[str, Any], folded: list[str]) -> dict[str, Any]:
    extra = config.get("extra")
    model = extra.get("model") if isinstance(extra, dict) else None
    return {
        # Without a version SAELens drops unknown fields, as from a configuration older than its version 6.
        "sae_lens_version": versions()["sae-lens"],
        **({"model_name": model} if isinstance(model, str) else {}),
        "reference": {"version": version, "cfg": config, "folded": folded},
        "versions": versions(),
    }


def _version(weights: dict[str, Tensor], where: str) -> str:
    """Return the version of a model by the names of its weights, or raise if they are of neither."""
    names = set(weights)
    version, expected, norm = ("v1", V1, "encoder_ln") if "encoder_bias" in names else ("v2", V2, "enc_norm")
    batch = {f"{norm}.{statistic}" for statistic in BATCH_STATISTICS}
    expected = expected | (batch if names & batch else set())
    if version == "v2" and names & V2_INPUT_NORM:
        expected |= V2_INPUT_NORM
    if names != expected:
        differences = [f"{name} is missing" for name in sorted(expected - names)]
        differences += [f"{name[:80]} is unknown" for name in sorted(names - expected)]
        raise ValueError(
            f"{where} cannot be converted without loss: by its weights it is nearest to {version} of the reference code, "
            f"but {', '.join(differences[:8])}."
        )
    return version


def _check_shapes(weights: dict[str, Tensor], where: str) -> None:
    encoder = weights["encoder.weight"]
    d_sae, d_in = encoder.shape if encoder.ndim == 2 else (0, 0)
    if not encoder.numel():
        raise ValueError(f"The weight encoder.weight in {where} has no numbers; save the model again.")
    matrices = {"encoder.weight": (d_sae, d_in), "decoder.weight": (d_in, d_sae)}
    for name, value in weights.items():
        width = d_in if name.startswith(("decoder", "input_norm")) else d_sae
        shape = () if name.endswith("num_batches_tracked") else matrices.get(name, (width,))
        if value.shape != shape:
            raise ValueError(
                f"The weight {name} in {where} has shape {tuple(value.shape)}; with an encoder.weight of shape "
                f"{tuple(encoder.shape)} it must be {shape}."
            )


def _check_agreement(version: str, weights: dict[str, Tensor], config: dict[str, Any], where: str) -> None:
    """Raise where the configuration contradicts the weights: one of the two is of another run."""
    norm = config.get("norm_type" if version == "v1" else "norm")
    batch = any(name.endswith("running_mean") for name in weights)
    if norm is not None and (norm == "bn") != batch:
        statistics = "batch statistics" if batch else "no batch statistics"
        raise ValueError(
            f"{where} says that its codes are normalised by {str(norm)[:80]!r}, but its weights hold {statistics}."
        )
    skipped = config.get("skip_input_norm")
    if version == "v2" and skipped is not None and bool(skipped) == ("input_norm.weight" in weights):
        raise ValueError(f"{where} says skip_input_norm: {str(skipped)[:80]}, which its weights contradict.")


def _find_whitening(folder: Path, config: dict[str, Any]) -> Path | None:
    """Return the whitening of a run: the reference code writes it beside the run's folder, and documents it inside."""
    inside, beside = folder / WHITENING, folder.parent / WHITENING
    if not config.get("whiten", True) and inside.is_file():
        raise ValueError(f"{folder} says whiten: false but holds {WHITENING}; remove one of the two.")
    if not config.get("whiten"):
        return inside if inside.is_file() else None
    for path in (inside, beside):
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{folder} says whiten: true, but there is no {WHITENING} in it or in {folder.parent}; without it the weights "
        "have no residual-stream units."
    )


def _read_config(path: Path) -> dict[str, Any]:
    config = read_yaml(path)
    if type(config) is not dict:
        raise ValueError(f"{path} holds no settings (names with values).")
    # It goes into cfg.json: what YAML has and JSON does not (dates, numbers as names) becomes text.
    with well_formed(path):
        return json.loads(json.dumps(config, default=str))
