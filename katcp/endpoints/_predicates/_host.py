"""What watches predicates on a device, and tells clients of events."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from katcp.endpoints._codes import BadPayloadError, InvalidValueError, RoutingKeyError, coded
from katcp.endpoints._following import Following, part_of
from katcp.endpoints._predicates._events import COLOURS, EventLog, PredicateEvent
from katcp.endpoints._predicates._predicate import Predicate
from katcp.kattypes import concurrent_reply
from katcp.protocol import Message
from katcp.sensors import Sensor
from katcp.server import DeviceServer
from katcp.storage import Database

log = logging.getLogger("katcp.endpoints")

_MINUTE = 60.0


class _Watched:
    """One predicate, what is seen of it, and whether it is open."""

    def __init__(self, predicate: Predicate) -> None:
        self.predicate = predicate
        self.sensor = Sensor.boolean(f"predicates.{predicate.name}", predicate.description)
        self.following: Following | None = None
        self.event: PredicateEvent | None = None


class PredicateHost:
    """Watches predicates on the sensors of a device.

    For each there is a sensor ``predicates.NAME``: whether it is open; its status then is warn if
    the predicate is yellow, and error if it is red. What opens and closes is kept as events, which
    clients can list and acknowledge.

    Predicates are looked at when a sensor that they use has a new reading, and at each full minute
    if they have silences, while the device runs. If a sensor has no value, they stay as they are.

    Parameters
    ----------
    device : DeviceServer
        Gets the sensors and the requests.
    most_events : int
        The most events to keep.
    database : Database, optional
        Where they are kept too. An event that was open when the device stopped goes on if its
        predicate still holds, and is closed when that is found not to, or is not watched any more.
    on_event : callable, optional
        Called with each `PredicateEvent` that opens, closes, or is acknowledged, in the loop of the
        device. What it raises is logged.
    clock : callable, optional
        Returns the local time, for silences.

    Attributes
    ----------
    events : EventLog
    """

    def __init__(
        self,
        device: DeviceServer,
        *,
        most_events: int = 1000,
        database: Database | None = None,
        on_event: Callable[[PredicateEvent], object] | None = None,
        clock: Callable[[], datetime] = datetime.now,
    ) -> None:
        self.events = EventLog(most_events, database)
        self._device = device
        self._on_event = on_event
        self._clock = clock
        self._watched: dict[str, _Watched] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        for name in ("predicate-list", "event-list", "event-ack"):
            handler = getattr(self, f"request_{name.replace('-', '_')}")
            device.add_request(name, concurrent_reply(coded(handler)))
        device.add_service_task(self._live, name="predicates")

    # -- predicates ---------------------------------------------------------------------

    def add(self, predicate: Predicate) -> None:
        """Watch a predicate.

        Raises
        ------
        ValueError
            If there is one of that name.
        """
        if predicate.name in self._watched:
            raise ValueError(f"there are two predicates named {predicate.name!r}")
        self._watched[predicate.name] = watched = _Watched(predicate)
        goes_on = [event for event in self.events if event.closed is None]
        watched.event = next((one for one in goes_on if one.predicate == predicate.name), None)
        if watched.event is not None:
            self._show(watched, Sensor.UNKNOWN)  # until it is looked at
        self._device.add_sensor(watched.sensor)
        if self._loop is not None:
            self._begin(watched, self._loop)

    def remove(self, name: str) -> Predicate:
        """Watch a predicate no longer; its event, if there is one, is closed.

        Raises
        ------
        KeyError
            If there is none of that name.
        """
        watched = self._watched.pop(name)
        self._end(watched)
        self._device.remove_sensor(watched.sensor)
        if watched.event is not None:
            self._close(watched)
        return watched.predicate

    @property
    def predicates(self) -> tuple[Predicate, ...]:
        """Those that are watched."""
        return tuple(watched.predicate for watched in self._watched.values())

    def note(self, name: str, colour: str, detail: str) -> PredicateEvent:
        """Note an event of no duration: something that has happened, of whatever name.

        Raises
        ------
        ValueError
            For an unknown colour.
        """
        if colour not in COLOURS:
            raise ValueError(f"the colour of an event is {', '.join(COLOURS)}; not {colour!r}")
        now = time.time()
        event = self.events.open(name, colour, now, detail)
        event = self.events.close(event.event_id, now) or event
        self._tell(event)
        return event

    # -- life ---------------------------------------------------------------------------

    async def _live(self) -> None:
        self._loop = asyncio.get_running_loop()
        try:
            self._close_abandoned()
            for watched in list(self._watched.values()):
                self._begin(watched, self._loop)
            while True:
                # The minutes of the clock on the wall, which silences are of.
                await asyncio.sleep(_MINUTE - time.time() % _MINUTE)
                self.look()
        finally:
            self._loop = None
            for watched in self._watched.values():
                self._end(watched)

    def _close_abandoned(self) -> None:
        """Close events that were open when the device stopped and that nobody watches now."""
        for event in self.events:
            if event.closed is None and event.predicate not in self._watched:
                self._tell(self.events.close(event.event_id, time.time()) or event)

    def look(self) -> None:
        """Look at all predicates now; it is done by itself when it has to be."""
        for watched in list(self._watched.values()):
            self._look(watched)

    def _begin(self, watched: _Watched, loop: asyncio.AbstractEventLoop) -> None:
        names = watched.predicate.sensors
        device = self._device

        def resolve() -> dict[str, Sensor | None]:
            return {
                name: device.get_sensor(name) if device.has_sensor(name) else None for name in names
            }

        watched.following = Following(device.sensors, resolve, lambda: self._changed(watched))
        watched.following.begin(loop)

    def _end(self, watched: _Watched) -> None:
        if watched.following is not None:
            watched.following.end()
            watched.following = None

    def _changed(self, watched: _Watched) -> None:
        loop = self._loop
        if loop is None:
            return
        try:
            here = asyncio.get_running_loop() is loop
        except RuntimeError:
            here = False
        if here:
            self._look(watched)
        else:  # a sensor was set in another thread
            loop.call_soon_threadsafe(self._look, watched)

    # -- deciding -----------------------------------------------------------------------

    def _look(self, watched: _Watched) -> None:
        predicate, following = watched.predicate, watched.following
        if following is None:
            return
        parts = {name: part_of(sensor) for name, sensor in following.sensors.items()}
        values = {name: part.value for name, part in parts.items()}
        if any(part.failure for part in parts.values()):
            self._show(watched, Sensor.FAILURE)
            return
        try:
            holds = predicate.holds(values, watched.event is not None)
        except Exception as error:
            if any(value is None for value in values.values()):
                return  # nothing is known yet
            log.debug("The predicate %s cannot be told: %s", predicate.name, error)
            self._show(watched, Sensor.FAILURE)
            return
        if holds and watched.event is None and not predicate.is_silenced(self._clock()):
            shown = ", ".join(f"{name} = {_short(value)}" for name, value in values.items())
            watched.event = self.events.open(
                predicate.name, predicate.colour, time.time(), f"{predicate.condition}: {shown}"
            )
            self._tell(watched.event)
        elif not holds and watched.event is not None:
            self._close(watched)
        is_open = watched.event is not None
        self._show(watched, COLOURS[predicate.colour] if is_open else Sensor.NOMINAL)

    def _close(self, watched: _Watched) -> None:
        assert watched.event is not None
        event = self.events.close(watched.event.event_id, time.time())
        watched.event = None
        if event is not None:
            self._tell(event)

    def _show(self, watched: _Watched, status: int) -> None:
        is_open = watched.event is not None
        if watched.sensor.read()[1:] != (status, is_open):
            watched.sensor.set_value(is_open, status)

    def _tell(self, event: PredicateEvent) -> None:
        if self._on_event is not None:
            try:
                self._on_event(event)
            except Exception:
                log.exception("What is told of events failed")

    # -- requests -----------------------------------------------------------------------

    async def request_predicate_list(self, req: Any, msg: Message) -> Any:
        """List the predicates.

        Informs
        -------
        name : str
            Name of the predicate.
        colour : str
            ``white``, ``yellow`` or ``red``.
        state : str
            ``open``, ``closed``, or ``silenced``: closed, and not to be opened now.
        condition : str
            When it is open.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        informs : int
        """
        now = self._clock()
        for watched in self._watched.values():
            one = watched.predicate
            closed = "silenced" if one.is_silenced(now) else "closed"
            state = "open" if watched.event is not None else closed
            req.inform(one.name, one.colour, state, one.condition)
        return "ok", len(self._watched)

    async def request_event_list(self, req: Any, msg: Message) -> Any:
        """List events, the oldest first.

        Parameters
        ----------
        which : str, optional
            ``open``; ``new``: those that nobody has acknowledged; or the name of a predicate. By
            default all that are kept.

        Informs
        -------
        id : int
            Id of the event.
        predicate : str
            Name of the predicate.
        colour : str
            ``white``, ``yellow`` or ``red``.
        opened : timestamp
            When it began.
        closed : timestamp
            When it ended. Empty: it goes on.
        acknowledged_by : str
            Empty: nobody.
        detail : str
            What was seen when it opened.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        informs : int
        """
        if len(msg.arguments) > 1:
            raise BadPayloadError("usage: event-list [open | new | PREDICATE]")
        which = _text(msg.arguments[0]) if msg.arguments else ""
        chosen = [event for event in self.events if _is_chosen(event, which)]
        if which not in ("", "open", "new", *self._watched) and not chosen:
            raise RoutingKeyError(f"there is no predicate {which[:100]!r}")
        for event in chosen:
            closed = "" if event.closed is None else f"{event.closed:.6f}"
            req.inform(
                event.event_id,
                event.predicate,
                event.colour,
                f"{event.opened:.6f}",
                closed,
                event.acknowledged_by,
                event.detail,
            )
        return "ok", len(chosen)

    async def request_event_ack(self, req: Any, msg: Message) -> Any:
        """Say that somebody knows of an event; who was the first stays.

        Parameters
        ----------
        id : int
            Of an event.
        who : str
            Name of a person or a program.

        Returns
        -------
        success : {'ok', 'fail', 'invalid'}
        acknowledged_by : str
            Who was the first.
        """
        if len(msg.arguments) != 2 or not msg.arguments[1]:
            raise BadPayloadError("usage: event-ack id who")
        try:
            number = int(msg.arguments[0])
        except ValueError:
            raise InvalidValueError("the id of an event is a number", invalid=True) from None
        try:
            event = self.events.acknowledge(number, _text(msg.arguments[1]), time.time())
        except KeyError:
            raise RoutingKeyError(f"there is no event {number}") from None
        self._tell(event)
        return "ok", event.acknowledged_by


def _is_chosen(event: PredicateEvent, which: str) -> bool:
    if which == "open":
        return event.closed is None
    if which == "new":
        return event.acknowledged is None
    return which in ("", event.predicate)


def _text(argument: bytes) -> str:
    return argument.decode("utf-8", "backslashreplace")


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
