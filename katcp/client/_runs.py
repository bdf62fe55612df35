r"""Runs: many lines in a row that begin alike, taken off the stream without the parser.

The answer to ``?sensor-list``, and the updates of sampled sensors, are thousands of lines that
begin with the same bytes (``b"#sensor-list[5] "``). Cutting them off by one ``split`` and keeping
what is behind as it came takes 0.3 µs a line, where the parser with its object, list and
arguments for each takes 0.9 µs, and those who keep them four times as much again. So a reader says
which beginnings it can take in runs. Whatever is not plainly a run goes through the parser: lines
with an error, with two spaces or a tab between arguments, with carriage returns, single lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

from katcp.protocol import DEFAULT_MAX_ARGUMENTS, INFORM, StreamParser, WireMessage, unescape

#: In place of the type of a message.
RUN: Any = object()

#: Less than this is not worth looking for runs [bytes].
_SHORT = 500
#: The beginning of a line that is longer than this is not copied in front of what follows [bytes].
_LONG = 1000
#: So often is a run looked for in one chunk, for a look may cost as much as the chunk is long.
_LOOKS = 8
#: What makes lines too odd, besides carriage returns and the like.
_BAD_ESCAPE = re.compile(rb"\\[^\\_0nret@]")
_TWO_BLANKS = re.compile(rb" [ \n]")


def arguments_in(tail: bytes) -> tuple[bytes, ...]:
    """Return the arguments in what stands behind the name and id of a line of a run."""
    arguments = tail.split(b" ")
    return tuple(map(unescaped, arguments) if b"\\" in tail else arguments)


def argument_in(tail: bytes, index: int) -> bytes:
    """Return one of them, of which there must be enough."""
    return unescaped(tail.split(b" ", index + 1)[index])


def unescaped(raw: bytes) -> bytes:
    """Return an argument of a line of a run without escapes."""
    if b"\\" not in raw:
        return raw
    # Nearly all escapes are spaces: 0.1 µs for what takes 0.5 µs for each of them otherwise.
    spaced = raw.replace(b"\\_", b" ")
    return unescape(raw) if b"\\" in spaced else spaced


class RunMessage:
    """One line of a run, as the parser would have yielded it."""

    __slots__ = ("_tail", "mid", "name")

    mtype = INFORM

    def __init__(self, name: bytes, mid: int | None, tail: bytes) -> None:
        self.name = name
        self.mid = mid
        self._tail = tail

    @property
    def arguments(self) -> list[bytes]:
        """Arguments, unescaped."""
        return list(arguments_in(self._tail))


class Run:
    """Informs in a row, all of one name and with one id or none.

    Attributes
    ----------
    name : bytes
    mid : int or None
    tails : list of bytes
        What stands behind that in each line, well-formed and not empty; see `arguments_in`.
    """

    __slots__ = ("mid", "name", "tails")

    mtype = RUN

    def __init__(self, name: bytes, mid: int | None, tails: list[bytes]) -> None:
        self.name = name
        self.mid = mid
        self.tails = tails

    def messages(self) -> Iterator[WireMessage]:
        """Yield them one by one."""
        for tail in self.tails:
            yield RunMessage(self.name, self.mid, tail)


def one_by_one(events: Iterable[Any]) -> Iterator[Any]:
    """Yield events, and in the place of each run the messages in it."""
    for event in events:
        if type(event) is Run:
            yield from event.messages()
        else:
            yield event


class RunParser(StreamParser):
    """A stream parser that yields `Run` events for lines that begin as it was told.

    Attributes
    ----------
    beginnings : dict
        Beginning of a line, up to its first argument -> (name, id or None).
    """

    __slots__ = ("beginnings",)

    def __init__(self, max_line: int, max_arguments: int = DEFAULT_MAX_ARGUMENTS) -> None:
        super().__init__(max_line, max_arguments=max_arguments)
        self.beginnings: dict[bytes, tuple[bytes, int | None]] = {}

    def take_runs(self, name: bytes, mid: int | None = None) -> bytes:
        """Yield runs of informs of that name and id from now on; return how they begin."""
        beginning = b"#%b " % name if mid is None else b"#%b[%d] " % (name, mid)
        self.beginnings[beginning] = (name, mid)
        return beginning

    def feed(self, data: bytes) -> list[Any]:
        """Take a chunk; return the messages, runs and errors that it completes, in order."""
        if not self.beginnings or len(data) < _SHORT:
            return super().feed(data)
        events: list[Any] = []
        at = 0
        if self.overrun or len(self._held) > _LONG:  # the end of a long line first
            at = data.find(b"\n") + 1
            if not at:
                return super().feed(data)
            events += super().feed(data[:at])
        elif self._held:
            data = bytes(self._held) + data
            self._held = bytearray()
        for _ in range(_LOOKS):
            beginning = data[at : data.find(b" ", at) + 1]
            known = self.beginnings.get(beginning)
            if known is None:
                # Up to where a run may begin.
                found = [data.find(b"\n" + each, at) for each in self.beginnings]
                end = min((place for place in found if place >= 0), default=-1) + 1
            else:
                # Up to the end of the last line that is whole, unless there is a reply before.
                end = data.rfind(b"\n", at) + 1
                tails = tails_of(data[at:end], beginning, min(self.max_line, self._few))
                if tails is None:
                    end = data.find(b"\n!", at, end) + 1 or end
                    tails = tails_of(data[at:end], beginning, min(self.max_line, self._few))
                if tails is not None:
                    events.append(Run(*known, tails))
                    at = end
                    continue
            if not end:
                break
            events += super().feed(data[at:end])
            at = end
        return events + super().feed(data[at:]) if at < len(data) else events


def tails_of(lines: bytes, beginning: bytes, longest: int) -> list[bytes] | None:
    """Return what stands behind `beginning` in each of several lines.

    None if one of them begins otherwise, or if one is not plain: the arguments have to be
    well-formed, and separated by single spaces. None, too, if one might be longer than `longest`.
    """
    if len(lines) > longest:
        return None
    tails = lines[len(beginning) : -1].split(b"\n" + beginning)
    if (
        lines.count(b"\n") != len(tails)
        or _TWO_BLANKS.search(lines) is not None
        or b"\t" in lines
        or b"\r" in lines
        or b"\0" in lines
        or b"\x1b" in lines
        or _BAD_ESCAPE.search(lines) is not None
    ):
        return None
    return tails
