"""TOML as a tree of nodes: the values of `tomllib`, and where they stand."""

import pytest

from katcp.device_files._problems import Place
from katcp.device_files._toml import parse_toml
from katcp.device_files._tree import FileError, Node, Sequence, Table, data

TEXT = '''\
# [not.a.header]
title = "a # b" # c [
[owner."x.y"]
names = [ "a",
  'b', # ] {
  """c]
d""", ]
point = { x = 1, "y z" = [2, {t = 3}] }
a.b.c = 1979-05-27
[[list]]
n = 1
  [list.sub]
  m = true
[[list]]
n = 0x10
s = "\\"]"
'''


def places(node: Node, path: str = "") -> dict[str, Place]:
    found = {path: node.place}
    if isinstance(node, Table):
        for entry in node.entries:
            found[f"{path}/{entry.name}="] = entry.place
            found |= places(entry.node, f"{path}/{entry.name}")
    elif isinstance(node, Sequence):
        for number, item in enumerate(node.items):
            found |= places(item, f"{path}/{number}")
    return found


def test_values() -> None:
    assert data(parse_toml(TEXT)) == {
        "title": "a # b",
        "owner": {
            "x.y": {
                "names": ["a", "b", "c]\nd"],
                "point": {"x": 1, "y z": [2, {"t": 3}]},
                "a": {"b": {"c": "1979-05-27"}},
            }
        },
        "list": [{"n": 1, "sub": {"m": True}}, {"n": 16, "s": '"]'}],
    }


def test_places() -> None:
    found = places(parse_toml(TEXT))
    for path, line, column in [
        ("/title=", 2, 1),
        ("/title", 2, 9),
        ("/owner/x.y=", 3, 8),
        ("/owner/x.y/names/1", 5, 3),
        ("/owner/x.y/names/2", 6, 3),
        ("/owner/x.y/point/x=", 8, 11),
        ("/owner/x.y/point/y z/1/t", 8, 35),
        ("/owner/x.y/a/b/c=", 9, 5),
        ("/owner/x.y/a/b/c", 9, 9),
        ("/list/0/n", 11, 5),
        ("/list/0/sub/m=", 13, 3),
        ("/list/1/n=", 15, 1),
        ("/list/1/s", 16, 5),
    ]:
        assert found[path] == Place(line, column), path


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a = ", (1, 5), "not TOML"),
        ("a = 1\nb = [1", (2, 7), "not TOML"),
        ("a = 1\na = 2", (2, 6), "not TOML"),
        ("a = " + "[" * 100_000 + "]" * 100_000, (1, 1), "levels of nesting"),
        ("a = " + "[\n" * 50_000 + "]" * 50_000, (1, 1), "levels of nesting"),
        ("[" + "a." * 60 + "b]\nx = 1", None, "levels of nesting"),
        ("a = " + "9" * 5000, None, "digits|not TOML"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_what_is_refused(text: str, place: tuple[int, int] | None, said: str) -> None:
    with pytest.raises(FileError, match=said) as caught:
        parse_toml(text)
    if place is not None:
        assert caught.value.problem.place == Place(*place)
