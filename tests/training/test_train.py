import json
import math

import numpy as np
import pytest
import torch
from sae_lens import SAE

from ssae_lens.base.provenance import Origin
from ssae_lens.metrics import mcc_codes, r2_uncentred
from ssae_lens.sae import SSAE
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import train
from ssae_lens.training._train import best_of
from ssae_lens.training.outcome import Outcome

from .conftest import make_synthetic

QUICK = {"d_sae": 5, "steps": 40, "restarts": 1, "quiet": True, "batch_size": 64}


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def found(ssae, synthetic):
    return mcc_codes(ssae.encode(synthetic.shifts).detach().numpy(), synthetic.factors.numpy()).score


def test_the_default_finds_the_concepts(synthetic):
    ssae = train(synthetic.shifts, d_sae=5, steps=1500, restarts=2, quiet=True)
    assert found(ssae, synthetic) > 0.99
    assert ssae.outcome.status == "binding"
    cosines = (ssae.W_dec @ synthetic.directions.T).abs().amax(0)
    assert cosines.min() > 0.99
    assert not ssae.encode(torch.zeros(1, 16)).any()


@pytest.mark.filterwarnings("ignore:The constraint")
def test_every_kind_of_shifts_gives_the_same(synthetic):
    origin = Origin("blocks.0.hook_resid_post", 16)
    values = synthetic.shifts.numpy()
    store = ShiftStore.from_arrays(np.zeros_like(values), values, origin=origin)
    kinds = (synthetic.shifts, values, synthetic.shifts.double(), values.tolist(), store)
    first, *others = (train(each, **QUICK) for each in kinds)
    assert all(same(first, each) for each in others)
    stream = train((synthetic.shifts[i::5] for _ in range(10) for i in range(5)), **QUICK)
    assert stream.W_dec.shape == first.W_dec.shape
    assert not same(first, stream)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_a_seed_repeats_a_run(synthetic):
    assert same(train(synthetic.shifts, seed=3, **QUICK), train(synthetic.shifts, seed=3, **QUICK))
    assert not same(train(synthetic.shifts, seed=3, **QUICK), train(synthetic.shifts, seed=4, **QUICK))


@pytest.mark.filterwarnings("ignore:The constraint")
def test_numpys_numbers_are_taken_and_kept_as_json(synthetic, tmp_path):
    given = {**QUICK, "d_sae": np.int64(5), "steps": np.int64(40), "lr": np.float32(0.5), "seed": np.int64(3)}
    train(synthetic.shifts, out=tmp_path, **given)
    run = json.loads((tmp_path / "run.json").read_text())
    assert (run["settings"]["d_sae"], run["settings"]["lr"], run["seed"]) == (5, 0.5, 3)


def test_the_best_restart_is_kept():
    def outcome(status, objective):
        return Outcome(0, 0.1, status, 0.0, 0.0, 0.0, objective)

    assert best_of([outcome("binding", 2.0), outcome("binding", 1.0), outcome("infeasible", 0.1)]) == 1
    assert best_of([outcome("diverged", math.nan), outcome("infeasible", 5.0)]) == 1
    assert best_of([outcome("infeasible", 0.1), outcome("slack", 3.0)]) == 1


def test_restarts_are_tried(synthetic):
    given = {**QUICK, "steps": 200}
    several = train(synthetic.shifts, **{**given, "restarts": 3})
    alone = train(synthetic.shifts, **given)
    assert several.outcome.objective <= alone.outcome.objective * 1.01
    assert several.outcome.seed in (0, 1000, 2000)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_the_log_and_the_files(synthetic, tmp_path):
    ssae = train(synthetic.shifts, out=tmp_path, **QUICK)
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


