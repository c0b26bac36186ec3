"""Files are written whole or not at all, and are as readable as any that the user writes."""

import errno
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ssae_lens.base import checksums, files
from ssae_lens.base.checksums import write_json
from ssae_lens.base.files import writing


def test_a_block_that_raises_leaves_what_was_there(tmp_path):
    path = tmp_path / "deep" / "result.txt"
    with writing(path) as temporary:
        temporary.write_text("first")
    with pytest.raises(TypeError), writing(path) as temporary:
        temporary.write_text(None)
    assert path.read_text() == "first"
    assert [each.name for each in path.parent.iterdir()] == ["result.txt"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
@pytest.mark.parametrize("umask", [0o022, 0o077])
@pytest.mark.parametrize("by", ["text", "safetensors", "numpy"])
def test_files_have_the_users_own_mode(tmp_path, umask, by):
    before = os.umask(umask)
    try:
        with writing(tmp_path / "result") as temporary:
            if by == "text":
                temporary.write_text("x")
            elif by == "safetensors":
                save_file({"x": torch.zeros(2)}, temporary)
            else:
                with temporary.open("wb") as file:
                    np.save(file, np.zeros(2))
        assert (tmp_path / "result").stat().st_mode & 0o777 == 0o666 & ~umask
    finally:
        os.umask(before)


def process(code, *arguments):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True)


class TestOverwriting:
    def test_other_contents_are_refused_unless_asked_for(self, tmp_path):
        path = tmp_path / "a.json"
        write_json(path, {"a": 1}, overwrite=False)
        write_json(path, {"a": 1}, overwrite=False)
        with pytest.raises(FileExistsError, match=r"a\.json exists already.*overwrite=True"):
            write_json(path, {"a": 2}, overwrite=False)
        assert checksums.read_json(path) == {"a": 1}
        write_json(path, {"a": 2}, overwrite=True)
        assert checksums.read_json(path) == {"a": 2}
        assert [each.name for each in tmp_path.iterdir()] == ["a.json"]

    def test_without_hard_links_too(self, tmp_path, monkeypatch):
        def refuse(*_):
            raise OSError(errno.EPERM, "no links here")

        monkeypatch.setattr(os, "link", refuse)
        self.test_other_contents_are_refused_unless_asked_for(tmp_path)


class TestWhatDoesNotFit:
    """A disk that does not take a file is named, whichever library it was that noticed."""

    @pytest.mark.parametrize(
        "error",
        [
            OSError(errno.ENOSPC, "No space left on device"),
            OSError(errno.EROFS, "Read-only file system"),
            RuntimeError("[enforce fail at inline_container.cc] . PytorchStreamWriter failed writing file data/0"),
            Exception("I/O error: No space left on device (os error 28)"),
            OSError("Can't write data (file write failed: errno = 28, error message = 'No space left on device')"),
        ],
        ids=["full", "read-only", "torch", "safetensors", "hdf5"],
    )
    def test_the_file_is_named(self, tmp_path, error):
        with (
            pytest.raises(OSError, match=r"result could not be written \(.*GB free") as raised,
            writing(tmp_path / "result"),
        ):
            raise error
        assert raised.value.errno in (errno.ENOSPC, errno.EROFS)
        assert not list(tmp_path.iterdir())

    def test_the_innermost_file_is_named_once(self, tmp_path):
        with (
            pytest.raises(OSError, match=r"inner could not be written"),
            writing(tmp_path / "outer"),
            writing(tmp_path / "inner"),
        ):
            raise OSError(errno.ENOSPC, "full")

    def test_other_errors_stay_what_they_are(self, tmp_path):
        with pytest.raises(ZeroDivisionError), writing(tmp_path / "result"):
            _ = 1 / 0


def test_what_a_killed_process_left_is_removed(tmp_path):
    code = """
import os, sys
from ssae_lens.base.files import writing
with writing(sys.argv[1]) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), 9)
"""
    assert process(code, tmp_path / "a.txt").wait() == -9
    assert len(list(tmp_path.iterdir())) == 1
    with writing(tmp_path / "a.txt") as temporary:
        temporary.write_text("whole")
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


class TestTogether:
    def names(self, folder):
        return {each.name: each.read_text() for each in folder.iterdir() if each.is_file()}

    def put(self, folder, text):
        with files.together(folder) as staging:
            (staging / "a").write_text(text)
            (staging / "b").write_text(text)

    def test_both_or_neither(self, tmp_path):
        self.put(tmp_path, "old")
        with pytest.raises(TypeError), files.together(tmp_path) as staging:
            (staging / "a").write_text(None)
        assert self.names(tmp_path) == {"a": "old", "b": "old"}
        self.put(tmp_path, "new")
        assert self.names(tmp_path) == {"a": "new", "b": "new"}
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]

    @pytest.mark.parametrize("moved", [0, 1, 2])
    def test_a_kill_between_two_moves_is_made_good(self, tmp_path, monkeypatch, moved):
        self.put(tmp_path, "old")
        replace, left = type(tmp_path).replace, [moved]

        def dying(path, target):
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return replace(path, target)

        monkeypatch.setattr(type(tmp_path), "replace", dying)
        if moved < 2:
            with pytest.raises(KeyboardInterrupt):
                self.put(tmp_path, "new")
        else:
            self.put(tmp_path, "new")
        monkeypatch.undo()
        files.settle(tmp_path)
        assert self.names(tmp_path) == {"a": "new", "b": "new"}
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]

    def test_before_the_move_the_old_files_stay(self, tmp_path):
        self.put(tmp_path, "old")
        code = """
import os, sys
from ssae_lens.base.files import together
with together(sys.argv[1]) as staging:
    (staging / "a").write_text("new")
    os.kill(os.getpid(), 9)
"""
        assert process(code, tmp_path).wait() == -9
        files.settle(tmp_path)
        assert self.names(tmp_path) == {"a": "old", "b": "old"}
        self.put(tmp_path, "new")
        assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]


def test_a_second_writer_waits_for_the_first_and_says_so(tmp_path):
    code = """
import sys, warnings
from ssae_lens.base.files import locked
warnings.showwarning = lambda message, *_: print(message, flush=True)
with locked(sys.argv[1]):
    print("locked", flush=True)
"""
    with files.locked(tmp_path / "c.h5"):
        second = process(code, tmp_path / "c.h5")
        assert "waiting" in second.stdout.readline()
    assert second.communicate()[0] == "locked\n"
    assert not list(tmp_path.iterdir())


def test_a_lock_goes_with_its_process(tmp_path):
    code = """
import os, sys
from ssae_lens.base.files import locked
with locked(sys.argv[1]):
    os.kill(os.getpid(), 9)
"""
    assert process(code, tmp_path / "c.h5").wait() == -9
    with files.locked(tmp_path / "c.h5"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_removed_folder_loses_its_name_first(tmp_path, monkeypatch):
    folder = tmp_path / "c.h5.partial"
    folder.mkdir()
    (folder / "part").write_text("x")

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(files.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        files.discard(folder)
    assert not folder.exists()
