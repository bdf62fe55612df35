"""The shell without a terminal: lines come from a file or a pipe."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import Any, TextIO

from katcp.apps.cli._errors import DONE, NoConnection
from katcp.apps.cli._link import connected
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._session import PlainSampler, Quit, Session
from katcp.apps.cli._verbs import Here
from katcp.client import AsyncClient
from katcp.errors import KatcpClientError

#: How long the end of a script may take to be seen after the connection is lost [s].
_END = 0.3


async def run_script(
    host: str, port: int, timeout: float | None, verbose: bool, source: TextIO | None = None
) -> int:
    """Do what the lines of standard input say; return the status of the last that failed.

    Raises
    ------
    NoConnection
        If there is none, or it is lost before the end.
    """
    async with connected(host, port, timeout, verbose) as asker:
        here = Here(asker, Screen())
        session = Session(here, PlainSampler(here))
        lines = LineReader(source or sys.stdin)
        lost = asyncio.ensure_future(_until_lost(asker.client))
        status = DONE
        try:
            while (line := await _next_line(lines, lost)) is not None:
                if lost.done():
                    raise NoConnection(asker.lost_text())
                status = await session.do(line) or status
            return status
        except Quit:
            return status
        finally:
            lost.cancel()


async def _next_line(lines: LineReader, lost: asyncio.Future[None]) -> str | None:
    """Return the next line, None at the end, and an empty one if the connection is lost before.

    A script whose last line has the device halt has not failed, so its end is waited for a while.
    """
    coming = asyncio.ensure_future(lines.next())
    waits: list[asyncio.Future[Any]] = [coming, lost]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    if not coming.done():
        await asyncio.wait([coming], timeout=_END)
    if coming.done():
        return coming.result()
    coming.cancel()
    return ""


async def _until_lost(client: AsyncClient) -> None:
    try:
        await client.until_stopped()
    except KatcpClientError:
        pass


class LineReader:
    """Reads lines in a thread of its own, which does not keep the program from ending."""

    def __init__(self, source: TextIO) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()
        self._source = source
        threading.Thread(target=self._read, name="stdin", daemon=True).start()

    def _read(self) -> None:
        try:
            for line in self._source:
                self._tell(line)
        except (OSError, ValueError):
            pass  # as good as its end
        self._tell(None)

    def _tell(self, line: str | None) -> None:
        try:
            self._loop.call_soon_threadsafe(self._queue.put_nowait, line)
        except RuntimeError:
            pass  # the loop is closed: nobody wants it any more

    async def next(self) -> str | None:
        """Return the next line, or None at the end."""
        return await self._queue.get()
