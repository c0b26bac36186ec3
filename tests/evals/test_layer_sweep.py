"""SSAEs of several layers from one capture."""

import pytest
import torch

import ssae_lens as sl
from ssae_lens.models.tiny import tiny_model

HOOKS = ["blocks.0.hook_resid_post", "blocks.1.hook_resid_post"]
QUICK = {"seeds": 2, "steps": 150, "budget": 0.5, "refine": False, "quiet": True}


@pytest.fixture(scope="module")
def model():
    return tiny_model("gpt2")


@pytest.fixture(scope="module")
def pairs():
    return sl.load_pairs("sentences", n=120)


@pytest.fixture(scope="module")
def swept(model, pairs):
    return sl.layer_sweep(model, pairs, [0, HOOKS[1]], [3, 4], **QUICK)


def test_each_hook_has_its_sweep(model, pairs, swept):
    table = swept.table()
    assert table.index.tolist() == HOOKS
    alone = sl.sweep(sl.capture_shifts(model, pairs, HOOKS[1], quiet=True), d_sae=[3, 4], **QUICK).best
    assert torch.equal(swept.ssaes[HOOKS[1]].W_dec, alone.W_dec)
    assert table.loc[HOOKS[1], "fvu"] == alone.outcome.fvu
    assert table.loc[HOOKS[0], "latents"] == swept.ssaes[HOOKS[0]].cfg.d_sae
    concepts = swept.concepts[HOOKS[0]]
    assert table.loc[HOOKS[0], "matched"] == sum(bool(concept.latents) for concept in concepts.values())
    fits = [concept.fit or 0 for concept in concepts.values()]
    assert table.loc[HOOKS[0], "mean_fit"] == pytest.approx(sum(fits) / len(fits))
    assert HOOKS[0] in repr(swept)


def test_a_concept_at_every_layer_that_has_it(model, swept):
    with_both = [name for name in swept.concepts[HOOKS[0]] if all(swept.concepts[hook][name].latents for hook in HOOKS)]
    name = with_both[0]
    vector = swept.vector(name)
    assert vector.hook_names == tuple(HOOKS)
    assert vector.concept == name
    for hook in HOOKS:
        one = sl.SteeringVector.from_ssae(swept.ssaes[hook], swept.concepts[hook][name])
        assert torch.equal(vector.directions[hook], one.direction)
        assert vector.at(hook).norms == one.norms
    with sl.steer(model, vector):
        model("The man")


def test_without_labels_and_with_a_folder(model, pairs, tmp_path):
    bare = pairs.remove_columns(["changes", "changed"])
    swept = sl.layer_sweep(model, bare, [1], 3, path=tmp_path, **QUICK)
    assert "matched" not in swept.table()
    assert (tmp_path / f"{HOOKS[1]}.h5").is_file()
    with pytest.raises(ValueError, match=r"hooks is .*blocks.1"):
        sl.layer_sweep(model, bare, [1, HOOKS[1]], 3, **QUICK)