def test_the_ssae_has_its_origin(synthetic, tmp_path):
    origin = Origin("blocks.3.hook_resid_post", 16, "tiny", "HookedTransformer", {"fold_ln": True}, "mean", "abc")
    values = synthetic.shifts.numpy()
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
def test_a_store_may_be_given_by_its_path(synthetic, tmp_path):
    origin = Origin("blocks.3.hook_resid_post", 16, "tiny")
    values = synthetic.shifts.numpy()
    store = ShiftStore.from_arrays(np.zeros_like(values), values, origin=origin, path=tmp_path / "shifts.h5")
    by_path, of_store = (train(each, **QUICK) for each in (str(store.path), store))
    assert same(by_path, of_store)
    assert by_path.origin == origin
    assert by_path.cfg.metadata.shifts_fingerprint == store.fingerprint


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:The constraint")
def test_weights_and_biases_offline(synthetic, offline):
    run, seen = offline
    train(synthetic.shifts, wandb=run, **QUICK)
    assert [step for step, _ in seen] == list(range(1, 41))
    assert set(seen[0][1]) >= {"d_sae=5/loss/0", "d_sae=5/multiplier/0", "d_sae=5/active/0"}


def test_a_slack_bound_is_explained():
    synthetic = make_synthetic(n=1500, most=1)
    with pytest.warns(UserWarning, match="The constraint is slack.*has no effect.*Lower the level"):
        ssae = train(synthetic.shifts, **{**QUICK, "d_sae": 5, "steps": 400}, level=0.99, lr=0.03)
    assert ssae.outcome.status == "slack"
    assert ssae.outcome.multiplier < 0.01
    assert ssae.cfg.metadata.training["status"] == "slack"


def test_an_infeasible_bound_is_explained(synthetic):
    with pytest.warns(UserWarning, match="The constraint is infeasible.*Raise the steps or the budget"):
        ssae = train(synthetic.shifts, **{**QUICK, "steps": 3})
    assert ssae.outcome.loss > 0.1
    with pytest.warns(UserWarning, match="infeasible.*Raise the level, the steps or dual_lr"):
        train(synthetic.shifts, **{**QUICK, "steps": 3}, level=0.1)


def test_divergence_is_an_error(synthetic):
    with pytest.raises(ValueError, match=r"Training diverged: .* Lower lr"):
        train(synthetic.shifts, **{**QUICK, "steps": 60}, lr=1e30)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_fewer_shifts_than_latents(synthetic):
    with pytest.warns(UserWarning, match="3 shifts and d_sae=5 latents.*Capture more pairs or lower d_sae"):
        train(synthetic.shifts[:3], **QUICK)


@pytest.mark.filterwarnings("ignore:The constraint")
def test_few_pairs_for_the_latents(synthetic, recwarn):
    with pytest.warns(
        UserWarning, match="There are 20 shifts and d_sae=5 latents, fewer than 5 for each.*Capture more"
    ):
        train(synthetic.shifts[:20], **QUICK)
    values = synthetic.shifts[:60].numpy()
    store = ShiftStore.from_arrays(np.zeros_like(values), values, row_ids=np.repeat(np.arange(20), 3))
    with pytest.warns(UserWarning, match="There are 20 pairs and d_sae=5 latents"):
        train(store, **QUICK)
    recwarn.clear()
    train(synthetic.shifts[:25], **QUICK)
    assert not [each for each in recwarn if "for each" in str(each.message)]


@pytest.mark.filterwarnings("ignore:The constraint")
@pytest.mark.parametrize(
    "given",
    [
        {"input": "whiten"},
        {"loss": "relative"},
        {"level": 0.5, "code_norm": "layer"},
    ],
)
def test_other_options_train_too(given, synthetic):
    start = train(synthetic.shifts, **{**QUICK, "steps": 1}, **given).outcome.loss
    assert train(synthetic.shifts, **{**QUICK, "steps": 200}, **given).outcome.loss < start


@pytest.mark.parametrize("given", [{}, {"level": 0.4}])
def test_the_unit_of_the_shifts_does_not_matter(given, synthetic):
    given = {**QUICK, "steps": 200, **given}
    plain = train(synthetic.shifts, **given)
    codes = plain.encode(synthetic.shifts).detach()
    for size in (1e-30, 1e-12, 1e12, 1e30):
        ssae = train(synthetic.shifts * size, **given)
        assert ssae.outcome.status == plain.outcome.status
        torch.testing.assert_close(ssae.W_dec, plain.W_dec, rtol=0, atol=1e-3)
        found = ssae.encode(synthetic.shifts * size).detach() / size
        torch.testing.assert_close(found, codes, rtol=0, atol=0.01 * codes.abs().max().item())


