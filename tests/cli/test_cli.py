"""The command: each subcommand end to end on a tiny model, and its failures in one line."""

import json

import numpy as np
import pytest
import torch
import yaml
from planted import planted_ssae, planted_store
from sae_lens import SAE
from safetensors.torch import load_file
from split_features import split_shifts
from typer.testing import CliRunner

from ssae_lens import SSAE, ShiftStore, SteeringVector, VectorSet
from ssae_lens.cli import app
from ssae_lens.models.tiny import tiny_model

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
    assert "saved 135 shifts (d_model = 32)" in result.output
    assert HOOK in result.output


def test_inspect(run, store, tmp_path):
    numbers, figure = tmp_path / "numbers.json", tmp_path / "spectrum.html"
    result = run("inspect", store, "--json", numbers, "--figure", figure)
    assert result.exit_code == 0, result.output
    assert "tiny-gpt2" in result.output
    written = json.loads(numbers.read_text())
    assert written["rows"] == 135
    assert written["about"]["command"] == "inspect"
    assert "torch" in written["about"]["versions"]
    assert "plotly" in figure.read_text()[:20000]


def test_train_writes_a_sae_lens_folder(run, store, tmp_path):
    out = tmp_path / "ssae"
    config = tmp_path / "run.yaml"
    config.write_text("d_sae: 4\nsteps: 60\nbudget: 0.5\n")
    result = run("train", store, "--config", config, "--d-sae", 3, "--out", out, "--quiet")
    assert result.exit_code == 0, result.output
    ssae = SAE.load_from_disk(out)
    assert ssae.cfg.d_sae == 3  # the option wins over the file
    assert ssae.cfg.metadata.hook_name == HOOK


def test_sweep_prints_its_table(run, store, tmp_path):
    numbers, config = tmp_path / "sweep.json", tmp_path / "settings.yaml"
    config.write_text("steps: 60\nbudget: 0.5\n")
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
        "--config",
        config,
        "--quiet",
    )
    assert result.exit_code == 0, result.output
    assert "udr_decoders" in result.output
    written = json.loads(numbers.read_text())
    assert [row["d_sae"] for row in written["settings"]] == [2, 3]
    best = SAE.load_from_disk(tmp_path / "out")
    assert f"{tmp_path / 'out'}: {best.cfg.d_sae} latents" in result.output
    assert written["best"]["message"] in result.output
    assert written["best"]["d_sae"] == best.cfg.d_sae


@pytest.fixture
def merged_store(tmp_path):
    shifts = split_shifts()
    path = tmp_path / "planted.h5"
    ShiftStore.from_arrays(torch.zeros_like(shifts), shifts, path=path).close()
    return path


def test_sweep_prints_the_width_that_it_saves(run, merged_store, tmp_path):
    config, out = tmp_path / "settings.yaml", tmp_path / "out"
    config.write_text("steps: 600\nhalves: false\n")
    result = run("sweep", merged_store, "--d-sae", 10, "--seeds", 2, "--out", out, "--config", config, "--quiet")
    assert result.exit_code == 0, result.output
    assert SAE.load_from_disk(out).cfg.d_sae == 8
    assert f"{out}: 8 latents, merged from 10. Converged: FVU 0." in result.output


@pytest.mark.filterwarnings("ignore:No reproducible")
def test_sweep_says_that_nothing_reproducible_was_found(run, tmp_path):
    path, config = tmp_path / "noise.h5", tmp_path / "settings.yaml"
    noise = torch.randn(300, 64)
    ShiftStore.from_arrays(torch.zeros_like(noise), noise, path=path).close()
    config.write_text("steps: 60\n")
    out = tmp_path / "out"
    result = run("sweep", path, "--d-sae", 4, "--seeds", 2, "--out", out, "--config", config, "--quiet")
    assert result.exit_code == 0, result.output
    assert "No reproducible structure was found" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("capture", "tiny-gpt2", "gendre", "--hook", HOOK, "--out", "x.h5"), "gender"),
        (("capture", "tiny-gpt2", "gender", "--hook", "blocks.9.hook_resid_post", "--out", "x.h5"), "blocks.9"),
        (("inspect", "missing.h5"), "missing.h5"),
        (("train", "missing.h5", "--d-sae", "4", "--out", "x"), "missing.h5"),
        (("train", "missing.h5", "--out", "x"), "--d-sae"),
        (("train", "missing.h5", "--d-sae", "many", "--out", "x"), "--d-sae"),
        (("trian",), "trian"),
        (("inspect", "x.h5", "--figur", "y"), "--figur"),
        (("train", "x.h5", "--config", "missing.yaml"), "missing.yaml"),
        (("steer", "tiny-gpt2", "--vector", "calm.safetensors", "--prompt", "I"), "calm.safetensors"),
        (("convert", "missing.h5", "x.h5"), "missing.h5"),
        (("upload", "missing", "me/it"), "missing"),
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


