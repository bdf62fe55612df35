"""Lists of names, cut so that they fit into a line."""

from katcp.apps.cli._sensors import _groups


def test_short_list_is_one_group() -> None:
    assert _groups(["a", "b", "c"]) == [["a", "b", "c"]]
    assert _groups([]) == []


def test_long_list_is_cut() -> None:
    names = [f"sensor.{number:06d}" for number in range(20_000)]
    groups = _groups(names)
    assert [name for group in groups for name in group] == names
    assert len(groups) > 1
    assert all(len(",".join(group)) <= 64 * 1024 for group in groups)


def test_name_with_a_comma_goes_alone() -> None:
    assert _groups(["a", "b,c", "d", "e"]) == [["a"], ["b,c"], ["d", "e"]]
