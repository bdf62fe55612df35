"""How things look to people: lines of pieces, each with the name of a style.

Nothing here prints. Every text of a device goes through `visible` on its way into a piece.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from katcp.apps.cli._escape import visible, visible_lines
from katcp.apps.cli._model import Reading, SensorInfo, parse_time

#: Style -> how it looks, in words that both rich and prompt_toolkit know.
STYLES = {
    "": "",
    "name": "bold",
    "units": "",
    "dim": "dim",
    "nominal": "green",
    "warn": "yellow",
    "error": "red bold",
    "failure": "red bold",
    "unreachable": "magenta",
    "inactive": "dim",
    "unknown": "dim",
    "ok": "green bold",
    "fail": "red bold",
    "invalid": "red bold",
    "inform": "cyan",
    "notice": "yellow",
}

#: Of sensors, as the protocol has them.
STATUSES = ("nominal", "warn", "error", "failure", "unreachable", "inactive", "unknown")


class Piece(NamedTuple):
    """Text in a style."""

    text: str
    style: str = ""


Line = list[Piece]


def plain(line: Iterable[Piece]) -> str:
    """Return the text of a line, without what fills it up at the end."""
    return "".join(piece.text for piece in line).rstrip(" ")


def width(text: str) -> int:
    """Return how many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    from rich.cells import cell_len

    return cell_len(text)


def columns(rows: Sequence[Sequence[Piece]], gap: int = 2) -> list[Line]:
    """Return rows with their columns aligned; the last column is as wide as it likes."""
    if not rows:
        return []
    count = max(map(len, rows))
    widths = [0] * count
    for row in rows:
        for index, piece in enumerate(row[:-1]):
            widths[index] = max(widths[index], width(piece.text))
    lines = []
    for row in rows:
        line: Line = []
        for index, piece in enumerate(row):
            line.append(piece)
            if index < len(row) - 1 and widths[index]:
                line.append(Piece(" " * (widths[index] - width(piece.text) + gap)))
        lines.append(line)
    return lines


def status_piece(status: str) -> Piece:
    """Return a status in its colour."""
    return Piece(visible(status), status if status in STATUSES else "unknown")


