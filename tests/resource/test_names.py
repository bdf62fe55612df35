import pytest

from katcp.resource import escape_name


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("a.b-c", "a_b_c"),
        ("plain", "plain"),
        ("A.B_c", "A_B_c"),
        ("items", "items"),
        ("--..", "____"),
        ("", ""),
        (b"a.b", "a_b"),
    ],
)
def test_escaping(name: str, escaped: str) -> None:
    assert escape_name(name) == escaped
