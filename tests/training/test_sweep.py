import json

import numpy as np
import pytest
import torch
from sae_lens import SAE

from ssae_lens.metrics import mcc_codes, mcc_decoders, udr
from ssae_lens.sae import SSAE
from ssae_lens.training import sweep, train
from ssae_lens.training.outcome import Outcome
from ssae_lens.training.sweep_result import Setting, Sweep, chance_score, sum_of_matches

from .conftest import make_synthetic

QUICK = {"steps": 20, "quiet": True, "batch_size": 64}
pytestmark = pytest.mark.filterwarnings("ignore:The constraint", "ignore:No reproducible", "ignore:There are")


@pytest.mark.parametrize(
    "bound", [{}, {"level": 0.4}, {"level": 2, "sparsity": "topk"}, {"level": 0.4, "solver": "extragradient"}]
)
def test_a_member_is_what_it_would_be_alone(bound, synthetic):
    several = {**bound, **({"level": [0.3, 0.4] if "sparsity" not in bound else [1, 2]} if "level" in bound else {})}
    swept = sweep(synthetic.shifts, d_sae=[4, 5], seeds=2, **{**QUICK, **several})
    row = next(i for i, each in enumerate(swept.settings) if (each.d_sae, each.level) == (5, bound.get("level")))
    alone = train(synthetic.shifts, d_sae=5, seed=0, restarts=1, **QUICK, **bound)
    member = swept.ssae(row, 0)
    for name, value in alone.state_dict().items():
        torch.testing.assert_close(member.state_dict()[name], value, rtol=1e-4, atol=1e-5)
    assert member.cfg.k == alone.cfg.k
    assert member.outcome.loss == pytest.approx(alone.outcome.loss, rel=1e-3)
    assert member.outcome.fvu == pytest.approx(alone.outcome.fvu, rel=1e-3)
    ours, theirs = (each.cfg.metadata.training for each in (member, alone))
    measured = {"loss", "fvu", "sparsity", "mean_abs", "active", "multiplier", "message"}
    assert {name for name in ours if ours[name] != theirs[name]} <= measured | {"restarts"}


def test_every_setting_has_its_row(synthetic, tmp_path):
    swept = sweep(synthetic.shifts, d_sae=[4, 5], level=[0.3, 0.5], seeds=[3, 8, 9], out=tmp_path, **QUICK)
    table = swept.table()
    assert table[["d_sae", "level"]].to_numpy().tolist() == [[4, 0.3], [4, 0.5], [5, 0.3], [5, 0.5]]
    assert [one.seed for one in swept.settings[2].outcomes] == [3, 8, 9]
    members = [swept.ssae(2, seed) for seed in range(3)]
    assert members[0].W_dec.shape == (5, 16)
    codes = [each.encode(synthetic.shifts).detach() for each in members]
    agreement = udr(codes, [each.W_dec.detach() for each in members])
    assert table["udr_decoders"][2] == pytest.approx(agreement.decoders, rel=1e-3)
    assert table["udr_codes"][2] == pytest.approx(agreement.codes, rel=1e-3)
    assert table["loss"][2] == pytest.approx(np.mean([one.loss for one in swept.settings[2].outcomes]))
    kept = json.loads((tmp_path / "sweep.json").read_text())
    assert [row["udr_codes"] for row in kept] == pytest.approx(table["udr_codes"].tolist())
    best = SAE.load_from_disk(tmp_path)
    assert torch.equal(best.W_dec, swept.best.W_dec)
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert {(row["d_sae"], len(row["loss"])) for row in logged} == {(4, 6), (5, 6)}


class Kept:
    """A run of Weights & Biases as far as a sweep has to do with it."""

    def __init__(self):
        self.logged = []

    def log(self, row, step):
        self.logged.append((step, row))


