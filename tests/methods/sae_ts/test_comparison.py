"""The comparison: its numbers are effects, each of the right vector on the right feature."""

import pytest
import torch

from ssae_lens.methods.sae_ts import compare, fit_approximator, measure_effects, pseudo_inverse, rotated, targeted
from ssae_lens.models import tiny_model


@pytest.fixture(scope="module")
def approximator(effects):
    return fit_approximator(effects)


def test_each_number_is_the_effect_of_its_vector_on_its_feature(model, sae, approximator, settings):
    features = approximator.M.norm(dim=0).topk(2).indices.tolist()
    table = compare(model, sae, approximator, features, settings, quiet=True)
    assert list(table.columns) == ["decoder row", "targeted", "pseudo-inverse", "rotation", "random"]
    assert table.index.tolist() == features
    for feature in features[:1]:
        rows = [
            sae.W_dec[feature].detach(),
            *(
                each.direction
                for each in (
                    targeted(approximator, feature),
                    pseudo_inverse(approximator, feature),
                    rotated(approximator, sae, feature),
                )
            ),
        ]
        expected = measure_effects(model, sae, torch.stack(rows), settings).effects[:, feature]
        torch.testing.assert_close(torch.tensor(table.loc[feature].to_numpy()[:4]), expected, rtol=1e-2, atol=1e-2)
    assert table["random"].nunique() == 2


def test_of_another_model(sae, approximator, settings):
    with pytest.raises(ValueError, match=r"not of this model and hook \(.*fingerprint: '[0-9a-f]+' against"):
        compare(tiny_model("gpt2", seed=1), sae, approximator, [0], settings)
