"""What a run keeps: checkpoints that go on to the same weights, whatever stopped it and where."""

import json
import os
import random
import signal
from pathlib import Path

import pytest
import torch

from ssae_lens.sae import SSAE
from ssae_lens.training import runs, sweep, train
from ssae_lens.training.config import SOLVERS
from ssae_lens.training.data import Rows
from ssae_lens.training.runs import Run

from .conftest import make_synthetic

pytestmark = pytest.mark.filterwarnings("ignore:The constraint")
STEPS = 30
GIVEN = {"d_sae": 5, "steps": STEPS, "restarts": 2, "quiet": True, "batch_size": 64, "checkpoint_every": 3}


@pytest.fixture(autouse=True)
def _interruptible():
    """Ctrl-C interrupts, also where the tests were started in the background and inherited its being ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def weights(ssae):
    return [each.detach().clone() for each in ssae.parameters()]


def in_a_child(work):
    """Run `work` in a process of its own; give the signal that ended it, or None."""
    child = os.fork()
    if child == 0:
        try:
            work()
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WTERMSIG(status) if os.WIFSIGNALED(status) else None


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def killed_at(step, where, work):
    """Do `work` until the process kills itself at a step, before it, after it, or half way through a checkpoint."""

    def until_killed():
        advance, save = Run._advance, torch.save

        def advance_or_die(run):
            if run.step == step and where == "before":
                die()
            advance(run)
            if run.step == step + 1 and where == "after":
                die()

        def save_half(state, path):
            save(state, path)
            if state["step"] > step:
                content = Path(path).read_bytes()
                Path(path).write_bytes(content[: len(content) // 2])
                die()

        Run._advance = advance_or_die
        if where == "saving":
            torch.save = save_half
        work()

    return in_a_child(until_killed)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a child process")
@pytest.mark.parametrize("given", [{}, {"level": 0.3, "bias": True, "code_norm": "batch", "solver": "extragradient"}])
def test_killed_ten_times_and_resumed(given, synthetic, tmp_path):
    given = {**GIVEN, **given}
    whole = train(synthetic.shifts, **given, out=tmp_path / "whole")
    dice = random.Random(0)
    kills = sorted(dice.sample(range(STEPS - 4), 10))
    for step in kills:
        where = dice.choice(["before", "after", "saving"])
        ended = killed_at(step, where, lambda: train(synthetic.shifts, **given, out=tmp_path / "killed"))
        assert ended == signal.SIGKILL
    ssae = train(synthetic.shifts, **given, out=tmp_path / "killed")
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(ssae), strict=True))
    assert ssae.outcome == whole.outcome
    logs = [(tmp_path / each / "log.jsonl").read_text() for each in ("whole", "killed")]
    assert logs[0] == logs[1]
    names = {each.name for each in (tmp_path / "killed").iterdir()}
    assert names == {"cfg.json", "log.jsonl", "run.json", "sae_weights.safetensors"}


def stop_at(step, monkeypatch, how):
    """Call `how` when a step's batch is picked."""
    pick = Rows.pick

    def pick_or_stop(rows, now, *rest):
        if now == step:
            monkeypatch.setattr(Rows, "pick", pick)
            how()
        return pick(rows, now, *rest)

    monkeypatch.setattr(Rows, "pick", pick_or_stop)


def interrupt():
    os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("solver", SOLVERS)
def test_interrupted_between_checkpoints(solver, synthetic, tmp_path, monkeypatch):
    given = {**GIVEN, "checkpoint_every": None, "solver": solver}
    whole = train(synthetic.shifts, **given)
    stop_at(13, monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(synthetic.shifts, **given, out=tmp_path)
    kept = torch.load(tmp_path / "checkpoint.pt", weights_only=False)
    assert kept["step"] == 14  # the step under way was finished
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    ssae = train(synthetic.shifts, **given, out=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(ssae), strict=True))
    assert [row["step"] for row in ssae.outcome.history] == list(range(1, STEPS + 1))


