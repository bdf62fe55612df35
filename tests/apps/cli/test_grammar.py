"""Lines, patterns, addresses and strategies, as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._grammar import (
    Strategy,
    Typed,
    format_address,
    looks_like_address,
    parse_address,
    parse_line,
    parse_pattern,
    parse_strategy,
    request_name,
    split_line,
)

LOCAL = frozenset(["help", "list", "call", "quit"])


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("   ", []),
        ("a b", [b"a", b"b"]),
        ("  a\t b  ", [b"a", b"b"]),
        ('a "b c" d', [b"a", b"b c", b"d"]),
        ("a 'b \"c\\n' d", [b"a", b'b "c\\n', b"d"]),
        ('a"b c"d', [b"ab cd"]),
        ('""', [b""]),
        ("''", [b""]),
        (r"\@", [b""]),
        (r"a\_b\tc\nd\re\ef\0g\\h", [b"a b\tc\nd\re\x1bf\x00g\\h"]),
        (r"a\ b \"c \'d", [b"a b", b'"c', b"'d"]),
        (r"\x00\xfF\x4", [b"\x00\xff\\x4"]),
        (r"/^a\.b\d$/", [rb"/^a\.b\d$/"]),
        ("\\", [b"\\"]),
        ("é 中", ["é".encode(), "中".encode()]),
        (r'"a\"b"', [b'a"b']),
    ],
)
def test_words(line: str, words: list[bytes]) -> None:
    assert split_line(line) == words


@pytest.mark.parametrize("line", ['a "b', "'", "a 'b c", 'x"'])
def test_quote_that_is_not_closed(line: str) -> None:
    with pytest.raises(Misuse, match="is not closed"):
        split_line(line)


@given(st.binary())
def test_any_argument_can_be_typed(argument: bytes) -> None:
    typed = "".join(f"\\x{byte:02x}" for byte in argument) or '""'
    assert split_line(typed) == [argument]


@given(st.text())
def test_any_line_is_words_or_misuse(line: str) -> None:
    try:
        assert all(isinstance(word, bytes) for word in split_line(line))
    except Misuse:
        pass


@pytest.mark.parametrize(
    ("line", "typed"),
    [
        ("", None),
        ("  # a remark", None),
        ("add 1 2", Typed("add", (b"1", b"2"), True)),
        ("?add 1 2\n", Typed("add", (b"1", b"2"), True)),
        ("help", Typed("help", (), False)),
        ("?help add", Typed("help", (b"add",), True)),
        ("call help add", Typed("help", (b"add",), True)),
        ("call ?add", Typed("add", (), True)),
        ("list /^a b/", Typed("list", (b"/^a", b"b/"), False)),
    ],
)
def test_line(line: str, typed: Typed | None) -> None:
    assert parse_line(line, LOCAL) == typed


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("!add ok", "requests begin with"),
        ("add[7] 1", "message ids are chosen by the program"),
        ("?add[7] 1", "message ids are chosen by the program"),
        ("9add", "is no name of a request"),
        ("add_two", "is no name of a request"),
        ("?", "is no name of a request"),
        ('""', "is no name of a request"),
        ("\x1b[2J", r"'\\x1b\[2J' is no name"),
        ("call", "call what"),
    ],
)
def test_line_that_cannot_be_understood(line: str, text: str) -> None:
    with pytest.raises(Misuse, match=text):
        parse_line(line, LOCAL)


@pytest.mark.parametrize("name", ["a", "add", "A1-b", "a-"])
def test_request_name(name: str) -> None:
    assert request_name(name) == request_name("?" + name) == name


@pytest.mark.parametrize(
    ("text", "part", "matches", "others"),
    [
        ("a.b", False, ["a.b"], ["a.bc", "xa.b", "aXb"]),
        ("a.*", False, ["a.b", "a."], ["xa.b", "ab"]),
        ("a.?", False, ["a.b"], ["a.bc"]),
        ("[ab]*", False, ["a", "bc"], ["c"]),
        ("/^a.b$/", False, ["a.b", "aXb"], ["a.bc"]),
        ("//", False, ["", "anything"], []),
        ("a.b", True, ["a.b", "xa.bc"], ["aXb"]),
        ("", True, ["anything"], []),
        ("*.b", True, ["a.b"], ["a.bc"]),
        ("/", True, ["a/b"], ["ab"]),
    ],
)
def test_pattern(text: str, part: bool, matches: list[str], others: list[str]) -> None:
    pattern = parse_pattern(text, part=part)
    assert all(pattern.matches(name) for name in matches)
    assert not any(pattern.matches(name) for name in others)
    assert pattern.exact is (not part and text == "a.b")


def test_bad_regular_expression() -> None:
    with pytest.raises(Misuse, match=r"bad regular expression /\[/"):
        parse_pattern("/[/")


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("host:1", ("host", 1)),
        ("10.0.0.1:7148", ("10.0.0.1", 7148)),
        ("host", ("host", 7147)),
        (":7148", ("127.0.0.1", 7148)),
        ("[::1]:80", ("::1", 80)),
        ("[fe80::1%eth0]:80", ("fe80::1%eth0", 80)),
        ("[::1]", ("::1", 7147)),
    ],
)
def test_address(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address
    assert parse_address(format_address(*address)) == address


@pytest.mark.parametrize(
    "text", ["", "::1", "host:port", "host:0", "host:65536", "a b:1", "a:1:2", "http://h:1", "h:"]
)
def test_no_address(text: str) -> None:
    with pytest.raises(Misuse, match=r"no address|no port"):
        parse_address(text)


@pytest.mark.parametrize(
    ("word", "is_one"),
    [("host:1", True), (":1", True), ("[::1]:1", True), ("list", False), ("a.b", False)],
)
def test_what_can_only_be_an_address(word: str, is_one: bool) -> None:
    assert looks_like_address(word) is is_one


@pytest.mark.parametrize(
    ("words", "v5", "v4"),
    [
        ("event", ["event"], ["event"]),
        ("period 0.5", ["period", "0.5"], ["period", "500"]),
        ("differential 0.5", ["differential", "0.5"], ["differential", "0.5"]),
        ("event-rate 1 60", ["event-rate", "1", "60"], ["event-rate", "1000", "60000"]),
        (
            "differential-rate 2 1 60",
            ["differential-rate", "2", "1", "60"],
            ["differential-rate", "2", "1000", "60000"],
        ),
    ],
)
def test_strategy(words: str, v5: list[str], v4: list[str]) -> None:
    strategy = parse_strategy(words.split())
    assert strategy.words(5) == v5
    assert strategy.words(4) == v4
    assert strategy == Strategy(v5[0], tuple(v5[1:]))


@pytest.mark.parametrize("words", ["", "often", "period", "period x", "event 1", "period 1 2"])
def test_no_strategy(words: str) -> None:
    with pytest.raises(Misuse):
        parse_strategy(words.split())
