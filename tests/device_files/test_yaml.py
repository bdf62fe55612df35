"""YAML as a tree of nodes."""

import pytest

from katcp.device_files._problems import Place
from katcp.device_files._tree import MAX_DEPTH, FileError, Scalar, Sequence, Table, data
from katcp.device_files._yaml import parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        ("a: 1", {"a": 1}),
        ("a: [1, 0x10, 1.5, 1e3, .5, -2]", {"a": [1, 16, 1.5, 1000.0, 0.5, -2]}),
        ("a: [true, off, ~, null, 'true', \"1\"]", {"a": [True, False, None, None, "true", "1"]}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: 010", {"a": 10}),
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: &x {b: 1, c: 2}\nd: {<<: *x, c: 3}", {"a": {"b": 1, "c": 2}, "d": {"c": 3, "b": 1}}),
        ("a: &x {b: 1}\nd:\n  <<: [*x, {c: 2}]", {"a": {"b": 1}, "d": {"b": 1, "c": 2}}),
        ("a: |\n  x\n  y\n", {"a": "x\ny\n"}),
    ],
)
def test_values(text: str, value: object) -> None:
    assert data(parse_yaml(text)) == value


def test_words_keep_their_text() -> None:
    root = parse_yaml("words: [off, 010, 1.50]")
    assert isinstance(root, Table)
    words = root.get("words")
    assert isinstance(words, Sequence)
    assert [word.text for word in words.items if isinstance(word, Scalar)] == ["off", "010", "1.50"]


def test_places() -> None:
    root = parse_yaml("a:\n  b: [x,\n    y]\n")
    assert isinstance(root, Table)
    (entry,) = root.entries
    assert entry.place == Place(1, 1)
    assert isinstance(entry.node, Table)
    inner = entry.node.entries[0]
    assert (inner.place, inner.node.place) == (Place(2, 3), Place(2, 6))
    assert isinstance(inner.node, Sequence)
    assert [item.place for item in inner.node.items] == [Place(2, 7), Place(3, 5)]


def bomb() -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: [1", 2, "not YAML"),
        ("a: 1\na: 2", 2, "'a' is here twice, first in line 1"),
        ("a: *b", 1, "alias of 'b', which is nothing"),
        ("a: &a [*a]", 1, "'a' contains itself"),
        ("a: !!python/object/apply:os.system [ls]", 1, "a tag"),
        ("a: !!str 1", 1, "a tag"),
        ("---\na: 1\n---\nb: 2", 3, "a second document"),
        ("[a]: 1", 1, "a key that is no text"),
        ("a: {<<: 1}", 1, "'<<' takes a table"),
        ("a: 1\nb: \x01", 2, "a character that YAML forbids"),
        ("[" * 100_000, 1, f"more than {MAX_DEPTH} levels"),
        ("{a: " * 100_000, 1, f"more than {MAX_DEPTH} levels"),
        ("- " * 100_000, 1, f"more than {MAX_DEPTH} levels"),
        (bomb(), 5, "values, counting aliases"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_refused(text: str, line: int, said: str) -> None:
    with pytest.raises(FileError, match=said) as caught:
        parse_yaml(text)
    assert caught.value.problem.place.line == line
