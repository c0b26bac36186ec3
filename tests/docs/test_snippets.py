"""Every Python and shell snippet of the README and the documentation works as it stands there.

Unit: each compiles, its imports and keyword arguments are held against the code, each command is parsed as the program
would parse it, and targets of make and scripts are there. Slow: Python is run, page by page, and so are commands, on SmolLM2
with stand-ins that are small: some hundreds of pairs, two seeds and few steps, whatever a page says. The commands of
`PARSED_ONLY` take minutes, or a network, by their nature and have tests of their own: they are parsed and not run.
"""

import re
import shutil
import warnings
from pathlib import Path

import pytest
import torch
from snippets import (
    CHECKS,
    FENCE,
    LANGUAGES,
    PAGES,
    ROOT,
    check_calls,
    commands,
    inline_commands,
    named,
    parsed,
    snippets,
)
from typer.testing import CliRunner

import ssae_lens as sl

PYTHON, SHELL = snippets("python"), snippets("bash")
HOOK = "blocks.15.hook_resid_post"
WITH_PYTHON, WITH_SHELL = (
    [page for page in PAGES if any(each.page == page for each in some)] for some in (PYTHON, SHELL)
)
PAIRS = 300
PARSED_ONLY = {"demo", "eval", "upload"}
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
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    for words in commands(snippet):
        if words[0] == "ssae-lens":
            parsed(words)
        elif words[0] == "make":
            assert words[1] in targets
        elif words[0] == "hf":
            continue  # the Hub's own
        elif words[0] == "python":
            assert words[1:2] == ["-m"] or (ROOT / words[1]).is_file(), words
        else:
            pytest.fail(f"{snippet} has {words[0]!r}, of which this test knows nothing; mark it")


@pytest.mark.parametrize(("page", "words"), inline_commands(), ids=str)
def test_commands_in_sentences_are_there(page, words):
    named([each for each in words if each != "…"])


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
def small(kept, monkeypatch, tmp_path):
    """Run in an empty folder, where what pages ask for in thousands comes in hundreds, and is captured once."""
    capture, load, sweep = sl.capture_shifts, sl.load_pairs, sl.sweep

    def loaded(name, *further, **given):
        return kept["pairs"] if isinstance(name, str) and name == "sentences" else load(name, *further, **given)

    def captured(model, pairs, hook, *, path=None, **given):
        if hook == HOOK and given.get("position") == "mean" and len(pairs) == PAIRS:
            return kept["shifts"] if path is None else kept["shifts"].save(path)
        return capture(model, pairs, hook, path=path, **given)

    def swept(shifts, **given):
        return sweep(shifts, **{**given, "seeds": 2, "steps": 800, "quiet": True})

    monkeypatch.chdir(tmp_path)
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
    """An empty folder with the files that pages speak of."""
    from ssae_lens.shifts import write_reference

    monkeypatch.chdir(tmp_path)
    kept["shifts"].save("shifts.h5")
    write_reference("theirs.h5", kept["shifts"])
    kept["ssae"].save_model("my-ssae")
    sl.SteeringVector.from_ssae(kept["ssae"], kept["concepts"]["tense"]).save("tense.safetensors")
    Path("quick.yaml").write_text("steps: 200\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", WITH_SHELL, ids=lambda each: each.name)
def test_commands_run(page, files):
    for snippet in SHELL:
        if snippet.page != page or snippet.check != "run":
            continue
        for words in commands(snippet):
            if words[0] != "ssae-lens" or words[1] in PARSED_ONLY or "--help" in words:
                continue
            if words[1] == "convert" and not (files / words[2]).exists():
                _write_reference_folder(files / words[2])
            if words[1] in ("capture", "sweep", "train"):
                for made in (each for each in ("shifts.h5", "my-ssae") if each in words[words.index("--out") :]):
                    _remove(files / made)
            done = CliRunner().invoke(sl_app(), [*words[1:], *SMALL.get(words[1], [])])
            assert done.exit_code == 0, f"{snippet}: {' '.join(words)}\n{done.output}"


def sl_app():
    from ssae_lens.cli import app

    return app


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
