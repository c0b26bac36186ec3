"""What is handed out: one version everywhere, and a wheel of the package, its data and its licence, and nothing else."""

import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
VERSION = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)[1]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == VERSION
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert next(each for each in headings if "unreleased" not in each.lower()) == VERSION


def test_the_citation_is_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "license", "preferred-citation"} <= citation.keys()
    assert all(each.keys() >= {"family-names", "given-names"} for each in citation["preferred-citation"]["authors"])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the sdist and of the wheel that is made of it, built by what is installed: nothing is fetched."""
    pytest.importorskip("build", reason="build is not installed: pip install -e .[dev]")
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install -e .[dev]")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="module")
def wheel(built):
    with zipfile.ZipFile(built / f"ssae_lens-{VERSION}-py3-none-any.whl") as opened:
        yield opened


@pytest.fixture(scope="module")
def package():
    """The files of the package as they lie here."""
    there = {each.relative_to(ROOT).as_posix() for each in (ROOT / "ssae_lens").rglob("*") if each.is_file()}
    return {each for each in there if "__pycache__" not in each and not each.endswith(".pyc")}


@pytest.mark.slow
def test_the_sdist_holds_what_is_built_and_tested(built, package):
    with tarfile.open(built / f"ssae_lens-{VERSION}.tar.gz") as opened:
        held = {each.partition("/")[2] for each in opened.getnames()}
    assert package <= held
    tests = {each.relative_to(ROOT).as_posix() for each in (ROOT / "tests").rglob("*.py")}
    assert tests | {"README.md", "LICENSE", "Makefile", "constraints.txt", "tutorials/1_steering.ipynb"} <= held
    assert not [
        each for each in held if each.startswith(("evals", "hooks", "dist", ".venv", "site", "docs/tutorials/"))
    ]


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_nothing_else(wheel, package):
    about = f"ssae_lens-{VERSION}.dist-info"
    held = {each for each in wheel.namelist() if not each.startswith(f"{about}/")}
    assert held == package
    assert {each.rpartition(".")[2] for each in held} <= {
        "py",
        "typed",
        "md",
        "json",
        "safetensors",
        "yaml",
        "js",
        "css",
        "html",
    }
    assert {"ssae_lens/py.typed", "ssae_lens/dashboard/page.js", "ssae_lens/evals/common_concepts.yaml"} <= held
    assert any(each.startswith("ssae_lens/assets/") and each.endswith("sae_weights.safetensors") for each in held)
    said = {each.removeprefix(f"{about}/") for each in wheel.namelist() if each.startswith(f"{about}/")}
    assert said == {"METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE"}


@pytest.mark.slow
def test_what_the_wheel_says_of_itself(wheel):
    about = f"ssae_lens-{VERSION}.dist-info"
    told = wheel.read(f"{about}/METADATA").decode()
    assert f"Version: {VERSION}\n" in told
    assert "License-Expression: MIT\n" in told
    assert "Description-Content-Type: text/markdown" in told
    assert wheel.read(f"{about}/entry_points.txt").decode() == "[console_scripts]\nssae-lens = ssae_lens.cli:app\n"
    # A pip install must not meet a pin of what the tests happened to run with.
    assert "==" not in "".join(re.findall(r"^Requires-Dist: .*$", told, re.MULTILINE)).replace("extra ==", "")
    assert sum(each.file_size for each in wheel.infolist()) < 30e6
