"""Hashes of contents, seals on files, and JSON with a checksum: damage is noticed."""

import numpy as np
import pytest

from ssae_lens.base import checksums
from ssae_lens.base.checksums import fingerprint, sha256_of, write_json


def test_json_is_readable(tmp_path):
    write_json(tmp_path / "a.json", {"név": 1})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "név": 1\n}\n'


def test_content_is_known_by_its_hash(tmp_path):
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint(["a", "b"]) != fingerprint(["b", "a"])
    assert fingerprint([{"x": 1, "y": 2}]) == fingerprint([{"y": 2, "x": 1}])


class TestSeals:
    def test_contents_and_owner_are_verified(self, tmp_path):
        path = tmp_path / "part.npy"
        np.save(path, np.arange(5))
        size = path.stat().st_size
        checksums.seal(path, "abc123")
        assert checksums.unseal(path, "abc123") == size
        assert np.load(path, mmap_mode="r").tolist() == [0, 1, 2, 3, 4]
        with pytest.raises(checksums.DamagedFileError, match="belongs to another run"):
            checksums.unseal(path, "def456")

    def test_every_flipped_bit_and_every_cut_is_seen(self, tmp_path):
        path = tmp_path / "part"
        path.write_bytes(b"some contents")
        checksums.seal(path, "abc123")
        whole = path.read_bytes()
        for place in range(len(whole)):
            for bit in (0, 4, 7):
                flipped = bytearray(whole)
                flipped[place] ^= 1 << bit
                path.write_bytes(flipped)
                with pytest.raises(checksums.DamagedFileError, match="part"):
                    checksums.unseal(path, "abc123")
            path.write_bytes(whole[:place])
            with pytest.raises(checksums.DamagedFileError):
                checksums.unseal(path, "abc123")

    def test_json_carries_its_checksum(self, tmp_path):
        path = tmp_path / "cell.json"
        write_json(path, {"cell": {"seed": 3}, "mcc": 0.75}, checksum=True)
        assert checksums.read_json(path, checksum=True) == {"cell": {"seed": 3}, "mcc": 0.75}
        path.write_text(path.read_text().replace("0.75", "0.85"))
        with pytest.raises(checksums.DamagedFileError, match=r"cell\.json is damaged"):
            checksums.read_json(path, checksum=True)
        for text in ("", "{", "[" * 100_000, "[1]", "null"):
            path.write_text(text)
            with pytest.raises(checksums.DamagedFileError, match=r"cell\.json"):
                checksums.read_json(path, checksum=True)
