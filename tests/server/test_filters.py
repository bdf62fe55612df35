"""Which names a pattern means."""

from __future__ import annotations

import pytest

from katcp.server import construct_name_filter
from katcp.server._filters import MAX_PATTERN

NAMES = ["/", "//", "a", "a.b", "stage1.temperature", "stage2.temperature"]


@pytest.mark.parametrize(
    ("pattern", "exact", "expected"),
    [
        (None, False, NAMES),
        ("a", True, ["a"]),
        ("a.b", True, ["a.b"]),
        ("", True, []),
        ("nope", True, []),
        ("/", True, ["/"]),
        ("//", False, NAMES),
        ("/a/", False, ["a", "a.b", "stage1.temperature", "stage2.temperature"]),
        ("/^a$/", False, ["a"]),
        (r"/\./", False, ["a.b", "stage1.temperature", "stage2.temperature"]),
        ("/^stage[1]/", False, ["stage1.temperature"]),
        ("/x/", False, []),
        ("///", False, ["/", "//"]),
        ("/a", True, []),
        ("a/", True, []),
    ],
)
def test_patterns(pattern: str | None, exact: bool, expected: list[str]) -> None:
    is_exact, matches = construct_name_filter(pattern)
    assert is_exact is exact
    assert [name for name in NAMES if matches(name)] == expected


@pytest.mark.parametrize("expression", ["(", "[", "*", "a" * (MAX_PATTERN + 1), "(?P<1>a)"])
def test_what_is_no_pattern_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="Invalid regular expression: ") as caught:
        construct_name_filter(f"/{expression}/")
    assert str(caught.value).endswith(".")


def test_the_longest_pattern() -> None:
    _, matches = construct_name_filter("/" + "a" * MAX_PATTERN + "/")
    assert not matches("a" * 200)
