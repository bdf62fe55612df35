"""The verb ``info``: what a device is, and how fast it answers."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from statistics import median
from typing import Any

from katcp.apps.cli._asking import Asker, texts
from katcp.apps.cli._errors import DONE
from katcp.apps.cli._escape import decode, visible
from katcp.apps.cli._format import STATUSES, Line, Piece, columns, duration_text, status_piece
from katcp.apps.cli._model import parse_time
from katcp.apps.cli._sensors import all_sensors, read_sensors
from katcp.apps.cli._verbs import Here, all_requests

#: Round trips of which the latency is told.
ROUND_TRIPS = 10

#: Flags of the protocol -> what they mean.
_FLAGS = {
    "B": "bulk sampling",
    "I": "message ids",
    "M": "many clients",
    "S": "one client only",
    "T": "timeout hints",
}


async def info(here: Here) -> int:
    """Print what the device is: versions, protocol, interface, limits, clients, latency."""
    asker = here.asker
    with asker.progress.step("asking the device what it is"):
        record = await _record(asker)
    if here.json:
        here.screen.record(record)
    else:
        here.screen.lines(columns(_rows(record)))
    return DONE


async def _record(asker: Asker) -> dict[str, Any]:
    latency = await round_trips(asker, ROUND_TRIPS)
    sensors = await all_sensors(asker)
    readings, _ = await read_sensors(asker, list(sensors))
    reply, informs = await asker.ask("client-list")
    clients = [decode(i.arguments[0]) for i in informs if i.arguments]
    level, _ = await asker.ask("log-level")
    return {
        "address": asker.client.bind_address_string,
        "protocol": str(asker.client.protocol_flags),
        "versions": await _versions(asker),
        "sensors": len(sensors),
        "statuses": _statuses(reading.status for reading in readings),
        "requests": len(await all_requests(asker)),
        "slow_requests": await _hints(asker),
        "log_level": decode(level.arguments[1]) if _has_value(level) else None,
        "clients": clients if reply.reply_ok() else None,
        "latency": summary(latency),
    }


def _statuses(statuses: Iterable[str]) -> dict[str, int]:
    """Return how many there are of each, those of the protocol in its order."""
    counts = Counter(statuses)
    known = [status for status in STATUSES if status in counts]
    return {status: counts[status] for status in [*known, *sorted(counts.keys() - set(known))]}


def _has_value(reply: Any) -> bool:
    return bool(reply.reply_ok()) and len(reply.arguments) > 1


async def round_trips(asker: Asker, count: int) -> list[float]:
    """Return how long the device took to answer ``?watchdog``, time after time [s]."""
    times = []
    for _ in range(count):
        began = time.perf_counter()
        await asker.ask("watchdog")
        times.append(time.perf_counter() - began)
    return times


def summary(times: Sequence[float]) -> dict[str, float | int]:
    """Return what describes some durations: count, min, median, max [s]."""
    return {
        "count": len(times),
        "min": min(times),
        "median": median(times),
        "max": max(times),
    }


async def _hints(asker: Asker) -> dict[str, float]:
    """Return the requests that may take long, with how long [s], as far as the device tells."""
    flags = asker.client.protocol_flags
    if flags is None or not flags.request_timeout_hints:
        return {}
    _, informs = await asker.ask("request-timeout-hint")
    hints = {
        decode(inform.arguments[0]): parse_time(inform.arguments[1], asker.major)
        for inform in informs
        if len(inform.arguments) > 1
    }
    return {name: hint for name, hint in hints.items() if hint}


async def _versions(asker: Asker) -> dict[str, list[str]]:
    """Return what has which version; a device of version 4 tells only in its greeting."""
    reply, informs = await asker.ask("version-list")
    if not reply.reply_ok():
        return {name: list(parts) for name, parts in asker.client.versions.items()}
    return {words[0]: words[1:] for i in informs if (words := texts(i.arguments))}


def _rows(record: dict[str, Any]) -> list[Line]:
    rows: list[Line] = []

    def row(name: str, text: str, style: str = "") -> None:
        rows.append([Piece(visible(name), "dim"), Piece(visible(text), style)])

    row("address", record["address"], "name")
    for name, parts in record["versions"].items():
        row(name, " ".join(parts))
    if "katcp-protocol" not in record["versions"]:
        row("katcp-protocol", record["protocol"])
    _, _, flags = record["protocol"].partition("-")
    if flags:
        row("flags", ", ".join(_FLAGS.get(flag, flag) for flag in sorted(flags)))
    row("sensors", str(record["sensors"]))
    for status, count in record["statuses"].items():
        rows.append([Piece("  " + visible(status), status_piece(status).style), Piece(str(count))])
    row("requests", str(record["requests"]))
    for name, hint in record["slow_requests"].items():
        row("  ?" + name, f"may take {duration_text(hint)}")
    if record["log_level"] is not None:
        row("log level", record["log_level"])
    if record["clients"] is not None:
        label = f"clients ({len(record['clients'])})"
        row(label, ", ".join(record["clients"]))
    times = record["latency"]
    parts = [f"{name} {duration_text(times[name])}" for name in ("min", "median", "max")]
    row("latency", f"{', '.join(parts)} ({times['count']} round trips)")
    return rows