@pytest.mark.parametrize("several", [{"level": [0.3, 0.5]}, {"level": [1, 2, 3], "sparsity": "topk"}])
def test_a_run_is_given_what_the_log_has(several, synthetic, tmp_path):
    """Every number of every member once: also of top-k, of which each level is a row of its own in the log."""
    kept = Kept()
    sweep(synthetic.shifts, d_sae=[4, 5], seeds=2, out=tmp_path, wandb=kept, **QUICK, **several)
    logged = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [step for step, _ in kept.logged] == list(range(1, 21))
    for step, given in kept.logged:
        wanted = {}
        for width in (4, 5):
            rows = [row for row in logged if (row["step"], row["d_sae"]) == (step, width)]
            for name in rows[0].keys() - {"step", "d_sae"}:
                members = [each for row in rows for each in row[name]]
                assert len(members) == 2 * len(several["level"])
                wanted |= {f"d_sae={width}/{name}/{i}": each for i, each in enumerate(members)}
        assert given == wanted


@pytest.mark.slow
def test_weights_and_biases_offline(synthetic, offline):
    run, seen = offline
    sweep(synthetic.shifts, d_sae=[4, 5], seeds=2, wandb=run, **QUICK)
    assert [step for step, _ in seen] == list(range(1, 21))
    assert set(seen[0][1]) >= {"d_sae=4/loss/0", "d_sae=4/loss/1", "d_sae=5/multiplier/0", "d_sae=5/active/1"}


@pytest.mark.slow
def test_it_chooses_a_right_width_without_labels():
    synthetic = make_synthetic(n=1500, most=1)
    swept = sweep(synthetic.shifts, d_sae=[3, 5], seeds=3, steps=600, batch_size=128, quiet=True)
    assert swept.chosen.d_sae == 5
    assert swept.chosen.udr.decoders > 0.99
    assert mcc_codes(swept.best.encode(synthetic.shifts).detach().numpy(), synthetic.factors.numpy()).score > 0.99


def test_what_is_chosen():
    def setting(d_sae, agreement, status):
        outcome = Outcome(0, 0.1, status, 0.0, 0.0, 0.0, 0.0)
        one = type("Agreement", (), {"decoders": agreement, "codes": 0.0})()
        return Setting(d_sae, 0.1, 0.02, [outcome], one, None, range(1))

    def chosen(*settings):
        return Sweep([setting(*each) for each in settings]).chosen.d_sae

    assert chosen((4, 0.9, "binding"), (8, 0.7, "binding")) == 4
    assert chosen((4, 0.991, "binding"), (8, 0.988, "binding")) == 8
    assert chosen((4, 0.9, "binding"), (8, 1.0, "slack"), (16, 1.0, "infeasible")) == 4
    assert chosen((4, 0.9, "slack"), (8, 1.0, "slack")) == 8


def test_the_split_half_score_chooses():
    def setting(d_sae, again, status="binding"):
        outcome = Outcome(0, 0.1, status, 0.0, 0.0, 0.0, 0.0)
        one = type("Agreement", (), {"decoders": 1.0, "codes": 1.0})()
        return Setting(d_sae, None, 0.02, [outcome], one, None, range(1), np.array(again))

    found, missed = 1.0, 0.5
    settings = [setting(2, [found] * 2), setting(3, [found] * 3), setting(5, [found] * 3 + [missed] * 2)]
    assert [each.split_half_score for each in settings] == pytest.approx([2, 3, 3 - 2 * 0.5])
    assert Sweep(settings).chosen.d_sae == 3
    unmet = setting(9, [found] * 9, "infeasible")
    assert Sweep([*settings, unmet]).chosen.d_sae == 3


