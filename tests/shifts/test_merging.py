"""Shards become one store, in the order of their row ids, where they are."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from ssae_lens.shifts import ShiftStore, merge, merging

N, D = 150, 16


@pytest.fixture
def whole(sides, known):
    return ShiftStore.from_arrays(*sides, **known)


@pytest.fixture
def shards(tmp_path, whole):
    """Three shards: every second pair of the first hundred rows, the others, and the rest, the last one first."""
    pairs = np.arange(N) // 2
    parts = [
        np.arange(100, N),
        np.flatnonzero((pairs % 2 == 0) & (pairs < 50)),
        np.flatnonzero((pairs % 2 == 1) & (pairs < 50)),
    ]
    (tmp_path / "shards").mkdir()
    paths = [tmp_path / "shards" / f"{number}.h5" for number in range(3)]
    for path, rows in zip(paths, parts, strict=True):
        whole.subset(rows).save(path).close()
    return paths


def test_merged_is_the_whole(shards, whole, tmp_path):
    with merge(shards, tmp_path / "all.h5") as merged:
        for name in ("source", "target", "shifts", "labels", "row_ids"):
            np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))
        assert (merged.texts, merged.concepts, merged.origin) == (whole.texts, whole.concepts, whole.origin)
        np.testing.assert_array_equal(merged.memmap(), whole.shifts)
        with merged.save(tmp_path / "alone.h5") as alone:
            assert alone.fingerprint == whole.fingerprint
    shutil.rmtree(tmp_path / "shards")
    with ShiftStore.open(tmp_path / "alone.h5") as alone:
        np.testing.assert_array_equal(alone.source, whole.source)


def test_nothing_is_copied_and_the_folder_may_be_moved(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    sides = np.arange(8_000 * 64, dtype=np.float32).reshape(2, -1, 64)
    paths = []
    for number in range(2):
        path = tmp_path / "here" / f"{number}.h5"
        rows = np.arange(number, sides.shape[1], 2)
        ShiftStore.from_arrays(*sides[:, rows], row_ids=rows, path=path).close()
        paths.append(path)
    merge(paths, tmp_path / "here" / "all.h5").close()
    assert (tmp_path / "here" / "all.h5").stat().st_size < paths[0].stat().st_size / 5
    (tmp_path / "here").rename(tmp_path / "there")
    monkeypatch.chdir("/")
    with ShiftStore.open(tmp_path / "there" / "all.h5") as merged:
        np.testing.assert_array_equal(merged.target, sides[1])


def test_shards_in_any_order(tmp_path, sides, whole):
    """Rows that interleave without a rule, and not in the order of their ids, come out right too."""
    order = np.random.default_rng(0).permutation(N)
    paths = [tmp_path / "a.h5", tmp_path / "b.h5"]
    for path, rows in zip(paths, (order[:60], order[60:]), strict=True):
        ShiftStore.from_arrays(*sides[:, rows], row_ids=rows, path=path).close()
    with merge(paths, tmp_path / "all.h5") as merged:
        np.testing.assert_array_equal(merged.source, sides[0])
        np.testing.assert_array_equal(merged.row_ids, np.arange(N))


def test_pieces_are_as_few_as_they_can_be():
    def pieces(into, come):
        return [(piece.start, piece.stop) for piece in merging._even_pieces(np.array(into), np.array(come))]

    assert pieces(range(5, 50), range(45)) == [(0, 45)]
    assert pieces(range(1, 100, 2), range(50)) == [(0, 50)]
    assert pieces([0, 1, 2, 7, 8], range(5)) == [(0, 3), (3, 5)]
    assert pieces([4], [0]) == [(0, 1)]
    assert pieces([0, 1, 2], [2, 1, 0]) == [(0, 1), (1, 2), (2, 3)]


def test_refused(shards, sides, known, tmp_path, monkeypatch):
    out = tmp_path / "all.h5"
    other = tmp_path / "other.h5"

    def made(**changes):
        other.unlink(missing_ok=True)
        ShiftStore.from_arrays(
            *sides[:, :2], **{"row_ids": [900, 901], "origin": known["origin"]} | changes, path=other
        ).close()
        return [shards[0], other]

    with pytest.raises(ValueError, match=r"differently .*model_name: 'tiny' against 'gpt2'"):
        merge(made(origin=replace(known["origin"], model_name="gpt2")), out)
    with pytest.raises(ValueError, match="differ in dtype: float32 against float16"):
        merge(made(dtype="float16"), out)
    with pytest.raises(ValueError, match=r"differ in concepts: \['gender'.* against \[\]"):
        merge(made(), out)
    labelled = {"concepts": known["concepts"], "labels": known["labels"][:2], "pairs": known["pairs"]}
    with pytest.raises(ValueError, match="give labels and texts to all or none"):
        merge(made(**labelled), out)
    texts = (["a", "b"], ["c", "d"])
    with pytest.raises(ValueError, match=r"Row id 55 is in both .*0\.h5 and .*other\.h5, and 2 such"):
        merge(made(**labelled, texts=texts, row_ids=[55, 56]), out)
    with pytest.raises(ValueError, match="give different files"):
        merge([shards[0], shards[0]], out)
    with pytest.raises(ValueError, match="give different files"):
        merge([], out)
    monkeypatch.setattr(merging, "MAX_PIECES", 3)
    with pytest.raises(ValueError, match="more than 3 pieces"):
        merge(shards, out)
    assert not out.exists()


def test_a_shard_gone_changed_or_damaged(shards, sides, known, tmp_path):
    out = tmp_path / "all.h5"
    merge(shards, out).close()
    kept = shards[1].read_bytes()
    shards[1].write_bytes(kept[:-50])
    with pytest.raises(ValueError, match=r"1\.h5 is truncated or damaged"):
        ShiftStore.open(out)
    shards[1].unlink()
    with pytest.raises(FileNotFoundError, match=r"all\.h5 is merged from .*1\.h5, which is gone"):
        ShiftStore.open(out)
    ShiftStore.from_arrays(*sides, **known, path=shards[1]).close()
    with pytest.raises(ValueError, match=r"merged from .*1\.h5, which has changed since"):
        ShiftStore.open(out)
