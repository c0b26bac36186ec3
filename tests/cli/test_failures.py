"""Failures of commands: one line, in the words of options, before any long work."""

import os

import pytest
import torch
from typer.testing import CliRunner

from ssae_lens import ShiftStore, SteeringVector
from ssae_lens.base.provenance import Origin
from ssae_lens.cli import app

HOOK = "blocks.1.hook_resid_post"


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def store(tmp_path):
    rows = torch.randn(40, 32).numpy()
    ShiftStore.from_arrays(rows, -rows, origin=Origin(HOOK, 32)).save(tmp_path / "a.h5")
    return tmp_path / "a.h5"


def one_line(result):
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.strip().splitlines()
    return line


@pytest.mark.parametrize("command", ["capture", "steer", "train"])
def test_a_device_that_is_not_there(run, tmp_path, store, command):
    words = {
        "capture": ["tiny-gpt2", "gender", "--hook", HOOK, "--out", tmp_path / "b.h5"],
        "steer": ["tiny-gpt2", "--vector", "x.safetensors", "--prompt", "I"],
        "train": [store, "--d-sae", 3, "--out", tmp_path / "out"],
    }[command]
    line = one_line(run(command, *words, "--device", "cuda"))
    assert "--device is 'cuda', which PyTorch cannot use on this machine" in line
    assert "--device is 'cudda'; it must be one such as 'cpu'" in one_line(run(command, *words, "--device", "cudda"))


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="/proc is of Linux")
@pytest.mark.parametrize("option", ["--out", "--json", "--figure"])
def test_a_place_that_cannot_be_written_is_named_as_such(run, store, tmp_path, option):
    words = ("inspect", store) if option != "--out" else ("train", store, "--d-sae", 3)
    line = one_line(run(*words, option, "/proc/x/y"))
    assert "/proc/x/y cannot be written: no file can be created in /proc" in line
    assert "GB free" not in line


@pytest.mark.skipif(not os.path.ismount("/proc"), reason="/proc is of Linux")
def test_a_capture_into_a_place_that_cannot_be_written(run, tmp_path):
    from ssae_lens import capture_shifts, load_model, load_pairs

    with pytest.raises(OSError, match=r"/proc/x\.h5 cannot be written: no file can be created in /proc"):
        capture_shifts(load_model("tiny-gpt2"), load_pairs("gender", n=4), HOOK, path="/proc/x.h5", quiet=True)


def test_a_table_separated_by_semicolons(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("source;target\na;b\n")
    line = one_line(run("capture", "tiny-gpt2", path, "--hook", HOOK, "--out", tmp_path / "b.h5"))
    assert "looks separated by semicolons" in line
    assert "Did you mean" not in line


def test_a_model_of_nearly_a_known_name(run, tmp_path):
    line = one_line(run("capture", "smolm2-135m", "gender", "--hook", HOOK, "--out", tmp_path / "b.h5"))
    assert line.startswith("ssae-lens: Model 'smolm2-135m' not found. Did you mean 'smollm2-135m'?")


def test_columns_of_other_names(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("before,after,tense\nit is,it was,1\nit was,it is,-1\n")
    words = ("capture", "tiny-gpt2", path, "--hook", HOOK, "--out", tmp_path / "b.h5", "--quiet")
    assert "--columns source=…" in one_line(run(*words))
    assert "--columns is 'before'" in one_line(run(*words, "--columns", "before"))
    named = ("--columns", "source=before", "--columns", "target=after", "--label-columns", "tense")
    result = run(*words, *named)
    assert result.exit_code == 0, result.output
    with ShiftStore.open(tmp_path / "b.h5") as opened:
        assert opened.concepts == ["tense"]
        assert opened.labels.tolist() == [[1], [-1]]


@pytest.mark.filterwarnings("default")
def test_columns_that_are_not_used_are_noted_with_the_option(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("source,target,tense\nit is,it was,1\nhe is,he was,1\n")
    result = run("capture", "tiny-gpt2", path, "--hook", HOOK, "--out", tmp_path / "b.h5", "--quiet")
    assert result.exit_code == 0, result.output
    (note,) = result.stderr.splitlines()
    assert note.startswith(f"note: {path}: the column tense is not used.")
    assert note.endswith("with --label-columns tense.")


def test_a_text_that_is_too_long(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text(f"source,target\n{'long ' * 400},{'long ' * 400}text\n")
    words = ("capture", "tiny-gpt2", path, "--hook", HOOK, "--out", tmp_path / "b.h5", "--quiet")
    assert "give --truncate to cut it at the end" in one_line(run(*words))
    assert run(*words, "--truncate").exit_code == 0


@pytest.mark.filterwarnings("default")
def test_a_first_token_that_is_read_is_noted_with_the_option(run, tmp_path):
    path = tmp_path / "pairs.csv"
    path.write_text("source,target\nI,He\nman,I\n")
    words = ("capture", "tiny-gpt2", path, "--hook", HOOK, "--quiet")
    result = run(*words, "--no-prepend-bos", "--out", tmp_path / "without.h5")
    assert result.exit_code == 0, result.output
    (note,) = result.stderr.splitlines()
    assert "reads the first token of the text in 2 rows (0, 1)" in note
    assert note.endswith("give --prepend-bos, or another position.")
    assert run(*words, "--prepend-bos", "--out", tmp_path / "with.h5").stderr == ""
    for name, expected in (("without", False), ("with", True)):
        with ShiftStore.open(tmp_path / f"{name}.h5") as store:
            assert store.pairs["prepend_bos"] is expected


def test_advice_of_other_options(run, store, tmp_path):
    vector = tmp_path / "v.safetensors"
    SteeringVector(torch.ones(32), HOOK, origin=Origin(HOOK, 32, model_name="other")).save(vector)
    line = one_line(run("steer", "tiny-gpt2", "--vector", vector, "--prompt", "I"))
    assert "pass --no-check" in line
    line = one_line(run("train", store, "--d-sae", 0, "--out", tmp_path / "out"))
    assert "--d-sae is 0" in line
    config = tmp_path / "run.yaml"
    config.write_text("sparsity: smooth\nlevel: 0.1\n")
    line = one_line(run("train", store, "--d-sae", 3, "--config", config, "--out", tmp_path / "out"))
    assert "--level is 0.1 with sparsity: 'smooth'" in line


@pytest.mark.parametrize("command", ["inspect", "steer", "convert", "dashboard"])
def test_a_finished_file_is_replaced_only_when_asked(run, store, tmp_path, command):
    vector, there = tmp_path / "v.safetensors", tmp_path / "there"
    SteeringVector(torch.ones(32), HOOK).save(vector)
    there = tmp_path / ("there.gguf" if command == "convert" else "there")
    there.write_text("kept")
    words = {
        "inspect": [store, "--json", there, "--quiet"],
        "steer": ["tiny-gpt2", "--vector", vector, "--prompt", "I", "--max-new-tokens", 1, "--json", there],
        "convert": [vector, there],
        "dashboard": [tmp_path, "--out", there],
    }[command]
    line = one_line(run(command, *words))
    assert f"{there} exists; give --overwrite to replace it" in line
    assert there.read_text() == "kept"
    if command != "dashboard":
        result = run(command, *words, "--overwrite")
        assert result.exit_code == 0, result.output
        assert there.read_bytes() != b"kept"


@pytest.mark.parametrize("command", ["train", "sweep"])
def test_an_ssae_of_another_run_is_replaced_only_when_asked(run, store, tmp_path, command):
    from ssae_lens import SSAE

    config, out = tmp_path / "settings.yaml", tmp_path / "out"
    config.write_text("steps: 20\nbudget: 0.5\n")
    words = (
        command,
        store,
        "--out",
        out,
        "--config",
        config,
        "--quiet",
        *(["--seeds", 2] if command == "sweep" else []),
    )
    assert run(*words, "--d-sae", 2).exit_code == 0
    assert run(*words, "--d-sae", 2).exit_code == 0  # the same run is resumed
    assert "--overwrite" in one_line(run(*words, "--d-sae", 3))
    assert SSAE.load_from_disk(out).cfg.d_sae == 2
    assert run(*words, "--d-sae", 3, "--overwrite").exit_code == 0
    assert SSAE.load_from_disk(out).cfg.d_sae == 3
    assert "overwrite" not in (out / "run.yaml").read_text()


def test_a_file_that_ends_too_soon_is_no_interruption(run, store, monkeypatch):
    def ends(*_args, **_kwargs):
        raise EOFError("No data left in file")

    monkeypatch.setattr("ssae_lens.shifts.summarise", ends)
    assert "Unexpected end of file: No data left in file" in one_line(run("inspect", store))
