"""Scales: the loss at each is what it should be, measured in another way."""

from types import SimpleNamespace

import pytest
import torch

from ssae_lens.hooks._steer import steer
from ssae_lens.methods.sae_ts import find_scales
from ssae_lens.methods.sae_ts.steered import LARGEST, TOLERANCE, search
from ssae_lens.steering_vector import SteeringVector

HOOK = "blocks.1.hook_resid_post"
TEXTS = ("The man said that he was happy.", "I think", "She opened the door, and saw the sea.")


def loss_alone(model, texts):
    """Each text by itself, every token weighing the same."""
    each = [model(model.to_tokens(text), return_type="loss", loss_per_token=True) for text in texts]
    return torch.cat([losses.flatten() for losses in each]).mean().item()


def test_the_loss_rises_by_the_target(either_model, vectors):
    found = find_scales(either_model, vectors[:4], HOOK, target=0.3, texts=TEXTS, max_rows=7)
    plain = loss_alone(either_model, TEXTS)
    assert found.loss == pytest.approx(plain, abs=1e-5)
    # Some directions do a random model's loss no harm.
    assert found.reached.tolist() == [False, True, True, False]
    for vector, scale, rise, reached in zip(vectors, found.scales, found.rises, found.reached, strict=False):
        with steer(either_model, SteeringVector(vector / vector.norm(), HOOK), scale=scale.item()):
            expected = loss_alone(either_model, TEXTS) - plain
        assert rise.item() == pytest.approx(expected, abs=1e-4)
        if reached:
            assert expected == pytest.approx(0.3, abs=0.3 * TOLERANCE + 1e-4)
        else:
            assert expected < 0.3
            assert scale.item() == pytest.approx(LARGEST * found.mean_norm)


def test_lengths_and_batches_do_not_matter(model, vectors):
    found = find_scales(model, vectors[:3], HOOK, texts=TEXTS)
    again = find_scales(model, 7 * vectors[:3], HOOK, texts=TEXTS, max_rows=1)
    torch.testing.assert_close(found.scales, again.scales, rtol=1e-3, atol=0)


def test_the_mean_norm_leaves_first_tokens_out(model, vectors):
    found = find_scales(model, vectors[:1], HOOK, texts=TEXTS)
    caches = [model.run_with_cache(text)[1][HOOK][0, 1:] for text in TEXTS]
    assert found.mean_norm == pytest.approx(torch.cat(caches).norm(dim=1).mean().item(), rel=1e-5)


def test_a_vector_that_never_gets_there_is_said_so(model, vectors):
    found = find_scales(model, vectors[:2], HOOK, target=500.0, texts=TEXTS)
    assert not found.reached.any()
    assert (found.rises < 500).all()
    torch.testing.assert_close(found.scales, torch.full((2,), LARGEST * found.mean_norm))


class Curve(SimpleNamespace):
    """A loss that rises by known functions of the scale, the row's number saying which."""

    def __call__(self, units, scales, max_rows):
        rises = torch.stack(
            [scale * 0 + self.curves[int(unit)](scale) for unit, scale in zip(units, scales, strict=True)]
        )
        self.asked += len(units)
        return 2.0 + rises


def test_the_search_ends_on_any_curve():
    curves = [
        lambda a: 3e-4 * a**2,  # as most do
        lambda a: 40 * a**2,  # the first scale is far too large
        lambda a: 1e-9 * a**2,  # and far too small, for good
        lambda a: 0.02 * a - 0.1,  # falls before it rises
        lambda a: torch.expm1(a / 3),
        lambda a: 3 * torch.sigmoid((a - 60) / 0.2),  # a step
        lambda a: torch.tensor(torch.inf) if a > 9 else 0.01 * a**2,  # overflows
    ]
    losses = Curve(curves=curves, asked=0, unsteered=2.0, mean_norm=100.0)
    found = search(losses, torch.arange(len(curves)), 0.5, 64)
    assert found.reached.tolist() == [True, True, False, True, True, True, True]
    near = (found.rises - 0.5).abs() <= 0.5 * TOLERANCE + 1e-6
    assert near[found.reached].all()
    assert found.scales[2] == LARGEST * 100
    assert found.scales[0].item() == pytest.approx((0.5 / 3e-4) ** 0.5, rel=0.03)


def test_an_ordinary_curve_takes_few_measurements():
    curves = [lambda a, c=c: c * a**2 for c in torch.linspace(1e-4, 1e-3, 10).tolist()]
    losses = Curve(curves=curves, asked=0, unsteered=2.0, mean_norm=100.0)
    assert search(losses, torch.arange(10), 0.5, 64).reached.all()
    assert losses.asked <= 30


@pytest.mark.parametrize(
    ("vectors", "options", "words"),
    [
        (torch.zeros(2, 32), {}, "only zeros in row 0"),
        (torch.full((2, 32), torch.nan), {}, "NaN or infinite values in 2 of 2 rows"),
        (torch.ones(2, 31), {}, r"shape \(2, 31\).*d_model=32"),
        (torch.ones(0, 32), {}, r"shape \(0, 32\); give at least one row"),
        (torch.ones(1, 32), {"target": 0}, "target is 0"),
        (torch.ones(1, 32), {"max_rows": 0}, "max_rows is 0"),
        (torch.ones(1, 32), {"texts": []}, r"texts is \[\]"),
        (torch.ones(1, 32), {"texts": "The man"}, "texts is 'The man'"),
        (torch.ones(1, 32), {"texts": ["The man", ""]}, "The text '' has 1 tokens"),
    ],
)
def test_bad_input(model, vectors, options, words):
    with pytest.raises(ValueError, match=words):
        find_scales(model, vectors, HOOK, **options)


def test_a_hook_that_is_not_there(model):
    with pytest.raises(ValueError, match=r"no hook 'blocks\.9"):
        find_scales(model, torch.ones(1, 32), "blocks.9.hook_resid_post")


def test_a_model_without_a_tokenizer(model, vectors, monkeypatch):
    monkeypatch.setattr(model, "tokenizer", None)
    with pytest.raises(ValueError, match="has no tokenizer"):
        find_scales(model, vectors, HOOK)
