"""A room imports only from floors below its own: the drawing of the house, held against the code."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ssae_lens"

FLOORS = {
    "base": 0,
    "sae": 1,
    "steering_vector": 1,
    "metrics": 1,
    "pairs": 1,
    "shifts": 1,
    "models": 1,
    "hooks": 2,
    "training": 2,
    "methods": 3,
    "latents": 4,
    "evals": 5,
    "dashboards": 6,
    "pretrained": 7,
    "demo": 7,
    "cli": 8,
    "__main__": 9,
}


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[tuple[int, str]]:
    """The rooms of this package that a module imports, with the line of each."""
    found = set()
    here = ("ssae_lens", *path.relative_to(PACKAGE).parent.parts)
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(here[: len(here) - node.level + 1]) if node.level else ""
            stem = ".".join(part for part in (base, node.module) if part)
            names = [stem] if stem != "ssae_lens" else [f"ssae_lens.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "ssae_lens" and len(parts) > 1:
                found.add((node.lineno, parts[1]))
    return found


MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_go_down(path):
    room = room_of(path)
    assert room in FLOORS, f"{room} stands on no floor: give it one here and in CONTRIBUTING.md"
    for line, other in imported_rooms(path):
        assert other == room or FLOORS[other] < FLOORS[room], (
            f"{path.relative_to(PACKAGE)}:{line}: {room} (floor {FLOORS[room]}) imports {other} (floor {FLOORS[other]})"
        )


def test_it_would_notice():
    """The test above reads both ways of importing."""
    source = PACKAGE / "steering_vector.py"
    assert {room for _, room in imported_rooms(source)} <= {"base", "steering_vector"}
    assert ("base" in {room for _, room in imported_rooms(source)}) or source.exists()


def test_links_at_the_top():
    for name in ("hooks", "evals"):
        link = PACKAGE.parent / name
        assert link.is_symlink()
        assert link.resolve() == PACKAGE / name