def test_halves_are_fitted_apart(synthetic):
    swept = sweep(synthetic.shifts, d_sae=4, seeds=2, **QUICK)
    assert swept.settings[0].split_half_cosines.shape == (4,)
    assert swept.table()["split_half_score"][0] == pytest.approx(
        (2 * swept.settings[0].split_half_cosines ** 2 - 1).sum()
    )
    without = sweep(synthetic.shifts, d_sae=4, seeds=2, halves=False, **QUICK)
    assert without.settings[0].split_half_cosines is None
    assert np.isnan(without.settings[0].split_half_score)
    for name, value in without.ssae(0).state_dict().items():
        assert torch.equal(swept.ssae(0).state_dict()[name], value)
    # Twice every shift: halves are alike, and so is what is found in them.
    twice = sweep(synthetic.shifts.repeat_interleave(2, dim=0), d_sae=4, seeds=2, **QUICK)
    np.testing.assert_allclose(twice.settings[0].split_half_cosines, 1, atol=1e-5)
    stream = sweep(iter([synthetic.shifts] * 40), d_sae=4, seeds=2, **QUICK)
    assert stream.settings[0].split_half_cosines is None


def stable(again, chance):
    return Setting(len(again), None, 0.02, [], None, None, range(0), np.array(again), chance)


def test_reproducible_are_latents_alike_in_both_halves_and_more_so_than_at_random():
    some = stable([0.95, 0.7, 0.3], -2.0)
    assert (some.reproduced, some.reproducible) == (2, True)
    assert some.stability == "2 of 3 latents are reproduced in both halves of the shifts."
    alike_at_random = stable([0.95, 0.7, 0.3], 1.0)
    assert (alike_at_random.reproduced, alike_at_random.reproducible) == (2, False)
    assert "No reproducible structure was found" in alike_at_random.stability
    assert "random directions agree as well" in alike_at_random.stability
    weak = stable([0.6, 0.5, 0.4], -2.0)
    assert (weak.reproduced, weak.reproducible) == (0, False)
    assert "|cosines| of 0.50 in the mean (the largest is 0.60, and 0.7 counts as reproduced)" in weak.stability
    without = Setting(3, None, 0.02, [], None, None, range(0))
    assert (without.reproduced, without.reproducible, without.stability) == (None, None, "")


@pytest.mark.parametrize(("d_sae", "d", "r"), [(4, 12, 12), (4, 12, 8), (8, 64, 64)])
def test_random_directions_pass_the_control_once_in_a_hundred(d_sae, d, r):
    """Directions of r of d dimensions, at right angles among themselves, as those of a fit nearly are."""
    rng = np.random.default_rng(1)
    space = np.linalg.qr(rng.normal(size=(d, r))).Q

    def directions():
        return (space @ np.linalg.qr(rng.normal(size=(r, d_sae))).Q).T

    bounds = np.array([chance_score(directions(), directions(), space) for _ in range(20)])
    scores = np.array([sum_of_matches(mcc_decoders(directions(), directions()).per_factor) for _ in range(500)])
    assert 0.003 < np.mean(scores[:, None] > bounds) < 0.03


SLOW = {"marks": pytest.mark.slow}
SEVERAL = [0, *(pytest.param(seed, **SLOW) for seed in range(1, 6))]
NOISE = [
    (300, 64, [4, 8]),
    (200, 8, [4]),
    pytest.param(60, 32, [4, 8], **SLOW),
    pytest.param(2000, 16, [4, 8], **SLOW),
]


@pytest.mark.parametrize(("n", "d", "widths"), NOISE)
@pytest.mark.parametrize("seed", SEVERAL)
def test_of_noise_nothing_reproducible_is_found(n, d, widths, seed):
    noise = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    with pytest.warns(UserWarning, match="No reproducible structure was found.*Capture more pairs"):
        swept = sweep(noise, d_sae=widths, seeds=2, steps=200, quiet=True)
    assert swept.chosen.reproducible is False
    for told in (swept.best.outcome.message, swept.best.cfg.metadata.training["message"]):
        assert "No reproducible structure was found" in told


PLANTED = [
    (300, 64, 5, 0.1),
    (500, 6, 3, 0.05),
    pytest.param(3000, 16, 5, 0.05, **SLOW),
    pytest.param(100, 64, 3, 0.1, **SLOW),
]


