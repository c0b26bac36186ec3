from itertools import combinations

import numpy as np
import pytest
import torch
from sae_lens.synthetic import mean_correlation_coefficient

from ssae_lens.metrics import latent_stability, mcc_codes, udr


@pytest.fixture
def runs():
    rng = np.random.default_rng(0)
    codes = [rng.normal(size=(200, 6)) for _ in range(3)]
    codes[1] = codes[0] + 0.5 * codes[1]
    decoders = [rng.normal(size=(6, 20)) for _ in range(3)]
    return codes, decoders


def test_every_pair(runs):
    codes, decoders = runs
    found = udr(codes, decoders)
    assert [(each.first, each.second) for each in found.pairs] == list(combinations(range(3), 2))
    for each in found.pairs:
        assert each.codes == pytest.approx(mcc_codes(codes[each.first], codes[each.second]).score)
        both = (torch.tensor(decoders[i]) for i in (each.first, each.second))
        assert each.decoders == pytest.approx(mean_correlation_coefficient(*both))
    assert found.codes == pytest.approx(np.mean([each.codes for each in found.pairs]))
    assert found.decoders == pytest.approx(np.mean([each.decoders for each in found.pairs]))
    assert found.pairs[0].codes > found.pairs[1].codes + 0.4


def test_the_same_run_reordered_is_one(runs):
    (codes, *_), (decoder, *_) = runs
    order, signs = [5, 3, 1, 0, 2, 4], np.array([1, -1, 1, 1, -1, -1])
    found = udr([codes, codes[:, order] * signs], [decoder, decoder[order] * signs[:, None]], kind="spearman")
    assert found.codes == pytest.approx(1)
    assert found.decoders == pytest.approx(1)


def test_dead_latents_lower_it(runs):
    (codes, *_), (decoder, *_) = runs
    dead = codes.copy()
    dead[:, :3] = 0
    assert udr([codes, dead], [decoder, decoder]).codes == pytest.approx(0.5)


def test_runs_of_two_widths(runs):
    (codes, *_), (decoder, *_) = runs
    for pair in ([0, 1], [1, 0]):
        both = [(codes, decoder), (codes[:, :4], decoder[:4])]
        found = udr([both[i][0] for i in pair], [both[i][1] for i in pair])
        assert found.codes == pytest.approx(1)
        assert found.decoders == pytest.approx(1)


def test_stability_of_each_latent():
    base, noise = np.eye(4, 10), np.eye(4, 10, k=5)
    wobbly = base + np.array([0, 0, 0, 1])[:, None] * noise  # the last at 45°
    found = latent_stability([base, wobbly[::-1], -base], run=0)
    np.testing.assert_allclose(found, [1, 1, 1, (np.sqrt(0.5) + 1) / 2])
    np.testing.assert_allclose(latent_stability([base[:2], base], run=1), [1, 1, 0, 0])


def test_unusable(runs):
    codes, decoders = runs
    with pytest.raises(ValueError, match="codes holds 1 runs; at least 2"):
        udr(codes[:1], decoders[:1])
    with pytest.raises(ValueError, match="3 codes and 2 decoders"):
        udr(codes, decoders[:2])
    with pytest.raises(ValueError, match=r"codes\[0\] has 200 rows and codes\[2\] has 199"):
        udr([codes[0], codes[1], codes[2][1:]], decoders)
    with pytest.raises(ValueError, match=r"decoders\[0\] has 20 columns and decoders\[1\] has 19"):
        udr(codes, [decoders[0], decoders[1][:, 1:], decoders[2]])
    with pytest.raises(ValueError, match="run is 3"):
        latent_stability(decoders, run=3)
    with pytest.raises(ValueError, match="kind is 'rdc'"):
        udr(codes, decoders, kind="rdc")
