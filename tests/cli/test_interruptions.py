"""An interruption is one line and status 130, also while the program or what a command needs is being imported."""

import subprocess
import sys

import pytest

# A real signal, when a module begins to be imported.
PROGRAM = """
import os, signal, sys

class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == wanted:
            sys.meta_path.remove(self)
            os.kill(os.getpid(), signal.SIGINT)

wanted = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupts())
from ssae_lens.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "words"),
    [
        ("ssae_lens.cli", ["--help"]),
        ("typer", ["--help"]),
        ("ssae_lens.shifts", ["inspect", "x.h5"]),
        ("torch", ["inspect", "x.h5"]),
        pytest.param(
            "transformers",
            ["capture", "tiny-gpt2", "gender", "--hook", "blocks.1.hook_resid_post", "--out", "x.h5"],
            marks=pytest.mark.slow,
        ),
        pytest.param("sae_lens", ["train", "x.h5", "--d-sae", "4", "--out", "x"], marks=pytest.mark.slow),
    ],
)
def test_during_imports(tmp_path, module, words):
    command = [sys.executable, "-c", PROGRAM, module, *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("ssae-lens: interrupted")
    assert done.stdout == ""


CONVERTED = """
import sys
from ssae_lens.cli import app, training

def interrupted(*_, **__):
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        raise {kind}("import failed") from error

sys.modules["ssae_lens.shifts"] = type(sys)("ssae_lens.shifts")
sys.modules["ssae_lens.shifts"].__getattr__ = interrupted
app(["inspect", "x.h5"])
"""


@pytest.mark.parametrize("kind", ["RuntimeError", "SystemError", "ImportError"])
def test_that_a_library_turned_into_another_error(tmp_path, kind):
    command = [sys.executable, "-c", CONVERTED.format(kind=kind)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 130, done.stderr
    assert len(done.stderr.splitlines()) == 1
