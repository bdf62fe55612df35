"""A server that offers the sensors, and maybe the requests, of another device as its own."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable
from typing import Any

from katcp.aio import AsyncEvent, AttrDict, WaitTimeout, future_timeout_manager
from katcp.errors import KatcpClientDisconnected, KatcpClientError
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

#: So many of the sensors and requests that are left out are logged one by one after a change.
_LOGGED = 10


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
    name : str, optional
        What clients and the log are told the device is called; by default its address.
    logger : logging.Logger
    **client_options
        For `InspectingClientAsync`, such as `heartbeat` and `ssl_context`.

    Attributes
    ----------
    server : DeviceServer
    client : InspectingClientAsync or None
        Of the device, while the server runs.
    sensors : SensorSet
        The sensors shown.
    left_out : dict
        ``(kind, name)`` of what the device has and the server does not show though it is wanted,
        with the reason; the kind is ``sensor`` or ``request``.

    Examples
    --------
    ::

        server = Observatory("", 7147)
        for number in range(64):
            SensorMirror(server, f"dish{number}", 7147, f"dish{number}.", requests=True)
        server.start()
    """

    #: A client that asks is told to wait for so much longer than the device may take [s].
    hint_margin: float = 1.0

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
        name: str | None = None,
        logger: logging.Logger = log,
        **client_options: Any,
    ) -> None:
        self.server = server
        self.address = (host, port)
        self.prefix = prefix
        self.name = f"{host}:{port}" if name is None else name
        self.client: InspectingClientAsync | None = None
        self.sensors = SensorSet()
        self.left_out: dict[tuple[str, str], str] = {}
        self._watcher_options = {"strategy": strategy, "filter": filter}
        self._rewrite = rewrite_name
        self._wanted_requests = requests
        if request_prefix is None:
            request_prefix = _NOT_IN_REQUESTS.sub("-", prefix)
        self._request_prefix = request_prefix
        self._request_timeout = request_timeout
        # Request of the device -> what it is called here.
        self._requests: dict[str, list[str]] = {}
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

    def rewrite_request(self, name: str) -> str | Iterable[str]:
        """Return the name, or names, that a request of the device gets here."""
        return self._request_prefix + name

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
        self.left_out.clear()

    # -- requests -----------------------------------------------------------------------

    @property
    def requests(self) -> dict[str, list[str]]:
        """Requests of the device that are offered, with what they are called here."""
        return dict(self._requests)

    def model_changed(self, changes: AttrDict) -> None:
        """Take note of a change of the device, when its sensors have been dealt with."""
        requests = changes.get("requests")
        if requests is not None:
            self.requests_changed(requests.added, requests.removed)

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
        timeout = max(self._request_timeout, hint or 0.0)

        @concurrent_reply
        @request_timeout_hint(timeout + self.hint_margin)
        async def forward(req: Any, msg: Message) -> Message:
            return await self._forward(name, timeout, req, msg)

        forward.__doc__ = description or f"Request {name} of {self.name}."
        forward.__name__ = f"request_{name}"
        own_names = self.rewrite_request(name)
        offered = self._requests.setdefault(name, [])
        for own_name in [own_names] if isinstance(own_names, str) else own_names:
            try:
                if own_name not in offered and self.server.has_request(own_name):
                    raise ValueError(f"there is one called {own_name!r}")
                self.server.add_request(own_name, forward)
            except ValueError as error:
                self.leave_out("request", name, str(error))
            else:
                offered.append(own_name)
        if not offered:
            del self._requests[name]

    def _remove_request(self, name: str) -> None:
        self.left_out.pop(("request", name), None)
        for own_name in self._requests.pop(name, ()):
            self.server.remove_request(own_name)

    def leave_out(self, kind: str, name: str, reason: str) -> None:
        """Take note of what cannot be shown, and log it unless it is one of many."""
        if (kind, name) not in self.left_out:
            count = len(self.left_out)
            if count < _LOGGED:
                self._logger.warning("%s: %s %r is left out: %s", self.name, kind, name, reason)
            elif count == _LOGGED:
                self._logger.warning("%s: more of its sensors or requests are left out", self.name)
        self.left_out[kind, name] = reason

    async def _forward(self, name: str, timeout: float, req: Any, msg: Message) -> Message:
        """Ask the device; pass on its informs as they come, and its reply."""
        reply: Message
        client = self.client
        if client is None or not client.connected:
            reply = req.make_reply("fail", self.absence())
            return reply

        def pass_on(arguments: list[bytes]) -> None:
            if not req.answered:
                req.inform(*arguments)

        try:
            answer = await client.katcp_client.stream_request(
                Message.request(name, *msg.arguments), pass_on, timeout
            )
        except WaitTimeout:
            text = f"Request {name} timed out: {self.name} has not answered it in {timeout:g} s."
        except KatcpClientDisconnected:
            text = f"Lost the connection to {self.name} before it answered request {name}."
        except KatcpClientError as error:
            text = f"Request {name} to {self.name} failed: {error}"
        else:
            reply = req.make_reply(*answer)
            return reply
        reply = req.make_reply("fail", text)
        return reply

    def absence(self) -> str:
        """Return what a client is told whose request cannot be passed on."""
        return f"{self.name} is not connected."


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
        sensors = changes.get("sensors")
        for name in () if sensors is None or not self._mirror.left_out else sensors.removed:
            self._mirror.left_out.pop(("sensor", name), None)
        super().model_changed(changes)
        self._mirror.model_changed(changes)

    def left_out(self, name: str, reason: str) -> None:
        """Tell the mirror."""
        self._mirror.leave_out("sensor", name, reason)

    def sensor_added(self, sensor: Any) -> None:
        """Take note of it."""
        self._mirror.sensors.add(sensor)

    def sensor_removed(self, sensor: Any) -> None:
        """Take note of it."""
        self._mirror.sensors.discard(sensor)
