"""A device as an object: its requests to call, its sensors to read, kept in step with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import (
    AsyncCallbackEvent,
    AsyncState,
    AttrDict,
    done,
    failed,
    under_way,
)
from katcp.errors import KatcpClientError
from katcp.inspecting_client import InspectingClientAsync, InspectingClientStateType
from katcp.resource import escape_name
from katcp.resource_client._request import ReplyWrappedInspectingClientAsync, log
from katcp.resource_client._sampling import ResourceSampling
from katcp.resource_client._sensors import KATCPClientResourceSensorsManager

_STATES = ("disconnected", "syncing", "synced")


def _escaped(names: Any) -> set[str]:
    return {escape_name(name) for name in names or ()}


class KATCPClientResource(ResourceSampling):
    """A device, over a connection that is kept up.

    It can be made anywhere; from `start` on it is to be used in its loop only.

    Parameters
    ----------
    resource_spec : mapping
        With the keys

        - ``name``, ``address``: required; the address is (host, port);
        - ``description``: one sentence for people;
        - ``controlled``: whether requests are offered at all, by default not;
        - ``always_allowed_requests``: names of those that are offered also if not controlled;
        - ``always_excluded_requests``: names of those that are never offered;
        - ``auto_reconnect``, ``auto_reconnect_delay``: whether to go on connecting, by default
          yes, and how long to wait in between [s], by default 0.5;
        - ``dummy_unknown_requests``: let requests that are not offered succeed without doing
          anything;
        - ``preset_protocol_flags``: `ProtocolFlags` of the device, whatever it says itself;
        - ``ssl_context``, ``server_hostname``: an `ssl.SSLContext`, to talk over TLS, and whom
          the certificate of the device must be for, by default the host of the address.

        In the names of requests, ``-`` and ``_`` are the same.
    parent : KATCPResource, optional
        What it belongs to.
    logger : logging.Logger

    Examples
    --------
    ::

        resource = KATCPClientResource(
            {"name": "pump", "address": ("localhost", 7147), "controlled": True}
        )
        resource.start()
        yield resource.until_synced(timeout=5)
        reply, informs = yield resource.req.set_speed(17)
        yield resource.set_sampling_strategy("speed", "event")
        reached = yield resource.wait("speed", 17, timeout=10)
    """

    def __init__(
        self, resource_spec: Mapping[str, Any], parent: Any = None, logger: logging.Logger = log
    ) -> None:
        super().__init__(bool(resource_spec.get("dummy_unknown_requests", False)))
        self._address = resource_spec["address"]
        self._name: str = resource_spec["name"]
        self._description: str = resource_spec.get("description", "")
        self.always_allowed_requests = _escaped(resource_spec.get("always_allowed_requests"))
        self.always_excluded_requests = _escaped(resource_spec.get("always_excluded_requests"))
        self._controlled = bool(resource_spec.get("controlled", False))
        self.auto_reconnect = resource_spec.get("auto_reconnect", True)
        self.auto_reconnect_delay = resource_spec.get("auto_reconnect_delay", 0.5)
        self._dummy_unknown_requests = resource_spec.get("dummy_unknown_requests", False)
        self._preset_protocol_flags = resource_spec.get("preset_protocol_flags")
        self._tls = resource_spec.get("ssl_context"), resource_spec.get("server_hostname")
        self._logger = logger
        self._parent = parent
        self._ioloop_set_to: IOLoop | None = None
        self._state = AsyncState(_STATES, "disconnected")
        self._connected = AsyncCallbackEvent(self._update_state)
        self._sensors_synced = AsyncCallbackEvent(self._update_state)
        self._requests_synced = AsyncCallbackEvent(self._update_state)
        # Why it is no use to wait for anything any more, once stopped.
        self._over: KatcpClientError | None = None
        self._running = False

    def __repr__(self) -> str:
        module, name = type(self).__module__.split("._")[0], type(self).__name__
        return f"<{module}.{name}(name={self._name}) at {id(self):#x}>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def name(self) -> str:
        """Name of the resource."""
        return self._name

    @property
    def description(self) -> str:
        """One sentence for people."""
        return self._description

    @property
    def address(self) -> Any:
        """Address of the device: (host, port)."""
        return self._address

    @property
    def host(self) -> Any:
        """Host of the device."""
        return self._address[0]

    @property
    def port(self) -> Any:
        """Port of the device."""
        return self._address[1]

    @property
    def address_string(self) -> str:
        """Address of the device, as ``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def parent(self) -> Any:
        """What it belongs to, or None."""
        return self._parent

    @property
    def parent_name(self) -> str | None:
        """Name of what it belongs to, or None."""
        return None if self._parent is None else self._parent.name

    @property
    def children(self) -> AttrDict:
        """An empty dictionary: nothing belongs to a device."""
        return AttrDict()

    @property
    def controlled(self) -> bool:
        """Whether requests are offered."""
        return self._controlled

    @property
    def dummy_unknown_requests(self) -> bool:
        """Whether requests that are not offered succeed without doing anything."""
        return bool(self._dummy_unknown_requests)

    @property
    def versions(self) -> Any:
        """What the device has said of its versions, by name; see `DeviceClient.versions`.

        Raises
        ------
        RuntimeError
            Before `start`.
        """
        return self._client.katcp_client.versions

    @property
    def last_connect_time(self) -> float | None:
        """Loop time of the last connection, None before the first.

        Raises
        ------
        RuntimeError
            Before `start`.
        """
        last: float | None = self._client.katcp_client.last_connect_time
        return last

    @property
    def _client(self) -> Any:
        try:
            return self._inspecting_client
        except AttributeError:
            raise RuntimeError(
                f"Resource {self._name!r} has no client yet; call start() first"
            ) from None

    # -- life ---------------------------------------------------------------------------

    def set_ioloop(self, ioloop: IOLoop | None = None) -> None:
        """Run on `ioloop`, or, if None, on the loop that is current at `start`."""
        self._ioloop_set_to = ioloop
        self._wait_on(ioloop)

    def _wait_on(self, ioloop: IOLoop | None) -> None:
        for waited in (self._state, self._connected):
            waited.set_ioloop(ioloop)

    def _ioloop(self) -> IOLoop:
        """Return the loop to use where none is running."""
        return getattr(self, "ioloop", None) or self._ioloop_set_to or IOLoop.current()

    def inspecting_client_factory(
        self, host: str, port: int, ioloop_set_to: IOLoop | None
    ) -> InspectingClientAsync:
        """Return the client to be used; tests put another in its place."""
        return ReplyWrappedInspectingClientAsync(
            host, port, ioloop=ioloop_set_to, auto_reconnect=self.auto_reconnect
        )

    def start(self) -> None:
        """Start to connect, and to keep in step with the device; do not wait for anything.

        May be called in the loop, and in another thread. Starting what runs does nothing.
        """
        if self._running:
            return
        self._running = True
        self._over = None
        former = self._manager()
        client: Any = self.inspecting_client_factory(self.host, self.port, self._ioloop_set_to)
        self._inspecting_client = client
        self.ioloop: IOLoop = client.ioloop
        client.set_ioloop(self.ioloop)
        client.katcp_client.auto_reconnect_delay = self.auto_reconnect_delay
        if self._tls[0] is not None:
            client.katcp_client.use_tls(*self._tls)
        if self._preset_protocol_flags is not None:
            client.preset_protocol_flags(self._preset_protocol_flags)
        self._wait_on(self.ioloop)
        manager = KATCPClientResourceSensorsManager(client, self._name, logger=self._logger)
        if former is not None:
            self._inherit(former, manager)
        self._sensor_manager = manager
        #: Sets all remembered strategies again; returns a future.
        self.reapply_sampling_strategies = manager.reapply_sampling_strategies
        client.handle_sensor_value()
        client.sensor_factory = manager.sensor_factory
        client.request_factory = self._request_factory
        client.on_state = self._on_client_state
        client.set_state_callback(self._inspecting_client_state_callback)
        self._in_loop(self._connect)

    def _inherit(
        self,
        former: KATCPClientResourceSensorsManager,
        manager: KATCPClientResourceSensorsManager,
    ) -> None:
        """Begin anew, with the strategies and the listeners of the time before `stop`."""
        for name, params in former.strategies.items():
            manager.remember(name, params)
        self._drop_sensors(list(self._sensor))
        self._req.clear()
        self._sensors_due.clear()
        self._requests_due.clear()

    def _connect(self) -> None:
        client = self._inspecting_client
        client.connect()
        client.until_stopped().add_done_callback(lambda _: self._ended(client))

    def _in_loop(self, function: Callable[[], object]) -> None:
        """Call a function at once if this is the loop, otherwise have the loop call it."""
        try:
            running: object = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not None and running is getattr(self.ioloop, "asyncio_loop", None):
            function()
        else:
            self.ioloop.add_callback(function)

    def stop(self) -> None:
        """Disconnect and end; whoever waits for something gets a `KatcpClientError`.

        May be called in the loop, and in another thread. Sensors and requests stay as they are.
        Stopping what does not run does nothing.
        """
        if not self._running:
            return
        client = self._inspecting_client

        def stop() -> None:
            # What it still says is not about the client of the next start.
            client.on_state = None
            client.set_state_callback(None)
            client.stop()
            self._ended(client)

        self._running = False
        self._in_loop(stop)

    def _ended(self, client: Any) -> None:
        """End all waits: the client was stopped, or has given up."""
        if client is not self._inspecting_client or self._over is not None:
            return
        self._set_flags(False)
        self._over = error = KatcpClientError(f"Resource {self._name!r} was stopped")
        self._state.fail(error)
        self._connected.fail(error)
        for sensor in dict.values(self._sensor):
            sensor.end_waits(error)

    def until_stopped(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the client has stopped; at once before `start`.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        client = getattr(self, "_inspecting_client", None)
        if client is None:
            return done(True, self._ioloop())
        future: asyncio.Future[Any] = client.until_stopped(timeout)
        return future

    # -- state --------------------------------------------------------------------------

    @property
    def state(self) -> str:
        """``"disconnected"``, ``"syncing"`` or ``"synced"``.

        It is syncing from the connection until requests, sensors and sampling strategies are in
        place, and again when the device says that it has changed.
        """
        state: str = self._state.state
        return state

    @property
    def synced(self) -> bool:
        """Whether requests, sensors and sampling strategies are in place."""
        return self.state == "synced"

    def is_connected(self) -> bool:
        """Tell whether there is a connection to the device."""
        return self._connected.is_set()

    def until_state(self, state: str, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done in a state, already if this is it.

        Parameters
        ----------
        state : str
            See `state`.
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

        Raises
        ------
        ValueError
            If there is no such state.
        KatcpClientError
            From the future, if the resource is stopped.
        """
        return self._until((state,), timeout)

    def until_synced(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the resource is synced; see `until_state`."""
        return self._until(("synced",), timeout)

    def until_not_synced(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the resource is not synced; see `until_state`."""
        return self._until(("disconnected", "syncing"), timeout)

    def _until(self, states: tuple[str, ...], timeout: float | None) -> asyncio.Future[Any]:
        if self._over is not None and self.state not in states:
            return failed(self._over, self.ioloop)
        return self._state.until_state_in(*states, timeout=timeout)

    def wait_connected(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when there is a connection; see `until_state`."""
        if self._over is not None:
            return failed(self._over, self.ioloop)
        return self._connected.until_set(timeout)

    def _update_state(self, _flag: Any = None) -> None:
        """Find out which state it is from what is connected and synced."""
        if not self._connected.is_set():
            state = "disconnected"
        elif self._sensors_synced.is_set() and self._requests_synced.is_set():
            state = "synced"
        else:
            state = "syncing"
        if state != self._state.state:
            self._state.set_state(state)

    def _set_flags(self, connected: bool, synced: bool = False) -> None:
        if connected:
            self._lost.clear()
            self._connected.set()
        else:
            self._connected.clear()
            self._lost.set()
        for flag in (self._requests_synced, self._sensors_synced):
            if synced:
                flag.set()
            else:
                flag.clear()

    # -- keeping in step ----------------------------------------------------------------

    def _on_client_state(self, state: InspectingClientStateType) -> None:
        """Follow a state of the client as soon as it is entered.

        That a resource is synced is another matter: it is so when this has been announced.
        """
        if not state.synced:
            self._set_flags(state.connected)

    def _inspecting_client_state_callback(
        self, state: InspectingClientStateType, model_changes: Any
    ) -> asyncio.Future[None] | None:
        """Act on a state that the client announces."""
        if state.data_synced and not state.synced:
            return under_way(self._sync(model_changes), self.ioloop)
        self._set_flags(state.connected, state.synced)
        return None

    async def _sync(self, model_changes: Any) -> None:
        await self._update_model(model_changes)
        await self.reapply_sampling_strategies()
