import json
import math

import numpy as np
import pytest
import torch
from sae_lens import SAE

from ssae_lens.base.origin import Origin
from ssae_lens.metrics import mcc_codes, r2_uncentred
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import train
from ssae_lens.training._train import best_of
from ssae_lens.training.training_group import Outcome

from .conftest import make_world

QUICK = {"d_sae": 5, "steps": 40, "restarts": 1, "quiet": True, "batch_size": 64}


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def found(ssae, world):
    return mcc_codes(ssae.encode(world.shifts).detach().numpy(), world.factors.numpy()).score


def test_the_default_finds_the_concepts(world):
    ssae = train(world.shifts, d_sae=5, steps=1500, restarts=2, quiet=True)
    assert found(ssae, world) > 0.99
    assert ssae.outcome.status == "binding"
    cosines = (ssae.W_dec @ world.directions.T).abs().amax(0)
    assert cosines.min() > 0.99
    assert not ssae.encode(torch.zeros(1, 16)).any()


@pytest.mark.filterwarnings("ignore:The constraint")
def test_every_kind_of_shifts_gives_the_same(world):
    origin = Origin("blocks.0.hook_resid_post", 16)
    values = world.shifts.numpy()
    store = ShiftStore.from_arrays(np.zeros_like(values), values, origin=origin)
    kinds = (world.shifts, values, world.shifts.double(), values.tolist(), store)
    first, *others = (train(each, **QUICK) for each in kinds)
    assert all(same(first, each) for each in others)
    stream = train((world.shifts[i::5] for _ in range(10) for i in range(5)), **QUICK)
    assert stream.W_dec.shape == first.W_dec.shape
    assert not same(first, stream)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_a_seed_repeats_a_run(world):
    assert same(train(world.shifts, seed=3, **QUICK), train(world.shifts, seed=3, **QUICK))
    assert not same(train(world.shifts, seed=3, **QUICK), train(world.shifts, seed=4, **QUICK))


@pytest.mark.filterwarnings("ignore:The constraint")
def test_numpys_numbers_are_taken_and_kept_as_json(world, tmp_path):
    given = {**QUICK, "d_sae": np.int64(5), "steps": np.int64(40), "lr": np.float32(0.5), "seed": np.int64(3)}
    train(world.shifts, out=tmp_path, **given)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["settings"]["d_sae"], run["settings"]["lr"], run["seed"]) == (5, 0.5, 3)


def test_the_best_restart_is_kept():
    def outcome(status, objective):
        return Outcome(0, 0.1, status, "", 0.0, 0.0, 0.0, 0.0, 0.0, objective)

    assert best_of([outcome("binding", 2.0), outcome("binding", 1.0), outcome("infeasible", 0.1)]) == 1
    assert best_of([outcome("diverged", math.nan), outcome("infeasible", 5.0)]) == 1
    assert best_of([outcome("infeasible", 0.1), outcome("slack", 3.0)]) == 1


def test_restarts_are_tried(world):
    given = {**QUICK, "steps": 200}
    several = train(world.shifts, **{**given, "restarts": 3})
    alone = train(world.shifts, **given)
    assert several.outcome.objective <= alone.outcome.objective * 1.01
    assert several.outcome.seed in (0, 1000, 2000)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_the_log_and_the_files(world, tmp_path):
    ssae = train(world.shifts, out=tmp_path, **QUICK)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(1, 41))
    wanted = {"step", "d_sae", "loss", "sparsity", "bound", "mean_abs", "active", "multiplier"}
    assert set(rows[0]) == wanted
    assert len(ssae.outcome.history) == len(rows)
    assert ssae.outcome.history[-1]["loss"] == rows[-1]["loss"][0]
    run = json.loads((tmp_path / "run.json").read_text())
    assert run["settings"]["steps"] == 40
    assert "torch" in run["versions"]
    assert same(SAE.load_from_disk(tmp_path), ssae)
    assert not (tmp_path / "checkpoint.pt").exists()


def test_the_ssae_says_where_it_came_from(world, tmp_path):
    origin = Origin("blocks.3.hook_resid_post", 16, "tiny", "HookedTransformer", {"fold_ln": True}, "mean", "abc")
    values = world.shifts.numpy()
    pairs = {"name": "toys", "fingerprint": "123"}
    store = ShiftStore.from_arrays(np.zeros_like(values), values, origin=origin, pairs=pairs)
    train(store, out=tmp_path, seed=7, level=0.5, **QUICK)
    again = SAE.load_from_disk(tmp_path)
    assert again.origin == origin
    metadata = again.cfg.metadata
    assert metadata.pairs["fingerprint"] == "123"
    assert metadata.shifts_fingerprint == store.fingerprint
    assert metadata.position == "mean"
    assert (metadata.model_name, metadata.hook_name) == ("tiny", "blocks.3.hook_resid_post")
    assert metadata.training["level"] == 0.5
    assert metadata.training["seed"] == 7
    assert metadata.training["status"] == again.cfg.metadata.training["status"]
    assert "sae-lens" in metadata.versions