@pytest.mark.parametrize(
    "text",
    ["a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "[" * 5000, "d_sae: 4\nd_sae: 5\n", "d_sae: " + "9" * 5000, "a: \x07"],
)
def test_a_configuration_that_is_not_plain_yaml(run, store, tmp_path, text):
    config = tmp_path / "run.yaml"
    config.write_text(text)
    result = run("train", store, "--config", config, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert result.stderr.startswith(f"ssae-lens: {config} is not plain YAML (")
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_a_command_that_takes_no_further_settings(run, tmp_path):
    config = tmp_path / "run.yaml"
    config.write_text("pairs: gender\nhooks: x\n")
    result = run("capture", "tiny-gpt2", "--config", config, "--hook", HOOK, "--out", tmp_path / "a.h5")
    assert result.exit_code == 2
    assert "'hooks'" in result.stderr
    assert "'hook'" in result.stderr


def test_a_file_of_another_command(run, store, tmp_path):
    result = run("train", store, "--config", f"{store}.run.yaml", "--d-sae", 3, "--out", tmp_path / "out")
    assert result.exit_code == 2
    assert "'capture'" in result.stderr


def test_the_run_kept_beside_a_result_does_it_again(run, store, tmp_path):
    settings = tmp_path / "settings.yaml"
    settings.write_text("steps: 60\nbudget: 0.5\n")
    first, second = tmp_path / "first", tmp_path / "second"
    result = run("train", store, "--d-sae", 3, "--seed", 4, "--config", settings, "--out", first, "--quiet")
    assert result.exit_code == 0, result.output
    kept = yaml.safe_load((first / "run.yaml").read_text())
    assert kept == {
        "command": "train", "shifts": str(store), "out": str(first), "d_sae": 3, "seed": 4, "steps": 60, "budget": 0.5
    }  # fmt: skip
    result = run("train", "--config", first / "run.yaml", "--out", second, "--quiet")
    assert result.exit_code == 0, result.output
    weights = [load_file(each / "sae_weights.safetensors") for each in (first, second)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_capture_again_from_its_run(run, store, tmp_path):
    result = run("capture", "--config", f"{store}.run.yaml", "--out", tmp_path / "again.h5", "--quiet")
    assert result.exit_code == 0, result.output
    with ShiftStore.open(store) as first, ShiftStore.open(tmp_path / "again.h5") as again:
        assert first.fingerprint == again.fingerprint


def test_steer_beside_the_unsteered_text(run, tmp_path):
    vector, numbers = tmp_path / "calm.safetensors", tmp_path / "texts.json"
    SteeringVector(torch.ones(32), HOOK).save(vector)
    result = run(
        "steer", "tiny-gpt2", "--vector", vector, "--prompt", "The man", "--prompt", "I", "--scale", 9,
        "--max-new-tokens", 3, "--json", numbers, "--quiet",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert len(result.stdout.strip().splitlines()) == 4
    texts = json.loads(numbers.read_text())["texts"]
    assert [(each["prompt"], each["scale"]) for each in texts] == [("The man", 0), ("The man", 9), ("I", 0), ("I", 9)]


def test_convert_a_vector_there_and_back(run, tmp_path):
    first, there, back = (tmp_path / name for name in ("a.safetensors", "a.gguf", "b.safetensors"))
    SteeringVector(torch.arange(32.0), HOOK, concept="calm").save(first)
    assert run("convert", first, there).exit_code == 0
    assert run("convert", there, back).exit_code == 0
    assert torch.equal(SteeringVector.load(back).direction, torch.arange(32.0))
    assert SteeringVector.load(back).concept == "calm"


def test_convert_pairs_there_and_back(run, store, tmp_path):
    there, back = tmp_path / "theirs.h5", tmp_path / "back.h5"
    assert run("convert", store, there).exit_code == 0
    result = run("convert", there, back, "--hook", HOOK, "--model", "tiny-gpt2")
    assert result.exit_code == 0, result.output
    with ShiftStore.open(store) as ours, ShiftStore.open(back) as again:
        assert np.array_equal(ours.shifts, again.shifts)
        assert again.origin.hook_name == HOOK


def test_help_of_every_command_has_an_example(run):
    from ssae_lens.cli import app as whole

    names = [each.callback.__name__ for each in whole.registered_commands]
    assert {"demo", "capture", "train", "sweep", "steer", "convert", "upload"} <= set(names)
    for name in names:
        result = run(name, "--help")
        assert result.exit_code == 0
        assert f"Example: ssae-lens {name}" in " ".join(result.output.split())


def test_interrupted_is_130(run, store, tmp_path, monkeypatch):
    def interrupt(*_args, **_kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("ssae_lens.training.train", interrupt)
    result = run("train", store, "--d-sae", 3, "--out", tmp_path / "out")
    assert result.exit_code == 130
    assert "interrupted" in result.stderr


class TestFromPairsToVectors:
    """`describe` and `vector` on an SSAE of labelled pairs."""

    @pytest.fixture(scope="class")
    def trained(self, tmp_path_factory):
        folder = tmp_path_factory.mktemp("trained")
        ssae, store = planted_ssae(), planted_store(path=folder / "pairs.h5")
        ssae.cfg.metadata.latents = [{"name": "amount", "scale": 9.0}, *[{"name": None}] * 4]
        ssae.save_model(folder / "ssae")
        store.close()
        return folder

    def test_describe_prints_words_and_concepts(self, run, trained, tmp_path):
        words = ("describe", trained / "ssae", "--shifts", trained / "pairs.h5", "--quiet")
        result = run(*words, "--out", tmp_path / "table.csv", "--json", tmp_path / "table.json")
        assert result.exit_code == 0, result.output
        assert "is → was" in result.stdout
        assert "by labels; no latent at a p-value above 0.05" in result.stdout
        assert "king → queen" in (tmp_path / "table.csv").read_text()
        written = json.loads((tmp_path / "table.json").read_text())
        assert len(written["latents"]) == 5
        assert written["concepts"][0]["latents"] == [1]

    def test_a_vector_by_number_by_name_and_by_label(self, run, trained, tmp_path):
        ssae, shifts = trained / "ssae", trained / "pairs.h5"
        rows = SSAE.load_from_disk(ssae).W_dec.detach()
        results = {
            "number": run("vector", ssae, "--latent", 0, "--latent", 1, "--out", tmp_path / "number.safetensors"),
            "name": run("vector", ssae, "--concept", "amount", "--out", tmp_path / "name.gguf"),
            "label": run(
                "vector", ssae, "--shifts", shifts, "--concept", "tense", "--out", tmp_path / "label.safetensors"
            ),
        }
        assert not [result.output for result in results.values() if result.exit_code]
        torch.testing.assert_close(SteeringVector.load(tmp_path / "number.safetensors").direction, rows[0] + rows[1])
        torch.testing.assert_close(SteeringVector.from_gguf(tmp_path / "name.gguf").direction, 9 * rows[0])
        tense = SteeringVector.load(tmp_path / "label.safetensors")
        assert tense.concept == "tense"
        assert float(tense.direction @ rows[1]) == pytest.approx(4, rel=0.05)

    def test_all_concepts_in_one_file_which_steer_takes(self, run, trained, tmp_path):
        out = tmp_path / "all.safetensors"
        assert run("vector", trained / "ssae", "--shifts", trained / "pairs.h5", "--out", out).exit_code == 0
        assert list(VectorSet.load(out)) == ["tense", "gender", "number"]
        words = (
            "steer",
            "tiny-gpt2",
            "--vector",
            out,
            "--prompt",
            "A man",
            "--max-new-tokens",
            2,
            "--no-check",
            "--quiet",
        )
        lines = run(*words).stdout.splitlines()
        assert [line.partition(" ")[0] for line in lines[::2]] == ["tense", "gender", "number"]

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ((), "Give --latent, or a concept by --concept, --shifts or both"),
            (("--latent", 0, "--concept", "amount"), "Give --latent, or a concept"),
            (("--latent", 9), "latent is 9; this SSAE has latents 0 to 4"),
            (("--concept", "amuont"), "Did you mean 'amount'"),
            (("--latent", 0, "--out", "x.pt"), "The suffix of --out is '.pt'"),
        ],
    )
    def test_one_line_says_what_is_missing(self, run, trained, tmp_path, options, words):
        out = () if "--out" in options else ("--out", tmp_path / "v.safetensors")
        result = run("vector", trained / "ssae", *options, *out)
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())

    def test_an_ssae_that_ships_by_its_name(self, run, tmp_path):
        out = tmp_path / "tense.safetensors"
        result = run("vector", "smollm2-135m-ssae", "--concept", "tense", "--out", out)
        assert result.exit_code == 0, result.output
        assert SteeringVector.load(out).origin.model_name == "smollm2-135m"


def test_categories_of_both_sides_are_labels(run, tmp_path):
    pairs, out = tmp_path / "pairs.csv", tmp_path / "shifts.h5"
    pairs.write_text("source,target,a,b\nHe is in.,He was in.,now,then\nShe was in.,She is in.,then,now\n")
    words = ("capture", "tiny-gpt2", pairs, "--hook", HOOK, "--out", out, "--quiet")
    result = run(*words, "--label-columns", "tense=a:b")
    assert result.exit_code == 0, result.output
    with ShiftStore.open(out) as store:
        assert (store.concepts, store.labels.tolist()) == (["tense"], [[1], [-1]])
    for wrong in ("tense=a", "=a:b", "tense=a:"):
        assert "must be a column, or concept=before:after" in run(*words, "--label-columns", wrong).stderr


def test_chat_messages_are_rendered_by_the_model_s_template(run, tmp_path, monkeypatch):
    pairs, out = tmp_path / "chats.jsonl", tmp_path / "shifts.h5"
    turn = {"role": "assistant", "content": "He is in."}
    pairs.write_text(json.dumps({"source": [turn], "target": [{**turn, "content": "He was in."}]}))
    words = ("capture", "tiny-gpt2", pairs, "--hook", HOOK, "--out", out, "--quiet")
    assert "has no chat template" in run(*words).stderr
    model = tiny_model("gpt2")
    model.tokenizer.chat_template = "{% for message in messages %}<{{ message['content'] }}>{% endfor %}"
    monkeypatch.setattr("ssae_lens.models.load_model", lambda *_, **__: model)
    result = run(*words)
    assert result.exit_code == 0, result.output
    with ShiftStore.open(out) as store:
        assert store.texts == (["<He is in.>"], ["<He was in.>"])


def test_steering_by_a_kl_budget(run, tmp_path):
    SteeringVector(torch.randn(32, generator=torch.Generator().manual_seed(0)), HOOK).save(tmp_path / "v.safetensors")
    words = ("steer", "tiny-gpt2", "--vector", tmp_path / "v.safetensors", "--prompt", "A man", "--max-new-tokens", 2)
    result = run(*words, "--kl-budget", 0.05, "--no-check", "--quiet", "--json", tmp_path / "texts.json")
    assert result.exit_code == 0, result.output
    (text,) = json.loads((tmp_path / "texts.json").read_text())["texts"]
    assert text["scale"] > 0
    assert "Give --scale or --kl-budget, not both" in run(*words, "--kl-budget", 1, "--scale", 2).stderr
