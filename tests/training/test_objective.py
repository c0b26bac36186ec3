import itertools

import pytest
import torch

from ssae_lens.training.objective import Loss, Measure, Weights, _ByMoments, _ByResiduals, evaluate, moments_pay

M, B, R, H = 3, 11, 6, 5
LOSSES = ["fvu", "relative"]
MEASURES = ["l1", "smooth"]


def make_weights(biased, dtype=torch.float64):
    W_dec = torch.nn.functional.normalize(torch.randn(M, H, R, dtype=dtype), dim=2)
    tensors = [torch.randn(M, R, H, dtype=dtype), W_dec]
    tensors += [torch.randn(M, H, dtype=dtype), torch.randn(M, R, dtype=dtype)] if biased else []
    tensors = [each.requires_grad_() for each in tensors]
    return Weights(*tensors, *([] if biased else [None, None]))


def make_measure(kind, k=None, dtype=torch.float64):
    return Measure(kind, torch.linspace(0.2, 1, M, dtype=dtype), k=k)


def plain(shifts, weights, loss_kind, energy, measure):
    """The same from its definition, differentiated by PyTorch."""
    W_enc, W_dec, b_enc, b_dec = weights
    read = shifts.expand(M, -1, -1)
    codes = (read if b_dec is None else read - b_dec[:, None]) @ W_enc
    codes = codes if b_enc is None else codes + b_enc[:, None]
    if measure.k is not None:
        smallest = codes.abs().sort(dim=2, descending=True).values[..., measure.k - 1 : measure.k]
        codes = torch.where(codes.abs() >= smallest, codes, torch.zeros_like(codes))
    output = codes @ W_dec
    output = output if b_dec is None else output + b_dec[:, None]
    lost = (output - shifts).square()
    if loss_kind == "fvu":
        loss = lost.sum((1, 2)) / B / energy
    else:
        own = shifts.square().sum(1)
        loss = (lost.sum(2) / torch.where(own > 0, own, torch.full_like(own, energy))).mean(1)
    sizes = codes.abs()
    width = measure.width[:, None, None]
    return loss, (sizes if measure.kind == "l1" else sizes / (1 + sizes / width)).sum(2).mean(1)


def gradients(values, weights):
    given = [each for each in weights if each is not None]
    (0.7 * values[0].sum() + (torch.tensor([0.1, 0.2, 0.3]) * values[1]).sum()).backward()
    found = [each.grad for each in given]
    for each in given:
        each.grad = None
    return found


@pytest.mark.parametrize(("loss", "kind"), itertools.product(LOSSES, MEASURES))
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("k", [None, 2])
def test_values_and_gradients(loss, kind, biased, k):
    shifts = torch.randn(B, R, dtype=torch.float64)
    shifts[3] = 0
    weights, measure = make_weights(biased), make_measure(kind, k)
    wanted = plain(shifts, weights, loss, 2.5, measure)
    found = evaluate(shifts, weights, Loss(loss, 2.5), measure)
    torch.testing.assert_close(found[0], wanted[0])
    torch.testing.assert_close(found[1], wanted[1])
    wanted_gradients, found_gradients = gradients(wanted, weights), gradients(found, weights)
    # Of the decoder's gradient, what is tangent to the rows.
    rows = weights.W_dec.detach()
    wanted_gradients[1] -= rows * (rows * wanted_gradients[1]).sum(2, keepdim=True)
    assert (found_gradients[1] * rows).sum(2).abs().max() < 1e-12
    for ours, theirs in zip(found_gradients, wanted_gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize(("loss", "kind"), itertools.product(LOSSES, MEASURES))
def test_moments_and_residuals_give_the_same(loss, kind):
    """A linear model's loss is one of the second moments of its batch."""
    shifts = torch.randn(B, R, dtype=torch.float64)
    shifts[3] = 0
    weights, measure = make_weights(biased=False), make_measure(kind)
    problem = Loss(loss, 2.5), measure, None
    ways = _ByMoments.apply(shifts, *weights[:2], *problem), _ByResiduals.apply(shifts, *weights, *problem)
    for ours, theirs in zip(*ways, strict=True):
        torch.testing.assert_close(ours, theirs)
    for ours, theirs in zip(*(gradients(each, weights) for each in ways), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("way", [_ByMoments, _ByResiduals], ids=["moments", "residuals"])
def test_gradients_are_written_where_asked(way):
    """Over what is there, and the same as in memory of their own."""
    shifts, weights = torch.randn(B, R, dtype=torch.float64), make_weights(biased=False)
    into = Weights(*(torch.full_like(each, torch.nan) for each in weights[:2]), None, None)
    given = shifts, *weights[: 2 if way is _ByMoments else 4], Loss("fvu", 2.5), make_measure("l1")
    for _ in range(2):
        values = way.apply(*given, into)
        found = torch.autograd.grad(values[0].sum() + values[1].sum(), weights[:2])
        for ours, memory in zip(found, into[:2], strict=True):
            assert ours.data_ptr() == memory.data_ptr()
    values = way.apply(*given, None)
    for ours, theirs in zip(found, torch.autograd.grad(values[0].sum() + values[1].sum(), weights[:2]), strict=True):
        assert torch.equal(ours, theirs)


def test_moments_are_taken_where_they_are_less_to_multiply():
    """Counted by hand for one member: 2bdh + bd² + 3d²h + d³ against 5bdh."""
    assert moments_pay(1, 1024, 512, 1024)  # 4.25 against 5, in units of bdh
    assert not moments_pay(1, 512, 2304, 4096)
    assert moments_pay(4, 256, 24, 16)
    assert not moments_pay(1, 64, 128, 16)
    # Ensemble share the batch's moments.
    assert not moments_pay(1, 64, 30, 18)
    assert moments_pay(8, 64, 30, 18)


def test_single_precision_moments_are_close_where_little_is_lost():
    """What is left of a loss after much has cancelled."""
    rows = torch.nn.functional.normalize(torch.randn(24, 16, dtype=torch.float64).mT, dim=1)
    shifts = torch.randn(256, 16, dtype=torch.float64) @ rows
    exact = Weights(torch.linalg.pinv(rows)[None] * 0.97, rows[None], None, None)
    short = Weights(*(each.float() for each in exact[:2]), None, None)
    loss, measure = Loss("fvu", shifts.square().sum(1).mean().item()), Measure("l1")
    wanted = _ByResiduals.apply(shifts, *exact, loss, measure, None)[0]
    assert wanted.item() == pytest.approx(0.03**2, rel=1e-6)
    moments = _ByMoments.apply(shifts.float(), *short[:2], loss, measure, None)[0]
    torch.testing.assert_close(moments.double(), wanted, rtol=1e-3, atol=0)


def test_losses_know_their_units():
    """Neither loss changes with the shifts' scale."""
    shifts, weights = torch.randn(B, R, dtype=torch.float64), make_weights(biased=False)
    for kind in LOSSES:
        losses = [evaluate(s * shifts, weights, Loss(kind, 2.0 * s**2), make_measure("l1"))[0] for s in (1, 10)]
        torch.testing.assert_close(*losses)


DELTA = torch.tensor([0.3, 2.0], dtype=torch.float64)


@pytest.fixture
def codes():
    return torch.randn(2, 7, 5, dtype=torch.float64)


def test_l1_is_summed_over_latents_and_averaged_over_shifts(codes):
    torch.testing.assert_close(Measure("l1").value(codes)[0], codes.abs().sum(2).mean(1))


def test_smooth_count_between_l1_and_a_count(codes):
    def value(width):
        return Measure("smooth", torch.full((2,), width, dtype=torch.float64)).value(codes)[0]

    plain = (codes.abs() / (1 + codes.abs() / DELTA[:, None, None])).sum(2).mean(1)
    torch.testing.assert_close(Measure("smooth", DELTA).value(codes)[0], plain)
    torch.testing.assert_close(value(1e6), codes.abs().sum(2).mean(1), rtol=1e-5, atol=0)
    codes[0, :, :2] = 0
    active = (codes != 0).double().sum(2).mean(1)
    torch.testing.assert_close(value(1e-9) / 1e-9, active, rtol=1e-5, atol=0)


@pytest.mark.parametrize("kind", ["l1", "smooth"])
def test_derivative(kind, codes):
    """By finite differences."""

    def of_each_code(sizes):
        if kind == "l1":
            return sizes.abs()
        count = sizes.abs() / (sizes.abs() + DELTA[:, None, None])
        return count * DELTA[:, None, None]

    measure = Measure(kind, DELTA)
    h = 1e-6
    wanted = (of_each_code(codes + h) - of_each_code(codes - h)) / (2 * h)
    torch.testing.assert_close(measure.derivative(codes, measure.value(codes)[1]), wanted, rtol=1e-6, atol=1e-7)
    codes.requires_grad_()
    measure(codes).sum().backward()
    torch.testing.assert_close(codes.grad, wanted / 7, rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(measure(codes).detach(), measure.value(codes.detach())[0])


def test_select_keeps_the_largest_with_their_signs(codes):
    kept = Measure("l1", k=2).select(codes)
    assert ((kept != 0).sum(2) == 2).all()
    torch.testing.assert_close(kept[kept != 0], codes[kept != 0])
    left_out = codes.abs().masked_fill(kept != 0, 0).amax(2)
    assert (left_out <= kept.abs().masked_fill(kept == 0, torch.inf).amin(2)).all()
    assert Measure("l1").select(codes) is codes
    assert Measure("l1", k=5).select(codes) is codes
