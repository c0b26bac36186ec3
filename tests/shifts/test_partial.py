"""A store that is being captured: interrupted anywhere, it goes on to what one go would have made."""

import errno
import os
import shutil
import signal
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ssae_lens.shifts import PartialStore, ShiftStore, disk, partial

N, D = 150, 16


@pytest.fixture
def path(tmp_path):
    return tmp_path / "shifts.h5"


@pytest.fixture
def marked_at_once(monkeypatch):
    monkeypatch.setattr(partial, "SECONDS_BETWEEN_MARKS", -1)


def write_rows(store, rows, sides):
    store.write(rows, sides[0][rows], sides[1][rows])


def test_in_one_go_is_the_same_as_from_arrays(path, sides, known, tmp_path):
    with PartialStore.open_or_create(path, N, **known) as begun:
        np.testing.assert_array_equal(begun.missing_rows(), np.arange(N))
        for rows in np.array_split(np.random.default_rng(0).permutation(N), 7):
            begun.write(rows, torch.from_numpy(sides[0][rows]), torch.from_numpy(sides[1][rows]))
        assert len(begun.missing_rows()) == 0
        finished = begun.finish()
    other = ShiftStore.from_arrays(*sides, **known, path=tmp_path / "other.h5")
    with finished, other:
        assert finished.fingerprint == other.fingerprint
        assert finished.source.tobytes() == sides[0].tobytes()
        assert finished.target.tobytes() == sides[1].tobytes()
        assert (finished.origin, finished.texts) == (other.origin, other.texts)
    assert not path.with_name("shifts.h5.partial").exists()


def test_abandoned_and_resumed(path, sides, known, marked_at_once):
    abandoned = PartialStore.open_or_create(path, N, **known)
    write_rows(abandoned, np.arange(0, 100, 3), sides)
    del abandoned
    assert not path.exists()
    with PartialStore.open_or_create(path, N, **known) as resumed:
        missing = resumed.missing_rows()
        assert not set(missing) & set(range(0, 100, 3))
        assert len(missing) == N - 34
        with pytest.raises(ValueError, match=r"lacks 116 of 150 rows, the first of them 1; write them"):
            resumed.finish()
        assert not path.exists()
        write_rows(resumed, missing, sides)
        with resumed.finish() as store:
            assert store.source.tobytes() == sides[0].tobytes()


def test_interrupted_with_ctrl_c(path, sides, known):
    def interrupted():
        with PartialStore.open_or_create(path, N, **known) as begun:
            write_rows(begun, np.arange(40), sides)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    with PartialStore.open_or_create(path, N, **known) as resumed:
        np.testing.assert_array_equal(resumed.missing_rows(), np.arange(40, N))


def test_two_writers_at_once(path, sides, known):
    first = PartialStore.open_or_create(path, N, **known)
    second = PartialStore.open_or_create(path, N, **known)
    write_rows(first, np.arange(0, N, 2), sides)
    write_rows(second, np.arange(1, N, 2), sides)
    second.close()
    with first.finish() as store:
        np.testing.assert_array_equal(store.target, sides[1])


def test_nothing_is_marked_before_it_is_on_disk(path, sides, known):
    """Marks come from `flush`, after the data; until then another process sees the rows as missing."""
    begun = PartialStore.open_or_create(path, N, **known)
    write_rows(begun, np.arange(50), sides)
    done = np.fromfile(begun.folder / "done.bin", dtype=np.uint8)
    assert done.sum() == 0
    begun.flush()
    done = np.fromfile(begun.folder / "done.bin", dtype=np.uint8)
    written = np.fromfile(begun.folder / "source.bin", dtype=np.float32).reshape(N, D)
    assert done[:50].all()
    assert not done[50:].any()
    np.testing.assert_array_equal(written[:50], sides[0][:50])


def test_finished_already(path, sides, known):
    with PartialStore.open_or_create(path, N, **known) as begun:
        write_rows(begun, np.arange(N), sides)
        begun.finish().close()
    # As if killed between making the file and removing the folder.
    begun.folder.mkdir()
    with PartialStore.open_or_create(path, N, **known) as again:
        assert len(again.missing_rows()) == 0
        with pytest.raises(ValueError, match="finished or closed"):
            write_rows(again, np.arange(2), sides)
        with again.finish() as store:
            np.testing.assert_array_equal(store.source, sides[0])
    assert not begun.folder.exists()


