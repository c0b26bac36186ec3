"""What ships with the package is found by name, however deep, and by nothing else."""

import pytest

from ssae_lens.base import assets


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(assets, "ASSETS", tmp_path)
    for name in ("b/x", "a/deep/er", "a/deep", "a"):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        (tmp_path / name / "cfg.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    return tmp_path


def test_shipped(folder):
    assert assets.shipped() == {"a": ["deep", "deep/er"], "b": ["x"]}


def test_asset_path(folder):
    assert assets.asset_path("a", "deep/er") == folder / "a" / "deep" / "er"


@pytest.mark.parametrize("release", ["c", "empty", "", "a/deep", ".."])
def test_no_such_release(folder, release):
    with pytest.raises(ValueError, match="There is no release"):
        assets.asset_path(release, "x")


@pytest.mark.parametrize("sae_id", ["", ".", "..", "../b/x", "deep/", "er"])
def test_no_such_id(folder, sae_id):
    with pytest.raises(ValueError, match="the release 'a' holds 'deep', 'deep/er'"):
        assets.asset_path("a", sae_id)


def test_what_ships_now_is_whole():
    for release, ids in assets.shipped().items():
        for sae_id in ids:
            assert (assets.asset_path(release, sae_id) / "sae_weights.safetensors").is_file()
