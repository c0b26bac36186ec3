import pytest
import torch

from ssae_lens.training.measures import Measure

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


def test_step_counts_codes_beyond_its_threshold(codes):
    codes[1] = 0
    codes[1, 0, :3] = torch.tensor([0.5, -0.51, 0.49])
    found = Measure("step", DELTA, threshold=0.5).value(codes)[0]
    assert found.tolist() == [(codes[0].abs() > 0.5).sum().item() / 7, 1 / 7]


@pytest.mark.parametrize("kind", ["l1", "smooth", "step"])
def test_derivative(kind, codes):
    """By finite differences; of the step, those of the count it stands for."""

    def of_each_code(sizes):
        if kind == "l1":
            return sizes.abs()
        count = sizes.abs() / (sizes.abs() + DELTA[:, None, None])
        return count * DELTA[:, None, None] if kind == "smooth" else count

    measure = Measure(kind, DELTA, threshold=0.1)
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
