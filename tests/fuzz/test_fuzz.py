"""Some hundred damaged and hostile files for each reader; `make fuzz` has a quarter of a million."""

import json
import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fuzz.campaign import fuzz, keep, read_again, table, undocumented
from fuzz.engine import HANG, Finding, RefusedError, Target, input_of
from fuzz.mutate import mutated_bytes, mutated_json
from fuzz.registry import TARGETS

ROOT = Path(__file__).parents[2]
EACH = 200

pytestmark = [
    pytest.mark.skipif(sys.platform == "win32", reason="workers are forked"),
    pytest.mark.xdist_group("fuzz"),  # one run for all readers
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The short run, in a process of its own: workers are forked, which no test's process should be."""
    folder = tmp_path_factory.mktemp("fuzz")
    command = [
        sys.executable,
        "-m",
        "tests.fuzz",
        "--each",
        f"{EACH}",
        "--jobs",
        "2",
        "--json",
        f"{folder / 'out.json'}",
    ]
    command += ["--findings", f"{folder / 'findings'}"]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (folder / "out.json").is_file(), done.stdout + done.stderr
    return json.loads((folder / "out.json").read_text()), done


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_takes_or_refuses_whatever_it_is_given(run, name):
    found, _ = run
    findings = [
        f"{each['outcome']}: {each['detail']}\npython -m tests.fuzz --target '{name}' --index {each['index']}"
        for each in found[name].pop("findings")
    ]
    assert not findings, "\n".join(findings[:3])
    assert found[name]["undamaged"] == "accepted"
    counts = found[name]["counts"]
    assert sum(counts.values()) == EACH
    assert counts["accepted"] > 0
    assert counts["refused"] > EACH / 4


class TestEngine:
    """What is looked for is seen where it is."""

    def outcomes(self, tmp_path, read, limit=HANG, **settings):
        target = Target(
            "fake", "a fake", lambda folder: (folder / "a").write_bytes(b"x"), lambda _, files: files, read, **settings
        )
        tallies = fuzz([target], {"fake": 3}, limit=limit, findings=tmp_path / "found")
        assert sum(tallies["fake"].counts.values()) == 3
        return {name: count for name, count in tallies["fake"].counts.items() if count}, tallies

    def test_documented(self, tmp_path):
        def refuse(folder):
            raise ValueError(f"{folder / 'a'} is no good")

        def refuse_otherwise(_):
            raise RefusedError("no")

        assert self.outcomes(tmp_path, lambda _: None)[0] == {"accepted": 3}
        assert self.outcomes(tmp_path, refuse)[0] == {"refused": 3}
        assert self.outcomes(tmp_path, refuse_otherwise)[0] == {"refused": 3}
        assert self.outcomes(tmp_path, lambda folder: (folder / "b").read_bytes())[0] == {"refused": 3}
        assert not (tmp_path / "found").exists()

    @pytest.mark.parametrize(
        "error",
        [
            KeyError("a"),
            ValueError("no file is named"),
            ValueError("{folder}\ntwo lines"),
            RecursionError(),
            OSError("x"),
        ],
    )
    def test_foreign_exceptions(self, tmp_path, error):
        def read(folder):
            raise type(error)(*(each.replace("{folder}", str(folder)) for each in error.args))

        found, tallies = self.outcomes(tmp_path, read)
        assert found == {"foreign": 3}
        assert undocumented(tallies) == 3
        assert type(error).__name__ in tallies["fake"].findings[0].detail
        assert (tmp_path / "found" / "fake-0-2" / "files" / "a").read_bytes() == b"x"

    def test_a_hang_in_python(self, tmp_path):
        def read(_):
            while True:
                pass

        assert self.outcomes(tmp_path, read, limit=0.1)[0] == {"hang": 3}

    def test_a_hang_that_no_signal_ends(self, tmp_path):
        def read(_):
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGPROF])
            while True:
                pass

        found, tallies = self.outcomes(tmp_path, read, limit=0.1)
        assert found == {"hang": 3}
        assert [each.index for each in tallies["fake"].findings] == [0, 1, 2]

    @pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux limits a process's memory")
    def test_memory(self, tmp_path):
        assert self.outcomes(tmp_path, lambda _: bytes(1 << 32))[0] == {"memory": 3}
        assert self.outcomes(tmp_path, lambda _: bytes(1 << 28))[0] == {"accepted": 3}

    def test_crashes(self, tmp_path):
        found, tallies = self.outcomes(tmp_path, lambda _: os.kill(os.getpid(), signal.SIGSEGV))
        assert found == {"crash": 3}
        assert "SIGSEGV" in tallies["fake"].findings[0].detail

    def test_code_that_runs(self, tmp_path):
        assert self.outcomes(tmp_path, lambda _: Path("canary").touch())[0] == {"code run": 3}
        assert self.outcomes(tmp_path, lambda folder: (folder / "canary").touch())[0] == {"code run": 3}

    def test_the_table(self, tmp_path):
        _, tallies = self.outcomes(tmp_path, lambda _: None)
        target = Target("fake", "a fake", None, None, None)
        lines = table([target], tallies).splitlines()
        assert lines[2] == "| fake | a fake | 3 | 3 | 0 | 0 | 0 | 0 | 0 | 0 |"
        assert {line.count("|") for line in lines} == {11}

    def test_an_input_is_the_same_each_time(self):
        target = Target("a", "", None, lambda rng, files: {"a": mutated_bytes(rng, files["a"])}, None)
        valid = {"a": bytes(range(200))}
        made = [[input_of(target, valid, seed, index)["a"] for index in range(50)] for seed in (0, 0, 1)]
        assert made[0] == made[1] != made[2]
        assert len(set(made[0])) > 45

    def test_mutations_of_json_leave_no_trace_in_each_other(self):
        value = {"a": [1, {"b": 2}], "c": "d"}
        made = [mutated_json(random.Random(seed), value) for seed in range(300)]
        assert made == [mutated_json(random.Random(seed), value) for seed in range(300)]
        assert value == {"a": [1, {"b": 2}], "c": "d"}
        assert len(set(made)) > 200

    def test_what_was_found_is_read_again(self, tmp_path):
        target = Target("some reader", "", None, None, lambda folder: (folder / "a").read_bytes().decode("ascii"))
        keep(tmp_path, target, Finding(target.name, 7, "foreign", "x"), {"a": b"\xff"}, 0)
        name, outcome, detail = read_again(tmp_path / "some-reader-0-7", {target.name: target})
        assert (name, outcome) == ("some reader", "foreign")
        assert "UnicodeDecodeError" in detail
