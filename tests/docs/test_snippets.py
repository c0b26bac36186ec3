"""Every Python and shell snippet of the README and the documentation works as it stands there.

Unit: each compiles, its imports and keyword arguments are held against the code, each command is parsed as the program
would parse it, targets of make and scripts are there, and scripts say what they take. Slow: Python is run, page by page, and
so are commands, on SmolLM2 with stand-ins that are small: some hundreds of pairs, two seeds and few steps, whatever a page
says. Studies and the demonstration run in `test_study_commands.py`, what talks to the Hub in `test_hub_snippets.py`.

Not run are: snippets that a mark keeps from it, with its reason; targets of make, but for `make demo`, and scripts and
benchmarks, which set machines up, are the tests themselves, or take hours.
"""

import re
import runpy
import shutil
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from snippets import (
    CHECKS,
    FENCE,
    LANGUAGES,
    MAKEFILE,
    PAGES,
    PROGRAMS,
    ROOT,
    check_calls,
    commands,
    commands_to_run,
    inline_commands,
    named,
    parsed,
    snippets,
)
from typer.testing import CliRunner

import ssae_lens as sl
from ssae_lens.cli import app

PYTHON, SHELL = snippets("python"), snippets("bash")
HOOK = "blocks.15.hook_resid_post"
WITH_PYTHON = [page for page in PAGES if any(each.page == page for each in PYTHON)]
COMMANDS = {
    page: [words for words in some if words[0] != "studies" and words[1] != "demo"]
    for page, some in commands_to_run().items()
}
COMMANDS = {page: some for page, some in COMMANDS.items() if some}
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
SCRIPTS = sorted(each for room in ("scripts", "benchmarks") for each in (ROOT / room).glob("[a-z]*.py"))
PAIRS = 300
# What stands in for a model that is too large for a test.
LARGE = "meta-llama/Llama-3.1-8B"
# What a page takes for granted by the time its commands come: options that keep them small.
SMALL = {
    "capture": ["--n", "24"],
    "sweep": ["--seeds", "2", "--config", "quick.yaml"],
    "train": ["--config", "quick.yaml"],
}


def test_every_fence_says_its_language_and_every_mark_is_known():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- check:") == sum(each.check != "run" for each in PYTHON + SHELL if each.page == page)
        assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= LANGUAGES
    assert {each.check for each in PYTHON} <= set(CHECKS["python"])
    assert {each.check for each in SHELL} <= set(CHECKS["bash"])
    assert all(each.why for each in PYTHON + SHELL if each.check != "run")


@pytest.mark.parametrize("page", PAGES, ids=lambda each: each.name)
def test_links_lead_somewhere(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" in link:
            continue
        # The page of a tutorial is written when the documentation is built.
        there = (page.parent / link).resolve()
        made = ROOT / "tutorials" / f"{there.stem}.py"
        assert there.exists() or (there.parent == ROOT / "docs" / "tutorials" and made.is_file()), link


def test_the_picture_is_small():
    assert 20_000 < (ROOT / "docs" / "img" / "dashboard.png").stat().st_size < 300_000


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python_names_what_there_is(snippet):
    compile(snippet.text, str(snippet), "exec")
    check_calls(snippet.text, {"sl": sl})


@pytest.mark.parametrize("snippet", [each for each in SHELL if each.check != "skip"], ids=str)
def test_commands_are_there(snippet):
    for words in commands(snippet):
        if words[0] in PROGRAMS:
            parsed(words)
        elif words[0] != "hf":  # the Hub's own
            assert is_there(words), f"{snippet} has {words}, of which this test knows nothing; mark it"


@pytest.mark.parametrize(("page", "words"), inline_commands(), ids=str)
def test_commands_in_sentences_are_there(page, words):
    if words[0] in PROGRAMS:
        named([each for each in words if each != "…"])
    else:
        assert is_there(words)


def is_there(words: list[str]) -> bool:
    """Whether make has the targets, and Python the script or the module, that some words name."""
    if words[0] == "make":
        return set(words[1:]) <= TARGETS
    if words[:2] == ["python", "-m"]:
        return find_spec(words[2]) is not None
    return words[0] == "python" and ROOT / words[1] in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda each: f"{each.parent.name}/{each.name}")
def test_scripts_say_what_they_take(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(script), run_name="__main__")
    assert not left.value.code
    takes = capsys.readouterr().out
    said = [words[2:] for _, words in inline_commands() if words[0] == "python" and ROOT / words[1] == script]
    assert all(each in takes for words in said for each in words if each.startswith("--"))


