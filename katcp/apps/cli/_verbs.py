"""The verbs: each does one thing to a connected device, prints, and returns its exit status.

They are the same for the command line and for the shell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from katcp.apps.cli._asking import Asker, texts
from katcp.apps.cli._errors import DONE, REFUSED, CommandError, Refused
from katcp.apps.cli._escape import decode, quoted, visible
from katcp.apps.cli._format import (
    Line,
    Piece,
    columns,
    help_lines,
    message_line,
    reading_row,
    refusal_text,
    request_row,
    sensor_row,
)
from katcp.apps.cli._grammar import Pattern
from katcp.apps.cli._model import SensorInfo, reading_record, sensor_record
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._sensors import all_sensors, find_sensors, read_sensors
from katcp.protocol import Message


@dataclass(frozen=True)
class Here:
    """What a verb works with."""

    asker: Asker
    screen: Screen

    @property
    def json(self) -> bool:
        """Whether records are wanted, not lines."""
        return self.screen.json


def report(here: Here, errors: Sequence[CommandError]) -> int:
    """Tell what went wrong; return the exit status."""
    here.screen.flush()
    for error in errors:
        here.screen.complain(str(error))
    return errors[0].status if errors else DONE


# -- list -----------------------------------------------------------------------------------


async def list_sensors(here: Here, pattern: Pattern, values: bool = False) -> int:
    """Print the sensors of the device, or their present readings."""
    everything = await all_sensors(here.asker)
    infos = {name: info for name, info in everything.items() if pattern.matches(name)}
    if values:
        return await _print_readings(here, infos)
    if here.json:
        for info in infos.values():
            here.screen.record(sensor_record(info, here.asker.major))
    else:
        here.screen.lines(columns([sensor_row(info) for info in infos.values()]))
    return DONE


async def list_requests(here: Here, pattern: Pattern) -> int:
    """Print the requests of the device."""
    helps = {n: text for n, text in (await _help(here.asker)).items() if pattern.matches(n)}
    if here.json:
        for name, text in helps.items():
            here.screen.record({"name": name, "description": text})
    else:
        here.screen.lines(columns([request_row(name, text) for name, text in helps.items()]))
    return DONE


async def _help(asker: Asker) -> dict[str, str]:
    informs = await asker.ask_ok("help")
    return dict(sorted(_name_and_text(inform) for inform in informs))


def _name_and_text(inform: Message) -> tuple[str, str]:
    """Return what a ``#help`` says, as far as it goes."""
    name, text = (*texts(inform.arguments[:2]), "", "")[:2]
    return name, text


# -- get ------------------------------------------------------------------------------------


async def get(here: Here, patterns: Sequence[Pattern]) -> int:
    """Print the present readings of sensors."""
    found = await find_sensors(here.asker, patterns)
    status = await _print_readings(here, found.sensors)
    return report(here, found.errors) or status


async def _print_readings(here: Here, infos: dict[str, SensorInfo]) -> int:
    readings, errors = await read_sensors(here.asker, list(infos))
    major = here.asker.major
    if here.json:
        for reading in readings:
            here.screen.record(reading_record(reading, infos[reading.name], major))
    else:
        here.screen.lines(columns([reading_row(r, infos[r.name], major) for r in readings]))
    return report(here, errors)


# -- call -----------------------------------------------------------------------------------


async def call(here: Here, name: str, arguments: Sequence[bytes]) -> int:
    """Send a request; print its informs as they come, and its reply."""
    queue: asyncio.Queue[Message | None] = asyncio.Queue()
    asking = asyncio.ensure_future(
        here.asker.ask(name, *arguments, on_inform=queue.put_nowait, hinted=True)
    )
    asking.add_done_callback(lambda _: queue.put_nowait(None))
    try:
        while (inform := await queue.get()) is not None:
            _print_inform(here, name, inform.arguments)
            if queue.empty():
                here.screen.flush()
        reply, _ = await asking
    finally:
        asking.cancel()
    ok = reply.reply_ok()
    if here.json:
        status, *rest = texts(reply.arguments) or [""]
        here.screen.record({"reply": name, "status": status, "arguments": rest})
    elif ok:
        here.screen.line(message_line("!", name, reply.arguments))
    else:
        here.screen.complain(refusal_text(name, reply.arguments))
    return DONE if ok else REFUSED


def _print_inform(here: Here, name: str, arguments: Sequence[bytes]) -> None:
    if here.json:
        here.screen.record({"inform": name, "arguments": texts(arguments)})
    else:
        here.screen.line(message_line("#", name, arguments))


# -- help and info --------------------------------------------------------------------------


async def help_on(here: Here, name: str) -> int:
    """Print the whole help of a request."""
    informs = await here.asker.ask_ok("help", name)
    for inform in informs:
        found, text = _name_and_text(inform)
        if here.json:
            here.screen.record({"name": found, "description": text})
        else:
            here.screen.lines(help_lines(found, text))
    if not informs:
        raise Refused(f"the device has no help on {quoted(name)}")
    return DONE


async def info(here: Here) -> int:
    """Print what the device is: versions, numbers of sensors and requests, clients."""
    asker = here.asker
    versions = await _versions(asker)
    flags = asker.client.protocol_flags
    record: dict[str, Any] = {
        "address": asker.client.bind_address_string,
        "protocol": str(flags),
        "versions": versions,
        "sensors": len(await asker.ask_ok("sensor-list")),
        "requests": len(await asker.ask_ok("help")),
    }
    reply, informs = await asker.ask("client-list")
    record["clients"] = [decode(i.arguments[0]) for i in informs if i.arguments]
    if not reply.reply_ok():
        record["clients"] = None
    if here.json:
        here.screen.record(record)
        return DONE
    rows: list[Line] = [[Piece("address", "dim"), Piece(visible(record["address"]), "name")]]
    for name, parts in versions.items():
        rows.append([Piece(visible(name), "dim"), Piece(visible(" ".join(parts)))])
    if "katcp-protocol" not in versions:
        rows.append([Piece("katcp-protocol", "dim"), Piece(visible(record["protocol"]))])
    rows.append([Piece("sensors", "dim"), Piece(str(record["sensors"]))])
    rows.append([Piece("requests", "dim"), Piece(str(record["requests"]))])
    if record["clients"] is not None:
        rows.append([Piece("clients", "dim"), Piece(visible(", ".join(record["clients"])))])
    here.screen.lines(columns(rows))
    return DONE


async def _versions(asker: Asker) -> dict[str, list[str]]:
    """Return what has which version; a device of version 4 tells only in its greeting."""
    reply, informs = await asker.ask("version-list")
    if not reply.reply_ok():
        return {decode_name(name): list(v) for name, v in asker.client.versions.items()}
    return {words[0]: words[1:] for i in informs if (words := texts(i.arguments))}


def decode_name(name: object) -> str:
    """Return a key of the client's versions as text."""
    return decode(name) if isinstance(name, bytes) else str(name)
