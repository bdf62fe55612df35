"""The sensors of an inspected device: their objects, their readings, their sampling."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any, Protocol, overload

from katcp.aio import AttrDict, WaitTimeout, call_guarded, done, finish_guarded, under_way
from katcp.client import arguments_in
from katcp.compat import ensure_native_str
from katcp.errors import KatcpClientDisconnected, KatcpClientError, SyncError
from katcp.inspecting_client._feeds import Feeds, ReadingFeed
from katcp.inspecting_client._hooks import _InformHookDeviceClient
from katcp.inspecting_client._keeper import ModelKeeper
from katcp.inspecting_client._model import sensor_arguments
from katcp.inspecting_client._sampling import (
    Parameter,
    SamplingWishes,
    SetSampling,
    Wish,
    make_wish,
    set_requests,
)
from katcp.inspecting_client._sensors import (
    ReadingArguments,
    SensorBook,
    reading_of,
    readings_in,
)
from katcp.protocol import Message
from katcp.sensors import Sensor

#: So many requests for sampling are under way at a time.
_AT_A_TIME = 200

#: Sensor -> what the device replied; None if the wish is kept for later.
Replies = dict[str, Message | None]


class Follower(Protocol):
    """What is kept in step with the sensors of a client, as `SensorWatcher` is."""

    def model_changed(self, changes: AttrDict) -> None:
        """Take note of a change of the model, before the client sets sampling strategies."""

    @property
    def behind(self) -> bool:
        """Whether something of that is left to be done."""

    async def catch_up(self) -> None:
        """Do it, and let others have their turns."""

    def batch(self) -> AbstractContextManager[Any]:
        """Return a context in which many readings change together."""


class SensorKeeper(ModelKeeper):
    """A model keeper that has the sensors of its device as objects."""

    #: Makes sensor objects; called with the keywords name, sensor_type, description, units and
    #: params. To be set before connecting.
    sensor_factory: Callable[..., Any] = Sensor
    #: Whether readings are marked `unreachable` when the connection is lost.
    marks_unreachable: bool = True

    def __init__(
        self,
        katcp_client: _InformHookDeviceClient,
        initial_inspection: bool | None,
        logger: logging.Logger,
    ) -> None:
        super().__init__(katcp_client, initial_inspection, logger)
        self._sensors = SensorBook(logger, self._sensor_updated)
        self._wishes = SamplingWishes()
        self._reading_feeds: Feeds[ReadingFeed] = Feeds()
        self._followers: tuple[Follower, ...] = ()
        # What is left to be marked unreachable.
        self._marking: Iterator[None] | None = None
        katcp_client.hook_wire_inform("sensor-status", self._on_readings, self._on_run)

    def _on_protocol(self, revised: bool) -> None:
        super()._on_protocol(revised)
        flags = self.katcp_client.protocol_flags
        self._sensors.major = 5 if flags is None or flags.major >= 5 else 4

    def _sensor(self, name: str) -> Any:
        sensor = self._sensors.get(name)
        if sensor is not None:
            return sensor
        return self._sensors.make(name, self._model.sensors[name], self.sensor_factory)

    async def _is_there(self, name: str) -> bool:
        """Tell whether the device has a sensor; ask it if need be."""
        raise NotImplementedError

    # -- readings -----------------------------------------------------------------------

    def handle_sensor_value(self) -> None:
        """Handle ``#sensor-value`` informs, too, as ``#sensor-status`` informs are."""
        self.katcp_client.hook_wire_inform("sensor-value", self._on_readings, self._on_run)

    def _on_run(self, tails: list[bytes]) -> None:
        """Take many readings, as they came (see `katcp.client.arguments_in`)."""
        if self._update_is_overridden() or not self._sensors.take_run(
            tails, self._object_for, self._reading_feeds.read
        ):
            for tail in tails:
                self._on_readings(list(arguments_in(tail)))

    def _update_is_overridden(self) -> bool:
        return (
            type(self).update_sensor is not SensorKeeper.update_sensor
            or "update_sensor" in self.__dict__
        )

    def _on_readings(self, arguments: list[bytes]) -> None:
        update: Callable[[str, bytes, bytes, bytes], None] = self._update_sensor
        if self._update_is_overridden():
            update = self._call_update_sensor
        if len(arguments) == 5 and arguments[1] == b"1":  # nearly all are like this
            readings: Iterable[ReadingArguments] = (
                (arguments[2], arguments[0], arguments[3], arguments[4]),
            )
        else:
            self._check_readings(arguments)
            readings = readings_in(arguments)
        for name, timestamp, status, value in readings:
            try:
                text = name.decode("utf-8")
            except UnicodeDecodeError:
                self._logger.warning("Reading of a sensor whose name is not UTF-8: %r", name)
                continue
            update(text, timestamp, status, value)

    def _check_readings(self, arguments: list[bytes]) -> None:
        """Log what is wrong with the number of readings."""
        count, rest = divmod(len(arguments) - 2, 3)
        if rest or count < 1 or arguments[1] != b"%d" % count:
            self._logger.warning(
                "Odd number of readings for sensor %r: %r", b"".join(arguments[2:3]), arguments
            )

    def _call_update_sensor(self, *reading: Any) -> None:
        """Call an `update_sensor` that a subclass has put in the place of ours."""
        what = f"update_sensor for sensor {reading[0]!r}"
        awaitable = call_guarded(self._logger, what, self.update_sensor, *reading)
        if awaitable is not None and not (
            isinstance(awaitable, asyncio.Future) and awaitable.done()
        ):
            under_way(finish_guarded(self._logger, what, awaitable), self._ioloop)

    def update_sensor(
        self, name: str, timestamp: bytes, status: bytes, value: bytes
    ) -> asyncio.Future[Any]:
        """Give a sensor a reading, in bytes as the device sends them; return a done future.

        Called for each reading that the device sends. Subclasses may do something else with it,
        also in a coroutine. A sensor that is not known is logged.
        """
        self._update_sensor(ensure_native_str(name), timestamp, status, value)
        return done(None, self._ioloop)

    def _update_sensor(self, name: str, timestamp: bytes, status: bytes, value: bytes) -> None:
        sensor = self._sensors.get(name)
        if sensor is None:
            sensor = self._object_for(name)
        if sensor is not None:
            self._sensors.set_reading(name, sensor, timestamp, status, value)

    def _object_for(self, name: str) -> Any:
        """Make the object of a sensor that has sent a reading; None, and a log, if that fails."""
        info = self._model.sensors.get(name)
        if info is None:
            self._logger.warning("Reading of the unknown sensor %r", name)
            return None
        try:
            return self._sensors.make(name, info, self.sensor_factory)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:
            self._logger.exception("Cannot make an object for sensor %r", name)
            return None

    def _sensor_updated(self, name: str, sensor: Any) -> None:
        if self._reading_feeds.read:
            reading = reading_of(sensor)

            def put(feed: ReadingFeed) -> None:
                if feed.wants(name):
                    feed.put((sensor, reading))

            self._reading_feeds.each(put)

    def readings(self, *names: str, limit: int = 10000) -> ReadingFeed:
        """Return an asynchronous iterator of ``(sensor, reading)``, from now on.

        Parameters
        ----------
        *names : str
            Sensors wanted, all if none is given. See `set_sampling` for having them sent.
        limit : int
            If the reader falls behind by more readings than this, the oldest are lost.
        """
        return self._reading_feeds.add(ReadingFeed(names, limit))

    # -- sampling -----------------------------------------------------------------------

    @overload
    def set_sampling(  # type: ignore[overload-overlap]  # text is an iterable of text
        self, name: str, strategy: str, *params: Parameter
    ) -> asyncio.Future[Message | None]: ...

    @overload
    def set_sampling(
        self, name: Iterable[str], strategy: str, *params: Parameter
    ) -> asyncio.Future[Replies]: ...

    def set_sampling(
        self, name: str | Iterable[str], strategy: str, *params: Parameter
    ) -> asyncio.Future[Any]:
        """Set the sampling strategy of a sensor, or of several, and keep it set.

        It is set again when the device comes back, and when the sensor does. Several sensors
        are set by one request if the device can do that.

        Parameters
        ----------
        name : str, or iterable of str
        strategy : str
            ``none`` (which also forgets the wish), ``auto``, ``event``, ``period``,
            ``differential``, ``event-rate`` or ``differential-rate``. For a version 4 device,
            ``event`` and ``differential`` stand in for the last two.
        *params : float, int, str or bytes
            Of the strategy, times in seconds whatever the device: the period; the difference;
            shortest and longest time; difference, shortest and longest time.

        Returns
        -------
        Future
            Of the device's reply, or of None if the wish is kept for later since device or
            sensor is not there now. For several sensors, of a dict of these by name. A refusal
            is logged, and tried again when the sensor has changed or the device comes back.

        Raises
        ------
        ValueError
            For a strategy or parameters that no device would take, at once.
        """
        wish = make_wish(strategy, params)
        names = [name] if isinstance(name, str) else list(dict.fromkeys(name))
        self._wishes.want(names, wish)
        return under_way(self._set_sampling(names, wish, isinstance(name, str)), self._ioloop)

    @property
    def sampling(self) -> dict[str, tuple[Any, ...]]:
        """Sampling strategies that are kept set: ``{sensor: (strategy, *parameters)}``."""
        return {
            name: (wish.strategy, *wish.parameters) for name, wish in self._wishes.wishes.items()
        }

    async def _set_sampling(self, names: list[str], wish: Wish, single: bool) -> Any:
        replies: Replies = dict.fromkeys(names)
        all_known = self._model.sensors.keys() >= replies.keys()
        there = dict.fromkeys(replies, wish) if all_known else {}
        for name in () if all_known else names:
            # While the model is not up to date, setting what it lacks is left to the sync.
            try:
                if name in self._model.sensors or (
                    self.state.data_synced and await self._is_there(name)
                ):
                    there[name] = wish
            except SyncError as error:
                self._logger.warning("Cannot look for sensor %r: %s", name, error)
        if there and self._connected.is_set() and self.katcp_client.protocol_flags is not None:
            sent = await self._send_sampling(there)
            replies = sent if all_known else {**replies, **sent}
        return next(iter(replies.values())) if single else replies

    def _is_timestamp(self, name: str) -> bool:
        info = self._model.sensors.get(name)
        return info is not None and sensor_arguments(info)[3] == b"timestamp"

    async def _send_sampling(self, wishes: dict[str, Wish]) -> Replies:
        """Set strategies on the device; if several at once are refused, one by one."""
        flags = self.katcp_client.protocol_flags
        assert flags is not None
        requests = set_requests(wishes, flags, self._is_timestamp)
        replies: Replies = dict.fromkeys(wishes)
        while requests:
            chunk, requests = requests[:_AT_A_TIME], requests[_AT_A_TIME:]
            futures = [self._ask_sampling(request) for request in chunk]
            for request, future in zip(chunk, futures, strict=True):
                reply = await future
                if reply is not None and not reply.reply_ok() and len(request.names) > 1:
                    requests += [SetSampling((name,), request.arguments) for name in request.names]
                    continue
                for name in request.names:
                    replies[name] = reply
                if reply is not None and reply.reply_ok():
                    self._wishes.accepted(request.names, wishes)
                elif reply is not None:
                    self._refused({name: wishes[name] for name in request.names}, reply)
        return replies

    def _ask_sampling(self, request: SetSampling) -> asyncio.Future[Message | None]:
        self._wishes.asked.update(request.names)
        message = Message.request("sensor-sampling", ",".join(request.names), *request.arguments)
        asked = self.katcp_client.wire_request(message, self.sync_timeout)

        async def answer() -> Message | None:
            try:
                reply, _ = await asked
            except KatcpClientDisconnected:
                return None  # with the connection all strategies are gone; a sync sets them again
            except (WaitTimeout, KatcpClientError) as error:
                self._logger.warning(
                    "Cannot set sampling of %s: %s", _shortened(request.names), error
                )
                return None
            return Message.reply("sensor-sampling", *reply)

        return under_way(answer(), self._ioloop)

    def _refused(self, wishes: dict[str, Wish], reply: Message) -> None:
        for name, wish in wishes.items():
            if wish.strategy != "none" and self._wishes.refused.get(name) != wish:
                self._wishes.refused[name] = wish
                self._logger.warning(
                    "The device refuses sampling %r of sensor %r: %r", wish.strategy, name, reply
                )

    # -- what the keeper tells ----------------------------------------------------------

    def _connection_lost(self) -> None:
        self._wishes.connection_lost()
        if self.marks_unreachable:
            self._marking = self._sensors.marking_unreachable()
            self._go_on_marking()

    def _go_on_marking(self) -> None:
        """Mark some readings, and have others their turns before the next."""
        if self._marking is None:
            return
        with self._batch():
            for _ in self._marking:
                asyncio.get_running_loop().call_soon(self._go_on_marking)
                return
        self._marking = None

    def _end_marking(self) -> None:
        """Mark what is left to be marked."""
        marking, self._marking = self._marking, None
        if marking is not None:
            with self._batch():
                for _ in marking:
                    pass

    def _on_connection(self, connected: bool) -> None:
        self._end_marking()
        super()._on_connection(connected)

    def _objects_changed(self, changes: AttrDict) -> None:
        if "sensors" in changes:
            self._sensors.drop(changes.sensors.removed)
            self._wishes.sensors_gone(changes.sensors.removed)
        for follower in self._followers:
            try:
                follower.model_changed(changes)
            except (KeyboardInterrupt, SystemExit):
                raise
            except BaseException:
                self._logger.exception("%r cannot follow a change", follower)

    async def _catch_up(self) -> None:
        for follower in self._followers:
            if not follower.behind:
                continue
            try:
                await follower.catch_up()
            except Exception:
                self._logger.exception("%r cannot follow a change", follower)
            if not self._connected.is_set():
                self._connection_lost()  # once more, for what has been made since

    async def _model_is_current(self) -> None:
        due = self._wishes.due(self._model.sensors)
        if due and self.katcp_client.protocol_flags is not None:
            await self._send_sampling(due)
        if self._connected.is_set():
            with self._batch():
                self._sensors.mark_reachable(lambda name: name not in self._wishes.in_force)

    # -- followers ----------------------------------------------------------------------

    def sensor_object(self, name: str) -> Any:
        """Return the object of a sensor that is known, made now if need be.

        Raises
        ------
        KeyError
            If it is not known.
        """
        return self._sensor(name)

    def sensor_description(self, name: str) -> tuple[Any, ...]:
        """Return (name, description, units, type name, *parameters) of a sensor that is known.

        Text, but for the parameters, which are bytes as the device has sent them.

        Raises
        ------
        KeyError
            If it is not known.
        """
        _, description, units, type_name, *params = sensor_arguments(self._model.sensors[name])
        texts = [raw.decode("utf-8", "backslashreplace") for raw in (description, units, type_name)]
        return (name, *texts, *params)

    def request_description(self, name: str) -> tuple[str, str, float | None]:
        """Return (name, help text, timeout hint or None [s]) of a request that is known.

        Raises
        ------
        KeyError
            If it is not known.
        """
        text, hint = self._model.requests[name]
        return name, text.decode("utf-8", "backslashreplace"), None if hint is None else float(hint)

    def add_follower(self, follower: Follower) -> None:
        """Keep something in step with the model, from the next change on."""
        self._followers = (*self._followers, follower)

    def remove_follower(self, follower: Follower) -> None:
        """Let it be."""
        self._followers = tuple(each for each in self._followers if each is not follower)

    @contextmanager
    def _batch(self) -> Iterator[None]:
        with ExitStack() as stack:
            for follower in self._followers:
                stack.enter_context(follower.batch())
            yield

    def adopt_sampling(
        self, wishes: Mapping[str, Wish], *, send: bool = True
    ) -> asyncio.Future[Replies] | None:
        """Take over sampling strategies, for each sensor its own.

        While the model is not up to date they are left to the sync under way, or to come.

        Parameters
        ----------
        wishes : mapping
            Of sensors that are there, by name.
        send : bool
            Whether the device is to be told; those of sensors that are gone just end.

        Returns
        -------
        Future or None
            Of the replies; None if nothing is sent.
        """
        for name, wish in wishes.items():
            self._wishes.want((name,), wish)
        if not send or not wishes or not self.state.data_synced or not self._connected.is_set():
            return None
        return under_way(self._send_sampling(dict(wishes)), self._ioloop)


def _shortened(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
