"""`InspectingClientAsync`: the client that knows what its device offers."""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import Any

from tornado.ioloop import IOLoop

from katcp.aio import AsyncEvent, WaitTimeout, failed, loop_of, under_way
from katcp.errors import KatcpClientError
from katcp.inspecting_client._feeds import ChangeFeed
from katcp.inspecting_client._hooks import _InformHookDeviceClient
from katcp.inspecting_client._keeper import StateCallback, ic_logger
from katcp.inspecting_client._semi_public import SemiPublic
from katcp.inspecting_client._states import (
    DATA_SYNCED,
    DISCONNECTED,
    NOT_SYNCED,
    SYNCED,
    VALID_STATES,
    InspectingClientStateType,
)
from katcp.protocol import Message, ProtocolFlags


class InspectingClientAsync(SemiPublic):
    """A client that learns what its device offers, and keeps knowing it.

    It connects, and connects again; asks what requests and sensors there are, and asks again
    when the device says that this has changed; tells its user what was added and removed; and
    sets sampling strategies again that were lost. To be used in its loop only.

    Parameters
    ----------
    host : str
        Name or address of the device.
    port : int
    ioloop : tornado.ioloop.IOLoop, optional
        Loop to run on; the one that is current when connecting, if not given.
    initial_inspection : bool, optional
        Whether to inspect the device on connecting; by default yes. If not, sensors and
        requests are looked up when they are asked for.
    auto_reconnect : bool
        Whether to go on connecting when the connection is lost or cannot be made.
    logger : logging.Logger
    heartbeat : float, optional
        A device that was silent for this long is asked for a sign of life, and disconnected
        if it stays silent for as long again [s]; None for never.
    timeout : float, optional
        How long ``async with`` waits for the device to be synced [s]; None for ever.
    ssl_context : ssl.SSLContext, optional
        Talk to the device over TLS, as this says; None: without.
    server_hostname : str, optional
        Name or address that the certificate of the device must be for; by default `host`.

    Attributes
    ----------
    sync_problems : tuple of str
        What was not as it should be in the device's answers in the last whole inspection, a line
        for each thing: sensors without a name or type, or listed twice, and so on. They are
        logged, too. What was listed well is in the model nevertheless.
    max_resync_rate : float
        Inspections per second, in the long run, of a device that announces changes all the time.

    Examples
    --------
    ::

        async with InspectingClientAsync("localhost", 7147, timeout=5) as client:
            client.set_sampling("pump.speed", "event")
            async for sensor, reading in client.readings("pump.speed"):
                print(sensor.name, reading.value, sensor.units)
    """

    def __init__(
        self,
        host: str,
        port: int,
        ioloop: IOLoop | None = None,
        initial_inspection: bool | None = None,
        auto_reconnect: bool = True,
        logger: logging.Logger = ic_logger,
        *,
        heartbeat: float | None = 10.0,
        timeout: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        # What a factory put in its place may want to know.
        self._logger = logger
        self._ioloop = ioloop
        client = self.inform_hook_client_factory(
            host, port, auto_reconnect=auto_reconnect, logger=logger
        )
        client.heartbeat = heartbeat
        if ssl_context is not None:
            client.use_tls(ssl_context, server_hostname)
        super().__init__(client, initial_inspection, logger)
        self._enter_timeout = timeout
        self._running = False
        self._may_wait_again = False
        self._loop_task: asyncio.Task[None] | None = None
        self._stopped = AsyncEvent()
        self._stopped.set()

    def inform_hook_client_factory(
        self, host: str, port: int, *args: Any, **kwargs: Any
    ) -> _InformHookDeviceClient:
        """Return the client below; tests put another in its place."""
        return _InformHookDeviceClient(host, port, *args, **kwargs)

    # -- life ---------------------------------------------------------------------------

    @property
    def ioloop(self) -> IOLoop | None:
        """The loop that was given; before connecting, without one, the current one, if any."""
        if self._ioloop is not None:
            return self._ioloop
        try:
            loop_of()
        except RuntimeError:
            return None
        return IOLoop.current()

    @ioloop.setter
    def ioloop(self, ioloop: IOLoop | None) -> None:
        self._ioloop = ioloop

    def set_ioloop(self, ioloop: IOLoop | None) -> None:
        """Run on `ioloop`, or, if None, on the loop that is current when connecting.

        Raises
        ------
        RuntimeError
            While the client runs.
        """
        if self._running:
            raise RuntimeError("The loop cannot be changed while the client runs.")
        self._ioloop = ioloop

    def preset_protocol_flags(self, protocol_flags: ProtocolFlags) -> None:
        """Say what the device speaks, whatever it says itself."""
        self.katcp_client.preset_protocol_flags(protocol_flags)

    def connect(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Start to connect, and to keep in step with the device until `stop`.

        Parameters
        ----------
        timeout : float, optional
            Wait until there is a TCP connection, this long at most [s]; do not wait if None.

        Returns
        -------
        Future
            Of None. If it runs out of time it fails with `tornado.gen.TimeoutError`; the
            client then goes on trying, and `connect` may be called again to wait again.

        Raises
        ------
        RuntimeError
            If the client runs already.
        """
        if self._running:
            if not self._may_wait_again:
                raise RuntimeError("The client is started already; stop() it first.")
        else:
            self._start()
        return under_way(self._until_tcp(timeout), self._ioloop)

    def start(self, timeout: float | None = None) -> asyncio.Future[None]:
        """Do the same as `connect`."""
        return self.connect(timeout)

    def _start(self) -> None:
        if not self._stopped.is_set():
            raise RuntimeError("The client has not stopped yet; see until_stopped().")
        if self._ioloop is None:
            self._ioloop = IOLoop.current()
        self._state.set_ioloop(self._ioloop)
        self._stopped.set_ioloop(self._ioloop)
        self._prepare()
        self.katcp_client.set_ioloop(self._ioloop)
        self._over = None
        self._running = True
        self._stopped.clear()
        self._reading_feeds.begin()
        self.katcp_client.start()
        self._loop_task = under_way(self._state_loop(), self._ioloop)
        self._loop_task.add_done_callback(self._loop_ended)
        self.katcp_client.until_stopped().add_done_callback(self._client_ended)

    async def _until_tcp(self, timeout: float | None) -> None:
        if timeout is None:
            return
        self._may_wait_again = False
        try:
            await self.katcp_client.until_connected(timeout)
        except WaitTimeout:
            self._may_wait_again = True
            raise

    def _loop_ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._logger.error("The state loop failed", exc_info=error)
        self._end("stopped")

    def _client_ended(self, future: asyncio.Future[Any]) -> None:
        self._end("given up: the connection is gone and is not to be made again")

    def stop(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Disconnect and end; whoever waits in an ``until_*`` method gets a `KatcpClientError`.

        Stopping a client that does not run does nothing.

        Returns
        -------
        Future
            That of `until_stopped`.
        """
        self._end("stopped")
        return self.until_stopped(timeout)

    def close(self) -> asyncio.Future[Any]:
        """Do the same as `stop`."""
        return self.stop()

    def _end(self, how: str) -> None:
        if not self._running:
            return
        self._running = False
        self._may_wait_again = False
        address = self.katcp_client.bind_address_string
        self._over = KatcpClientError(f"Inspecting client of {address} was {how}")
        self._stopping.set()
        if self._state.state != DISCONNECTED:
            self._enter(DISCONNECTED)
        self._state.fail(self._over)
        if self.katcp_client.running():
            self.katcp_client.stop()
        under_way(self._finish(), self._ioloop)

    async def _finish(self) -> None:
        """Say a last time that the connection is gone, when it is."""
        if self._loop_task is not None:
            await asyncio.wait([self._loop_task])
        await self.katcp_client.until_stopped()
        self._end_marking()
        await self._tell(DISCONNECTED, None)
        self._change_feeds.end()
        self._reading_feeds.end()
        self._loop_task = None
        self._stopped.set()

    def until_stopped(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the client has stopped.

        At once if it does not run.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.
        """
        return self._stopped.until_set(timeout)

    def join(self, timeout: float | None = None) -> None:
        """Return at once: the client runs in a loop that is not its own."""
        self.katcp_client.join(timeout)

    async def __aenter__(self) -> InspectingClientAsync:
        try:
            if not self._running:
                self.connect()
            await self.until_synced(self._enter_timeout)
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    # -- state --------------------------------------------------------------------------

    @property
    def valid_states(self) -> frozenset[InspectingClientStateType]:
        """The five states there are."""
        return VALID_STATES

    def running(self) -> bool:
        """Tell whether the client has been started and not stopped."""
        return self._running

    @property
    def connected(self) -> bool:
        """Whether there is a TCP connection to the device."""
        return self._connected.is_set()

    def is_connected(self) -> bool:
        """Tell whether there is a TCP connection to the device."""
        return self._connected.is_set()

    @property
    def synced(self) -> bool:
        """Whether model and user are in step with the device."""
        return bool(self.state.synced)

    @property
    def bind_address(self) -> tuple[str, int]:
        """Address of the device."""
        return self.katcp_client.bind_address

    @property
    def bind_address_string(self) -> str:
        """Address of the device, as ``host:port``."""
        return self.katcp_client.bind_address_string

    def set_state_callback(self, cb: StateCallback | None) -> None:
        """Have ``cb(state, model_changes)`` called at every change of state.

        Parameters
        ----------
        cb : callable
            Plain function, function that returns a future, or coroutine function; it is waited
            for before the next state. What it raises is logged. `model_changes` is None, or an
            ``AttrDict`` with `requests` and `sensors`, where these have changed; each has the
            sets of names `added` and `removed`, and what was modified is in both.
        """
        self._callback = cb

    def changes(self, limit: int = 1000) -> ChangeFeed:
        """Return an asynchronous iterator of ``(state, model_changes)``, from now on.

        Parameters
        ----------
        limit : int
            If the reader falls behind by more states than this, the oldest are put into one,
            with the changes of all of them.
        """
        return self._change_feeds.add(ChangeFeed(limit))

    def until_state(
        self, desired_state: InspectingClientStateType, timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Return a future that is done when the client is in that state; see `until_synced`.

        Raises
        ------
        ValueError
            If it is not one of the five states.
        """
        if desired_state not in VALID_STATES:
            raise ValueError(f"{desired_state!r} is not a state of an inspecting client.")
        return self._until([desired_state], timeout)

    def until_synced(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when model and user are in step with the device.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; `tornado.gen.TimeoutError` after that. None: for ever.

        Raises
        ------
        KatcpClientError
            From the future, if the client is stopped.
        """
        return self._until([SYNCED], timeout)

    def until_not_synced(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when they are not; see `until_synced`."""
        return self._until(NOT_SYNCED, timeout)

    def until_data_synced(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when the model is up to date; see `until_synced`."""
        return self._until(DATA_SYNCED, timeout)

    def until_connected(self, timeout: float | None = None) -> asyncio.Future[Any]:
        """Return a future that is done when it is known what the device speaks.

        That is when requests can be made; `connected` may be true before. See `until_synced`.
        """
        if self._over is not None:
            return failed(self._over, self._ioloop)
        return self.katcp_client.until_protocol(timeout)

    # -- requests -----------------------------------------------------------------------

    def simple_request(
        self,
        request: str,
        *args: object,
        timeout: float | None = None,
        mid: Any = None,
        use_mid: bool | None = None,
    ) -> asyncio.Future[tuple[Message, list[Message]]]:
        """Send a request; return a future of ``(reply, informs)``.

        Parameters
        ----------
        request : str
            Its name.
        *args : object
            Its arguments.
        timeout : float, optional
            Time limit [s]. If not given it is 5 s, or more where the device has given a hint.
        mid : int, optional
            Message id to use.
        use_mid : bool, optional
            Whether to use an id; by default if the device supports them.

        Raises
        ------
        KatcpSyntaxError
            For a bad name, at once.

        Examples
        --------
        ``reply, informs = await client.simple_request("help", "sensor-list")``
        """
        message = Message.request(request, *args, mid=mid)
        if timeout is None:
            timeout = self._hinted_timeout(request)
        return self.katcp_client.future_request(message, timeout, use_mid)

    def _hinted_timeout(self, request: str) -> float | None:
        info = self._model.requests.get(request)
        default = self.katcp_client.request_timeout
        if info is None or info[1] is None or default is None:
            return None
        return max(default, float(info[1]))
