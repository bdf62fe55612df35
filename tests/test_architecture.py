"""What the import contracts cannot say: rooms are private to their package, doors hold no logic."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import katcp

ROOT = Path(katcp.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))


def imported_modules(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import in line {node.lineno}"
            yield node.module or ""
            # `from katcp.package import _room` names a room too; classes begin with a capital
            names = [alias.name for alias in node.names if alias.name.lstrip("_")[:1].islower()]
            yield from (f"{node.module}.{name}" for name in names)


def package_of(path: Path) -> str:
    relative = path.relative_to(ROOT.parent).with_suffix("")
    return ".".join(relative.parts[:-1])


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_rooms_are_imported_from_within_their_own_package_only(path: Path) -> None:
    for name in imported_modules(path):
        parts = name.split(".")
        if parts[0] != "katcp" or name == "katcp._version":
            continue
        for index, part in enumerate(parts):
            if part.startswith("_") and not part.startswith("__"):
                owner = ".".join(parts[:index])
                # Rooms further inside (`server/_requests`) belong to the package as well.
                assert package_of(path).startswith(owner), f"{path} imports {name}"


@pytest.mark.parametrize(
    "path", [p for p in MODULES if p.name == "__init__.py"], ids=lambda p: str(p.relative_to(ROOT))
)
def test_a_door_holds_imports_and_names_only(path: Path) -> None:
    for node in ast.parse(path.read_text()).body:
        is_docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        is_assignment = isinstance(node, (ast.Assign, ast.AnnAssign))
        assert is_docstring or is_assignment or isinstance(node, (ast.Import, ast.ImportFrom)), (
            f"{path}:{node.lineno} is more than a door"
        )


def test_the_package_says_that_it_is_typed() -> None:
    assert (ROOT / "py.typed").exists()
