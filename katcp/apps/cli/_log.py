"""The verb ``log``: what a device logs, as it comes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from katcp.apps.cli._asking import texts
from katcp.apps.cli._errors import DONE, NoConnection
from katcp.apps.cli._escape import decode
from katcp.apps.cli._format import log_line
from katcp.apps.cli._model import parse_time
from katcp.apps.cli._verbs import Here
from katcp.errors import KatcpClientError

#: From all to nothing, as devices order them.
LEVELS = ("all", "trace", "debug", "info", "warn", "error", "fatal", "off")


async def log(
    here: Here,
    level: str = "all",
    device_level: str | None = None,
    count: int | None = None,
    duration: float | None = None,
) -> int:
    """Print log lines until interrupted.

    Parameters
    ----------
    level : str
        Lines below it are not printed.
    device_level : str, optional
        From which level on the device is to send lines meanwhile: it has one for all its clients.
    count : int, optional
        End after so many lines.
    duration : float, optional
        End after this time [s].
    """
    before = await _level_of(here)
    if device_level is not None:
        await here.asker.ask_ok("log-level", device_level)
    elif level != "all" and before in LEVELS and LEVELS.index(level) < LEVELS.index(before):
        here.screen.complain(
            f"the device sends lines from {before} on only; --device-level {level} has it send "
            "more, to all its clients"
        )
    try:
        return await asyncio.wait_for(_follow(here, level, count), duration)
    except asyncio.TimeoutError:
        return DONE
    finally:
        here.screen.flush()
        if device_level is not None and before is not None and here.asker.client.is_connected():
            await asyncio.shield(here.asker.ask("log-level", before))


async def _level_of(here: Here) -> str | None:
    reply, _ = await here.asker.ask("log-level")
    return decode(reply.arguments[1]) if reply.reply_ok() and len(reply.arguments) > 1 else None


async def _follow(here: Here, level: str, count: int | None) -> int:
    queue: asyncio.Queue[list[bytes] | None] = asyncio.Queue()
    client = here.asker.client
    client.hook_wire_inform("log", queue.put_nowait)
    lost = asyncio.ensure_future(_until_lost(here, queue))
    printed = 0
    try:
        while count is None or printed < count:
            if queue.empty():
                here.screen.flush()
            arguments = await queue.get()
            if arguments is None:
                raise NoConnection(here.asker.lost_text())
            if is_wanted(arguments, level):
                print_log(here, arguments)
                printed += 1
        return DONE
    finally:
        lost.cancel()


async def _until_lost(here: Here, queue: asyncio.Queue[list[bytes] | None]) -> None:
    try:
        await here.asker.client.until_stopped()
    except KatcpClientError:
        pass
    queue.put_nowait(None)


def is_wanted(arguments: Sequence[bytes], level: str) -> bool:
    """Tell whether a ``#log`` is of a level, or of one above, or of none that is known."""
    given = decode(arguments[0]) if arguments else ""
    return given not in LEVELS or LEVELS.index(given) >= LEVELS.index(level)


def log_record(arguments: Sequence[bytes], major: int) -> dict[str, Any]:
    """Return what ``--json`` prints of a ``#log``: level, timestamp [s], name, message."""
    level, _, name, message = (*texts(arguments[:4]), *[""] * 4)[:4]
    moment = parse_time(arguments[1], major) if len(arguments) > 1 else None
    return {"level": level, "timestamp": moment, "name": name, "message": message}


def print_log(here: Here, arguments: Sequence[bytes]) -> None:
    """Print a log line."""
    if here.json:
        here.screen.record(log_record(arguments, here.asker.major))
    else:
        here.screen.line(log_line(arguments, here.asker.major))
