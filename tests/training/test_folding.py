import itertools

import pytest
import torch
from sae_lens import SAE

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.folding import fold
from ssae_lens.training.input_map import fit_input
from ssae_lens.training.measures import Measure

D, H, N = 10, 6, 400
MAPS = ["balanced", "subspace", "whiten", "zca", "standardise", "none"]
CODE_NORMS = ["none", "layer", "batch"]


def trained(config, shifts):
    """Ensemble whose every weight has been moved, and the map they read through."""
    read = fit_input(shifts, config)
    members = Ensemble(read.width(D), config, [0, 1])
    with torch.no_grad():
        for each in members.parameters():
            each.add_(torch.randn_like(each) * 0.3)
        for _ in range(5):  # running statistics
            members(read.apply(shifts), Measure("l1"))
    members.renormalise()
    return members.eval(), read


@pytest.fixture
def shifts():
    return torch.randn(N, D) @ torch.randn(D, D) * 3 + 0.5


def check(config, shifts, tmp_path, k=None):
    members, read = trained(config, shifts)
    ssae = fold(members, 1, read, {"hook_name": "blocks.3.hook_resid_post"}, k)
    with torch.no_grad():
        output, codes = members(read.apply(shifts), Measure("l1", k=k))
        output = output / read.scale if read.decode is None else output @ read.decode
        lengths = members.W_dec[1] if read.decode is None else members.W_dec[1] @ read.decode
        lengths = lengths.norm(dim=1) / read.scale
        found = ssae.encode(shifts)
        size = found.abs().mean().item()
        torch.testing.assert_close(found, codes[1] * lengths, rtol=1e-4, atol=1e-4 * size)
        size = shifts.abs().mean().item()
        # SAELens keeps the mean and spread of shifts from encode to decode, once.
        back = ssae.decode(found)
        torch.testing.assert_close(back, output[1], rtol=1e-4, atol=1e-4 * size)
        torch.testing.assert_close(ssae.W_dec.norm(dim=1), torch.ones(H))
    assert ssae.cfg.k == k
    ssae.save_model(tmp_path)
    again = SAE.load_from_disk(tmp_path)
    assert again.cfg.metadata.hook_name == "blocks.3.hook_resid_post"
    torch.testing.assert_close(again.encode(shifts), found)
    torch.testing.assert_close(again.decode(found), back)
    return ssae


@pytest.mark.parametrize(("kind", "code_norm", "bias"), itertools.product(MAPS, CODE_NORMS, [False, True]))
def test_every_map(kind, code_norm, bias, shifts, tmp_path):
    check(ProblemConfig(d_sae=H, input=kind, code_norm=code_norm, bias=bias), shifts, tmp_path)


@pytest.mark.parametrize(
    ("sample_norm", "code_norm", "bias"), itertools.product(["layer", "standardise"], CODE_NORMS, [False, True])
)
def test_every_normalisation_of_shifts(sample_norm, code_norm, bias, shifts, tmp_path):
    check(ProblemConfig(d_sae=H, sample_norm=sample_norm, code_norm=code_norm, bias=bias), shifts, tmp_path)


@pytest.mark.parametrize("kind", ["subspace", "none"])
def test_k_is_kept(kind, shifts, tmp_path):
    ssae = check(ProblemConfig(d_sae=H, input=kind, sparsity="topk", level=2), shifts, tmp_path, k=2)
    assert ((ssae.encode(shifts) != 0).sum(1) == 2).all()


def test_without_bias_the_zero_shift_has_the_zero_code(shifts, tmp_path):
    ssae = check(ProblemConfig(d_sae=H, input="balanced"), shifts, tmp_path)
    assert not ssae.encode(torch.zeros(1, D)).any()
    assert not ssae.decode(torch.zeros(1, H)).any()
