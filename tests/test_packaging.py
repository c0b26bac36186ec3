"""What is handed out: one version everywhere, and a wheel of the package, its data and its licence, and nothing else."""

import ast
import re
import subprocess
import sys
import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")
VERSION = re.search(r'^version = "(.+)"$', PYPROJECT, re.MULTILINE)[1]


def test_one_version_everywhere():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == VERSION
    headings = re.findall(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0].removesuffix(" (unreleased)") == VERSION


PROJECT = re.search(r"^dependencies = \[(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)[1]
EXTRAS = re.search(r"^\[project\.optional-dependencies\](.*?)^dev = ", PYPROJECT, re.MULTILINE | re.DOTALL)[1]
DEV = re.search(r"^dev = \[(.*?)^\]", PYPROJECT, re.MULTILINE | re.DOTALL)[1]


def requirements(text):
    """The names and floors of distributions in a list of requirements."""
    found = re.findall(r'"([\w.-]+)>=([\d.]+)', text)
    return {canonical(name): tuple(map(int, floor.split("."))) for name, floor in found}


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def imported():
    """The distributions of what the package imports at any depth, with a module that does."""
    of_import = metadata.packages_distributions()
    found = {}
    for path in sorted((ROOT / "ssae_lens").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {each.partition(".")[0] for each in names} - sys.stdlib_module_names - {"ssae_lens"}:
                found.setdefault(canonical(of_import.get(name, [name])[0]), path.relative_to(ROOT))
    return found


def test_what_is_imported_is_declared_and_what_is_declared_is_imported():
    declared, used = requirements(PROJECT), imported()
    assert {name: path for name, path in used.items() if name not in declared | requirements(EXTRAS)} == {}
    assert declared.keys() - used.keys() == set()


def test_what_is_installed_is_no_older_than_declared():
    for name, floor in requirements(PROJECT).items():
        installed = tuple(int(each) for each in re.findall(r"\d+", metadata.version(name))[: len(floor)])
        assert installed >= floor, name


def test_constraints_name_what_is_declared():
    pinned = {canonical(each) for each in re.findall(r"^([\w.-]+)==", CONSTRAINTS, re.MULTILINE)}
    assert (requirements(PROJECT) | requirements(DEV)).keys() - pinned <= {"torch"}
    assert "sortedcontainers" in pinned  # what Hypothesis needs


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
    # Only the studies read measured effects.
    assert held == {each for each in package if not each.endswith("/effects.safetensors")}
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
    assert {"ssae_lens/py.typed", "ssae_lens/dashboards/page.js", "ssae_lens/latents/common_concepts.yaml"} <= held
    assert {"ssae_lens/pairs/data/truth.yaml", "ssae_lens/pairs/data/sentences.yaml"} <= held
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
    assert (
        wheel.read(f"{about}/entry_points.txt").decode() == "[console_scripts]\nssae-lens = ssae_lens.__main__:main\n"
    )
    # A pip install must not meet a pin of what the tests happened to run with.
    assert "==" not in "".join(re.findall(r"^Requires-Dist: .*$", told, re.MULTILINE)).replace("extra ==", "")
    assert sum(each.file_size for each in wheel.infolist()) < 18e6
