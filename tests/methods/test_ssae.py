from dataclasses import replace

import numpy as np
import pytest
import torch

from ssae_lens.methods import ssae
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore


def exact(store, directions, order=(2, 0, 1), signs=(1, 1, -1), **config):
    """An SSAE whose latents read the concepts: `order` says which, and `signs` which way round."""
    rows = torch.tensor(directions[list(order)] * np.array(signs)[:, None], dtype=torch.float32)
    made = SSAE.from_weights(rows.T.contiguous(), rows, **config)
    made.cfg.metadata.origin = store.origin.to_dict()
    return made


def test_latent_sign_and_scale_come_from_the_labels(store, directions, signed):
    # Sentiment is latent 2, turned round.
    vector = ssae(exact(store, directions), store, "sentiment")
    unit = torch.tensor(directions[1], dtype=torch.float32)
    assert torch.cosine_similarity(vector.direction, unit, dim=0).item() == pytest.approx(1, abs=1e-6)
    codes = signed @ directions[1]
    assert vector.direction.norm().item() == pytest.approx((codes**2).sum() / abs(codes).sum(), rel=1e-5)
    assert vector.direction.norm().item() == pytest.approx(3, rel=0.02)
    assert (vector.method, vector.concept, vector.origin) == ("ssae", "sentiment", store.origin)
    assert vector.norms.keys() == {"mean_residual_norm", "mean_shift_norm"}
    torch.testing.assert_close(ssae(exact(store, directions), store, "sentiment", latent=2).direction, vector.direction)


def test_codes_of_zero_do_not_count(directions, store):
    source, shifts = torch.zeros(6, 12), torch.zeros(6, 12)
    shifts[1], shifts[4] = (torch.tensor(3 * directions[0]), torch.tensor(directions[0]))
    pairs = ShiftStore.from_arrays(source, shifts, origin=store.origin)
    # (9 + 1) / (3 + 1), though four pairs of six do not change.
    assert ssae(exact(store, directions), pairs, latent=1).direction.norm().item() == pytest.approx(2.5, rel=1e-5)


def test_without_labels_it_goes_as_the_pairs_go(store, directions):
    shifts = torch.tensor(np.outer([1, 1, -1], directions[1]), dtype=torch.float32)
    pairs = ShiftStore.from_arrays(torch.zeros(3, 12), shifts, origin=store.origin)
    vector = ssae(exact(store, directions), pairs, latent=2)
    torch.testing.assert_close(vector.direction, torch.tensor(directions[1], dtype=torch.float32))
    # Labels of several concepts do not choose among them where the latent is said.
    assert ssae(exact(store, directions), store, latent=0).concept == ""


def test_a_concept_that_comes_in_every_pair_finds_its_latent(store, directions):
    amounts = np.random.default_rng(0).normal(size=(50, 3)) * [1, 0, 1] + [0, 2, 0]
    pairs = ShiftStore.from_arrays(
        np.zeros((50, 12)), amounts @ directions, origin=store.origin, labels=np.ones((50, 1)), concepts=["sentiment"]
    )
    vector = ssae(exact(store, directions), pairs)
    torch.testing.assert_close(vector.direction, torch.tensor(2 * directions[1], dtype=torch.float32))


def test_a_row_of_an_ssae_that_standardises_is_in_residual_units(store, directions, sides, labels):
    made = exact(store, directions, normalize_activations="layer_norm")
    vector = ssae(made, store, "tense", latent=1)
    # What the latent adds to the SSAE's own output, pair by pair.
    changed = torch.tensor(sides[1] - sides[0])[labels[:, 0] != 0]
    codes = made.encode(changed)
    without = codes.clone()
    without[:, 1] = 0
    whole = made.decode(codes)
    made.encode(changed)
    lengths = (whole - made.decode(without)).double().norm(dim=1)
    expected = (lengths**2).sum() / lengths.sum()
    assert vector.direction.norm().item() == pytest.approx(expected.item(), rel=1e-4)


def test_what_cannot_be_used_is_said(store, unlabelled, directions):
    made = exact(store, directions)
    with pytest.raises(ValueError, match="have no labels to choose a latent by; say which latent"):
        ssae(made, unlabelled)
    with pytest.raises(ValueError, match="latent is 3; the SAE has latents 0 to 2"):
        ssae(made, store, latent=3)
    with pytest.raises(ValueError, match="Did you mean 'gender'"):
        ssae(made, store, "gendre")
    with pytest.raises(ValueError, match="ssae is a Linear; give an SSAE"):
        ssae(torch.nn.Linear(2, 2), store)
    still = ShiftStore.from_arrays(torch.zeros(2, 12), torch.zeros(2, 12), origin=store.origin)
    with pytest.raises(ValueError, match="Latent 1 is 0 in all 2 pairs"):
        ssae(made, still, latent=1)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hook_name": "blocks.2.hook_resid_post"}, "blocks.2.hook_resid_post' against 'blocks.1.hook_resid_post"),
        ({"model_name": "other"}, "'other' against 'tiny-gpt2'"),
        ({"fingerprint": "def"}, "'def' against 'abc'"),
    ],
)
def test_of_another_place(store, directions, change, said):
    made = exact(store, directions)
    made.cfg.metadata.origin = replace(store.origin, **change).to_dict()
    with pytest.raises(ValueError, match=said):
        ssae(made, store, "tense")


def test_of_another_width(store):
    narrow = SSAE.from_weights(torch.eye(4), torch.eye(4))
    with pytest.raises(ValueError, match="d_model: 4 against 12"):
        ssae(narrow, store, "tense")


def test_where_it_was_read_may_differ(store, directions):
    made = exact(store, directions)
    made.cfg.metadata.origin = replace(store.origin, position="mean").to_dict()
    assert ssae(made, store, "tense").hook_name == store.origin.hook_name
