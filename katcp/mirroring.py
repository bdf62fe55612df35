"""A server that offers the sensors, and maybe the requests, of another device as its own."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from katcp.aio import AsyncEvent, AttrDict, future_timeout_manager
from katcp.inspecting_client import InspectingClientAsync, SensorWatcher
from katcp.kattypes import concurrent_reply, request_timeout_hint
from katcp.protocol import Message
from katcp.sensors import SensorSet
from katcp.server import DeviceServer, ServiceTask

__all__ = ["SensorMirror"]

log = logging.getLogger("katcp.mirroring")

#: What cannot stand in the name of a request.
_NOT_IN_REQUESTS = re.compile(r"[^a-zA-Z0-9\-]")

#: Requests that the server answers for itself.
_OF_EVERY_DEVICE = frozenset(DeviceServer._request_handlers)  # noqa: SLF001  # a documented name


class SensorMirror:
    """Shows the sensors of another device in a server, under a prefix, with live readings.

    They come and go as they do there, have the timestamps and statuses that they have there,
    and are `unreachable` while that device is gone. Clients of the server are told of changes by
    one ``#interface-changed`` for all that change together. The mirror is a service of the server:
    it begins and ends with it. A server may have many.

    Parameters
    ----------
    server : DeviceServer
        Which shows the sensors. It may run or not, and have a loop of its own or not.
    host : str
    port : int
        Address of the other device.
    prefix : str
        Comes before the names of sensors.
    requests : bool or callable
        Whether the requests of the device are offered too, as ``?PREFIX-NAME``: true for all but
        those that every device has (such as ``help`` and ``halt``), or a function that is called
        with a name and tells.
    request_prefix : str, optional
        Comes before the names of requests; by default `prefix`, with ``-`` for what may not stand
        in them.
    request_timeout : float
        How long the device may take for a request that it gives no longer hint for [s].
    strategy, filter, rewrite_name
        As for `SensorWatcher`; `rewrite_name` takes the place of the prefix.
    logger : logging.Logger
    **client_options
        For `InspectingClientAsync`, such as `heartbeat`.

    Attributes
    ----------
    server : DeviceServer
    client : InspectingClientAsync or None
        Of the device, while the server runs.
    sensors : SensorSet
        The sensors shown.

    Examples
    --------
    ::

        server = Observatory("", 7147)
        for number in range(64):
            SensorMirror(server, f"dish{number}", 7147, f"dish{number}.", requests=True)
        server.start()
    """

    def __init__(
        self,
        server: DeviceServer,
        host: str,
        port: int,
        prefix: str = "",
        *,
        requests: bool | Callable[[str], bool] = False,
        request_prefix: str | None = None,
        request_timeout: float = 5.0,
        strategy: Any = "event",
        filter: Callable[..., bool] | None = None,
        rewrite_name: Callable[[str], str | Iterable[str]] | None = None,
        logger: logging.Logger = log,
        **client_options: Any,
    ) -> None:
        self.server = server
        self.address = (host, port)
        self.prefix = prefix
        self.client: InspectingClientAsync | None = None
        self.sensors = SensorSet()
        self._watcher_options = {"strategy": strategy, "filter": filter}
        self._rewrite = rewrite_name
        self._wanted_requests = requests
        if request_prefix is None:
            request_prefix = _NOT_IN_REQUESTS.sub("-", prefix)
        self._request_prefix = request_prefix
        self._request_timeout = request_timeout
        self._requests: set[str] = set()
        self._client_options = client_options
        self._logger = logger
        self._watcher: SensorWatcher | None = None
        self._stopped = False
        self._begun = AsyncEvent()
        self._service: ServiceTask = server.add_service_task(
            self._run, name=f"mirror of {host}:{port}"
        )

    # -- for subclasses -----------------------------------------------------------------

    def make_client(self) -> InspectingClientAsync:
        """Return the client of the device, not started; called in the loop."""
        return InspectingClientAsync(*self.address, **self._client_options)

    def rewrite_name(self, name: str) -> str | Iterable[str]:
        """Return the name, or names, that a sensor of the device gets here."""
        return self.prefix + name if self._rewrite is None else self._rewrite(name)

    def wants_request(self, name: str) -> bool:
        """Tell whether a request of the device is to be offered."""
        if callable(self._wanted_requests):
            return bool(self._wanted_requests(name))
        return self._wanted_requests and name not in _OF_EVERY_DEVICE

    # -- life ---------------------------------------------------------------------------

    @property
    def synced(self) -> bool:
        """Whether what is shown is in step with the device."""
        return self._watcher is not None and self._watcher.synced

    async def until_synced(self, timeout: float | None = None) -> None:
        """Wait until the server runs and shows what the device has; in the server's loop.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s].

        Raises
        ------
        tornado.gen.TimeoutError
            If it takes longer.
        KatcpClientError
            If the server is stopped.
        """
        limit = future_timeout_manager(timeout)
        while self._watcher is None:
            await self._begun.until_set(limit.remaining())
        await self._watcher.until_synced(limit.remaining())

    def stop(self) -> None:
        """Mirror no more, and remove sensors and requests from the server; from any thread."""
        self._stopped = True
        self._service.cancel()
        if not self.server.running():
            self._clean_up()
        else:
            self.server.in_loop(self._clean_up_if_idle)

    def _clean_up_if_idle(self) -> None:
        if self._watcher is None:
            self._clean_up()

    async def _run(self) -> None:
        self._clean_up()  # what was left when the server was stopped
        self.client = client = self.make_client()
        self._watcher = _Watcher(self, client, **self._watcher_options)
        self._begun.set()
        try:
            client.connect()
            await client.until_stopped()
        finally:
            self._begun.clear()
            try:
                await client.stop()
            finally:
                self._watcher.close()
                self._watcher = self.client = None
                if self._stopped:
                    self._clean_up()

    def _clean_up(self) -> None:
        with self.server.sensors.batch():
            for sensor in self.sensors.values():
                self.sensors.discard(sensor)
                self.server.sensors.discard(sensor)
        for name in list(self._requests):
            self._remove_request(name)

    # -- requests -----------------------------------------------------------------------

    def requests_changed(self, added: Iterable[str], removed: Iterable[str]) -> None:
        """Offer other requests than before (called when the device has changed)."""
        client = self.client
        if client is None or not self._wanted_requests:
            return
        for name in removed:
            self._remove_request(name)
        for name in sorted(added):
            try:
                if self.wants_request(name):
                    self._add_request(*client.request_description(name))
            except Exception:
                self._logger.exception("Cannot offer request %r", name)

    def _add_request(self, name: str, description: str, hint: float | None) -> None:
        own_name = self._request_prefix + name
        timeout = max(self._request_timeout, hint or 0.0)

        @concurrent_reply
        @request_timeout_hint(hint)
        async def forward(req: Any, msg: Message) -> Message:
            return await self._forward(name, timeout, req, msg)

        forward.__doc__ = description or f"Request {name} of {self.address[0]}:{self.address[1]}."
        forward.__name__ = f"request_{own_name}"
        try:
            if name not in self._requests and self.server.has_request(own_name):
                raise ValueError(f"there is a request {own_name!r}")
            self.server.add_request(own_name, forward)
        except ValueError as error:
            self._logger.warning("Request %r of the device is left out: %s", name, error)
        else:
            self._requests.add(name)

    def _remove_request(self, name: str) -> None:
        if name in self._requests:
            self._requests.discard(name)
            self.server.remove_request(self._request_prefix + name)

    async def _forward(self, name: str, timeout: float, req: Any, msg: Message) -> Message:
        """Ask the device; pass on its informs as they come, and its reply."""
        client = self.client
        if client is None or not client.connected:
            reply: Message = req.make_reply("fail", f"{self.address[0]}:{self.address[1]} is gone.")
            return reply
        replied: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def pass_on(inform: Message) -> None:
            if not req.answered:
                req.inform(*inform.arguments)

        def take(reply: Message) -> None:
            if not replied.done():
                replied.set_result(reply)

        client.katcp_client.callback_request(
            Message.request(name, *msg.arguments), take, pass_on, timeout=timeout
        )
        answer: Message = req.make_reply(*(await replied).arguments)
        return answer


class _Watcher(SensorWatcher):
    """Puts copies of a device's sensors into the server of a mirror."""

    def __init__(self, mirror: SensorMirror, client: InspectingClientAsync, **options: Any) -> None:
        self._mirror = mirror
        super().__init__(client, sensors=mirror.server.sensors, **options)

    def rewrite_name(self, name: str) -> str | Iterable[str]:
        """Return what the mirror says."""
        return self._mirror.rewrite_name(name)

    def model_changed(self, changes: AttrDict) -> None:
        """Take note of requests too, so that all is announced together."""
        super().model_changed(changes)
        requests = changes.get("requests")
        if requests is not None:
            self._mirror.requests_changed(requests.added, requests.removed)

    def sensor_added(self, sensor: Any) -> None:
        """Take note of it."""
        self._mirror.sensors.add(sensor)

    def sensor_removed(self, sensor: Any) -> None:
        """Take note of it."""
        self._mirror.sensors.discard(sensor)
