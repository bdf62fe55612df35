"""Keeping a model of a device in step with it, and telling how far that has come.

Three things happen at any moment, and each of them moves the state at once: the connection is
made, or lost, and the device says that it has changed. One loop does the rest, and looks after
each wait whether the ground still holds: whether the connection is the one it began with.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeVar

from tornado.ioloop import IOLoop

from katcp.aio import (
    AsyncEvent,
    AsyncState,
    AttrDict,
    ExponentialRandomBackoff,
    WaitTimeout,
    call_guarded,
    failed,
    finish_guarded,
    future_timeout_manager,
    now,
    until_any,
)
from katcp.errors import KatcpClientError, SyncError
from katcp.inspecting_client._agenda import EVERYTHING, Agenda, Plan, RateLimit
from katcp.inspecting_client._feeds import ChangeFeed, Feeds
from katcp.inspecting_client._hooks import _InformHookDeviceClient
from katcp.inspecting_client._inspection import Answer, Dialogue, inspect
from katcp.inspecting_client._model import Findings, Model, merged, model_changes
from katcp.inspecting_client._states import (
    CHANGED,
    CONNECTED,
    DISCONNECTED,
    SYNCED,
    UNCHANGED,
    VALID_STATES,
    InspectingClientStateType,
    check_step,
)
from katcp.protocol import Message

ic_logger = logging.getLogger("katcp.inspect_client")

#: A state callback that is still busy when the client is stopped gets this much time to end [s].
_LAST_CALL = 1.0

StateCallback = Callable[[InspectingClientStateType, Any], object]
_T = TypeVar("_T")


class _Stopped(Exception):
    """The client is being stopped: leave the loop, wherever it is."""


class ModelKeeper:
    """The model of a device, the state it is in, and the loop that keeps both true."""

    #: Longest time that one whole inspection may take [s].
    sync_timeout: float = 20
    #: Wait after a failed inspection, at first and at most; see `ExponentialRandomBackoff` [s].
    initial_resync_timeout: float = 5
    max_resync_timeout: float = 90
    #: Inspections per second, in the long run, of a device that announces changes all the time;
    #: the first five come at once, and those of single names may come ten times as often.
    max_resync_rate: float = 1.0

    _ioloop: IOLoop | None

    def __init__(
        self,
        katcp_client: _InformHookDeviceClient,
        initial_inspection: bool | None,
        logger: logging.Logger,
    ) -> None:
        self._logger = logger
        #: The client below.
        self.katcp_client = katcp_client
        #: Whether to inspect the device on the next connection; True once that was skipped.
        self.initial_inspection = True if initial_inspection is None else initial_inspection
        #: Wait before the next attempt after a failed inspection; None before connecting.
        self.resync_delay: ExponentialRandomBackoff | None = None
        #: What was not as it should be in the last whole inspection, a line for each thing.
        self.sync_problems: tuple[str, ...] = ()
        self._model = Model()
        self._agenda = Agenda()
        self._rate = RateLimit()
        self._not_before = 0.0
        # Changes of the model that the user has not been told of.
        self._unannounced: AttrDict | None = None
        # Whether the user has been told of all that there was at some time.
        self._inspected = False
        self._state = AsyncState(VALID_STATES, DISCONNECTED)
        # Why nobody need wait for a state any more; None before the client is stopped.
        self._over: KatcpClientError | None = None
        self._callback: StateCallback | None = None
        #: Called with each state as soon as it is entered, before anybody is told; plain function.
        self.on_state: Callable[[InspectingClientStateType], object] | None = None
        self._change_feeds: Feeds[ChangeFeed] = Feeds()
        self._connected = AsyncEvent()
        self._disconnected = AsyncEvent()
        self._disconnected.set()
        self._interface_changed = AsyncEvent()
        self._stopping = AsyncEvent()
        # Number of the connection.
        self._session = 0
        katcp_client.notify_connected = self._on_connection  # type: ignore[method-assign]
        katcp_client.on_protocol = self._on_protocol
        katcp_client.hook_wire_inform("interface-changed", self._on_interface_changed)
        katcp_client.hook_wire_inform("device-changed", self._on_device_changed)

    @property
    def state(self) -> InspectingClientStateType:
        """The present state."""
        state: InspectingClientStateType = self._state.state
        return state

    def _until(
        self, states: Iterable[InspectingClientStateType], timeout: float | None = None
    ) -> asyncio.Future[Any]:
        """Return a future that is done in one of some states, and fails if that cannot be."""
        wanted = tuple(states)
        if self.state in wanted or self._over is None:
            return self._state.until_state_in(*wanted, timeout=timeout)
        return failed(self._over, self._ioloop)

    # -- what moves the state at once ---------------------------------------------------

    def _enter(self, state: InspectingClientStateType) -> None:
        check_step(self._state.state, state)
        self._state.set_state(state)
        if self.on_state is not None:
            self.on_state(state)

    def _on_connection(self, connected: bool) -> None:
        if connected:
            self._session += 1
            self._disconnected.clear()
            self._connected.set()
        else:
            self._connected.clear()
            self._disconnected.set()
            self._enter(DISCONNECTED)
            self._connection_lost()

    def _on_protocol(self, revised: bool) -> None:
        if revised:
            # What has been inspected so far was understood by the rules of another version.
            self._out_of_step(())

    def _on_interface_changed(self, arguments: list[bytes]) -> None:
        self._out_of_step(arguments)

    def _on_device_changed(self, arguments: list[bytes]) -> None:
        self._logger.warning("#device-changed is deprecated; taken for #interface-changed")
        self._out_of_step(arguments)

    def _out_of_step(self, arguments: list[bytes] | tuple[()]) -> None:
        """Take note that the device has changed: not synced from this moment on."""
        self._agenda.note(arguments)
        if self._state.state == SYNCED:
            self._enter(CONNECTED)
        self._interface_changed.set()

    # -- for the class that this is part of ---------------------------------------------

    def _connection_lost(self) -> None:
        """Act on the loss of the connection."""

    def _objects_changed(self, changes: AttrDict) -> None:
        """Act on a change of the model."""

    async def _catch_up(self) -> None:
        """Do what is left of that, if it takes long."""

    async def _model_is_current(self) -> None:
        """Act on a model that is up to date, before the client counts as synced."""

    # -- the loop -----------------------------------------------------------------------

    def _prepare(self) -> None:
        self.resync_delay = ExponentialRandomBackoff(
            self.initial_resync_timeout, max(self.initial_resync_timeout, self.max_resync_timeout)
        )
        self._rate = RateLimit(self.max_resync_rate)
        self._not_before = 0.0
        self._agenda.clear()
        self._interface_changed.clear()
        self._stopping.clear()
        self._change_feeds.begin()

    async def _state_loop(self) -> None:
        try:
            while True:
                await self._announce(DISCONNECTED)
                await self._wait(self._connected)
                session = self._session
                if not self._still(session):
                    continue
                await self._announce(CONNECTED)
                await self._wait(self.katcp_client.until_protocol(), self._disconnected)
                if self._still(session):
                    await self._keep_in_step(session)
        except _Stopped:
            pass

    def _still(self, session: int) -> bool:
        """Tell whether the connection is still the same."""
        return self._session == session and self._connected.is_set()

    async def _keep_in_step(self, session: int) -> None:
        """Inspect, announce, wait for a change, and so on, until the connection is lost."""
        if self.initial_inspection:
            self._agenda.add(EVERYTHING)
        self.initial_inspection = True
        while self._still(session):
            if self._agenda:
                await self._inspect_once(session)
                if not self._still(session):
                    return
            if not self._agenda:
                if self.resync_delay is not None:
                    self.resync_delay.success()
                await self._announce(SYNCED)
                # The callback may have taken its time: the connection may be another by now.
                if not self._agenda and self._still(session):
                    await self._wait(self._interface_changed, self._disconnected)
                if not self._still(session):
                    return
            # Either the device has changed, perhaps while it was being inspected, or inspecting
            # it has failed: it is to be done again.
            await self._announce(CONNECTED)

    async def _inspect_once(self, session: int) -> None:
        """Do what is on the agenda, and announce what has come of it."""
        await self._pause()
        if not self._still(session):
            return
        plan = self._agenda.take()
        self._interface_changed.clear()
        begun = now()
        problems: list[str] = []
        try:
            dialogue = inspect(plan, self._has_hints(), problems)
            findings = await self._converse(dialogue, self.sync_timeout)
            self._unannounced = merged(self._unannounced, self._adopt(findings))
            await self._catch_up()
        except Exception as error:
            self._agenda.put_back(plan)
            self._inspection_failed(error)
            return
        self._inspected = self._inspected or plan == EVERYTHING
        self._rate.spend(now(), now() - begun, plan.cost)
        self._report(plan, problems)
        if not self._still(session):
            return  # the changes are announced on the next connection
        changes, self._unannounced = self._unannounced, None
        await self._announce(UNCHANGED if changes is None else CHANGED, changes)
        if self._still(session):
            await self._model_is_current()

    async def _pause(self) -> None:
        """Wait as long as a failure, or too many inspections, demand."""
        delay = max(self._not_before - now(), self._rate.wait(now(), self._agenda.plan().cost))
        if delay > 0:
            await self._wait(self._disconnected, timeout=delay)

    def _inspection_failed(self, error: Exception) -> None:
        if self._stopping.is_set():
            return
        assert self.resync_delay is not None
        self._not_before = now() + self.resync_delay.delay
        if isinstance(error, SyncError):
            self._logger.warning("%s; trying again in %.1f s", error, self.resync_delay.delay)
        else:
            self._logger.error("Inspecting the device failed", exc_info=error)
            self.katcp_client.disconnect()
        self.resync_delay.failed()

    def _report(self, plan: Plan, problems: list[str]) -> None:
        news = [problem for problem in problems if problem not in self.sync_problems]
        if plan == EVERYTHING:
            self.sync_problems = tuple(problems)
        for problem in news:
            self._logger.warning("Device %s: %s", self.katcp_client.bind_address_string, problem)

    async def _wait(
        self, *what: AsyncEvent | asyncio.Future[Any], timeout: float | None = None
    ) -> None:
        """Wait for the first of some things.

        Raises
        ------
        _Stopped
            If the client is stopped.
        """
        futures = [w.until_set() if isinstance(w, AsyncEvent) else w for w in what]
        futures.append(self._stopping.until_set())
        try:
            await until_any(*futures, timeout=timeout)
        except WaitTimeout:
            pass
        except KatcpClientError:
            raise _Stopped from None  # the client below was stopped, or has given up
        finally:
            for future in futures:
                future.cancel()
        if self._stopping.is_set():
            raise _Stopped

    # -- asking -------------------------------------------------------------------------

    def _has_hints(self) -> bool:
        flags = self.katcp_client.protocol_flags
        return flags is not None and flags.request_timeout_hints

    async def _converse(self, dialogue: Dialogue[_T], timeout: float | None) -> _T:
        """Hold a dialogue with the device; `timeout` is for the whole of it [s].

        Raises
        ------
        SyncError
            If an answer does not come, or is a refusal.
        """
        limit = future_timeout_manager(timeout)
        answers: list[Answer] | None = None
        while True:
            try:
                questions = next(dialogue) if answers is None else dialogue.send(answers)
            except StopIteration as end:
                result: _T = end.value
                return result
            futures = []
            for request, argument in questions:
                arguments = () if argument is None else (argument,)
                message = Message.request(request, *arguments)
                futures.append(self.katcp_client.raw_request(message, limit.remaining()))
            try:
                answers = [await future for future in futures]
            except (WaitTimeout, KatcpClientError) as error:
                raise SyncError(f"Cannot inspect the device: {error}") from error
            finally:
                for future in futures:
                    future.add_done_callback(_look)

    def _adopt(self, findings: Findings) -> AttrDict | None:
        """Put what was found into the model; return what has changed."""
        old = self._model
        self._model = new = old.updated(findings)
        changes = model_changes(old, new, findings)
        if changes is not None:
            self._objects_changed(changes)
        return changes

    # -- telling ------------------------------------------------------------------------

    async def _announce(self, state: InspectingClientStateType, changes: Any = None) -> None:
        """Enter a state and tell the user, who is waited for.

        Raises
        ------
        _Stopped
            If the client is stopped.
        """
        if self._stopping.is_set():
            raise _Stopped
        self._enter(state)
        await self._tell(state, changes)
        if self._stopping.is_set():
            raise _Stopped

    async def _tell(self, state: InspectingClientStateType, changes: Any) -> None:
        self._change_feeds.each(lambda feed: feed.put((state, changes)))
        if self._callback is not None:
            awaitable = call_guarded(
                self._logger, "The state callback", self._callback, state, changes
            )
            if awaitable is not None:
                await self._until_dealt_with(awaitable)
        # One turn for those who wait for just this state.
        await asyncio.sleep(0)

    async def _until_dealt_with(self, awaitable: Awaitable[Any]) -> None:
        task = asyncio.ensure_future(finish_guarded(self._logger, "The state callback", awaitable))
        stopping = self._stopping.until_set() if not self._stopping.is_set() else None
        if stopping is not None:
            await asyncio.wait([task, stopping], return_when=asyncio.FIRST_COMPLETED)
            stopping.cancel()
        if not task.done():
            # It may be the callback that stops the client: it is allowed to end, in a while.
            await asyncio.wait([task], timeout=_LAST_CALL)
            task.cancel()
            await asyncio.wait([task])


def _look(future: asyncio.Future[Any]) -> None:
    if not future.cancelled():
        future.exception()
