"""One device, from its constructor to the end of the program."""

from __future__ import annotations

import asyncio
import gc
import inspect
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from katcp.apps.server._errors import MISUSE, StartError, describe, one_line
from katcp.apps.server._logging import LEVELS
from katcp.apps.server._reload import Reloader
from katcp.apps.server._systemd import Notifier
from katcp.server import DeviceServer, DeviceServerBase

log = logging.getLogger("katcp.apps.server")

#: How long a device may take to say goodbye to its clients [s].
_STOP_TIMEOUT = 5.0
#: How long threads that are still at work may keep the program from ending [s].
_GRACE = 3.0


def make_device(
    cls: type[DeviceServerBase], host: str, port: int, tb_limit: int, options: Mapping[str, Any]
) -> DeviceServerBase:
    """Make the device, in the running loop.

    Parameters
    ----------
    cls : type
    host : str
    port : int
    tb_limit : int
        Frames of tracebacks that clients are sent.
    options : mapping
        Keyword arguments for the constructor: what the user asked for must not be without effect.

    Raises
    ------
    StartError
        If the constructor raises, or does not take one of the options.
    """
    taken = _keywords(cls)
    for name in options:
        if taken is not None and name not in taken:
            flag = "--" + name.replace("_", "-")
            raise StartError(
                f"{cls.__name__} does not take {flag}: its constructor has no {name!r}", MISUSE
            )
    try:
        device = cls(host, port, **options)
    except NotImplementedError as error:
        if "setup_sensors" in str(error):
            raise StartError(f"{cls.__name__} defines no setup_sensors()") from error
        raise StartError(f"{cls.__name__}() failed: {describe(error)}") from error
    except (Exception, SystemExit) as error:
        if _is_of_a_database(error):  # it names the file
            raise StartError(str(error)) from error
        raise StartError(f"{cls.__name__}() failed: {describe(error)}") from error
    device.tb_limit = tb_limit
    if device.ioloop is None:
        device.set_ioloop()
    return device


def _is_of_a_database(error: BaseException) -> bool:
    # Devices that keep nothing do not load what a database needs.
    storage = sys.modules.get("katcp.storage")
    return storage is not None and isinstance(error, storage.StorageError)