def test_interrupted_without_a_folder(synthetic, monkeypatch):
    stop_at(13, monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(synthetic.shifts, **GIVEN)


def test_a_sweep_resumes(synthetic, tmp_path, monkeypatch):
    given = {**GIVEN, "d_sae": [4, 5], "level": [0.3, 0.5], "seeds": 2}
    del given["restarts"]
    whole = sweep(synthetic.shifts, **given)
    stop_at(13, monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep(synthetic.shifts, **given, out=tmp_path)
    again = sweep(synthetic.shifts, **given, out=tmp_path)
    for row in range(4):
        pairs = zip(weights(whole.ssae(row, 1)), weights(again.ssae(row, 1)), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.fixture
def stopped(synthetic, tmp_path, monkeypatch):
    stop_at(13, monkeypatch, interrupt)
    with pytest.raises(KeyboardInterrupt):
        train(synthetic.shifts, **GIVEN, out=tmp_path)
    return tmp_path


@pytest.mark.parametrize("damage", [lambda file: file[:-100], lambda file: b"", lambda file: b"not a checkpoint"])
def test_a_damaged_checkpoint(damage, stopped, synthetic):
    path = stopped / "checkpoint.pt"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match=r"checkpoint.pt cannot be read .*; delete it to start again") as caught:
        train(synthetic.shifts, **GIVEN, out=stopped)
    assert "\n" not in str(caught.value)


def test_a_checkpoint_of_another_run(stopped, synthetic):
    narrow = make_synthetic(d=12)
    for shifts, given in ((synthetic.shifts, {"lr": 0.02}), (narrow.shifts, {}), (synthetic.shifts + 1, {})):
        with pytest.raises(ValueError, match=r"belongs to another run .*; give another folder, or delete it") as caught:
            train(shifts, **{**GIVEN, **given}, out=stopped)
        assert "\n" not in str(caught.value)
    little_changed = synthetic.shifts.clone()
    little_changed[5::31] += 1
    with pytest.raises(ValueError, match=r"belongs to another run \(data: "):
        train(little_changed, **GIVEN, out=stopped)
    with pytest.raises(ValueError, match="seed: 0 there, 1 now"):
        train(synthetic.shifts, **GIVEN, seed=1, out=stopped)


def test_a_full_disk(synthetic, tmp_path, monkeypatch):
    def full(state, path):
        raise RuntimeError("PytorchStreamWriter failed writing file data/0: file write failed\nException raised from")

    monkeypatch.setattr(runs.torch, "save", full)
    with pytest.raises(OSError, match=r"checkpoint.pt could not be written .*; make room") as caught:
        train(synthetic.shifts, **GIVEN, out=tmp_path)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob(".checkpoint*"))


def test_a_finished_folder_starts_again(synthetic, tmp_path):
    first = train(synthetic.shifts, **GIVEN, out=tmp_path)
    second = train(synthetic.shifts, **GIVEN, out=tmp_path)
    assert first.outcome == second.outcome
    rows = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert rows == list(range(1, STEPS + 1))


def test_small_models_are_trained_on_one_thread(synthetic, monkeypatch):
    seen = set()
    advance = Run._advance
    monkeypatch.setattr(Run, "_advance", lambda run: (seen.add(torch.get_num_threads()), advance(run)))
    torch.set_num_threads(2)
    train(synthetic.shifts, **GIVEN)
    assert seen == {1}
    assert torch.get_num_threads() == 2


class TestAFinishedFolder:
    """What another run finished is not lost: not its SSAE, not what was said of it."""

    def contents(self, folder):
        return {each.name: each.read_bytes() for each in folder.iterdir()}

    @pytest.mark.parametrize("fit", [train, sweep])
    def test_of_other_data_is_refused(self, fit, synthetic, tmp_path):
        given = {key: value for key, value in GIVEN.items() if key != "restarts"}
        fit(synthetic.shifts, **given, out=tmp_path)
        before = self.contents(tmp_path)
        with pytest.raises(
            FileExistsError, match=r"SSAE of another run \(data: .* there, .* now.*overwrite=True"
        ) as caught:
            fit(make_synthetic(d=12).shifts, **given, out=tmp_path)
        assert "\n" not in str(caught.value)
        assert self.contents(tmp_path) == before
        fit(synthetic.shifts, **given, out=tmp_path)  # the same run comes to the same files
        assert self.contents(tmp_path) == before
        fit(make_synthetic(d=12).shifts, **given, out=tmp_path, overwrite=True)
        assert SSAE.load_from_disk(tmp_path).cfg.d_in == 12

    def test_that_no_run_made_is_refused(self, synthetic, tmp_path):
        ssae = train(synthetic.shifts, **GIVEN)
        ssae.save_model(tmp_path)
        with pytest.raises(FileExistsError, match=r"it has no readable run\.json"):
            train(synthetic.shifts, **GIVEN, out=tmp_path)

    def test_keeps_its_checkpoint_until_the_ssae_is_there(self, synthetic, tmp_path, monkeypatch):
        with monkeypatch.context() as patched:
            patched.setattr(runs.Run, "save", lambda *_: interrupt())
            with pytest.raises(KeyboardInterrupt):
                train(synthetic.shifts, **GIVEN, out=tmp_path)
        assert (tmp_path / "checkpoint.pt").exists()


def test_a_flipped_bit_in_a_checkpoint_is_seen(stopped, synthetic):
    path = stopped / "checkpoint.pt"
    flipped = bytearray(path.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    path.write_bytes(flipped)
    with pytest.raises(ValueError, match=r"checkpoint.pt cannot be read .*; delete it to start again"):
        train(synthetic.shifts, **GIVEN, out=stopped)