@pytest.mark.filterwarnings("ignore:The constraint")
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"level": 0.4, "input": "none"},
        {"level": 2, "sparsity": "topk"},
        {"level": 0.5, "bias": True, "code_norm": "layer"},
        {"level": 0.5, "bias": True, "code_norm": "batch", "input": "whiten"},
    ],
)
def test_a_unit_that_is_a_power_of_four_changes_no_bit(given, synthetic):
    plain = train(synthetic.shifts, **QUICK, **given)
    codes = plain.encode(synthetic.shifts)
    for size in (4.0**-40, 4.0**40):
        ssae = train(synthetic.shifts * size, **QUICK, **given)
        assert torch.equal(ssae.W_dec, plain.W_dec)
        assert torch.equal(ssae.encode(synthetic.shifts * size), codes * size)


@pytest.mark.filterwarnings("ignore:The constraint", "ignore:There are")
@pytest.mark.parametrize("n", [2, 3])
def test_a_few_shifts_can_be_trained_on(n, synthetic):
    assert torch.isfinite(train(synthetic.shifts[:n], **QUICK).W_dec).all()


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


def test_unusable(synthetic):
    for given, says in (
        ({"level": -1}, "level is -1"),
        ({"seed": -1}, "seed is -1; it must be an integer"),
        ({"level": 5.0, "level_unit": "absolute"}, "unconstrained fit .* it cannot bind"),
        ({"level": 0.1, "budget": 0.1}, "level is 0.1 and budget is 0.1; give only one of them"),
        ({"learning_rate": 1e-3}, "'learning_rate' is an unknown training option"),
        ({"device": "gpu"}, "device is 'gpu'; it must be one such as"),
        ({"wandb": "my project"}, "wandb must be a run, .* got 'my project'"),
    ):
        with pytest.raises(ValueError, match=says) as caught:
            train(synthetic.shifts, **QUICK, **given)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="There is 1 shift; training needs several"):
        train(synthetic.shifts[:1], **QUICK)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match=r"PyTorch cannot use on this machine .*; leave it out or give 'cpu'"):
            train(synthetic.shifts, **QUICK, device="cuda:0")


def test_an_ssae_knows_the_sizes_of_its_data(synthetic, tmp_path):
    """Typical codes are Σh² / Σ|h|; norms are those of the store, or of the shifts alone."""
    source = torch.randn(len(synthetic.shifts), 16, generator=torch.Generator().manual_seed(1)) * 5
    store = ShiftStore.from_arrays(source, source + synthetic.shifts)
    trained = train(store, d_sae=5, steps=200, restarts=1, quiet=True, out=tmp_path)
    codes = trained.encode(torch.from_numpy(store.shifts)).double()
    typical = codes.square().sum(0) / codes.abs().sum(0)
    loaded = SSAE.load_from_disk(tmp_path)
    assert loaded.cfg.metadata.typical == pytest.approx(typical.tolist(), rel=1e-4)
    both = (torch.from_numpy(store.source).norm(dim=1) + torch.from_numpy(store.target).norm(dim=1)).mean() / 2
    shifts_norm = torch.from_numpy(store.shifts).norm(dim=1).mean().item()
    expected = {
        "mean_residual_norm": pytest.approx(both.item(), rel=1e-5),
        "mean_shift_norm": pytest.approx(shifts_norm),
    }
    assert loaded.cfg.metadata.norms == expected
    bare = train(synthetic.shifts, d_sae=5, steps=50, restarts=1, quiet=True)
    assert bare.cfg.metadata.norms == {"mean_shift_norm": pytest.approx(shifts_norm, rel=1e-4)}
