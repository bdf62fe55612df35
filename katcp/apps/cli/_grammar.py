r"""What people type: lines of the shell, patterns of names, addresses, strategies.

A line is words separated by spaces. A word may be quoted, whole or in part: ``'...'`` is taken as
it is; in ``"..."`` and outside quotes a backslash writes what the protocol's escapes write
(``\_`` space, ``\n``, ``\t``, ``\r``, ``\e``, ``\0``, ``\\``, ``\@`` nothing), ``\xNN`` any byte,
and ``\"``, ``\'``, ``\`` before a space these characters. Before anything else it stands for
itself, so that regular expressions need no doubling.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from dataclasses import dataclass

from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._escape import quoted, visible

#: Where devices have always listened.
DEFAULT_HOST, DEFAULT_PORT = "127.0.0.1", 7147

REQUEST_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]*", re.ASCII)

_ESCAPES = {
    "_": b" ",
    " ": b" ",
    "n": b"\n",
    "t": b"\t",
    "r": b"\r",
    "e": b"\x1b",
    "0": b"\0",
    "@": b"",
    "\\": b"\\",
    '"': b'"',
    "'": b"'",
}
_HEX = re.compile(r"x([0-9A-Fa-f]{2})")


def split_line(line: str) -> list[bytes]:
    r"""Return the words of a line.

    Raises
    ------
    Misuse
        If a quote is not closed.

    Examples
    --------
    >>> split_line(r'set-label "a b" c\_d')
    [b'set-label', b'a b', b'c d']
    """
    words: list[bytes] = []
    word: bytearray | None = None
    quote = ""
    position = 0
    while position < len(line):
        character = line[position]
        position += 1
        if quote and character == quote:
            quote = ""
        elif character == "\\" and quote != "'":
            word = bytearray() if word is None else word
            position = _unescape(line, position, word)
        elif quote:
            assert word is not None
            word += _encode(character)
        elif character in "\"'":
            quote = character
            word = bytearray() if word is None else word
        elif character.isspace():
            if word is not None:
                words.append(bytes(word))
                word = None
        else:
            word = bytearray() if word is None else word
            word += _encode(character)
    if quote:
        raise Misuse(f"a quote {quote} is not closed")
    if word is not None:
        words.append(bytes(word))
    return words


def _unescape(line: str, position: int, word: bytearray) -> int:
    r"""Add to `word` what the backslash before `position` writes; return where to go on."""
    code = line[position : position + 1]
    if code in _ESCAPES:
        word += _ESCAPES[code]
        return position + 1
    match = _HEX.match(line, position)
    if match is not None:
        word.append(int(match[1], 16))
        return match.end()
    word += b"\\"
    return position


def _encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class Typed:
    """A line of the shell, understood.

    Attributes
    ----------
    name : str
        A word of the shell, or the name of a request.
    arguments : tuple of bytes
    is_request : bool
        Whether it goes to the device.
    """

    name: str
    arguments: tuple[bytes, ...]
    is_request: bool


def parse_line(line: str, local: frozenset[str]) -> Typed | None:
    """Return what a line asks for, or None if it is empty or a comment (``# ...``).

    ``?name ...`` and ``call name ...`` are requests; so is ``name ...``, unless `name` is one of
    the `local` words.

    Raises
    ------
    Misuse
        If it cannot be understood.
    """
    line = line.strip()
    if not line or line.startswith("#"):
        return None
    if line.startswith("!"):
        raise Misuse("requests begin with '?', or with their name")
    words = split_line(line)
    if not words:
        return None
    first = words[0].decode("utf-8", "backslashreplace")
    if first in local and first != "call":
        return Typed(first, tuple(words[1:]), False)
    if first == "call":
        words = words[1:]
        if not words:
            raise Misuse("call what? Name a request")
        first = words[0].decode("utf-8", "backslashreplace")
    return Typed(request_name(first), tuple(words[1:]), True)


def request_name(word: str) -> str:
    """Return the name of a request, typed with or without the ``?``.

    Raises
    ------
    Misuse
        If it can be none.
    """
    name = word.removeprefix("?")
    if REQUEST_NAME.fullmatch(name) is not None:
        return name
    if re.fullmatch(r"[^\[]+\[\d+\]", name):
        raise Misuse("message ids are chosen by the program: leave out the [number]")
    raise Misuse(f"{quoted(word)} is no name of a request: letters, digits and dashes")


# -- patterns -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Pattern:
    """Names that somebody asks for.

    Attributes
    ----------
    text : str
        As typed.
    exact : bool
        Whether it is one name.
    matches : function
    """

    text: str
    exact: bool
    matches: Callable[[str], object]


def parse_pattern(text: str, *, part: bool = False) -> Pattern:
    """Return a pattern: ``/regular expression/`` (found anywhere), ``glob*``, or a name.

    Parameters
    ----------
    text : str
    part : bool
        Whether a plain word stands for all names that it is a part of.

    Raises
    ------
    Misuse
        For a bad regular expression.
    """
    if len(text) > 1 and text.startswith("/") and text.endswith("/"):
        try:
            return Pattern(text, False, re.compile(text[1:-1]).search)
        except re.error as error:
            raise Misuse(f"bad regular expression {visible(text)}: {error}") from None
    if any(character in text for character in "*?["):
        return Pattern(text, False, re.compile(fnmatch.translate(text)).match)
    if part:
        return Pattern(text, False, lambda name: text in name)
    return Pattern(text, True, lambda name: text == name)


# -- addresses ------------------------------------------------------------------------------

_ADDRESS = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.%\w]+)\]|(?P<host>[^\s:\[\]/]*))(?::(?P<port>\d+))?"
)


def parse_address(text: str) -> tuple[str, int]:
    """Return (host, port) of ``HOST:PORT``; each may be left out.

    Raises
    ------
    Misuse
        If it is no address.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or not text:
        hint = "; an IPv6 address goes in brackets" if text.count(":") > 1 else ""
        raise Misuse(f"{quoted(text)} is no address HOST:PORT{hint}")
    port = int(match["port"] or DEFAULT_PORT)
    if not 0 < port < 65536:
        raise Misuse(f"there is no port {port}")
    return match["v6"] or match["host"] or DEFAULT_HOST, port


def looks_like_address(word: str) -> bool:
    """Tell whether a word can only be an address: it has a port."""
    return re.fullmatch(r"(\[[^\]\s]+\]|[^\s:/]*):\d+", word) is not None


def format_address(host: str, port: int) -> str:
    """Return ``HOST:PORT``, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


# -- strategies -----------------------------------------------------------------------------

#: Strategy -> which of its parameters are times.
STRATEGIES: dict[str, tuple[bool, ...]] = {
    "none": (),
    "auto": (),
    "event": (),
    "period": (True,),
    "differential": (False,),
    "event-rate": (True, True),
    "differential-rate": (False, True, True),
}


@dataclass(frozen=True)
class Strategy:
    """When readings are sent.

    Attributes
    ----------
    name : str
    params : tuple of str
        As typed; times in seconds.
    """

    name: str
    params: tuple[str, ...] = ()

    def words(self, major: int) -> list[str]:
        """Return it as a device of a protocol version wants it: times of version 4 in ms."""
        if major >= 5:
            return [self.name, *self.params]
        params = [
            f"{float(text) * 1000:.0f}" if is_time else text
            for text, is_time in zip(self.params, STRATEGIES[self.name], strict=True)
        ]
        return [self.name, *params]


def parse_strategy(words: list[str]) -> Strategy:
    """Return a strategy.

    Raises
    ------
    Misuse
        If there is none of that name, or its parameters are wrong in number or no numbers.
    """
    if not words or words[0] not in STRATEGIES:
        given = words[0] if words else ""
        raise Misuse(f"unknown strategy {quoted(given)}: it is one of {', '.join(STRATEGIES)}")
    name, params = words[0], words[1:]
    count = len(STRATEGIES[name])
    if len(params) != count:
        raise Misuse(f"strategy {name} has {count} parameters, not {len(params)}")
    for text in params:
        try:
            float(text)
        except ValueError:
            raise Misuse(f"{quoted(text)} is no number") from None
    return Strategy(name, tuple(params))
