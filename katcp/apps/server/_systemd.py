"""What a service tells systemd: that it is ready, that it lives, that it ends (``sd_notify``).

The protocol is datagrams of ``NAME=VALUE`` lines to the socket that ``$NOTIFY_SOCKET`` names; see
sd_notify(3). Without that variable nothing happens.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import MutableMapping

log = logging.getLogger("katcp.apps.server")


class Notifier:
    """Tells the manager of services how this one is.

    Parameters
    ----------
    address : str, optional
        Of the socket: a path, or ``@`` and a name in the abstract name space. None: there is none.
    watchdog : float, optional
        The service counts as hung if nothing is heard of it for so long [s]. None: it is not
        watched.
    """

    def __init__(self, address: str | None = None, watchdog: float | None = None) -> None:
        self._address = address
        self._watchdog = watchdog

    @classmethod
    def of_environment(cls, environment: MutableMapping[str, str] | None = None) -> Notifier:
        """Return one as the environment says.

        The variables are taken out of it, since they are not for the commands that a device runs.
        """
        if environment is None:
            environment = os.environ
        names = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
        address, period, pid = (environment.pop(name, None) for name in names)
        if not address or address[0] not in "/@":
            return cls()
        watched = period is not None and period.isascii() and period.isdigit() and int(period) > 0
        if not watched or (pid is not None and pid != str(os.getpid())):
            return cls(address)
        return cls(address, int(period or 0) / 1e6)

    def tell(self, *lines: str) -> None:
        """Send lines ``NAME=VALUE``; that it fails harms nobody."""
        if self._address is None:
            return
        address = self._address
        if address.startswith("@"):
            address = "\0" + address[1:]
        text = "\n".join(lines)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as plug:
                plug.setblocking(False)
                plug.sendto(text.encode("utf-8", "replace"), address)
        except OSError as error:
            log.debug("Cannot tell the manager of services %r: %s", text, error)

    def ready(self, status: str = "") -> None:
        """Tell that the service serves, for the first time or again."""
        self.tell("READY=1", f"STATUS={_one_line(status)}")

    def reloading(self) -> None:
        """Tell that the service reads its configuration; `ready` has to follow."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self.tell("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """Tell that the service ends."""
        self.tell("STOPPING=1", "STATUS=ending")

    async def feed_watchdog(self) -> None:
        """Tell again and again that the service lives; to run in the loop that serves.

        So a loop that hangs is found out: nothing is heard then, and the service is restarted.
        """
        if self._address is None or self._watchdog is None:
            return
        while True:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._watchdog / 2)


def _one_line(text: str) -> str:
    return " ".join(text.split())
