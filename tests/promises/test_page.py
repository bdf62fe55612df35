"""The page "What katcp promises" names what is there and tells what was reached."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import figures
from tests.promises.page import (
    FIGURES,
    PAGE,
    ROOT,
    keep_fuzzing,
    number,
    reached,
    rendered,
    shown,
    with_figures,
)


@pytest.fixture
def page() -> str:
    return PAGE.read_text(encoding="utf-8")


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(tree) if isinstance(node, kinds)}


def test_every_test_that_the_page_names_exists(page: str) -> None:
    named = list(shown(page))
    assert len(named) > 50
    assert page.count("* `test_") + page.count("* `tests/") == len(named) == len(set(named))
    for file, test in named:
        assert test in functions(ROOT / file), f"{file} has no {test}"


def test_every_file_of_promises_is_named(page: str) -> None:
    files = {f"tests/promises/{path.name}" for path in Path(__file__).parent.glob("test_*.py")}
    own = {f"tests/promises/{Path(__file__).name}"}
    assert files - own <= {file for file, _ in shown(page)}


def test_the_page_tells_the_figures_that_were_kept(page: str) -> None:
    data = json.loads(FIGURES.read_text(encoding="utf-8"))
    assert rendered(page, data) == page, "python -m tests.promises.page writes it"
    assert str(ROOT) not in FIGURES.read_text(encoding="utf-8")


def record(**changes: Any) -> dict[str, Any]:
    return {"full": False, "sizes": {}, "seconds": 1.0, "notes": {}, "others": 0.0, **changes}


def test_forms_of_a_test_are_put_together() -> None:
    assert reached([record()]) == "1 s"
    assert reached([record(seconds=0.01)]) == "passed"
    assert reached([record(seconds=0.01)] * 2) == "2 forms"
    each = record(sizes={"updates_of_each": 5})
    assert reached([each, each]) == "5 updates of each, 2 forms, 2 s"
    small = record(sizes={"kills": 3})
    full = record(full=True, sizes={"kills": 500}, seconds=170.321)
    assert reached([small, full]) == "500 kills, 170 s"
    other = record(full=True, sizes={"kills": 500}, notes={"back after": [1.2345, "s"]})
    more = record(full=True, notes={"back after": [0.9, "s"], "kills": [7, ""]})
    assert reached([full, other, more]) == "1,007 kills, 3 forms, 172 s; back after 1.23 s"
    # What a test has counted is told in place of the size it was to have.
    counted = record(sizes={"cuts": 20_000}, notes={"cuts": [2_345, ""]})
    assert reached([counted]) == "2,345 cuts, 1 s"
    assert [number(value) for value in (0, 12, 1234.5, 0.01234, 12.34)] == [
        "0", "12", "1,234", "0.0123", "12.3",
    ]  # fmt: skip


def test_figures_stand_behind_their_tests() -> None:
    page = "Words.\n\n* `test_x.py::test_a`\n* `tests/y/test_y.py::test_b`\n  old old\n  old\n"
    page += "* `test_x.py::test_c`:\n  old\n\nEnd.\n"
    tests = {
        "tests/promises/test_x.py::test_a[1]": record(),
        "tests/promises/test_x.py::test_a[2]": record(),
        "tests/y/test_y.py::test_b": record(seconds=3, notes={"at most": [5, "kB"]}),
    }
    new = with_figures(page, tests)
    assert new == (
        "Words.\n\n* `test_x.py::test_a`:\n  2 forms, 2 s\n"
        "* `tests/y/test_y.py::test_b`:\n  3 s; at most 5 kB\n* `test_x.py::test_c`\n\nEnd.\n"
    )
    assert with_figures(new, tests) == new


def test_what_the_fuzzer_has_printed_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "figures.json"
    log = "== fuzz: framing, 5 s\nDone 4321 runs in 6 second(s)\n== fuzz: types, 5 s\nno\n"
    keep_fuzzing(log, file)
    (record,) = json.loads(file.read_text(encoding="utf-8"))["fuzzing"].values()
    assert (record["cases"], record["seconds"]) == (4321, 6)


def test_figures_are_kept_only_where_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KATCP_FIGURES", raising=False)
    assert figures.path() is None
    figures.note("nobody asked", 1)
    assert "nobody asked" not in figures._notes
    file = tmp_path / "figures.json"
    for name in ("b", "a", "b"):
        figures.keep("tests", name, {"name": name}, file)
    assert json.loads(file.read_text(encoding="utf-8")) == {
        "tests": {"a": {"name": "a"}, "b": {"name": "b"}}
    }
