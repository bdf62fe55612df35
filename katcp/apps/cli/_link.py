"""A connection to a device, for a command that does one thing and ends."""

from __future__ import annotations

import contextlib
import logging
import os
import re
from collections.abc import AsyncIterator

from tornado.util import TimeoutError as WaitTimeout

from katcp.apps.cli._asking import DEFAULT_TIMEOUT, Asker
from katcp.apps.cli._errors import NoConnection
from katcp.apps.cli._escape import visible
from katcp.apps.cli._grammar import format_address
from katcp.apps.cli._progress import Progress
from katcp.apps.cli._screen import complain
from katcp.apps.cli._tls import Tls
from katcp.client import AsyncClient
from katcp.errors import KatcpClientError

#: Longest time to wait for the greeting before the device is taken for one of version 4 [s].
_GREETING = 2.0

_ERRNO = re.compile(r"\[Errno (-?\d+)\] *([^\[]*)")


@contextlib.asynccontextmanager
async def connected(
    host: str,
    port: int,
    timeout: float | None,
    verbose: bool = False,
    tls: Tls | None = None,
    progress: Progress | None = None,
) -> AsyncIterator[Asker]:
    """Connect to a device, once, and disconnect in the end.

    Raises
    ------
    NoConnection
    """
    limit = DEFAULT_TIMEOUT if timeout is None else timeout
    trouble = Trouble(verbose)
    logger = logging.getLogger("katcp.apps.cli")
    logger.propagate = False  # what it is told is told to the user, here
    logger.setLevel(logging.DEBUG)
    logger.addHandler(trouble)
    client = AsyncClient(
        host,
        port,
        timeout=None,
        logger=logger,
        auto_reconnect=False,
        greeting_timeout=min(_GREETING, limit),
    )
    if tls is not None:
        client.use_tls(*tls)
    client.CONNECT_TIMEOUT = limit
    client.set_ioloop()
    client.start()
    address = format_address(host, port)
    progress = progress or Progress()
    try:
        with progress.step(f"connecting to {visible(address)}"):
            await client.until_connected(limit)
            await client.until_protocol(limit)
    except WaitTimeout:
        raise NoConnection(f"cannot connect to {visible(address)}: timed out") from None
    except KatcpClientError:
        raise NoConnection(f"cannot connect to {visible(address)}: {trouble.reason()}") from None
    else:
        yield Asker(client, timeout, progress)
    finally:
        client.stop()
        with contextlib.suppress(WaitTimeout, KatcpClientError):
            await client.until_stopped(1.0)
        logger.removeHandler(trouble)


class Trouble(logging.Handler):
    """Remembers the last trouble that the client logged; tells all of it if asked to.

    Parameters
    ----------
    verbose : bool
        Whether to print everything that is logged.
    """

    def __init__(self, verbose: bool = False) -> None:
        super().__init__(logging.DEBUG if verbose else logging.WARNING)
        self._verbose = verbose
        self._last = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a record."""
        text = record.getMessage()
        if record.levelno >= logging.WARNING:
            self._last = text
        if self._verbose:
            complain(visible(text))

    def reason(self) -> str:
        """Return the reason in it, as people know it."""
        return readable_reason(self._last)


def readable_reason(text: str) -> str:
    """Return the reason of a failed connection, out of a message about it.

    asyncio's errors repeat addresses, and there is one for each that a name stands for.
    """
    match = _ERRNO.search(text)
    if match is not None:
        number, words = int(match[1]), match[2].strip()
        return visible(
            words
            if number < 0 or not words.startswith("Connect call failed")
            else os.strerror(number)
        )
    _, _, reason = text.rpartition(": ")
    return visible(reason) if reason else "the device closed the connection"