@pytest.mark.parametrize("finished", [False, True])
def test_another_capture_is_not_gone_on_with(path, sides, known, finished):
    with PartialStore.open_or_create(path, N, **known) as begun:
        if finished:
            write_rows(begun, np.arange(N), sides)
            begun.finish().close()
    other_model = known | {"origin": replace(known["origin"], model_name="gpt2")}
    with pytest.raises(ValueError, match=r"origin\.model_name: 'tiny' there against 'gpt2' now"):
        PartialStore.open_or_create(path, N, **other_model)
    with pytest.raises(ValueError, match="dtype: 'float32' there against 'float16' now"):
        PartialStore.open_or_create(path, N, **known, dtype="float16")
    with pytest.raises(ValueError, match=r"pairs: .*'123'.* there against .*'456'"):
        PartialStore.open_or_create(path, N, **known | {"pairs": {"fingerprint": "456"}})
    with pytest.raises(ValueError, match=r"source_text: '.*' there against '.*' now"):
        PartialStore.open_or_create(path, N, **known | {"texts": (["x"] * N, known["texts"][1])})
    with pytest.raises(ValueError, match="rows: 150 there against 2 now"):
        PartialStore.open_or_create(path, 2, origin=known["origin"])


def test_refused_rows(path, sides, known):
    with PartialStore.open_or_create(path, N, **known) as begun:
        bad = sides[0][:3].copy()
        bad[1, 5] = np.inf
        with pytest.raises(ValueError, match="source holds NaN or infinite values in row 21"):
            begun.write([20, 21, 22], bad, sides[1][:3])
        with pytest.raises(ValueError, match=r"source has shape \(3, 16\); \(2, 16\) is due"):
            begun.write([20, 21], sides[0][:3], sides[1][:3])
        with pytest.raises(ValueError, match="rows reach from 149 to 150"):
            begun.write([149, 150], sides[0][:2], sides[1][:2])
        assert len(begun.missing_rows()) == N


def test_bfloat16_is_refused_before_anything_is_made(path, known):
    with pytest.raises(ValueError, match="spoils their difference"):
        PartialStore.open_or_create(path, N, **known, dtype="bfloat16")
    assert not list(path.parent.iterdir())


def test_full_disk_is_seen_beforehand(path, known, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1_000))
    with pytest.raises(OSError, match=r"shifts\.h5 needs 0\.00 GB and its disk has 0\.00 GB free; make room") as error:
        PartialStore.open_or_create(path, N, **known)
    assert error.value.errno == errno.ENOSPC
    assert not list(path.parent.iterdir())


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="this system cannot promise room")
def test_disk_that_fills_on_the_way(path, known, sides, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(disk.os, "posix_fallocate", full)
        with pytest.raises(OSError, match=r"shifts\.h5 needs .*make room"):
            PartialStore.open_or_create(path, N, **known)
    assert not list(path.parent.iterdir())
    with PartialStore.open_or_create(path, N, **known) as begun:
        write_rows(begun, np.arange(N), sides)
        with monkeypatch.context() as patched:
            patched.setattr("h5py.File", full)
            with pytest.raises(OSError, match=r"needs .*make room"):
                begun.finish()
        assert not path.exists()
        begun.finish().close()


def capture(path, known, sides, say):
    """What a capture does, saying a byte after each batch and before it makes the file."""
    with PartialStore.open_or_create(path, N, **known) as begun:
        for rows in np.array_split(begun.missing_rows(), 10):
            write_rows(begun, rows, sides)
            say()
        say()
        begun.finish().close()


def capture_and_kill(path, known, sides, after):
    """Run `capture` in another process and kill it once it has said `after` bytes, wherever it is by then."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            capture(path, known, sides, lambda: os.write(writing, b"."))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as said:
        for _ in range(after):
            said.read(1)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_ten_times_and_called_again(path, known, sides, tmp_path, marked_at_once):
    """SIGKILL while rows are written and while the file is made; the last call ends with the same data."""
    left = [N]
    for after in (0, 1, 1, 2, 1, 3, 2, 2, 11, 11):
        capture_and_kill(path, known, sides, after)
        if not path.exists():
            with PartialStore.open_or_create(path, N, **known) as begun:
                left.append(len(begun.missing_rows()))
    assert left == sorted(left, reverse=True)
    assert min(left) < N
    capture(path, known, sides, lambda: None)
    other = tmp_path / "other.h5"
    with ShiftStore.open(path) as store, ShiftStore.from_arrays(*sides, **known, path=other) as in_one_go:
        assert store.source.tobytes() == in_one_go.source.tobytes()
        assert store.target.tobytes() == in_one_go.target.tobytes()
        assert store.fingerprint == in_one_go.fingerprint
    assert {each.name for each in tmp_path.iterdir()} == {path.name, other.name}
