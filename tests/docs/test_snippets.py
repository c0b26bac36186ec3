"""The Python and shell snippets of the README and the documentation work.

Unit tests compile each Python snippet and check its imports and keyword arguments, parse each command as the program does,
and check that targets of make, scripts and their options exist. Slow tests run Python snippets, page by page, and commands,
on SmolLM2 with small data: a few hundred pairs, two seeds and few steps, whatever the page has. Studies and the
demonstration run in `test_study_commands.py`, the snippets that use the Hub in `test_hub_snippets.py`.

Not run: snippets with a mark that excludes them, targets of make except `make demo`, scripts and benchmarks.
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
    check_names,
    commands,
    commands_to_run,
    inline_commands,
    parse_command,
    snippets,
)
from typer.testing import CliRunner

import ssae_lens as sl
from ssae_lens.cli import app

PYTHON, SHELL = snippets("python"), snippets("bash")
HOOK = "blocks.15.hook_resid_post"
PYTHON_PAGES = [page for page in PAGES if any(snippet.page == page for snippet in PYTHON)]
COMMANDS = {
    page: [words for words in listed if words[0] != "studies" and words[1] != "demo"]
    for page, listed in commands_to_run().items()
}
COMMANDS = {page: listed for page, listed in COMMANDS.items() if listed}
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))
SCRIPTS = sorted(path for folder in ("scripts", "benchmarks") for path in (ROOT / folder).glob("[a-z]*.py"))
N_PAIRS = 300
# Replaced by a tiny model.
LARGE = "meta-llama/Llama-3.1-8B"
# Options that keep commands small.
SMALL = {
    "capture": ["--n", "24"],
    "sweep": ["--seeds", "2", "--config", "quick.yaml"],
    "train": ["--config", "quick.yaml"],
    "eval steering": ["--scale", "0.2", "--max-new-tokens", "8"],
}


def test_fences_have_a_language_and_marks_are_known():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        marked = [snippet for snippet in PYTHON + SHELL if snippet.page == page and snippet.check != "run"]
        assert text.count("<!-- check:") == len(marked)
        assert set(re.findall(r"^```(\w+)$", text, re.MULTILINE)) <= LANGUAGES
    assert {snippet.check for snippet in PYTHON} <= set(CHECKS["python"])
    assert {snippet.check for snippet in SHELL} <= set(CHECKS["bash"])
    assert all(snippet.why for snippet in PYTHON + SHELL if snippet.check != "run")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if "://" in link:
            continue
        # The page of a tutorial is written when the documentation is built.
        target = (page.parent / link).resolve()
        tutorial = ROOT / "tutorials" / f"{target.stem}.py"
        assert target.exists() or (target.parent == ROOT / "docs" / "tutorials" and tutorial.is_file()), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_anchors_exist(page):
    text = FENCE.sub("", page.read_text(encoding="utf-8"))
    for link, anchor in re.findall(r"\]\(([\w/.]*)#([^)]+)\)", text):
        target = (page.parent / link).resolve() if link else page
        headings = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = {page.name for page in PAGES if page.parent == ROOT / "docs"}
    pages |= {f"tutorials/{path.stem}.md" for path in (ROOT / "tutorials").glob("*.py")}
    assert set(re.findall(r"[\w/-]+\.md", navigation)) == pages


def test_the_picture_is_small():
    assert 20_000 < (ROOT / "docs" / "img" / "dashboard.png").stat().st_size < 300_000


@pytest.mark.parametrize("snippet", PYTHON, ids=str)
def test_python_names_exist(snippet):
    compile(snippet.text, str(snippet), "exec")
    check_calls(snippet.text, {"sl": sl})


@pytest.mark.parametrize("snippet", [snippet for snippet in SHELL if snippet.check != "skip"], ids=str)
def test_commands_parse(snippet):
    for words in commands(snippet):
        if words[0] in PROGRAMS:
            parse_command(words)
        elif words[0] != "hf":  # the Hub's own command
            assert exists(words), f"{snippet} has {words}, which this test does not know; mark it"


@pytest.mark.parametrize(("page", "words"), inline_commands(), ids=str)
def test_inline_commands_exist(page, words):
    if words[0] in PROGRAMS:
        check_names([word for word in words if word != "…"])
    else:
        assert exists(words)


def exists(words: list[str]) -> bool:
    """Return whether make has the targets, or Python the script or the module, that some words name."""
    if words[0] == "make":
        return set(words[1:]) <= TARGETS
    if words[:2] == ["python", "-m"]:
        return find_spec(words[2]) is not None
    return words[0] == "python" and ROOT / words[1] in SCRIPTS


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_scripts_have_help_and_their_options(script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(script), "--help"])
    monkeypatch.setattr(sys, "path", [str(script.parent), *sys.path])
    with pytest.raises(SystemExit) as exit_:
        runpy.run_path(str(script), run_name="__main__")
    assert not exit_.value.code
    help_text = capsys.readouterr().out
    arguments = [words[2:] for _, words in inline_commands() if words[0] == "python" and ROOT / words[1] == script]
    assert all(word in help_text for words in arguments for word in words if word.startswith("--"))


@pytest.fixture(scope="module")
def objects():
    """The model, pairs, store and SSAE that pages use, under the names that they use."""
    model = sl.load_model("smollm2-135m")
    pairs = sl.load_pairs("sentences", "train", n=N_PAIRS)
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
def small(objects, monkeypatch, tmp_path, request):
    """Run in an empty folder; replace the thousands of pairs of a page by hundreds, captured once."""
    capture, load, sweep = sl.capture_shifts, sl.load_pairs, sl.sweep

    def load_pairs(name, *args, **kwargs):
        return objects["pairs"] if isinstance(name, str) and name == "sentences" else load(name, *args, **kwargs)

    def capture_shifts(model, pairs, hook, *, path=None, **kwargs):
        if hook == HOOK and kwargs.get("position") == "mean" and len(pairs) == N_PAIRS:
            return objects["shifts"] if path is None else objects["shifts"].save(path)
        return capture(model, pairs, hook, path=path, **kwargs)

    def small_sweep(shifts, **kwargs):
        # With so few pairs the widest is the safest choice for pages that use a concept's latent.
        return sweep(shifts, **{**kwargs, "d_sae": max(kwargs["d_sae"]), "seeds": 2, "steps": 800, "quiet": True})

    monkeypatch.chdir(tmp_path)
    page = request.node.callspec.params["page"]
    text = "\n".join(snippet.text for snippet in PYTHON if snippet.page == page)
    if 'save_model("my-ssae")' not in text:
        objects["ssae"].save_model("my-ssae")
    monkeypatch.setattr(sl, "load_model", lambda *_, **__: objects["model"])
    monkeypatch.setattr(sl, "load_pairs", load_pairs)
    monkeypatch.setattr(sl, "capture_shifts", capture_shifts)
    monkeypatch.setattr(sl, "sweep", small_sweep)
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")  # few pairs cause warnings
@pytest.mark.parametrize("page", PYTHON_PAGES, ids=lambda page: page.name)
def test_python_runs(page, objects, small):
    space = dict(objects)
    for snippet in PYTHON:
        if snippet.page == page and snippet.check == "run":
            exec(compile(snippet.text, str(snippet), "exec"), space)


@pytest.fixture
def files(objects, monkeypatch, tmp_path):
    """An empty folder with the files that pages use, with SmolLM2 loaded and a tiny model for a large one."""
    from ssae_lens import models
    from ssae_lens.shifts import write_reference

    def load_model(name, kind="hooked", **_kwargs):
        assert name in ("smollm2-135m", LARGE)
        return models.tiny_model("llama", kind, n_layers=24) if name == LARGE else objects["model"]

    monkeypatch.setattr(models, "load_model", load_model)
    monkeypatch.chdir(tmp_path)
    for name in ("shifts.h5", "test.h5"):
        objects["shifts"].save(name)
    write_reference("theirs.h5", objects["shifts"])
    objects["ssae"].save_model("my-ssae")
    sl.SteeringVector.from_ssae(objects["ssae"], objects["concepts"]["tense"]).save("tense.safetensors")
    objects["pairs"].select_columns(["source", "target"]).to_json("my-pairs.jsonl")
    Path("quick.yaml").write_text("steps: 200\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("page", COMMANDS, ids=lambda page: page.name)
def test_commands_run(page, files):
    for words in COMMANDS[page]:
        if words[1] == "convert" and not (files / words[2]).exists():
            _write_paper_folder(files / words[2])
        if words[1] in ("capture", "sweep", "train"):
            for name in ("shifts.h5", "my-ssae"):
                if name in words[words.index("--out") :]:
                    _remove(files / name)
        name = " ".join(words[1:3]) if words[1] == "eval" else words[1]
        result = CliRunner().invoke(app, [*words[1:], *SMALL.get(name, [])])
        assert result.exit_code == 0, f"{page.name}: {' '.join(words)}\n{result.output}"
        for option in ("--out", "--figure", "--json"):
            assert option not in words or Path(words[words.index(option) + 1]).exists()


def _remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _write_paper_folder(folder: Path) -> None:
    """Write a model as the training of the paper's code does."""
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