@pytest.fixture(scope="module")
def kept():
    """What is made once: the model, the pairs' store and, of it, an SSAE, under the names that pages take for granted."""
    model = sl.load_model("smollm2-135m")
    pairs = sl.load_pairs("sentences", "train", n=PAIRS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shifts = sl.capture_shifts(model, pairs, HOOK, position="mean", quiet=True)
        swept = sl.sweep(shifts, d_sae=[16], seeds=2, steps=800, quiet=True)
    ssae = swept.best
    return {
        "sl": sl,
        "model": model,
        "pairs": pairs,
        "shifts": shifts,
        "swept": swept,
        "ssae": ssae,
        "concepts": sl.match_concepts(ssae, shifts),
        "direction": ssae.W_dec[0].detach(),
    }


@pytest.fixture
def small(kept, monkeypatch, tmp_path, request):
    """Run in an empty folder, where what pages ask for in thousands comes in hundreds, and is captured once."""
    capture, load, sweep = sl.capture_shifts, sl.load_pairs, sl.sweep

    def loaded(name, *further, **given):
        return kept["pairs"] if isinstance(name, str) and name == "sentences" else load(name, *further, **given)

    def captured(model, pairs, hook, *, path=None, **given):
        if hook == HOOK and given.get("position") == "mean" and len(pairs) == PAIRS:
            return kept["shifts"] if path is None else kept["shifts"].save(path)
        return capture(model, pairs, hook, path=path, **given)

    def swept(shifts, **given):
        # So few pairs do not tell which of several widths is right, and pages go on with a concept that has a latent.
        return sweep(shifts, **{**given, "d_sae": max(given["d_sae"]), "seeds": 2, "steps": 800, "quiet": True})

    monkeypatch.chdir(tmp_path)
    own = "\n".join(each.text for each in PYTHON if each.page == request.node.callspec.params["page"])
    if 'save_model("my-ssae")' not in own:
        kept["ssae"].save_model("my-ssae")  # which some pages read
    monkeypatch.setattr(sl, "load_model", lambda *_, **__: kept["model"])
    monkeypatch.setattr(sl, "load_pairs", loaded)
    monkeypatch.setattr(sl, "capture_shifts", captured)
    monkeypatch.setattr(sl, "sweep", swept)
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # so few pairs are warned of
@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda each: each.name)
def test_python_runs(page, kept, small):
    space = dict(kept)
    for snippet in PYTHON:
        if snippet.page == page and snippet.check == "run":
            exec(compile(snippet.text, str(snippet), "exec"), space)


@pytest.fixture
def files(kept, monkeypatch, tmp_path):
    """An empty folder with the files that pages speak of, where SmolLM2 is open and a large model is a tiny one."""
    from ssae_lens import models
    from ssae_lens.shifts import write_reference

    def opened(name, kind="hooked", **_given):
        assert name in ("smollm2-135m", LARGE)
        return models.tiny_model("llama", kind, n_layers=24) if name == LARGE else kept["model"]

    monkeypatch.setattr(models, "load_model", opened)
    monkeypatch.chdir(tmp_path)
    kept["shifts"].save("shifts.h5")
    write_reference("theirs.h5", kept["shifts"])
    kept["ssae"].save_model("my-ssae")
    sl.SteeringVector.from_ssae(kept["ssae"], kept["concepts"]["tense"]).save("tense.safetensors")
    kept["pairs"].select_columns(["source", "target"]).to_json("my-pairs.jsonl")
    Path("quick.yaml").write_text("steps: 200\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", COMMANDS, ids=lambda each: each.name)
def test_commands_run(page, files):
    for words in COMMANDS[page]:
        if words[1] == "convert" and not (files / words[2]).exists():
            _write_reference_folder(files / words[2])
        if words[1] in ("capture", "sweep", "train"):
            for made in (each for each in ("shifts.h5", "my-ssae") if each in words[words.index("--out") :]):
                _remove(files / made)
        done = CliRunner().invoke(app, [*words[1:], *SMALL.get(words[1], [])])
        assert done.exit_code == 0, f"{page.name}: {' '.join(words)}\n{done.output}"
        for option in ("--out", "--figure", "--json"):
            assert option not in words or Path(words[words.index(option) + 1]).exists()


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _write_reference_folder(folder: Path) -> None:
    """A model of the reference code's, as its training leaves it."""
    folder.mkdir()
    weights = {
        "encoder.weight": torch.randn(4, 8),
        "encoder.bias": torch.zeros(4),
        "decoder.weight": torch.randn(8, 4),
        "decoder.bias": torch.zeros(8),
        "enc_norm.weight": torch.ones(4),
        "enc_norm.bias": torch.zeros(4),
    }
    torch.save(weights, folder / "weights.pth")
    (folder / "cfg.yaml").write_text("norm: ln\nwhiten: false\nskip_input_norm: true\n", encoding="utf-8")
