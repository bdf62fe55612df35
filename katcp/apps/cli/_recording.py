"""The form of a recording: a file of lines with times, each a JSON object.

The first line tells what it is. Then come readings with the keys of ``watch --json``, log lines
with those of ``log --json``, and ``{"event": "lost"}`` or ``{"event": "connected"}`` where the
connection was; each with ``received``, the time at which it came here [s since 1970]. Where the
text of a value says more than ``value`` does (``3.00`` is not ``3.0``), it is in ``raw``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TextIO

from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._escape import decode, to_json, visible
from katcp.apps.cli._model import Reading, SensorInfo, reading_record

FORMAT = "katcp-record"
VERSION = 1


@dataclass(frozen=True)
class Entry:
    """A line of a recording but the first.

    Attributes
    ----------
    received : float
        When it came [s since 1970].
    reading : (Reading, SensorInfo) or None
    log : dict or None
        As ``log --json`` prints it.
    event : str or None
    """

    received: float
    reading: tuple[Reading, SensorInfo] | None = None
    log: Mapping[str, Any] | None = None
    event: str | None = None


def heading(address: str, started: str) -> str:
    """Return the first line of a recording."""
    return to_json({"format": FORMAT, "version": VERSION, "address": address, "started": started})


def reading_line(received: float, reading: Reading, info: SensorInfo, major: int) -> str:
    """Return the line of a reading."""
    record = reading_record(reading, info, major)
    text = decode(reading.raw)
    if info.type != "timestamp" and text != _text_of(record["value"]):
        record["raw"] = text
    return to_json({"received": received, **record})


def log_entry_line(received: float, record: Mapping[str, Any]) -> str:
    """Return the line of a log line."""
    return to_json({"received": received, **record})


def event_line(received: float, event: str) -> str:
    """Return the line that tells of the connection."""
    return to_json({"received": received, "event": event})


def _text_of(value: object) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return value if isinstance(value, str) else repr(value)


def entries(file: TextIO, name: str) -> Iterator[Entry]:
    """Yield what a recording has, line by line.

    A last line that was not written to its end is passed over.

    Raises
    ------
    Misuse
        At a line that is none.
    """
    first = file.readline()
    head = _parsed(first)
    if head is None or head.get("format") != FORMAT:
        raise Misuse(f"{visible(name)} is no recording: its first line does not say so")
    if head.get("version") != VERSION:
        raise Misuse(f"{visible(name)} was recorded by another version of katcp")
    for number, line in enumerate(file, 2):
        record = _parsed(line)
        if record is not None and record.get("format") == FORMAT:
            continue  # more was recorded to the same file
        entry = None if record is None else _entry(record)
        if entry is not None:
            yield entry
        elif line.endswith("\n") and line.strip():
            raise Misuse(f"{visible(name)}: line {number} is no line of a recording")


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def _entry(record: dict[str, Any]) -> Entry | None:
    received = record.get("received")
    if isinstance(received, bool) or not isinstance(received, (int, float)):
        return None
    if isinstance(record.get("event"), str):
        return Entry(received, event=record["event"])
    moment = record.get("timestamp")
    if moment is not None and (isinstance(moment, bool) or not isinstance(moment, (int, float))):
        moment = None
    keys = ("level", "name", "message") if "level" in record else ("name", "status", "type")
    if not all(isinstance(record.get(key), str) for key in keys):
        return None
    if "level" in record:
        return Entry(
            received,
            log={"level": record["level"], "timestamp": moment}
            | {key: record[key] for key in ("name", "message")},
        )
    units, raw = record.get("units", ""), record.get("raw", _text_of(record.get("value", "")))
    if not isinstance(units, str) or not isinstance(raw, str):
        return None
    info = SensorInfo(record["name"], "", units, record["type"])
    value = raw.encode("utf-8", "backslashreplace")
    return Entry(received, (Reading(info.name, moment, record["status"], value), info))
