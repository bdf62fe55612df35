"""The shell without a terminal: lines come from a file or a pipe."""

from __future__ import annotations

import asyncio
import sys
import threading
from typing import TextIO

from katcp.apps.cli._errors import DONE, NoConnection
from katcp.apps.cli._link import connected
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._session import PlainSampler, Quit, Session
from katcp.apps.cli._tls import Tls
from katcp.apps.cli._verbs import Here
from katcp.client import AsyncClient
from katcp.errors import KatcpClientError

#: How long the end of a script may take to be seen after the connection is lost [s]: one whose
#: last line has the device halt has not failed.
_END = 0.3


async def run_script(
    host: str,
    port: int,
    timeout: float | None,
    verbose: bool,
    source: TextIO | None = None,
    *,
    tls: Tls | None = None,
) -> int:
    """Do what the lines of standard input say; return the status of the last that failed.

    Raises
    ------
    NoConnection
        If there is none, or it is lost before the end.
    """
    async with connected(host, port, timeout, verbose, tls) as asker:
        here = Here(asker, Screen())
        session = Session(here, PlainSampler(here))
        lines = LineReader(source or sys.stdin)
        lost = asyncio.ensure_future(_until_lost(asker.client))
        status = DONE
        lost.add_done_callback(lambda _: lines.put(""))
        try:
            while (line := await lines.next()) is not None:
                # The loss is known at once, the end of the task that waits for it a turn later.
                if not lost.done() and asker.client.is_connected():
                    status = await session.do(line) or status
                elif line.strip() or not await lines.ended(_END):
                    raise NoConnection(asker.lost_text())
            return status
        except Quit:
            return status
        finally:
            lost.cancel()


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
            self._loop.call_soon_threadsafe(self.put, line)
        except RuntimeError:
            pass  # the loop is closed: nobody wants it any more

    def put(self, line: str | None) -> None:
        """Add a line that was not read; None: the end."""
        self._queue.put_nowait(line)

    async def next(self) -> str | None:
        """Return the next line, or None at the end."""
        return await self._queue.get()

    async def ended(self, timeout: float) -> bool:
        """Tell whether nothing follows but the end, which may take a while to be seen [s]."""
        try:
            line = await asyncio.wait_for(self._queue.get(), timeout)
        except asyncio.TimeoutError:
            return False
        self.put(line)
        return line is None
