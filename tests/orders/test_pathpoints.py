"""Points of one's own: types, hooks, values that come by themselves."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from katcp import Sensor
from katcp.orders import (
    AdviseLevel,
    Disposition,
    MessageOrder,
    NotReadYet,
    OrderFailed,
    OrderSkipped,
    Outcome,
    Pathpoint,
    PathpointTarget,
    PointFailed,
    ReadOrder,
    Section,
    SysctlOrder,
    ThreadedOrderExecutor,
    WaitUntilOrder,
    WriteOrder,
    sensor_by_letter,
)
from katcp.sensors import Reading
from tests.orders.bench import executing, now

FORCE = AdviseLevel.FORCE


class Seen:
    """An observer of a sensor, as those that sample it for clients are."""

    def __init__(self, sensor: Sensor) -> None:
        self.readings: list[Reading] = []
        sensor.attach(self)

    def update(self, sensor: Sensor, reading: Reading) -> None:
        self.readings.append(reading)

    @property
    def values(self) -> list[Any]:
        return [reading.value for reading in self.readings]


def accept(value: Any, advise: int) -> None:
    """A hook that writes."""


async def tried(point: Pathpoint, *orders: Any, **kwargs: Any) -> list[Outcome]:
    async with executing(PathpointTarget(point), **kwargs) as executor:
        result = await executor.execute(Section(orders))
    return list(result.outcomes)


# -- types ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("letter", "kind", "params"),
    [
        ("B", "boolean", []),
        ("W", "integer", [0, 65535]),
        ("w", "integer", [-32768, 32767]),
        ("f", "float", []),
        ("d", "float", []),
        ("u", "string", []),
    ],
)
def test_the_first_letter_may_say_the_type(letter: str, kind: str, params: list[int]) -> None:
    sensor = sensor_by_letter(f"{letter}alve")
    assert (sensor.stype, list(sensor.params)) == (kind, params)
    assert Pathpoint(f"{letter}1").sensor.stype == kind


def test_or_else_a_sensor_does() -> None:
    with pytest.raises(ValueError, match="does not begin with"):
        Pathpoint("pump")
    sensor = Sensor.float("pump.speed", unit="Hz")
    assert Pathpoint("pump", sensor).sensor is sensor


@pytest.mark.parametrize(
    ("hooks", "access"),
    [
        ({}, "push"),
        ({"on_read": accept}, "ro"),
        ({"on_write": accept}, "wo"),
        ({"on_read": accept, "on_write": accept}, "rw"),
    ],
)
def test_what_can_be_done_with_it(hooks: dict[str, Any], access: str) -> None:
    point = Pathpoint("W1", **hooks)
    assert point.access == access
    assert access in repr(point)


# -- values -----------------------------------------------------------------------------


def test_smok_pp_02_values_that_come_by_themselves(caplog: pytest.LogCaptureFixture) -> None:
    told: list[Any] = []
    point = Pathpoint("W1", on_change=lambda point, reading: told.append(reading.value))
    seen = Seen(point.sensor)
    with pytest.raises(NotReadYet, match="W1"):
        point.get()
    assert point.set_new_value(100.0, 1)
    assert not point.set_new_value(99.0, 2)
    assert not point.set_new_value(100.0, 3)
    assert point.get() == (100.0, Sensor.NOMINAL, 1)
    assert len([r for r in caplog.records if "is ignored" in r.getMessage()]) == 2
    assert point.set_new_value(101.0, 4, Sensor.WARN)
    assert point.get() == (101.0, Sensor.WARN, 4)
    assert seen.values == told == [1, 4]
    with pytest.raises(TypeError):
        point.set_new_value(102.0, "text")
    assert point.get().value == 4


def test_a_failure_is_what_it_has_until_it_is_read_again() -> None:
    point = Pathpoint("W1")
    point.set_new_value(100.0, 1)
    point.set_failed("timeout", "no answer", 101.0)
    with pytest.raises(PointFailed, match="no answer") as failed:
        point.get()
    assert (failed.value.reason, failed.value.timestamp) == ("timeout", 101.0)
    assert point.sensor.read() == (101.0, Sensor.FAILURE, 1)
    point.set_failed("timeout")
    assert point.sensor.read().timestamp == pytest.approx(time.time(), abs=10)
    point.set_new_value(102.0, 2)
    assert point.get().value == 2


def test_smok_pp_05_what_the_callback_raises_loses_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(point: Pathpoint, reading: Any) -> None:
        raise RuntimeError("a user's bug")

    point = Pathpoint("W1", on_change=broken)
    assert point.set_new_value(100.0, 1)
    assert point.get().value == 1
    assert "on_change of point 'W1' raised" in caplog.text


async def test_smok_pp_06_reading_and_writing_are_sections() -> None:
    calls: list[Any] = []
    point = Pathpoint("W1", on_read=calls.append, on_write=lambda *args: calls.append(args))
    read = point.read()
    write = point.write(5, FORCE, 1e12, Disposition.CANNOT_JOIN)
    assert isinstance(read, Section)
    assert list(read) == [ReadOrder("W1")]
    assert list(point.read(FORCE)) == [ReadOrder("W1", FORCE)]
    assert list(write) == [WriteOrder("W1", 5, FORCE, 1e12)]
    assert write.disposition is Disposition.CANNOT_JOIN
    await asyncio.sleep(0)
    assert calls == []
    async with executing(PathpointTarget(point)) as executor:
        await executor.execute(write)
    assert calls == [(5, FORCE)]


# -- reading ----------------------------------------------------------------------------


async def in_coroutine(advise: int) -> int:
    await asyncio.sleep(0)
    return 7


def in_future(advise: int) -> Any:
    future = asyncio.get_running_loop().create_future()
    future.set_result(7)
    return future


def in_thread(advise: int) -> Any:
    future: concurrent.futures.Future[int] = concurrent.futures.Future()
    threading.Timer(0.001, future.set_result, (7,)).start()
    return future


@pytest.mark.parametrize("hook", [lambda advise: 7, in_coroutine, in_future, in_thread])
async def test_a_read_puts_the_value_into_the_sensor(hook: Callable[[int], Any]) -> None:
    point = Pathpoint("W1", on_read=hook)
    seen = Seen(point.sensor)
    (done,) = await tried(point, ReadOrder("W1"))
    assert done.outcome == "ok"
    assert done.reading == point.get() == point.sensor.read()
    assert point.get().value == 7
    assert seen.values == [7]


async def test_a_hook_may_say_when_the_value_was_taken_and_how_good_it_is() -> None:
    point = Pathpoint("W1", on_read=lambda advise: (100.0, Sensor.WARN, 7))
    (done,) = await tried(point, ReadOrder("W1"))
    assert done.reading == (100.0, Sensor.WARN, 7)


async def test_hooks_are_told_how_hard_to_try() -> None:
    levels: list[int] = []
    point = Pathpoint(
        "W1",
        on_read=lambda advise: levels.append(advise) or 1,  # type: ignore[func-returns-value]
        on_write=lambda value, advise: levels.append(advise),
    )
    await tried(point, ReadOrder("W1", FORCE), WriteOrder("W1", 1), WriteOrder("W1", 1, FORCE))
    assert levels == [1, 0, 1]


@pytest.mark.virtual_time
async def test_a_hook_may_leave_it_to_the_driver_to_push_the_value() -> None:
    point = Pathpoint("W1")

    def later(advise: int) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, point.set_new_value, 50.0, 1)  # older than what is there
        loop.call_later(2, point.set_new_value, 200.0, 2)

    point.on_read = later
    point.set_new_value(100.0, 0)
    (done,) = await tried(point, ReadOrder("W1"))
    assert now() == pytest.approx(2.0)
    assert done.reading == (200.0, Sensor.NOMINAL, 2)


async def test_it_may_be_pushed_at_once() -> None:
    point = Pathpoint("W1")
    point.on_read = lambda advise: point.set_new_value(100.0, 2) and None
    (done,) = await tried(point, ReadOrder("W1"))
    assert done.reading.value == 2


@pytest.mark.virtual_time
async def test_a_value_that_is_not_pushed_is_a_failure() -> None:
    point = Pathpoint("W1", on_read=lambda advise: None, timeout=2)
    (done,) = await tried(point, ReadOrder("W1", max_attempts=1))
    assert now() == pytest.approx(2.0)
    assert done.outcome == "failed:timeout"
    assert point.sensor.status() == Sensor.FAILURE
    with pytest.raises(PointFailed, match="no answer in time"):
        point.get()


@pytest.mark.virtual_time
@pytest.mark.parametrize(
    ("hook", "word"),
    [
        (lambda advise: "text", "failed:wrong-type"),
        (lambda advise: (1.0, Sensor.FAILURE, 1), "failed:status"),
        (lambda advise: (1.0, 99, 1), "failed:wrong-type"),
        (lambda advise: 1 / 0, "failed:error"),
    ],
)
async def test_a_read_that_fails_is_what_the_point_has(
    hook: Callable[[int], Any], word: str
) -> None:
    point = Pathpoint("W1", on_read=hook)
    (done,) = await tried(point, ReadOrder("W1"))
    assert (done.outcome, done.attempts) == (word, 3)
    assert point.sensor.status() == Sensor.FAILURE
    with pytest.raises(PointFailed) as failed:
        point.get()
    assert f"failed:{failed.value.reason}" == word


@pytest.mark.virtual_time
async def test_a_hook_says_why_it_cannot_be_read() -> None:
    def refuse(advise: int) -> None:
        raise OrderFailed("invalid-point", "no register 9", permanent=True)

    point = Pathpoint("W1", on_read=refuse)
    (done,) = await tried(point, ReadOrder("W1"))
    assert (done.outcome, done.attempts, done.detail) == (
        "failed:invalid-point",
        1,
        "no register 9",
    )


async def test_without_a_hook_a_read_gives_what_was_pushed() -> None:
    point = Pathpoint("W1")
    (done,) = await tried(point, ReadOrder("W1", max_attempts=1))
    assert (done.outcome, done.detail) == (
        "failed:not-read",
        "Point 'W1' has not been read yet",
    )
    point.set_new_value(100.0, 2)
    (done,) = await tried(point, ReadOrder("W1"))
    assert done.reading == (100.0, Sensor.NOMINAL, 2)


@pytest.mark.virtual_time
async def test_smok_pp_03_it_is_not_read_more_often_than_it_may_be() -> None:
    calls: list[float] = []

    def hook(advise: int) -> int:
        calls.append(now())
        return len(calls)

    point = Pathpoint("W1", on_read=hook, min_read_interval=1.0)
    async with executing(PathpointTarget(point)) as executor:

        async def read() -> Outcome:
            result = await executor.execute(point.read())
            assert result.state == "done"
            outcome: Outcome = result.outcomes[0]
            return outcome

        assert (await read()).outcome == "ok"
        skipped = await read()
        assert (skipped.outcome, skipped.reading.value) == ("skipped-fresh", 1)
        await asyncio.sleep(1.0)
        assert (await read()).outcome == "skipped-fresh"  # it must be older than that
        await asyncio.sleep(0.01)
        assert (await read()).outcome == "ok"
        assert len(calls) == 2
        await asyncio.sleep(0.5)
        point.set_new_value(time.time() + 1000, 9)  # what is pushed counts as well
        await asyncio.sleep(0.9)
        assert (await read()).reading.value == 9
        point.set_failed("timeout")
        assert (await read()).outcome == "ok"
        assert len(calls) == 3


# -- writing ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sensor", "value", "written"),
    [
        (sensor_by_letter("W1"), 65535, 65535),
        (sensor_by_letter("W1"), "17", 17),
        (sensor_by_letter("W1"), 17.0, 17),
        (sensor_by_letter("f1"), 1, 1.0),
        (sensor_by_letter("f1"), "1e3", 1000.0),
        (sensor_by_letter("B1"), 1, True),
        (sensor_by_letter("B1"), False, False),
        (sensor_by_letter("B1"), "0", False),
        (sensor_by_letter("u1"), "with blanks", "with blanks"),
        (sensor_by_letter("u1"), "", ""),
        (Sensor.discrete("mode", params=["on", "off"]), "on", "on"),
        (Sensor.timestamp("t"), 5, 5.0),
        (Sensor.address("a"), ("localhost", 5), ("localhost", 5)),
    ],
)
async def test_a_write_gives_the_hook_a_value_of_the_type(
    sensor: Sensor, value: Any, written: Any
) -> None:
    values: list[Any] = []
    point = Pathpoint(sensor.name, sensor, on_write=lambda value, advise: values.append(value))
    (done,) = await tried(point, WriteOrder(sensor.name, value))
    assert done.outcome == "ok"
    assert values == [written]
    assert type(values[0]) is type(written)
    assert point.get().value == written


@pytest.mark.parametrize(
    ("sensor", "value"),
    [
        (sensor_by_letter("W1"), 65536),
        (sensor_by_letter("W1"), -5),
        (sensor_by_letter("w1"), 40000),
        (sensor_by_letter("W1"), 1.5),
        (sensor_by_letter("W1"), True),
        (sensor_by_letter("W1"), "1.5"),
        (sensor_by_letter("f1"), "text"),
        (sensor_by_letter("f1"), True),
        (sensor_by_letter("B1"), 2),
        (sensor_by_letter("B1"), "yes"),
        (sensor_by_letter("u1"), 5),
        (Sensor.discrete("mode", params=["on", "off"]), "stand-by"),
        (Sensor.float("f", params=[0.0, 1.0]), 1.01),
        (Sensor.float("f", params=[0.0, 1.0]), float("nan")),
    ],
)
async def test_smok_pp_04_what_it_cannot_have_is_refused_and_not_clipped(
    sensor: Sensor, value: Any
) -> None:
    values: list[Any] = []
    point = Pathpoint(sensor.name, sensor, on_write=lambda value, advise: values.append(value))
    (done,) = await tried(point, WriteOrder(sensor.name, value, FORCE))
    assert (done.outcome, done.attempts) == ("failed:invalid-value", 1)
    assert sensor.name in done.detail
    assert values == []


async def test_smok_pp_04_a_point_that_cannot_be_written() -> None:
    point = Pathpoint("W1", on_read=lambda advise: 1)
    (done,) = await tried(point, WriteOrder("W1", 5, FORCE))
    assert (done.outcome, done.attempts) == ("failed:read-only", 1)


async def test_what_was_written_is_the_value_unless_it_is_read_back() -> None:
    point = Pathpoint("W1", on_write=accept)
    point.set_new_value(time.time() + 1000, 1)  # whatever its clock says
    await tried(point, WriteOrder("W1", 5))
    assert point.get().value == 5
    read_back = Pathpoint("W1", on_read=lambda advise: 4, on_write=accept)
    done = await tried(read_back, WriteOrder("W1", 5), ReadOrder("W1"))
    assert done[1].reading.value == 4
    unkept = Pathpoint("W1", on_write=accept, keep_written=False)
    await tried(unkept, WriteOrder("W1", 5))
    with pytest.raises(NotReadYet):
        unkept.get()


@pytest.mark.virtual_time
async def test_a_write_that_fails_leaves_the_value() -> None:
    async def refuse(value: Any, advise: int) -> None:
        await asyncio.sleep(1)
        raise OrderFailed("timeout")

    point = Pathpoint("W1", on_write=refuse)
    point.set_new_value(100.0, 1)
    (done,) = await tried(point, WriteOrder("W1", 5))
    assert done.outcome == "failed:timeout"
    assert point.get() == (100.0, Sensor.NOMINAL, 1)


@pytest.mark.virtual_time
async def test_smok_sec_06_the_sensor_has_what_was_written_when_it_is_read() -> None:
    register = [0]

    async def write(value: int, advise: int) -> None:
        await asyncio.sleep(1)
        register[0] = value

    point = Pathpoint("W1", on_read=lambda advise: register[0], on_write=write)
    done = await tried(point, WriteOrder("W1", 5), ReadOrder("W1"))
    assert done[1].reading.value == point.sensor.value() == 5


# -- targets of points ------------------------------------------------------------------


def test_points_are_kept_by_name() -> None:
    one, two = Pathpoint("W1"), Pathpoint("W2")
    target = PathpointTarget(one)
    target.add(two)
    with pytest.raises(ValueError, match="already"):
        target.add(Pathpoint("W1"))
    assert target["W1"] is one
    assert "W2" in target
    assert list(target) == [one, two]
    assert len(target) == 2
    assert target.remove("W1") is one
    assert not target.has("W1")
    with pytest.raises(KeyError):
        target["W1"]
    target.timed_out("W1")
    assert target.attempt_timeout("W1") is None


async def test_points_may_be_made_when_they_are_needed() -> None:
    def factory(name: str) -> Pathpoint | None:
        if name == "W9":
            raise KeyError(name)
        if name == "W8":
            return None
        return Pathpoint(name, on_write=accept)

    target = PathpointTarget(factory=factory)
    async with executing(target) as executor:
        section = Section([WriteOrder(name, 1) for name in ("W1", "W1", "W8", "W9")])
        await executor.execute(section)
        assert [o.outcome for o in section.progress] == ["ok"] * 2 + ["unknown-point"] * 2
        assert len(target) == 1


@pytest.mark.parametrize("form", ["mapping", "function"])
async def test_what_sysctl_orders_and_messages_do(form: str) -> None:
    calls: list[Any] = []

    async def reboot(op_args: str) -> None:
        calls.append(op_args)

    def any_sysctl(op_type: str, op_args: str) -> Any:
        return reboot(op_args) if op_type == "reboot" else False

    def any_message(uuid: str) -> None:
        if uuid != "known":
            raise OrderFailed("unknown-message", permanent=True)
        calls.append(uuid)

    if form == "mapping":
        target = PathpointTarget(
            sysctl={"reboot": reboot}, message={"known": lambda: calls.append("known")}
        )
    else:
        target = PathpointTarget(sysctl=any_sysctl, message=any_message)
    section = Section(
        [
            SysctlOrder("reboot", "now"),
            MessageOrder("known"),
            SysctlOrder("fly", ""),
            MessageOrder("other"),
        ]
    )
    async with executing(target) as executor:
        await executor.execute(section)
    assert calls == ["now", "known"]
    assert [o.outcome for o in section.progress] == [
        "ok",
        "ok",
        "unhandled-sysctl",
        "failed:unknown-message",
    ]


async def test_without_handlers_nothing_is_known() -> None:
    section = Section([SysctlOrder("fly", ""), MessageOrder("other")])
    async with executing(PathpointTarget()) as executor:
        await executor.execute(section)
    assert [o.outcome for o in section.progress] == ["unhandled-sysctl", "failed:unknown-message"]


@pytest.mark.virtual_time
async def test_an_order_waits_for_a_point_without_asking() -> None:
    point = Pathpoint("f1")
    async with executing(PathpointTarget(point)) as executor:
        section = Section([WaitUntilOrder("f1", "{} > 5", 10)])
        executor.execute(section)
        for second, (value, status) in enumerate(
            [(1.0, Sensor.NOMINAL), (9.0, Sensor.FAILURE), (7.0, Sensor.WARN)], 1
        ):
            await asyncio.sleep(1)
            assert not section.ended
            point.sensor.set(100.0 + second, status, value)
        result = await section.future
        assert now() == pytest.approx(3.0)
        assert result.outcomes[0].reading == (103.0, Sensor.WARN, 7.0)
        assert (await executor.execute(Section(section.orders))).state == "done"  # it is so already
        point.sensor.set_value(1.0)
        failed = await executor.execute(Section([WaitUntilOrder("f1", "1 / ({} - 1)", 10)]))
        assert failed.outcomes[0].outcome == "failed:condition"


async def test_hooks_of_points_that_block_are_called_in_threads() -> None:
    here = threading.get_ident()
    idents: list[int] = []

    def read(advise: int) -> int:
        idents.append(threading.get_ident())
        time.sleep(0.01)
        return 5

    def write(value: int, advise: int) -> None:
        idents.append(threading.get_ident())

    async def in_loop(value: int, advise: int) -> None:
        idents.append(-threading.get_ident())

    points = [Pathpoint("W1", on_read=read, on_write=write), Pathpoint("W2", on_write=in_loop)]
    target = PathpointTarget(*points, sysctl={"where": lambda op_args: idents.append(0)})
    async with executing(target, ThreadedOrderExecutor, threads=2) as executor:
        result = await executor.execute(
            Section(
                [
                    WriteOrder("W1", 1),
                    ReadOrder("W1"),
                    WriteOrder("W2", 1),
                    SysctlOrder("where", ""),
                ]
            )
        )
        assert result.state == "done"
        assert result.outcomes[1].reading.value == 5
    assert -here in idents
    assert here not in idents
    assert len(idents) == 4
    async with executing(target) as executor:  # another one on the same points
        await executor.execute(points[0].write(2))
    assert idents[-1] == here


def test_an_order_that_is_skipped_says_so() -> None:
    assert OrderSkipped().outcome == "skipped-fresh"
    assert str(OrderSkipped(detail="young")) == "young"
