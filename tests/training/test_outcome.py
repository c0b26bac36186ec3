"""What training says of its result is what the saved SSAE does."""

import json

import numpy as np
import pytest
import torch
from sae_lens import SAE
from split_features import split_shifts

from ssae_lens import SSAE
from ssae_lens.metrics import active_codes, mean_abs, r2_uncentred
from ssae_lens.shifts import ShiftStore
from ssae_lens.training import data, merge_split_latents, sweep, train
from ssae_lens.training.outcome import FitQuality, Outcome, measure_fit

pytestmark = pytest.mark.filterwarnings("ignore:The constraint")
QUICK = {"d_sae": 5, "steps": 40, "restarts": 1, "quiet": True, "batch_size": 64}


def check(told, ssae, shifts):
    """Numbers as they are told, against those of the SSAE on all shifts."""
    with torch.no_grad():
        codes = ssae.encode(shifts)
        back = ssae.decode(codes)
    assert told["fvu"] == pytest.approx(1 - r2_uncentred(shifts, back), abs=1e-4)
    assert told["active"] == pytest.approx(active_codes(codes, relative=0.1), rel=1e-3)
    assert told["mean_abs"] == pytest.approx(mean_abs(codes), rel=1e-4)
    assert f"FVU {told['fvu']:.4f}, {told['active']:.1f} active latents per pair." in told["message"]


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"level": 0.4},
        {"level": 2, "sparsity": "topk"},
        {"level": 0.9, "loss": "relative"},
        {"bias": True},
        {"preset": "v1", "level": 0.5},
        {"preset": "v2"},
        {"steps": 2},
    ],
    ids=str,
)
def test_fvu_is_that_of_the_saved_ssae_on_the_shifts(given, synthetic, tmp_path):
    shifts = 3 * synthetic.shifts
    ssae = train(shifts, out=tmp_path, **{**QUICK, **given})
    check(ssae.outcome.to_metadata(), ssae, shifts)
    saved = SAE.load_from_disk(tmp_path)
    check(saved.cfg.metadata.training, saved, shifts)


def test_of_gaussian_noise_nearly_all_is_unexplained():
    """The encoder reads leading directions alone, in which far less is lost."""
    noise = torch.randn(300, 64)
    ssae = train(noise, **{**QUICK, "d_sae": 4, "steps": 200})
    check(ssae.outcome.to_metadata(), ssae, noise)
    assert ssae.outcome.loss < 0.5 < 0.8 < ssae.outcome.fvu


def test_a_sweep_has_it_in_its_table(synthetic):
    swept = sweep(synthetic.shifts, d_sae=[4, 5], seeds=2, steps=20, quiet=True)
    for row in range(2):
        members = [swept.ssae(row, seed) for seed in range(2)]
        for each in members:
            check(each.outcome.to_metadata(), each, synthetic.shifts)
        assert swept.table()["fvu"][row] == pytest.approx(np.mean([each.outcome.fvu for each in members]))


def test_a_sample_that_is_measured_is_named(synthetic, tmp_path, monkeypatch):
    values = synthetic.shifts.numpy()
    monkeypatch.setattr(data, "HOLD_BYTES", 0)
    monkeypatch.setattr(data, "FIT_ROWS", 1000)
    with ShiftStore.from_arrays(np.zeros_like(values), values, path=tmp_path / "shifts.h5") as store:
        message = train(store, **QUICK).outcome.message
    assert " on 1000 of 3000 shifts, " in message
    message = train((synthetic.shifts[i::5] for _ in range(10) for i in range(5)), **QUICK).outcome.message
    assert " on the first 1200 shifts, " in message


@pytest.mark.parametrize("size", [1e-30, 1.0, 1e30])
def test_fit_in_any_unit(size):
    shifts, rows = torch.randn(500, 8), torch.linalg.qr(torch.randn(8, 8))[0][:3]
    ssae = SSAE.from_weights(rows.T, rows)
    fit = measure_fit(ssae, (shifts * size).split(64))
    assert fit.fvu == pytest.approx(1 - r2_uncentred(shifts, shifts @ rows.T @ rows), abs=1e-5)
    assert fit.n_rows == 500


def test_messages():
    fit = FitQuality(0.14, 2.1, 0.3, 10)
    given = {"loss": 0.1, "sparsity": 1.0, "multiplier": 1.0, "objective": 0.0}

    def message(status, details="", n_shifts=10):
        return Outcome(0, 0.1, status, details=details, **given).with_fit(fit, n_shifts)

    assert message("binding").message == "Converged: FVU 0.1400, 2.1 active latents per pair."
    assert message("infeasible", "More.").message == "Not converged: FVU 0.1400, 2.1 active latents per pair. More."
    assert (
        message("binding", "", 20).message == "Converged: FVU 0.1400 on 10 of 20 shifts, 2.1 active latents per pair."
    )
    assert message("slack", "One.").with_details("Two.").message.endswith("per pair. One. Two.")
    assert message("binding").fvu == 0.14


@pytest.fixture(scope="module")
def merged(tmp_path_factory):
    """A sweep in which ten latents of eight concepts are merged to eight, and its folder."""
    shifts = split_shifts()
    folder = tmp_path_factory.mktemp("sweep")
    given = {"d_sae": 10, "seeds": 2, "steps": 600, "device": "cpu", "quiet": True}
    return sweep(shifts, out=folder, **given), shifts, folder


def test_a_merged_ssae_describes_itself(merged):
    swept, shifts, folder = merged
    assert swept.best.cfg.d_sae == 8
    check(swept.best.outcome.to_metadata(), swept.best, shifts)
    saved = SAE.load_from_disk(folder)
    told = saved.cfg.metadata.training
    check(told, saved, shifts)
    assert (told["d_sae"], told["d_sae_trained"]) == (8, 10)
    # The trained member fits better than what it was merged to, and its loss is not told of the merged one.
    trained = swept.ssae(swept.chosen, [one.seed for one in swept.chosen.outcomes].index(swept.best.outcome.seed))
    assert trained.outcome.fvu < swept.best.outcome.fvu - 0.01
    assert not {"loss", "sparsity"} & told.keys()
    assert json.loads((folder / "cfg.json").read_text())["metadata"]["training"] == told


def test_merging_a_loaded_ssae_describes_it_too(merged, tmp_path):
    swept, shifts, _ = merged
    swept.ssae(0).save_model(tmp_path)
    loaded = merge_split_latents(SSAE.load_from_disk(tmp_path), shifts)
    told = loaded.cfg.metadata.training
    assert loaded.outcome is None
    assert (told["d_sae"], told["d_sae_trained"]) == (loaded.cfg.d_sae, 10)
    check(told, loaded, shifts)
