"""What studies share: processes that end with the one that began them."""

import subprocess
import sys

WORKER = """
import os, sys, threading
from studies.cells import _exit_with
_exit_with(os.getppid())
print("ready", flush=True)
threading.Event().wait()
"""
# It begins a worker, which holds on to this one's errors, and ends without a word to it, as if it were killed.
STUDY = """
import os, subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.PIPE)
assert worker.stdout.readline() == b"ready\\n"
os._exit(9)
"""


def test_a_worker_ends_with_its_study():
    """The pipe is at its end when nobody holds it any more; without that, this would wait for a minute and fail."""
    done = subprocess.run([sys.executable, "-c", STUDY, WORKER], stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 9
    assert done.stderr == b""
