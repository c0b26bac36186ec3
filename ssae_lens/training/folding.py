"""From a trained member to a plain SSAE: everything linear goes into its weights, the rest into its configuration."""

from typing import Any

import torch
from jaxtyping import Float
from sae_lens.saes.sae import SAEMetadata
from torch import Tensor

from ssae_lens.sae import SSAE, SSAEConfig
from ssae_lens.training.ensemble import EPS, Ensemble
from ssae_lens.training.input_map import InputMap


@torch.no_grad()
def fold(
    members: Ensemble,
    member: int,
    read: InputMap,
    metadata: dict[str, Any],
    k: int | None = None,
    rows: Float[Tensor, "h d"] | None = None,
) -> SSAE:
    """Return one member as an SSAE that reads shifts in residual units and whose decoder rows have unit length.

    With `rows`, in residual units, these are its decoder.
    """
    problem = members.problem
    W_enc = members.W_enc[member]
    b_enc = torch.zeros_like(W_enc[0]) if members.b_enc is None else members.b_enc[member]
    b_dec = torch.zeros_like(W_enc[:, 0]) if members.b_dec is None else members.b_dec[member]
    # The pre-bias: what the encoder subtracts from its input is a constant of its output.
    b_enc = b_enc - b_dec @ W_enc
    config: dict[str, Any] = {}
    if problem.sample_norm == "layer":
        b_enc = b_enc + members.input_offset[member] @ W_enc
        W_enc = members.input_scale[member][:, None] * W_enc
        config["input_norm"] = "layer"
    elif problem.sample_norm == "standardise":
        config["normalize_activations"] = "layer_norm"
    if problem.code_norm == "batch":
        gain = members.code_scale[member] * torch.rsqrt(members.running_var[member] + EPS)
        W_enc = W_enc * gain
        b_enc = (b_enc - members.running_mean[member]) * gain + members.code_offset[member]
    elif problem.code_norm != "none":
        config["code_norm"] = problem.code_norm
    if k is not None:
        config["k"] = k
    W_enc, b_dec = read.fold(W_enc), read.restore(b_dec)
    rows = read.restore(members.W_dec[member]) if rows is None else rows
    lengths = read.lengths(rows)
    d_in, d_sae = W_enc.shape
    ssae = SSAE(SSAEConfig(d_in=d_in, d_sae=d_sae, metadata=SAEMetadata(**metadata), **config))
    state = {"W_enc": W_enc, "b_enc": b_enc, "W_dec": rows / lengths[:, None], "b_dec": b_dec}
    if "code_norm" in config:
        state["code_scale"] = members.code_scale[member] * lengths
        state["code_offset"] = members.code_offset[member] * lengths
    else:
        state["W_enc"], state["b_enc"] = W_enc * lengths, b_enc * lengths
    ssae.load_state_dict(state)
    return ssae