def _keywords(cls: type) -> frozenset[str] | None:
    """Return the keywords that a constructor takes; None if that is any that its bases do."""
    names: set[str] = set()
    for base in cls.__mro__:
        if "__init__" not in base.__dict__:
            continue
        parameters = inspect.signature(base.__dict__["__init__"]).parameters.values()
        names |= {p.name for p in parameters if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            return frozenset(names)  # what it does not name, it does not pass on
    return None


class Daemon:
    """Serves a device until a signal, ``?halt``, or an error.

    Parameters
    ----------
    device : DeviceServerBase
        Made, and not started.
    log_level : str
        Level from which on the device's log goes to its clients.
    notifier : Notifier, optional
        Is told what happens to the service.
    """

    def __init__(
        self, device: DeviceServerBase, log_level: str, notifier: Notifier | None = None
    ) -> None:
        self._device = device
        self._notifier = Notifier() if notifier is None else notifier
        self._reloader = Reloader(device, self._notifier)
        self._log_level = log_level
        self._ending = asyncio.Event()
        self._restart = asyncio.Event()

    async def start(self) -> str:
        """Begin to serve; return the address listened on, as ``HOST:PORT``.

        Raises
        ------
        StartError
            If the address cannot be listened on, or starting raises.
        """
        device = self._device
        self._install_signals()  # before anybody can know that there is something to end
        if isinstance(device, DeviceServer):
            device.set_restart_queue(_RestartQueue(self._restart.set))
            device.log.set_log_level_by_name(self._log_level)
            self._forward_log(device)
        await self._start_device()
        spare_the_collector()
        return format_address(*device.bind_address)

    def _forward_log(self, device: DeviceServer) -> None:
        """Have what the device's own code logs sent to its clients."""
        handler = device.log.handler()
        handler.setLevel(LEVELS["trace"])
        logging.getLogger().addHandler(handler)

    async def _start_device(self) -> None:
        device = self._device
        address = format_address(*device.bind_address)
        try:
            # A user's class may have made a coroutine of it.
            started: Any = device.start()  # type: ignore[func-returns-value]
            if inspect.isawaitable(started):
                await started
        except OSError as error:
            reason = one_line(error.strerror or str(error))
            raise StartError(f"cannot listen on {address}: {reason}") from error
        except Exception as error:
            raise StartError(
                f"{type(device).__name__}.start() failed: {describe(error)}"
            ) from error

    async def run(self) -> None:
        """Serve until the end.

        Raises
        ------
        StartError
            If the device cannot be started again after a ``?restart``.
        """
        while True:
            stopped = asyncio.ensure_future(_until_stopped(self._device))
            waits = [asyncio.ensure_future(e.wait()) for e in (self._ending, self._restart)]
            await asyncio.wait([stopped, *waits], return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            again = self._restart.is_set() and not self._ending.is_set() and not stopped.done()
            if not again:
                self._reloader.close()
                self._notifier.stopping()
            await self.stop()
            await asyncio.wait([stopped], timeout=_STOP_TIMEOUT)
            if not again:
                return
            log.info("Restarting")
            self._restart.clear()
            await self._start_device()

    async def stop(self) -> None:
        """Stop the device."""
        try:
            stopping: Any = self._device.stop()
            if inspect.isawaitable(stopping):
                await asyncio.wait_for(stopping, _STOP_TIMEOUT)
        except asyncio.TimeoutError:
            log.error("The device did not stop within %g s", _STOP_TIMEOUT)
        except Exception:
            log.exception("Stopping the device failed")

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        self._reloader.install()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._end, number)
            except NotImplementedError:  # Windows
                signal.signal(
                    number, lambda n, _: loop.call_soon_threadsafe(self._end, signal.Signals(n))
                )

    def _end(self, number: signal.Signals) -> None:
        log.info("Ending because of %s", number.name)
        self._ending.set()
        # Whoever sends it again does not want to wait.
        for again in (signal.SIGINT, signal.SIGTERM):
            signal.signal(again, signal.SIG_DFL)


def spare_the_collector() -> None:
    """Have the garbage collector look at what is new, and hardly ever at everything.

    With 100,000 sensors a full collection takes 100 ms, during which nobody is served; and of
    what there is when a device begins to serve, hardly anything ever becomes garbage.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(1_000, 5, 1_000)


class _RestartQueue:
    """Stands where applications of katcp-python put a queue: takes servers to restart."""

    def __init__(self, restart: Callable[[], None]) -> None:
        self._restart = restart

    def put_nowait(self, server: object) -> None:
        """Have the server restarted; called in the loop."""
        self._restart()

    put = put_nowait


async def _until_stopped(device: DeviceServerBase) -> None:
    """Wait until all sockets of the device are closed, whoever had it stopped."""
    stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        if not stopped.done():
            stopped.set_result(None)

    def wait() -> None:
        device.join(threading.TIMEOUT_MAX)
        try:
            loop.call_soon_threadsafe(tell)
        except RuntimeError:
            pass  # the loop is closed: nobody waits any more

    threading.Thread(target=wait, name="until-stopped", daemon=True).start()
    await stopped


def format_address(host: str, port: int) -> str:
    """Return ``HOST:PORT``, with an IPv6 host in brackets and ``0.0.0.0`` for all interfaces."""
    if ":" in host:
        return f"[{host}]:{port}"
    return f"{host or '0.0.0.0'}:{port}"


def end_soon(status: int) -> None:
    """See to it that the program ends, with `status`, even if a thread of it is stuck."""

    def leave() -> None:
        sys.stderr.write(f"katcp-server: threads are still at work after {_GRACE:g} s; leaving\n")
        sys.stderr.flush()
        os._exit(status)

    timer = threading.Timer(_GRACE, leave)
    timer.daemon = True
    timer.start()