@pytest.mark.filterwarnings("ignore:The constraint")
def test_a_store_may_be_given_by_its_path(world, tmp_path):
    origin = Origin("blocks.3.hook_resid_post", 16, "tiny")
    values = world.shifts.numpy()
    store = ShiftStore.from_arrays(np.zeros_like(values), values, origin=origin, path=tmp_path / "shifts.h5")
    by_path, of_store = (train(each, **QUICK) for each in (str(store.path), store))
    assert same(by_path, of_store)
    assert by_path.origin == origin
    assert by_path.cfg.metadata.shifts_fingerprint == store.fingerprint


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The constraint")
def test_weights_and_biases_offline(world, offline):
    run, seen = offline
    train(world.shifts, wandb=run, **QUICK)
    assert [step for step, _ in seen] == list(range(1, 41))
    assert set(seen[0][1]) >= {"d_sae=5/loss/0", "d_sae=5/multiplier/0", "d_sae=5/active/0"}


def test_a_slack_bound_is_said_in_words():
    world = make_world(n=1500, most=1)
    with pytest.warns(UserWarning, match="The constraint is slack.*does nothing. Lower the level"):
        ssae = train(world.shifts, **{**QUICK, "d_sae": 5, "steps": 400}, level=0.99, lr=0.03)
    assert ssae.outcome.status == "slack"
    assert ssae.outcome.multiplier < 0.01
    assert ssae.cfg.metadata.training["status"] == "slack"


def test_an_infeasible_bound_is_said_in_words(world):
    with pytest.warns(UserWarning, match="The constraint is infeasible.*Raise the steps or the budget"):
        ssae = train(world.shifts, **{**QUICK, "steps": 3})
    assert ssae.outcome.loss > 0.1
    with pytest.warns(UserWarning, match="infeasible.*Raise the level, the steps or dual_lr"):
        train(world.shifts, **{**QUICK, "steps": 3}, level=0.1)


def test_divergence_is_an_error(world):
    with pytest.raises(ValueError, match=r"diverged. Lower lr"):
        train(world.shifts, **{**QUICK, "steps": 60}, lr=1e30)


def test_patience_stops_early(world, tmp_path):
    train(world.shifts, out=tmp_path, **{**QUICK, "steps": 4000}, patience=40, warmup=0, decay=0, lr=0.05)
    last = json.loads((tmp_path / "log.jsonl").read_text().splitlines()[-1])
    assert last["step"] < 4000


def test_patience_counts_after_annealing_and_does_not_stop_on_collapsed_codes(world):
    """At the start codes have collapsed, which is as sparse as can be; annealing then changes what sparsity is."""
    ssae = train(world.shifts, **{**QUICK, "steps": 1000}, patience=10)
    assert 700 <= ssae.outcome.history[-1]["step"] < 1000
    assert found(ssae, world) > 0.99


@pytest.mark.filterwarnings("ignore:The constraint")
def test_patience_does_not_count_while_the_bound_is_passed(world):
    ssae = train(world.shifts, **{**QUICK, "steps": 200}, patience=1, lr=1e-6)
    assert ssae.outcome.status == "infeasible"
    assert ssae.outcome.history[-1]["step"] == 200


@pytest.mark.filterwarnings("ignore:The constraint")
def test_fewer_shifts_than_latents(world):
    with pytest.warns(UserWarning, match="3 shifts and d_sae=5 latents.*Capture more pairs or lower d_sae"):
        train(world.shifts[:3], **QUICK)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_few_pairs_for_the_latents(world, recwarn):
    with pytest.warns(
        UserWarning, match="There are 20 shifts and d_sae=5 latents, fewer than 5 for each.*Capture more"
    ):
        train(world.shifts[:20], **QUICK)
    values = world.shifts[:60].numpy()
    store = ShiftStore.from_arrays(np.zeros_like(values), values, row_ids=np.repeat(np.arange(20), 3))
    with pytest.warns(UserWarning, match="There are 20 pairs and d_sae=5 latents"):
        train(store, **QUICK)
    recwarn.clear()
    train(world.shifts[:25], **QUICK)
    assert not [each for each in recwarn if "for each" in str(each.message)]


