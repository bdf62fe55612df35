"""Predicates: events that open and close, silences, and what clients are told."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import threading
import weakref
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from katcp.endpoints import EventLog, Predicate, PredicateEvent, PredicateHost, Silence
from katcp.expressions import ExpressionError
from katcp.sensors import Sensor
from katcp.storage import Database
from tests.endpoints.served import informs, reply
from tests.helpers.serving import Bare, serving, talking, until
from tests.helpers.wire import WireClient

#: A Monday.
MONDAY = datetime(2024, 1, 1)


class Plant:
    """A device with a tank, whose predicates are watched, and a clock that stands still."""

    def __init__(self, *predicates: Predicate, **options: Any) -> None:
        self.now = MONDAY
        self.seen: list[PredicateEvent] = []
        self.device = Bare("127.0.0.1", 0)
        self.level = Sensor.float("tank.level", "Level", "m")
        self.device.add_sensor(self.level)
        self.host = PredicateHost(
            self.device, clock=lambda: self.now, on_event=self.seen.append, **options
        )
        for predicate in predicates:
            self.host.add(predicate)

    def status(self, name: str) -> tuple[bool, int]:
        _, status, value = self.device.get_sensor(f"predicates.{name}").read()
        return value, status

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[WireClient]:
        async with serving(self.device), talking(self.device) as client:
            await until(lambda: self.host._loop is not None)
            yield client


async def test_smok_pred_01_it_opens_on_crossing_and_closes_on_return() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5"))
    async with plant.running() as client:
        assert plant.status("full") == (False, Sensor.UNKNOWN)
        plant.level.set_value(2.0)
        assert plant.status("full") == (False, Sensor.NOMINAL)
        plant.level.set_value(3.0)
        assert plant.status("full") == (True, Sensor.ERROR)
        plant.level.set_value(3.5)
        assert len(plant.host.events) == 1
        ((number, name, colour, opened, closed, who, detail), last) = await informs(
            client, b"?event-list open"
        )
        assert (number, name, colour, closed, who) == (b"1", b"full", b"red", b"", b"")
        assert detail == b"{tank.level} > 2.5: tank.level = 3.0"
        assert last == [b"ok", b"1"]
        plant.level.set_value(2.5)
        assert plant.status("full") == (False, Sensor.NOMINAL)
        event, _ = await informs(client, b"?event-list")
        assert float(event[4]) >= float(event[3]) == float(opened)
        assert await informs(client, b"?event-list open") == [[b"ok", b"0"]]
        assert [event.closed is None for event in plant.seen] == [True, False]


async def test_smok_pred_01_a_silenced_window_suppresses() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5", silences=[("Mon 06:00", "Mon 07:00")]))
    async with plant.running() as client:
        plant.now = MONDAY + timedelta(hours=6, minutes=30)
        plant.level.set_value(3.0)
        assert plant.status("full") == (False, Sensor.NOMINAL)
        assert (await informs(client, b"?predicate-list"))[0] == [
            b"full",
            b"red",
            b"silenced",
            b"{tank.level} > 2.5",
        ]
        plant.level.set_value(1.0)
        plant.level.set_value(3.0)
        assert not len(plant.host.events)
        plant.now += timedelta(minutes=31)
        plant.host.look()  # as at each full minute
        assert plant.status("full") == (True, Sensor.ERROR)
        assert (await informs(client, b"?predicate-list"))[0][2] == b"open"
        # What is open when a silence begins closes in it all the same.
        plant.now = MONDAY + timedelta(hours=6)
        plant.level.set_value(1.0)
        assert plant.status("full") == (False, Sensor.NOMINAL)


@pytest.mark.parametrize(
    ("when", "covered"),
    [
        (MONDAY + timedelta(days=6, hours=21, minutes=59, seconds=59), False),
        (MONDAY + timedelta(days=6, hours=22), True),
        (MONDAY + timedelta(days=6, hours=23, minutes=59, seconds=59), True),
        (MONDAY, True),
        (MONDAY + timedelta(hours=6, seconds=59), True),
        (MONDAY + timedelta(hours=6, minutes=1), False),
        (MONDAY + timedelta(days=3), False),
    ],
)
def test_smok_pred_01_a_window_over_sunday_midnight(when: datetime, covered: bool) -> None:
    assert Silence("Sun 22:00", "Mon 06:00").covers(when) is covered
    assert Silence("sunday 22:00", " MON 6:00 ").covers(when) is covered
    assert Silence("Mon 06:01", "Sun 21:59").covers(when) is not covered


def test_a_window_of_one_minute() -> None:
    silence = Silence("Tue 12:00", "Tue 12:00")
    noon = MONDAY + timedelta(days=1, hours=12)
    assert silence.covers(noon + timedelta(seconds=59))
    assert not silence.covers(noon + timedelta(seconds=60))
    assert not silence.covers(noon - timedelta(seconds=1))
    assert silence == Silence("Tue 12:00", "Tue 12:00")


@pytest.mark.parametrize(
    "text", ["", "Sun", "22:00", "Xyz 10:00", "Sun 24:00", "Sun 10:60", "Su 1:00"]
)
def test_bad_points_of_the_week_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no point of the week"):
        Silence(text, "Mon 06:00")
    with pytest.raises(ValueError, match="no point of the week"):
        Silence("Mon 06:00", text)


# -- conditions ---------------------------------------------------------------------------


async def test_it_may_close_later_than_it_opened() -> None:
    plant = Plant(
        Predicate("full", "{tank.level} > 2.5", until="{tank.level} < 2", colour="yellow")
    )
    async with plant.running():
        for level, is_open in [(2.4, False), (2.6, True), (2.2, True), (1.9, False), (2.2, False)]:
            plant.level.set_value(level)
            status = Sensor.WARN if is_open else Sensor.NOMINAL
            assert plant.status("full") == (is_open, status), level
        assert len(plant.host.events) == 1


async def test_functions_of_values_and_functions_in_expressions() -> None:
    def is_odd(value: Any) -> bool:
        return value % 2 == 1

    plant = Plant(
        Predicate("one", lambda values: values["tank.level"] > 2, sensors=["tank.level"]),
        Predicate("two", "is_odd({tank.level})", functions=[is_odd], colour="white"),
        Predicate("bad", lambda values: 1 / 0, sensors=["tank.level"]),
    )
    async with plant.running():
        plant.level.set_value(3.0)
        assert plant.status("one") == (True, Sensor.ERROR)
        assert plant.status("two") == (True, Sensor.NOMINAL)
        assert plant.status("bad") == (False, Sensor.FAILURE)


async def test_what_is_not_known_changes_nothing() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5 and {tank.pump} == 0"))
    async with plant.running():
        await asyncio.sleep(0)
        plant.level.set_value(3.0)
        assert plant.status("full")[0] is False
        pump = Sensor.boolean("tank.pump", "Pump")
        plant.device.add_sensor(pump)
        pump.set_value(False)
        await until(lambda: plant.status("full") == (True, Sensor.ERROR))
        plant.level.set_value(1.0, Sensor.FAILURE)
        assert plant.status("full") == (True, Sensor.FAILURE)
        plant.level.set_value(1.0, Sensor.UNKNOWN)
        assert plant.status("full")[0] is True
        plant.level.set_value(1.0)
        assert plant.status("full") == (False, Sensor.NOMINAL)


async def test_sensors_may_be_set_in_other_threads() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5"))
    async with plant.running():
        thread = threading.Thread(target=plant.level.set_value, args=(3.0,))
        thread.start()
        await until(lambda: plant.status("full") == (True, Sensor.ERROR))
        thread.join()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "a.b"}, "cannot be the name"),
        ({"colour": "green"}, "the colour of an event"),
        ({"silences": [("Mon", "Tue")]}, "no point of the week"),
        ({"condition": "{a}.b"}, "attributes"),
        ({"until": "1 +"}, "ends too early"),
    ],
)
def test_bad_predicates_are_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        Predicate(**{"name": "a", "condition": "{a} > 1", **options})
    assert issubclass(ExpressionError, ValueError)


# -- host ---------------------------------------------------------------------------------


async def test_predicates_come_and_go() -> None:
    plant = Plant()
    async with plant.running() as client:
        plant.level.set_value(3.0)
        full = Predicate("full", "{tank.level} > 2.5")
        plant.host.add(full)
        assert plant.status("full") == (True, Sensor.ERROR)
        assert plant.host.predicates == (full,)
        with pytest.raises(ValueError, match="two predicates named 'full'"):
            plant.host.add(full)
        assert plant.host.remove("full") is full
        assert not plant.device.has_sensor("predicates.full")
        assert plant.seen[-1].closed is not None
        assert (await informs(client, b"?predicate-list"))[-1] == [b"ok", b"0"]
        plant.level.set_value(1.0)
        with pytest.raises(KeyError):
            plant.host.remove("full")
    assert not plant.level._observers


async def test_events_can_be_acknowledged() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5"))
    async with plant.running() as client:
        plant.level.set_value(3.0)
        assert len(await informs(client, b"?event-list new")) == 2
        assert await reply(client, b"?event-ack 1 kim") == [b"ok", b"kim"]
        assert await reply(client, b"?event-ack 1 lee") == [b"ok", b"kim"]
        assert len(await informs(client, b"?event-list new")) == 1
        event, _ = await informs(client, b"?event-list full")
        assert event[5] == b"kim"
        assert plant.seen[-1].acknowledged_by == "kim"


async def test_events_of_no_duration() -> None:
    plant = Plant()
    event = plant.host.note("boot", "white", "started")
    assert event.opened == event.closed
    async with plant.running() as client:
        (_, name, colour, *_), _ = await informs(client, b"?event-list boot")
        assert (name, colour) == (b"boot", b"white")
    with pytest.raises(ValueError, match="the colour"):
        plant.host.note("boot", "blue", "")


@pytest.mark.parametrize(
    ("request_line", "status", "code"),
    [
        (b"?event-list a b", b"invalid", b"303"),
        (b"?event-list nothing", b"fail", b"102"),
        (b"?event-ack", b"invalid", b"303"),
        (b"?event-ack 1", b"invalid", b"303"),
        (b"?event-ack 1 \\@", b"invalid", b"303"),
        (b"?event-ack x kim", b"invalid", b"304"),
        (b"?event-ack 99 kim", b"fail", b"102"),
    ],
)
async def test_bad_requests(request_line: bytes, status: bytes, code: bytes) -> None:
    async with Plant().running() as client:
        first, _, third, *_ = await reply(client, request_line)
        assert (first, third) == (status, code)


def test_of_too_many_events_the_oldest_closed_are_forgotten() -> None:
    events = EventLog(3)
    opened = [events.open("a", "red", float(n), "") for n in range(3)]
    events.close(opened[1].event_id, 5.0)
    events.open("b", "red", 6.0, "")
    assert [event.event_id for event in events] == [1, 3, 4]
    events.open("c", "red", 7.0, "")
    assert [event.event_id for event in events] == [3, 4, 5]
    assert events.close(1, 8.0) is None
    with pytest.raises(KeyError):
        events.acknowledge(1, "kim", 9.0)
    with pytest.raises(ValueError, match="positive"):
        EventLog(0)


async def test_what_a_callback_raises_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5"))
    plant.host._on_event = lambda event: 1 / 0
    async with plant.running():
        plant.level.set_value(3.0)
        assert plant.status("full") == (True, Sensor.ERROR)
        assert "What is told of events failed" in caplog.text
        caplog.clear()


async def test_it_need_not_be_told_of_events() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5"))
    plant.host._on_event = None
    plant.host.look()  # before it runs there is nothing to look at
    async with plant.running():
        plant.level.set_value(3.0)
        assert plant.status("full") == (True, Sensor.ERROR)
        plant.host.remove("full")
        assert plant.host.events[1].closed is not None
    assert repr(Predicate("a", "{b} > 1")) == "<Predicate a: {b} > 1>"


@pytest.mark.virtual_time
async def test_they_are_looked_at_each_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    plant = Plant()
    looked = []
    monkeypatch.setattr(plant.host, "look", lambda: looked.append(1))
    task = asyncio.ensure_future(plant.host._live())
    await asyncio.sleep(181)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert len(looked) >= 3


async def test_it_goes_with_its_device() -> None:
    plant = Plant(Predicate("full", "{tank.level} > 2.5"))
    async with plant.running():
        plant.level.set_value(3.0)
    gone = weakref.ref(plant.host)
    plant.__dict__.clear()
    gc.collect()
    assert gone() is None


# -- that outlive the process -------------------------------------------------------------


async def test_events_outlive_the_process(tmp_path: Path) -> None:
    def made(database: Database, *names: str, **options: Any) -> Plant:
        wanted = [Predicate(name, "{tank.level} > 2.5") for name in names]
        return Plant(*wanted, database=database, **options)

    database = Database(tmp_path / "events")
    plant = made(database, "full", "other", most_events=3)
    plant.host.note("boot", "white", "one")
    plant.host.note("boot", "white", "two")
    async with plant.running() as client:
        plant.level.set_value(3.0)
        await reply(client, b"?event-ack 3 kim")
    assert [event.event_id for event in plant.host.events] == [2, 3, 4]
    kept = list(plant.host.events)
    await database.close()

    database = Database(tmp_path / "events")
    plant = made(database, "full")
    assert list(plant.host.events) == kept
    async with plant.running():
        # Nothing is known yet of the one; the other is not watched any more.
        assert plant.status("full") == (True, Sensor.UNKNOWN)
        assert [event.event_id for event in plant.host.events if event.closed is None] == [3]
        plant.level.set_value(3.0)
        assert plant.status("full") == (True, Sensor.ERROR)
        assert len(plant.host.events) == 3
        plant.level.set_value(1.0)
        assert plant.host.events[3].closed is not None
        assert plant.host.events[3].acknowledged_by == "kim"
        plant.level.set_value(3.0)
        assert plant.host.events[5].closed is None
    await database.close()


async def test_a_database_that_is_closed_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path / "events")
    plant = Plant(Predicate("full", "{tank.level} > 2.5"), database=database)
    async with plant.running():
        await database.close()
        plant.level.set_value(3.0)
        assert plant.status("full") == (True, Sensor.ERROR)
        assert "An event of a predicate is not kept" in caplog.text
        caplog.clear()
