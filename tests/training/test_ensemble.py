import itertools

import pytest
import torch
from sae_lens import SAE
from torch import nn

from ssae_lens.training.config import ProblemConfig
from ssae_lens.training.ensemble import Ensemble
from ssae_lens.training.input_map import fit_input
from ssae_lens.training.objective import Loss, Measure

R, H, N = 8, 6, 400
MAPS = ["balanced", "subspace", "whiten", "none"]
CODE_NORMS = ["none", "layer", "batch"]
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


@pytest.mark.parametrize(("bias", "kind", "seeds"), itertools.product([False, True], ["l1", "smooth"], [(0,), (0, 1)]))
@pytest.mark.parametrize("k", [None, 2])
def test_hand_written_and_automatic_gradients_agree(bias, kind, seeds, k):
    """Also where an extrapolation has left the sphere."""
    members = make_members(seeds, bias=bias).double()
    with torch.no_grad():
        members.W_dec.mul_(1.3)
    shifts, loss = torch.randn(20, R, dtype=torch.float64), Loss("relative", 3.0)
    measure = Measure(kind, torch.full((len(seeds),), 0.5, dtype=torch.float64), k)

    def gradients(values):
        members.zero_grad()
        (values[0] + 0.1 * values[1]).sum().backward()
        return [*values, *(each.grad.clone() for each in members.parameters())]

    fused = gradients(members.loss_and_sparsity(shifts, loss, measure))
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


def test_renormalise():
    members = make_members()
    with torch.no_grad():
        members.W_dec.mul_(torch.rand(2, H, 1) + 0.5)
    before = members.W_dec.detach().clone()
    members.renormalise()
    torch.testing.assert_close(members.W_dec.norm(dim=2), torch.ones(2, H))
    torch.testing.assert_close(nn.functional.cosine_similarity(members.W_dec, before, dim=2), torch.ones(2, H))


def moved(config, shifts):
    """Ensemble whose every weight has been moved, and the map they read through."""
    read = fit_input(shifts, config)
    members = Ensemble(read.width(R), config, [0, 1])
    with torch.no_grad():
        for each in members.parameters():
            each.add_(torch.randn_like(each) * 0.3)
        for _ in range(5):  # running statistics
            members(read.apply(shifts), Measure("l1"))
    members.renormalise()
    return members.eval(), read


@pytest.fixture
def shifts():
    return torch.randn(N, R) @ torch.randn(R, R) * 3 + 0.5


def check_folding(config, shifts, tmp_path, k=None):
    members, read = moved(config, shifts)
    ssae = members.to_ssae(1, read, {"hook_name": "blocks.3.hook_resid_post"}, k)
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
def test_folding_of_every_input_map(kind, code_norm, bias, shifts, tmp_path):
    check_folding(ProblemConfig(d_sae=H, input=kind, code_norm=code_norm, bias=bias), shifts, tmp_path)


@pytest.mark.parametrize(
    ("sample_norm", "code_norm", "bias"), itertools.product(["layer", "standardise"], CODE_NORMS, [False, True])
)
def test_folding_of_every_sample_norm(sample_norm, code_norm, bias, shifts, tmp_path):
    check_folding(ProblemConfig(d_sae=H, sample_norm=sample_norm, code_norm=code_norm, bias=bias), shifts, tmp_path)


@pytest.mark.parametrize("kind", ["subspace", "none"])
def test_k_is_kept(kind, shifts, tmp_path):
    ssae = check_folding(ProblemConfig(d_sae=H, input=kind, sparsity="topk", level=2), shifts, tmp_path, k=2)
    assert ((ssae.encode(shifts) != 0).sum(1) == 2).all()


def test_without_bias_the_zero_shift_has_the_zero_code(shifts, tmp_path):
    ssae = check_folding(ProblemConfig(d_sae=H, input="balanced"), shifts, tmp_path)
    assert not ssae.encode(torch.zeros(1, R)).any()
    assert not ssae.decode(torch.zeros(1, H)).any()
