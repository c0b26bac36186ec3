import itertools

import pytest
import torch
from torch import nn

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.measures import Measure
from ssae_lens.training.objective import Loss

R, H = 8, 6
L1 = Measure("l1")


def make_members(seeds=(0, 1), **config):
    members = Ensemble(R, ProblemConfig(d_sae=H, **config), seeds)
    with torch.no_grad():
        for name, each in members.named_parameters():
            if name not in ("W_enc", "W_dec"):
                each.add_(torch.randn_like(each) * 0.3)
        members.W_enc.add_(torch.randn_like(members.W_enc) * 0.3)
    return members


def test_seeds_make_members():
    one, both = Ensemble(R, ProblemConfig(d_sae=H), [1]), Ensemble(R, ProblemConfig(d_sae=H), [0, 1])
    assert torch.equal(one.W_dec[0], both.W_dec[1])
    assert not torch.allclose(both.W_dec[0], both.W_dec[1])
    torch.testing.assert_close(both.W_dec.norm(dim=2), torch.ones(2, H))
    assert torch.equal(both.W_enc, both.W_dec.mT)


@pytest.mark.parametrize(("width", "d_sae"), [(1, 5), (8, 1), (1, 1)])
def test_encoder_and_decoder_do_not_share_memory(width, d_sae):
    """The transpose of one row or one column is contiguous as it stands."""
    members = Ensemble(width, ProblemConfig(d_sae=d_sae), [0])
    assert members.W_enc.data_ptr() != members.W_dec.data_ptr()


@pytest.mark.parametrize(("bias", "kind", "seeds"), itertools.product([False, True], ["l1", "step"], [(0,), (0, 1)]))
@pytest.mark.parametrize("k", [None, 2])
def test_hand_written_and_automatic_gradients_agree(bias, kind, seeds, k):
    """Also where an extrapolation has left the sphere."""
    members = make_members(seeds, bias=bias).double()
    with torch.no_grad():
        members.W_dec.mul_(1.3)
    shifts, loss = torch.randn(20, R, dtype=torch.float64), Loss("relative", 3.0)
    measure = Measure(kind, torch.full((len(seeds),), 0.5, dtype=torch.float64), 0.3, k)

    def gradients(values):
        members.zero_grad()
        (values[0] + 0.1 * values[1]).sum().backward()
        return [*values, *(each.grad.clone() for each in members.parameters())]

    fused = gradients(members.loss_and_sparsity(shifts, loss, measure, torch.float64))
    output, codes = members(shifts, measure)
    lost = ((output - shifts).square().sum(2) / shifts.square().sum(1)).mean(1)
    for ours, theirs in zip(fused, gradients((lost, measure(codes))), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("kind", ["layer", "batch"])
def test_code_norms_are_pytorchs(kind):
    members = make_members(code_norm=kind, bias=True)
    modules = []
    for i in range(2):
        made = {"layer": nn.LayerNorm(H), "batch": nn.BatchNorm1d(H)}[kind]
        made.weight.data.copy_(members.code_scale[i])
        made.bias.data.copy_(members.code_offset[i])
        modules.append(made)
    for step in range(3):
        shifts = torch.randn(32, R) * (step + 1)
        _, codes = members(shifts, L1)
        for i, module in enumerate(modules):
            raw = (shifts - members.b_dec[i]) @ members.W_enc[i] + (0 if kind == "batch" else members.b_enc[i])
            torch.testing.assert_close(codes[i], module(raw), rtol=1e-4, atol=1e-5)
    members.eval()
    for i, module in enumerate(modules):
        raw = (shifts - members.b_dec[i]) @ members.W_enc[i] + (0 if kind == "batch" else members.b_enc[i])
        torch.testing.assert_close(members.codes(shifts, L1)[i], module.eval()(raw), rtol=1e-4, atol=1e-5)
        if kind == "batch":
            torch.testing.assert_close(members.running_mean[i], module.running_mean)
            torch.testing.assert_close(members.running_var[i], module.running_var)


def test_layer_sample_norm():
    members = make_members(sample_norm="layer", bias=True)
    shifts = torch.randn(9, R) * 5 + 1
    output, codes = members(shifts, L1)
    for i in range(2):
        norm = nn.LayerNorm(R)
        norm.weight.data.copy_(members.input_scale[i])
        norm.bias.data.copy_(members.input_offset[i])
        wanted = (norm(shifts) - members.b_dec[i]) @ members.W_enc[i] + members.b_enc[i]
        torch.testing.assert_close(codes[i], wanted, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(output[i], wanted @ members.W_dec[i] + members.b_dec[i], rtol=1e-4, atol=1e-5)


def test_standardise_sample_norm_gives_its_scale_back():
    members = make_members(sample_norm="standardise")
    shifts = torch.randn(9, R) * 5 + 1
    output, codes = members(shifts, L1)
    mean, std = shifts.mean(1, keepdim=True), shifts.std(1, keepdim=True)
    wanted = (shifts - mean) / std @ members.W_enc[1]
    torch.testing.assert_close(codes[1], wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output[1], wanted @ members.W_dec[1] * std + mean, rtol=1e-4, atol=1e-4)


def test_bfloat16_of_normalised_members_is_close():
    members, shifts = make_members(code_norm="layer"), torch.randn(64, R)
    exact = members.loss_and_sparsity(shifts, Loss("fvu", 8.0), L1)
    short = members.loss_and_sparsity(shifts, Loss("fvu", 8.0), L1, torch.bfloat16)
    for a, b in zip(exact, short, strict=True):
        assert b.dtype == torch.float32
        assert not torch.equal(a, b)
        torch.testing.assert_close(a, b, rtol=0.02, atol=0)


def test_renormalise():
    members = make_members()
    with torch.no_grad():
        members.W_dec.mul_(torch.rand(2, H, 1) + 0.5)
    before = members.W_dec.detach().clone()
    members.renormalise()
    torch.testing.assert_close(members.W_dec.norm(dim=2), torch.ones(2, H))
    torch.testing.assert_close(nn.functional.cosine_similarity(members.W_dec, before, dim=2), torch.ones(2, H))
