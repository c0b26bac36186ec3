"""Snippets that use the Hugging Face Hub, run against a local server on the loopback address.

huggingface_hub reads the Hub's address when it is imported, so the snippets of a page run in a separate process.
"""

import os
import subprocess
import sys

import pytest
from snippets import PAGES, Snippet, commands, snippets

from ssae_lens.sae import SSAE, SSAEConfig
from tests.hub_server import hub_on_loopback

HOOK = "blocks.15.hook_resid_post"
SNIPPETS = [snippet for language in ("python", "bash") for snippet in snippets(language) if snippet.check == "hub"]
HUB_PAGES = [page for page in PAGES if any(snippet.page == page for snippet in SNIPPETS)]
FILES = ("cfg.json", "sae_weights.safetensors")
SSAE_LENS = """
from typer.testing import CliRunner
from ssae_lens.cli import app
result = CliRunner().invoke(app, {words!r})
assert result.exit_code == 0, result.output
"""
# The Hub's own command; with a token in the environment it does not ask for one.
OTHER = """
import subprocess, sys
from pathlib import Path
command = Path(sys.executable).with_name({words!r}[0])
subprocess.run([command, *{words!r}[1:]], check=True, stdin=subprocess.DEVNULL, timeout=60)
"""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub with a published SSAE, and a folder with two local ones."""
    monkeypatch.chdir(tmp_path)
    for name in ("my-ssae", "my-other-ssae"):
        ssae = SSAE(SSAEConfig(d_in=8, d_sae=3))
        ssae.cfg.metadata.hook_name = HOOK
        ssae.save_model(name)
    with hub_on_loopback() as server:
        server.repos["user/their-ssaes"] = {
            f"{HOOK}/{name}": (tmp_path / "my-ssae" / name).read_bytes() for name in FILES
        }
        yield server


def program(page) -> str:
    """Return the snippets of a page in order, as one Python program."""
    in_order = sorted(SNIPPETS, key=lambda snippet: snippet.line)
    return "\n".join(_as_python(snippet) for snippet in in_order if snippet.page == page)


def _as_python(snippet: Snippet) -> str:
    if snippet.language == "python":
        return snippet.text
    return "".join(
        SSAE_LENS.format(words=words[1:]) if words[0] == "ssae-lens" else OTHER.format(words=words)
        for words in commands(snippet)
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", HUB_PAGES, ids=lambda page: page.name)
def test_snippets_run(page, hub, tmp_path):
    process = subprocess.run(
        [sys.executable, "-c", program(page)],
        env=os.environ | hub.environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert process.returncode == 0, process.stderr[-3000:]
    assert page.name == "sharing.md", "add what this page uploads"
    assert {f"GET /user/their-ssaes/resolve/main/{HOOK}/{name}" for name in FILES} <= set(hub.log)
    files = hub.repos["me/my-ssaes"]
    assert files.keys() == {
        "README.md",
        *(f"{folder}/{name}" for folder in (HOOK, "layer-15", "layer-20") for name in FILES),
    }
    assert b"license: mit" in files["README.md"]
    assert files[f"{HOOK}/cfg.json"] == (tmp_path / "my-ssae" / "cfg.json").read_bytes()