@pytest.mark.filterwarnings("ignore:The constraint")
@pytest.mark.parametrize(
    "given",
    [
        {"precision": "bfloat16"},
        {"precision": "bfloat16", "code_norm": "layer"},
        {"input": "zca"},
        {"loss": "absolute"},
    ],
)
def test_other_ways_train_too(given, world):
    start = train(world.shifts, **{**QUICK, "steps": 1}, **given).outcome.loss
    assert train(world.shifts, **{**QUICK, "steps": 200}, **given).outcome.loss < start


@pytest.mark.parametrize("given", [{}, {"level": 0.4}])
def test_the_unit_of_the_shifts_does_not_matter(given, world):
    given = {**QUICK, "steps": 200, **given}
    plain = train(world.shifts, **given)
    codes = plain.encode(world.shifts).detach()
    for size in (1e-30, 1e-12, 1e12, 1e30):
        ssae = train(world.shifts * size, **given)
        assert ssae.outcome.status == plain.outcome.status
        torch.testing.assert_close(ssae.W_dec, plain.W_dec, rtol=0, atol=1e-3)
        found = ssae.encode(world.shifts * size).detach() / size
        torch.testing.assert_close(found, codes, rtol=0, atol=0.01 * codes.abs().max().item())


@pytest.mark.filterwarnings("ignore:The constraint")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"level": 0.4, "input": "none"},
        {"level": 2, "sparsity": "topk"},
        {"level": 0.5, "bias": True, "code_norm": "layer"},
        {"level": 0.5, "bias": True, "code_norm": "batch", "input": "zca"},
        {"loss": "absolute", "input": "standardise"},
    ],
)
def test_a_unit_that_is_a_power_of_four_changes_no_bit(given, world):
    plain = train(world.shifts, **QUICK, **given)
    codes = plain.encode(world.shifts)
    for size in (4.0**-40, 4.0**40):
        ssae = train(world.shifts * size, **QUICK, **given)
        assert torch.equal(ssae.W_dec, plain.W_dec)
        assert torch.equal(ssae.encode(world.shifts * size), codes * size)


@pytest.mark.filterwarnings("ignore:The constraint", "ignore:There are")
@pytest.mark.parametrize("n", [2, 3])
def test_a_few_shifts_can_be_trained_on(n, world):
    assert torch.isfinite(train(world.shifts[:n], **QUICK).W_dec).all()


@pytest.mark.parametrize("rank", [1, 2])
def test_more_latents_than_the_rank_meet_the_budget_as_well(rank):
    generator = torch.Generator().manual_seed(0)
    codes = torch.randn(500, rank, generator=generator) * (torch.rand(500, rank, generator=generator) < 0.7)
    shifts = codes @ torch.randn(rank, 16, generator=generator)
    for width in (rank, 5):
        ssae = train(shifts, d_sae=width, steps=600, restarts=2, quiet=True)
        assert ssae.outcome.status == "binding"
        assert ssae.outcome.loss < 0.03
        assert 1 - r2_uncentred(shifts, ssae(shifts).detach()) < 0.005


def test_unusable(world):
    for given, says in (
        ({"level": -1}, "level is -1"),
        ({"seed": -1}, "seed is -1; it must be a whole number"),
        ({"level": 5.0, "level_unit": "absolute"}, "unconstrained fit .* it cannot bind"),
        ({"level": 0.1, "budget": 0.1}, "level is 0.1 and budget 0.1; one of them bounds the problem"),
        ({"learning_rate": 1e-3}, "'learning_rate' is no setting of training"),
        ({"device": "gpu"}, "device is 'gpu', which is none of"),
        ({"wandb": "my project"}, "wandb is 'my project'; give the run itself"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            train(world.shifts, **QUICK, **given)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="There is 1 shift; training needs several"):
        train(world.shifts[:1], **QUICK)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="PyTorch can use; leave it out or give 'cpu'"):
            train(world.shifts, **QUICK, device="cuda:0")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The constraint")
@pytest.mark.parametrize("given", [{}, {"code_norm": "layer"}, {"solver": "extragradient"}])
def test_compiled_is_the_same(given, world):
    plain, compiled = (train(world.shifts, **QUICK, **given, compile=each) for each in (False, True))
    torch.testing.assert_close(plain.W_dec, compiled.W_dec, rtol=1e-4, atol=1e-5)
