"""Patterns of routing keys."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.endpoints._alerts._topics import checked_pattern, matches


@pytest.mark.parametrize(
    ("pattern", "keys", "others"),
    [
        ("sensor_value.*", ["sensor_value.peaches"], ["sensor_value", "sensor_value.a.b", "x.a"]),
        ("sensor_value.#", ["sensor_value", "sensor_value.a", "sensor_value.a.b"], ["x", "x.y"]),
        ("#", ["a", "a.b.c"], []),
        ("*", ["a"], ["a.b"]),
        ("status_message.#", ["status_message.critical.pump"], ["sensor_value.peaches"]),
        ("*.*", ["a.b"], ["a", "a.b.c"]),
        ("#.b", ["b", "a.b", "a.b.b"], ["b.a", "a"]),
        ("a.#.b.#.c", ["a.b.c", "a.x.b.y.z.c", "a.b.b.c.c"], ["a.c", "a.b", "b.c"]),
        ("#.*", ["a", "a.b"], []),
        ("*.#.*", ["a.b", "a.b.c"], ["a"]),
        ("a..b", ["a..b"], ["a.b"]),
        ("#.#", ["a", "a.b"], []),
    ],
)
def test_patterns(pattern: str, keys: list[str], others: list[str]) -> None:
    words = checked_pattern(pattern)
    assert [key for key in keys + others if matches(words, tuple(key.split(".")))] == keys


def by_recursion(pattern: list[str], words: list[str]) -> bool:
    """Tell the same as `matches`, in the plainest way."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(by_recursion(pattern[1:], words[n:]) for n in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and by_recursion(pattern[1:], words[1:])


@given(
    st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=6),
    st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=6),
)
def test_patterns_mean_what_the_plainest_way_says(pattern: list[str], words: list[str]) -> None:
    assert matches(checked_pattern(".".join(pattern)), tuple(words)) == by_recursion(pattern, words)


def test_the_longest_of_patterns_takes_no_time() -> None:
    pattern = checked_pattern(".".join(["#", "*"] * 16))
    assert len(pattern) == 32
    assert matches(pattern, tuple("abcdefghijklmnop"))
    assert not matches(pattern, tuple("abcdefghijklmno"))
