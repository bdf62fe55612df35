"""The verbs: each does one thing to a connected device, prints, and returns its exit status.

They are the same for the command line and for the shell.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from katcp.apps.cli._asking import Asker, texts
from katcp.apps.cli._endpoints import endpoint_kinds, looked_at
from katcp.apps.cli._errors import DONE, REFUSED, CommandError, Refused
from katcp.apps.cli._escape import quoted
from katcp.apps.cli._format import (
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

#: On terminals with fewer columns there is no room for times.
_NARROW = 72


@dataclass(frozen=True)
class Here:
    """What a verb works with.

    Attributes
    ----------
    asker : Asker
    screen : Screen
    again : function or None
        Connects once more, as an asynchronous context manager that gives another asker.
    """

    asker: Asker
    screen: Screen
    again: Callable[[], AbstractAsyncContextManager[Asker]] | None = None

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
    helps = {n: text for n, text in (await all_requests(here.asker)).items() if pattern.matches(n)}
    if here.json:
        for name, text in helps.items():
            here.screen.record({"name": name, "description": text})
    else:
        here.screen.lines(columns([request_row(name, text) for name, text in helps.items()]))
    return DONE


async def all_requests(asker: Asker) -> dict[str, str]:
    """Return the requests of the device with their help, sorted by name."""
    informs = await asker.ask_ok("help")
    return dict(sorted(_name_and_text(inform) for inform in informs))


def _name_and_text(inform: Message) -> tuple[str, str]:
    """Return what a ``#help`` says, as far as it goes."""
    name, text = (*texts(inform.arguments[:2]), "", "")[:2]
    return name, text


# -- get ------------------------------------------------------------------------------------


async def get(here: Here, patterns: Sequence[Pattern]) -> int:
    """Print the present readings of sensors."""
    finding = asyncio.ensure_future(find_sensors(here.asker, patterns))
    errors: list[CommandError] = []
    try:
        if any(pattern.exact for pattern in patterns):
            kinds = await endpoint_kinds(here.asker)
            if kinds:
                patterns, errors = await looked_at(here.asker, kinds, patterns)
                await finding
                finding = asyncio.ensure_future(find_sensors(here.asker, patterns))
        found = await finding
    finally:
        finding.cancel()
    status = await _print_readings(here, found.sensors)
    return report(here, [*found.errors, *errors]) or status


async def _print_readings(here: Here, infos: dict[str, SensorInfo]) -> int:
    readings, errors = await read_sensors(here.asker, list(infos))
    major = here.asker.major
    if here.json:
        for reading in readings:
            here.screen.record(reading_record(reading, infos[reading.name], major))
    else:
        now = time.time() if here.screen.for_people else None
        short = now is not None and shutil.get_terminal_size().columns < _NARROW
        rows = [reading_row(r, infos[r.name], major, now, short) for r in readings]
        here.screen.lines(columns(rows))
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
        with here.asker.progress.step(f"?{name}") as step:
            while (inform := await queue.get()) is not None:
                step.end()
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


# -- help -----------------------------------------------------------------------------------


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