def time_text(timestamp: float | None) -> str:
    """Return a time in UTC, to the millisecond: ``2026-01-01T00:00:00.250Z``."""
    if timestamp is None:
        return "-"
    milliseconds = round(timestamp * 1000) if abs(timestamp) < 1e12 else None
    try:
        if milliseconds is None:
            raise OverflowError
        fields = time.gmtime(milliseconds // 1000)
    except (OverflowError, ValueError, OSError):
        return f"{timestamp!r}"
    if not 0 < fields.tm_year < 10000:
        return f"{timestamp!r}"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', fields)}.{milliseconds % 1000:03d}Z"


def duration_text(seconds: float) -> str:
    """Return a duration with three digits: ``12.3 ms``."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if abs(seconds) >= size or unit == "us":
            return f"{seconds / size:.3g} {unit}"
    raise AssertionError


def rate_text(number: float) -> str:
    """Return how many of something there are in a second: ``12,345``, ``2.5``."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def age_text(seconds: float | None) -> str:
    """Return how long ago something was, in few characters: ``4s``, ``12m``, ``3h``, ``5d``."""
    if seconds is None:
        return "-"
    if seconds < 0:
        return f"-{age_text(-seconds)}" if seconds <= -1 else "0s"
    for unit, size, most in (("s", 1, 100), ("m", 60, 100), ("h", 3600, 48), ("d", 86400, 10000)):
        if seconds < size * most:
            return f"{int(seconds / size)}{unit}"
    return f"{seconds / 31557600:.3g}y" if seconds < 1e15 else "-"


def value_text(reading: Reading, info: SensorInfo, major: int) -> str:
    """Return a value, in parentheses if its status says that it does not count."""
    text = visible(reading.raw)
    if info.type == "timestamp":
        moment = parse_time(reading.raw, major)
        if moment is not None:
            text = time_text(moment)
    text = text or '""'
    return text if reading.valid else f"({text})"


def reading_row(
    reading: Reading, info: SensorInfo, major: int, now: float | None = None, short: bool = False
) -> list[Piece]:
    """Return name, value with units, status and time of a reading.

    With `now`, its age follows; if it is to be `short`, the age takes the place of the time.
    """
    value = value_text(reading, info, major)
    if info.units:
        value += " " + visible(info.units)
    row = [
        Piece(visible(reading.name), "name"),
        Piece(value, "" if reading.valid else "dim"),
        status_piece(reading.status),
        Piece(time_text(reading.timestamp), "dim"),
    ]
    if now is not None and reading.timestamp is not None:
        age = age_text(now - reading.timestamp)
        row[-1:] = [Piece(age, "dim")] if short else [row[-1], Piece(f"{age} ago", "dim")]
    return row


class UpdateFormat:
    """Lines of updates as they come, aligned as far as what came before tells."""

    def __init__(self, major: int) -> None:
        self.major = major
        self._name = 0

    def expect(self, names: Iterable[str]) -> None:
        """Make room for sensors that are going to come."""
        self._name = max([self._name, *(width(visible(name)) for name in names)])

    def line(self, reading: Reading, info: SensorInfo) -> Line:
        """Return time, name, status and value with units of a reading."""
        name, value, status, moment = reading_row(reading, info, self.major)
        self._name = max(self._name, width(name.text))
        return [
            moment,
            Piece("  "),
            name,
            Piece(" " * (self._name - width(name.text) + 2)),
            status,
            Piece(" " * max(2, 13 - width(status.text))),
            value,
        ]


def sensor_row(info: SensorInfo) -> list[Piece]:
    """Return name, type, units and description of a sensor."""
    kind = visible(info.type)
    if info.words:
        kind += f"({'|'.join(visible(word) for word in info.words)})"
    elif info.params:
        kind += f"({', '.join(visible(param) for param in info.params)})"
    return [
        Piece(visible(info.name), "name"),
        Piece(kind, "dim"),
        Piece(visible(info.units), "units"),
        Piece(visible(info.description)),
    ]


def request_row(name: str, text: str) -> list[Piece]:
    """Return name and first line of the help of a request."""
    return [Piece(visible(name), "name"), Piece(first_line(text))]


def first_line(text: str) -> str:
    """Return the first line of a help text that says something."""
    return next((line.strip() for line in visible_lines(text) if line.strip()), "")


def help_lines(name: str, text: str) -> list[Line]:
    """Return the whole help of a request, indented, so that it cannot pass for anything else."""
    body = [[Piece("  " + line)] if line.strip() else [Piece("")] for line in visible_lines(text)]
    return [[Piece("?" + visible(name), "name")], *body]


def argument_text(argument: bytes) -> str:
    """Return an argument as one could type it: in quotes if it is empty or has spaces."""
    text = visible(argument)
    if text and not any(character in " \"'" for character in text):
        return text
    return "'" + text + "'" if '"' in text and "'" not in text else '"' + text + '"'


def message_line(kind: str, name: str, arguments: Sequence[bytes]) -> Line:
    """Return a message: ``#name argument ...`` or ``!name ok argument ...``.

    Parameters
    ----------
    kind : {'#', '!'}
    name : str
    arguments : sequence of bytes
    """
    line = [Piece(kind + visible(name), "inform" if kind == "#" else "name")]
    for index, argument in enumerate(arguments):
        text = argument_text(argument)
        status = text if kind == "!" and index == 0 else ""
        if status:
            status = status if status in ("ok", "fail", "invalid") else "fail"
        line += [Piece(" "), Piece(text, status)]
    return line


def log_line(arguments: Sequence[bytes], major: int) -> Line:
    """Return a ``#log``: time, level, logger, text; as far as the device sent them."""
    level, moment, name, text = [*arguments[:4], *[b""] * (4 - len(arguments[:4]))]
    style = _LEVEL_STYLES.get(level, "")
    return [
        Piece(time_text(parse_time(moment, major)), "dim"),
        Piece("  "),
        Piece(visible(level).upper(), style),
        Piece(f" {visible(name)}: {visible(text)}"),
    ]


_LEVEL_STYLES = {b"warn": "warn", b"error": "error", b"fatal": "error", b"info": "nominal"}


def refusal_text(name: str, arguments: Sequence[bytes]) -> str:
    """Return why a request was refused, as in ``heat fail: Too hot``."""
    code = visible(arguments[0]) if arguments else "no status"
    reason = " ".join(visible(argument) for argument in arguments[1:])
    return f"{name} {code}: {reason}" if reason else f"{name} {code}"
