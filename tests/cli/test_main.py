"""`python -m ssae_lens` is the command."""

import os
import subprocess
import sys
from pathlib import Path


def run(*words):
    command = [sys.executable, "-m", "ssae_lens", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path("/"), env=os.environ)


def test_it_lists_the_commands_under_their_own_name():
    done = run("--help")
    assert done.returncode == 0, done.stderr
    assert "Usage: ssae-lens" in done.stdout
    assert {"capture", "train", "steer"} <= set(done.stdout.split())


def test_what_fails_is_one_line_and_status_2():
    done = run("inspect", "nowhere.h5")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "nowhere.h5" in done.stderr
