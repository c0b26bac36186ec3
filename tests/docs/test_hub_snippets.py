"""The snippets that talk to the Hugging Face Hub, as the pages have them, against a small one on the loopback address.

huggingface_hub reads where the Hub is when it is imported: so each page's run in a process of their own, in their order.
"""

import os
import subprocess
import sys

import pytest
from snippets import PAGES, Snippet, commands, snippets

from ssae_lens.sae import SSAE, SSAEConfig
from tests.hub_server import hub_on_loopback

HOOK = "blocks.15.hook_resid_post"
SAID = [each for language in ("python", "bash") for each in snippets(language) if each.check == "hub"]
WITH_SOME = [page for page in PAGES if any(each.page == page for each in SAID)]
FILES = ("cfg.json", "sae_weights.safetensors")
OURS = """
from typer.testing import CliRunner
from ssae_lens.cli import app
done = CliRunner().invoke(app, {words!r})
assert done.exit_code == 0, done.output
"""
# The Hub's own command, which finds a token in the environment and so asks for none.
THEIRS = """
import subprocess, sys
from pathlib import Path
command = Path(sys.executable).with_name({words!r}[0])
subprocess.run([command, *{words!r}[1:]], check=True, stdin=subprocess.DEVNULL, timeout=60)
"""


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that holds someone's SSAE, and a folder with two of our own."""
    monkeypatch.chdir(tmp_path)
    for name in ("my-ssae", "my-other-ssae"):
        ssae = SSAE(SSAEConfig(d_in=8, d_sae=3))
        ssae.cfg.metadata.hook_name = HOOK
        ssae.save_model(name)
    with hub_on_loopback() as server:
        server.repos["user/their-ssaes"] = {
            f"{HOOK}/{each}": (tmp_path / "my-ssae" / each).read_bytes() for each in FILES
        }
        yield server


def program(page) -> str:
    """Return a page's snippets one after another, as Python."""
    whole = [_as_python(each) for each in sorted(SAID, key=lambda each: each.line) if each.page == page]
    return "\n".join(whole)


def _as_python(snippet: Snippet) -> str:
    if snippet.language == "python":
        return snippet.text
    said = commands(snippet)
    return "".join(
        OURS.format(words=words[1:]) if words[0] == "ssae-lens" else THEIRS.format(words=words) for words in said
    )


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_SOME, ids=lambda each: each.name)
def test_talks_to_the_hub(page, hub, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", program(page)],
        env=os.environ | hub.environment(tmp_path / "home"),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert page.name == "sharing.md", "say here what another page leaves at the Hub"
    assert {f"GET /user/their-ssaes/resolve/main/{HOOK}/{each}" for each in FILES} <= set(hub.log)
    files = hub.repos["me/my-ssaes"]
    assert files.keys() == {
        "README.md",
        *(f"{folder}/{each}" for folder in (HOOK, "layer-15", "layer-20") for each in FILES),
    }
    assert b"license: mit" in files["README.md"]
    assert files[f"{HOOK}/cfg.json"] == (tmp_path / "my-ssae" / "cfg.json").read_bytes()