@pytest.mark.parametrize(("n", "d", "concepts", "noise"), PLANTED)
@pytest.mark.parametrize("seed", SEVERAL)
def test_of_concepts_in_weak_noise_it_is_not(n, d, concepts, noise, seed, recwarn):
    synthetic = make_synthetic(n=n, d=d, concepts=concepts, seed=seed)
    shifts = synthetic.shifts + noise * torch.randn(n, d, generator=torch.Generator().manual_seed(seed + 100))
    swept = sweep(shifts, d_sae=concepts, seeds=2, steps=300, quiet=True)
    assert not [each for each in recwarn if "reproducible" in str(each.message)]
    assert swept.chosen.reproducible
    assert swept.chosen.reproduced >= concepts - 1
    assert f"of {swept.chosen.d_sae} latents are reproduced in both halves" in swept.best.outcome.message
    assert swept.table()["reproduced"].tolist() == [each.reproduced for each in swept.settings]


def test_one_of_each_is_enough_and_ranges_are_lists(synthetic):
    assert len(sweep(synthetic.shifts, d_sae=4, seeds=range(2), **QUICK).settings) == 1
    assert len(sweep(synthetic.shifts, d_sae=np.array([3, 4]), level=(0.3, 0.4), seeds=2, **QUICK).settings) == 4
    swept = sweep(synthetic.shifts, d_sae=np.int64(4), budget=np.float32(0.5), seeds=np.int64(2), **QUICK)
    assert [one.seed for one in swept.settings[0].outcomes] == [0, 1]
    assert json.dumps(swept.best.cfg.metadata.training)


def test_unusable(synthetic):
    for given, says in (
        ({"d_sae": []}, "d_sae is empty"),
        ({"d_sae": 4, "seeds": 1}, "the number of seeds is 1; it must be an integer of at least 2"),
        ({"d_sae": 4, "level": 0.1, "budget": 0.1}, "give only one of them"),
        ({"d_sae": 4, "preset": "v2", "budget": 0.1}, "budget is 0.1 but preset='v2' has level=0.1"),
        ({"d_sae": 4, "seeds": 2.5}, "the number of seeds is 2.5"),
        ({"d_sae": 4, "seeds": ["a", "b"]}, "a seed is 'a'"),
        ({"d_sae": 4, "level": [0.1, -1]}, "level is -1"),
        ({"d_sae": [4, 0]}, "d_sae is 0"),
        ({"d_sae": 4, "sede": 3}, "'sede' is an unknown training option"),
        ({"d_sae": 4, "restarts": 2}, "A sweep has no restarts, got restarts=2"),
        ({"d_sae": 4, "wandb": "my project"}, "wandb must be a run, .* got 'my project'"),
    ):
        with pytest.raises(ValueError, match=says):
            sweep(synthetic.shifts, **{**QUICK, **given})
    with pytest.raises(ValueError, match="There is 1 shift; training needs several"):
        sweep(synthetic.shifts[:1], d_sae=4, seeds=2, **QUICK)
    with pytest.warns(UserWarning, match="3 shifts and d_sae=5 latents"):
        sweep(synthetic.shifts[:3], d_sae=5, seeds=2, **QUICK)


def test_the_best_ssae_knows_how_well_both_halves_determine_its_rows(synthetic, tmp_path):
    swept = sweep(synthetic.shifts, d_sae=5, steps=400, seeds=2, quiet=True, out=tmp_path)
    rows = swept.best.W_dec.detach()
    halves = [torch.nn.functional.normalize(torch.from_numpy(half), dim=1) for half in swept.chosen._half_decoders]
    expected = torch.stack([(rows @ half.T).abs().amax(1) for half in halves]).amin(0)
    loaded = SSAE.load_from_disk(tmp_path)
    assert loaded.cfg.metadata.split_half == pytest.approx(expected.tolist(), abs=1e-3)
    assert min(loaded.cfg.metadata.split_half) > 0.9
