"""`ssae-lens eval NAME`: each command prints its table, writes its files, and fails in one line."""

import json

import pytest
import torch
from planted import HOOK, planted_ssae, planted_store
from typer.testing import CliRunner

from ssae_lens.cli import app
from ssae_lens.models import tiny_model
from ssae_lens.steering_vector import SteeringVector


@pytest.fixture
def run():
    runner = CliRunner()
    return lambda *words: runner.invoke(app, ["eval", *(str(word) for word in words)])


@pytest.fixture
def files(tmp_path):
    planted_ssae().save_model(tmp_path / "ssae")
    planted_store().save(tmp_path / "shifts.h5")
    vector = SteeringVector(torch.ones(32), HOOK, concept="ones")
    vector.save(tmp_path / "ones.safetensors")
    return tmp_path


def check(run, words, name, files):
    result = run(name, *words, "--out", files / name, "--json", files / f"{name}.json")
    assert result.exit_code == 0, result.output
    saved = json.loads((files / name / f"{name}.json").read_text())
    assert saved["table"]
    assert (files / name / f"{name}.html").is_file()
    assert (files / name / "run.yaml").is_file()
    assert json.loads((files / f"{name}.json").read_text())["about"]["command"] == name
    again = run(name, *words, "--out", files / name)
    assert again.exit_code != 0
    assert "--overwrite" in again.output
    return result.output


def test_identifiability(run, files):
    words = [files / "ssae", "--shifts", files / "shifts.h5", "--shuffles", 20]
    assert "MCC of codes" in check(run, words, "identifiability", files)


def test_probes(run, files):
    words = [files / "ssae", "--shifts", files / "shifts.h5", "--concept", "tense", "--quiet"]
    assert "raw shifts" in check(run, words, "probes", files)


def test_decomposition(run, files):
    output = check(run, [files / "ones.safetensors", "--sae", files / "ssae", "--max-atoms", 3], "decomposition", files)
    assert "signed pursuit" in output


def test_steering(run, files, monkeypatch, task):
    from ssae_lens import models
    from ssae_lens.evals import _steering

    monkeypatch.setattr(models, "load_model", lambda *_, **__: tiny_model("gpt2"))
    monkeypatch.setattr(_steering, "built_in", lambda _: [task])
    words = ["tiny-gpt2", "--vector", files / "ones.safetensors", "--task", "politeness", "--scale", 0.5, "--quiet"]
    assert "unsteered" in check(run, [*words, "--max-new-tokens", 3], "steering", files)


def test_failures_name_the_options(run, files):
    result = run("identifiability", files / "ssae", "--shifts", files / "shifts.h5", "--shuffles", 3)
    assert "--shuffles is 3" in result.output
    result = run("decomposition", files / "ones.safetensors", "--sae", files / "ssae", "--length", -1)
    assert "--length is -1" in result.output
    result = run("decomposition", files / "ones.safetensors", "--sae", "no-such-release")
    assert "no release 'no-such-release'" in result.output
