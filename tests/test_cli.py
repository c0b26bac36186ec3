"""The command: each subcommand end to end on a tiny model, and its failures in one line."""

import json

import pytest
from typer.testing import CliRunner

from ssae_lens.cli import app

HOOK = "blocks.1.hook_resid_post"


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *words: runner.invoke(app, [str(word) for word in words])


@pytest.fixture
def store(run, tmp_path):
    path = tmp_path / "gender.h5"
    result = run("capture", "tiny-gpt2", "gender", "--hook", HOOK, "--out", path, "--quiet")
    assert result.exit_code == 0, result.output
    return path


def test_capture_says_what_it_wrote(run, tmp_path):
    result = run("capture", "tiny-gpt2", "gender", "--hook", HOOK, "--out", tmp_path / "a.h5", "--quiet")
    assert "135 pairs of 32 dimensions" in result.output
    assert HOOK in result.output


def test_inspect(run, store, tmp_path):
    numbers, figure = tmp_path / "numbers.json", tmp_path / "spectrum.html"
    result = run("inspect", store, "--json", numbers, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert "tiny-gpt2" in result.output
    assert json.loads(numbers.read_text())["rows"] == 135
    assert "plotly" in figure.read_text()[:20000]


def test_train_writes_a_sae_lens_folder(run, store, tmp_path):
    from sae_lens import SAE

    out = tmp_path / "ssae"
    config = tmp_path / "run.yaml"
    config.write_text("d_sae: 4\nsteps: 60\nbudget: 0.5\n")
    result = run("train", store, "--config", config, "--d-sae", 3, "--out", out, "--quiet")
    assert result.exit_code == 0, result.output
    ssae = SAE.load_from_disk(out)
    assert ssae.cfg.d_sae == 3  # the option wins over the file
    assert ssae.cfg.metadata.hook_name == HOOK


def test_sweep_prints_its_table(run, store, tmp_path):
    numbers = tmp_path / "sweep.json"
    result = run(
        "sweep",
        store,
        "--d-sae",
        2,
        "--d-sae",
        3,
        "--seeds",
        2,
        "--out",
        tmp_path / "out",
        "--json",
        numbers,
        "--quiet",
    )
    assert result.exit_code == 0, result.output
    assert "udr_decoders" in result.output
    assert [row["d_sae"] for row in json.loads(numbers.read_text())["settings"]] == [2, 3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("capture", "tiny-gpt2", "gendre", "--hook", HOOK, "--out", "x.h5"), "gender"),
        (("capture", "tiny-gpt2", "gender", "--hook", "blocks.9.hook_resid_post", "--out", "x.h5"), "blocks.9"),
        (("inspect", "missing.h5"), "missing.h5"),
        (("train", "missing.h5", "--d-sae", "4", "--out", "x"), "missing.h5"),
    ],
)
def test_unusable_input_is_one_line_and_status_2(run, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    result = run(*words)
    assert result.exit_code == 2
    assert said in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


def test_settings_that_are_no_settings(run, store, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("d_sae: 4\nlearning_rate: 1\n")
    result = run("train", store, "--config", config, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "learning_rate" in result.stderr


def test_interrupted_is_130(run, store, tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("ssae_lens.training.train", interrupt)
    result = run("train", store, "--d-sae", 3, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr
