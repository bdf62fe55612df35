"""SIGHUP: a device that comes from files reads them again."""

from __future__ import annotations

import asyncio
import inspect
import logging
import os
import signal
from typing import Any

from katcp.apps.server._errors import describe
from katcp.apps.server._systemd import Notifier
from katcp.device_files import FileDevice
from katcp.proxying import ProxyServer
from katcp.server import DeviceServerBase

log = logging.getLogger("katcp.apps.server")


class Reloader:
    """Has a device read its files again when SIGHUP comes; any other is none of its business.

    Parameters
    ----------
    device : DeviceServerBase
    notifier : Notifier
    """

    def __init__(self, device: DeviceServerBase, notifier: Notifier) -> None:
        self._notifier = notifier
        self._reload: Any = None
        if isinstance(device, (FileDevice, ProxyServer)):
            self._reload = getattr(device, "reload", None)
        self._task: asyncio.Task[None] | None = None
        self._again = False

    def install(self) -> None:
        """Begin to heed the signal, in the loop, if the device can read anything again."""
        number = getattr(signal, "SIGHUP", None)
        if self._reload is None or number is None:
            return
        ignored = signal.getsignal(number) is signal.SIG_IGN  # as under nohup
        has_terminal = _has_terminal()

        def heed() -> None:
            if has_terminal and not _has_terminal():
                if not ignored:  # its end is meant, as of any program that somebody has typed
                    signal.raise_signal(signal.SIGTERM)
                return
            self.begin()

        asyncio.get_running_loop().add_signal_handler(number, heed)

    def begin(self) -> None:
        """Reload; once more when that is done, if one is under way."""
        if self._task is not None and not self._task.done():
            self._again = True
            return
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def _run(self) -> None:
        while True:
            self._again = False
            self._notifier.reloading()
            log.info("Reading the files of the device again")
            status = "read again"
            try:
                done = self._reload()
                if inspect.isawaitable(done):
                    done = await done
                if done is False:
                    status = "not read again: something is wrong with the file"
            except Exception as error:
                log.error("%s; nothing has changed", describe(error))
                status = "not read again: something is wrong with the file"
            self._notifier.ready(status)
            if not self._again:
                return

    def close(self) -> None:
        """Reload no more."""
        self._reload = None
        if self._task is not None:
            self._task.cancel()


def _has_terminal() -> bool:
    """Tell whether the program has a terminal that controls it."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
