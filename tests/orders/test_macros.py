"""Sections that are executed when their time comes."""

from __future__ import annotations

import asyncio
import datetime
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from katcp.orders._macros._host import MacroHost
from katcp.orders._macros._macro import MAX_MISSED, Late, Macro, MacroState
from katcp.orders._macros._macros import Macros
from katcp.orders._macros._occurrences import Calendar, Moments, occurrences
from katcp.orders._orders import AdviseLevel, WriteOrder
from katcp.orders._outcome import Outcome
from katcp.orders._pathpoint import Pathpoint
from katcp.orders._section import Section
from katcp.orders._server import AsyncOrderServer, OrderServer
from katcp.orders._targets import PathpointTarget
from katcp.sensors import Sensor
from katcp.storage import Database
from tests.helpers.serving import Bare, serving, serving_in_thread, talking, until

WRITE = [{"type": "write", "path": "lamp", "value": 1, "advise": 1}]
#: A Monday, at midnight.
MONDAY = datetime.datetime(2026, 3, 2, tzinfo=datetime.timezone.utc).timestamp()
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def at(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


# -- when -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "after", "latest"),
    [
        ("* * * * *", MONDAY + MINUTE, MONDAY),
        ("30 6 * * *", MONDAY + 6.5 * HOUR, MONDAY - 17.5 * HOUR),
        ("0 0 * * mon", MONDAY + 7 * DAY, MONDAY),
        ("0 0 * * 7", MONDAY + 6 * DAY, MONDAY - DAY),
        ("*/25 12 2 mar *", MONDAY + 12 * HOUR, at("2025-03-02T12:50+00:00")),
        ("5,10-12/2 0 * * 1-5", MONDAY + 5 * MINUTE, MONDAY - 3 * DAY + 12 * MINUTE),
        ("0 0 29 2 *", at("2028-02-29T00:00+00:00"), at("2024-02-29T00:00+00:00")),
        # Both are limited: the day of either counts.
        ("0 0 13 * tue", MONDAY + DAY, MONDAY - 6 * DAY),
        ("TZ=Europe/Berlin 30 6 * * *", MONDAY + 5.5 * HOUR, MONDAY - 18.5 * HOUR),
        ("1.5,4e9", 4e9, 1.5),
        ("2030-01-01T00:00Z, 2030-01-01T00:00+02:00", at("2029-12-31T22:00+00:00"), None),
    ],
)
def test_occurrences(text: str, after: float, latest: float | None) -> None:
    times = occurrences(text)
    assert times.after(MONDAY) == after
    assert times.latest(MONDAY) == latest
    again = occurrences(times.text)
    assert (again.text, again.after(MONDAY)) == (times.text, after)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no moment"),
        ("soon", "no moment"),
        ("nan", "no moment"),
        ("-5", "no moment"),
        ("* * * *", "five"),
        ("* * * * * *", "five"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day"),
        ("* * * 13 *", "month"),
        ("* * * * friday", "weekday"),
        ("*/0 * * * *", "minute"),
        ("9-5 * * * *", "minute"),
        ("1,,2 * * * *", "minute"),
        ("0 0 31 2 *", "No day"),
        ("TZ=Nowhere/Near * * * * *", "time zone"),
        ("TZ=../../etc/passwd * * * * *", "time zone"),
        (f"{'9' * 5000} * * * *", "minute"),
        (",".join(["1"] * 20_000), "characters"),
    ],
)
def test_what_is_no_time_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        occurrences(text)


def test_an_hour_that_is_skipped_and_one_that_comes_twice() -> None:
    times = Calendar("TZ=Europe/Berlin 30 2 * * *")
    before = at("2026-03-28T12:00+00:00")
    assert times.after(before) == at("2026-03-30T02:30+02:00")  # there is none on the 29th
    first = times.after(at("2026-10-24T12:00+00:00"))
    assert first == at("2026-10-25T02:30+02:00")
    assert times.after(first) == at("2026-10-26T02:30+01:00")


def test_moments_count_once_and_have_a_limit() -> None:
    assert Moments([3, 1, 3]).moments == (1.0, 3.0)
    with pytest.raises(ValueError, match="at most"):
        Moments(range(1001))
    with pytest.raises(ValueError, match="no moment"):
        Moments([])


# -- what -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "section",
    [
        json.dumps(WRITE),
        WRITE and json.dumps({"orders": WRITE, "disposition": 0}),
        {"orders": WRITE},
        [WriteOrder("lamp", 1, AdviseLevel.FORCE)],
        Section([WriteOrder("lamp", 1, AdviseLevel.FORCE)]),
    ],
)
def test_forms_of_a_section(section: Any) -> None:
    macro = Macro("m", "* * * * *", section)
    assert macro == Macro("m", "* * * * *", json.dumps(WRITE))
    made = macro.make_section(12.5)
    assert made.section_id == "macro-m-12.500"
    assert [order.to_json() for order in made] == WRITE


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("a b", "1e10", WRITE), "name"),
        (("m", "1e10", "[]"), "no orders"),
        (("m", "1e10", "{"), "JSON"),
        (("m", "1e10", "[" * 100_000), "JSON"),
        (("m", "1e10", '[{"type":"dance"}]'), "order 0"),
        (("m", "1e10", {"orders": WRITE, "section_id": "x"}), "section_id"),
        (("m", "never", WRITE), "no moment"),
    ],
)
def test_what_is_no_macro_is_refused(arguments: Any, reason: str) -> None:
    name, when, section = arguments
    given = json.dumps(section) if isinstance(section, list) else section
    with pytest.raises(ValueError, match=reason):
        Macro(name, when, given)


def missed(late: Late, when: str, now: float, since: float = MONDAY) -> list[Any]:
    """Return what a macro has done that was missed from `since` to `now`."""
    state = MacroState(Macro("m", when, json.dumps(WRITE), late), since)
    done = []
    while (taken := state.take(now)) is not None:
        done.append(taken[0])
        state.done(taken[1], "done")
    return done


def test_smok_mac_01_late_policies() -> None:
    hourly = "0 * * * *"
    now = MONDAY + 3.5 * HOUR
    hours = [MONDAY + hour * HOUR for hour in (1, 2, 3)]
    assert missed(Late.RUN_ALL, hourly, now) == hours
    assert missed(Late.RUN_LAST, hourly, now) == hours[-1:]
    assert missed(Late.SKIP, hourly, now) == [None]
    # What has just become due is not late.
    assert missed(Late.SKIP, hourly, hours[-1] + 1) == hours[-1:]
    for late in Late:
        assert missed(late, hourly, MONDAY + 1) == []
        assert missed(late, str(MONDAY + 5), MONDAY + 5) == [MONDAY + 5]


def test_what_was_missed_for_years_is_bounded() -> None:
    start = time.perf_counter()
    done = missed(Late.RUN_ALL, "* * * * *", MONDAY, since=0.0)
    assert done == [MONDAY - n * MINUTE for n in range(MAX_MISSED)][::-1]
    assert missed(Late.RUN_LAST, "* * * * *", MONDAY, since=0.0) == [MONDAY]
    assert time.perf_counter() - start < 5


# -- executing --------------------------------------------------------------------------


class Executor:
    """Carries out sections, one after another, each in so many seconds."""

    def __init__(self, takes: float = 0.0, clock: Callable[[], float] = time.time) -> None:
        self.takes = takes
        self.clock = clock
        self.begun: list[tuple[float, str | None]] = []
        self.ended: list[Section] = []
        self.refuses = 0
        self.fails = False
        self._tasks: set[asyncio.Task[None]] = set()

    def submit(self, section: Section) -> None:
        if self.refuses:
            self.refuses -= 1
            raise RuntimeError("the queue is full")
        task = asyncio.get_running_loop().create_task(self._carry_out(section))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, section: Section) -> None:
        if not section.mark_as_being_executed():
            return
        self.begun.append((self.clock(), section.section_id))
        await asyncio.sleep(self.takes)
        if self.fails:
            section.record(0, Outcome(section.orders[0], "failed:timeout", 1, self.clock()))
        section.mark_as_done()
        self.ended.append(section)


class Running:
    """Runs macros for the length of a block."""

    def __init__(self, macros: Macros) -> None:
        self.macros = macros

    async def __aenter__(self) -> Macros:
        self.task = asyncio.ensure_future(self.macros.run())
        return self.macros

    async def __aexit__(self, *exc_info: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])


def jumping() -> Callable[[], float]:
    """Return a wall clock that goes with the loop's."""
    loop = asyncio.get_running_loop()
    start = MONDAY - loop.time()
    return lambda: loop.time() + start


@pytest.mark.virtual_time
async def test_smok_mac_01_writes_once_when_it_is_due() -> None:
    clock = jumping()
    executor = Executor(takes=2.0, clock=clock)
    async with Running(Macros(executor.submit, clock=clock)) as macros:
        state = await macros.add(Macro("m", repr(MONDAY + 0.5), json.dumps(WRITE)))
        await asyncio.sleep(0.4)
        assert executor.begun == []
        await asyncio.sleep(1.1)
        ((moment, section_id),) = executor.begun
        assert moment == pytest.approx(MONDAY + 0.5, abs=0.01)
        assert section_id == f"macro-m-{MONDAY + 0.5:.3f}"
        assert (state.last_run, state.last_state) == (None, "")  # its section has not ended
        await asyncio.sleep(2)
        assert (state.last_run, state.last_state) == (MONDAY + 0.5, "done")
        assert state.next_run is None
        await asyncio.sleep(100)
        assert len(executor.begun) == 1


@pytest.mark.virtual_time
async def test_a_calendar_goes_on_and_does_not_drift() -> None:
    clock = jumping()
    executor = Executor(takes=7.0, clock=clock)
    async with Running(Macros(executor.submit, clock=clock)) as macros:
        await macros.add(Macro("m", "*/10 * * * *", json.dumps(WRITE)))
        await asyncio.sleep(DAY + MINUTE)
    due = [moment for moment, _ in executor.begun]
    assert due == pytest.approx([MONDAY + n * 10 * MINUTE for n in range(1, 145)], abs=0.01)


@pytest.mark.virtual_time
async def test_a_section_that_takes_long_is_not_overtaken() -> None:
    clock = jumping()
    executor = Executor(takes=150.0, clock=clock)
    async with Running(Macros(executor.submit, clock=clock)) as macros:
        await macros.add(Macro("last", "* * * * *", json.dumps(WRITE)))
        await asyncio.sleep(10 * MINUTE)
    await until(lambda: len(executor.ended) == len(executor.begun), 1000)
    ids = [section_id for _, section_id in executor.begun]
    assert ids == [f"macro-last-{MONDAY + n * MINUTE:.3f}" for n in (1, 3, 6, 8)]


@pytest.mark.virtual_time
async def test_a_macro_that_is_added_before_others_is_due_first() -> None:
    clock = jumping()
    executor = Executor(clock=clock)
    async with Running(Macros(executor.submit, clock=clock)) as macros:
        await macros.add(Macro("late", repr(MONDAY + 20), json.dumps(WRITE)))
        await asyncio.sleep(5)
        await macros.add(Macro("soon", repr(MONDAY + 6), json.dumps(WRITE)))
        await asyncio.sleep(2)
        assert len(executor.begun) == 1
        await macros.remove("late")
        await asyncio.sleep(100)
        assert len(executor.begun) == 1
        with pytest.raises(KeyError):
            await macros.remove("late")


@pytest.mark.virtual_time
async def test_a_section_that_is_refused_is_handed_over_again() -> None:
    clock = jumping()
    executor = Executor(clock=clock)
    executor.refuses = 2
    async with Running(Macros(executor.submit, clock=clock)) as macros:
        state = await macros.add(Macro("m", repr(MONDAY + 1), json.dumps(WRITE)))
        await asyncio.sleep(60)
    assert [moment for moment, _ in executor.begun] == pytest.approx([MONDAY + 11], abs=0.1)
    assert state.last_state == "done"


@pytest.mark.virtual_time
async def test_a_clock_that_is_set_back_repeats_nothing() -> None:
    clock = jumping()
    step = 0.0
    executor = Executor(clock=clock)
    async with Running(Macros(executor.submit, clock=lambda: clock() + step)) as macros:
        await macros.add(Macro("m", "* * * * *", json.dumps(WRITE)))
        await asyncio.sleep(150)
        assert len(executor.begun) == 2
        step = -90.0
        await asyncio.sleep(100)
        assert len(executor.begun) == 2
        step = 3600.0
        await asyncio.sleep(31)  # nobody sleeps longer without a look at the clock
        assert len(executor.begun) == 3


@pytest.mark.virtual_time
async def test_those_that_are_over_make_room() -> None:
    clock = jumping()
    executor = Executor(clock=clock)
    async with Running(Macros(executor.submit, clock=clock, max_macros=2)) as macros:
        await macros.add(Macro("a", repr(MONDAY + 1), json.dumps(WRITE)))
        await macros.add(Macro("b", "* * * * *", json.dumps(WRITE)))
        with pytest.raises(ValueError, match="no more"):
            await macros.add(Macro("c", "* * * * *", json.dumps(WRITE)))
        await asyncio.sleep(2)
        await macros.add(Macro("c", "* * * * *", json.dumps(WRITE)))
        assert [s.macro.macro_id for s in await macros.listing()] == ["b", "c"]
        with pytest.raises(ValueError, match="another"):
            await macros.add(Macro("c", "0 * * * *", json.dumps(WRITE)))
        with pytest.raises(ValueError, match="past"):
            await macros.add(Macro("d", repr(MONDAY - 1), json.dumps(WRITE)))


@pytest.mark.parametrize(("late", "count"), [("run-all", 3), ("run-last", 1), ("skip", 0)])
async def test_smok_mac_01_late_policy_is_honoured_after_a_restart(
    tmp_path: Path, late: str, count: int
) -> None:
    path = tmp_path / "macros.db"
    start = MONDAY
    now = start
    when = f"{start + 1},{start + 2},{start + 3},{start + 1e6}"
    database = Database(path, [])
    first = Macros(Executor().submit, database=database, clock=lambda: now)
    await first.add(Macro("m", when, json.dumps(WRITE), Late(late)))
    await database.close()

    now = start + 100
    executor = Executor()
    database = Database(path, [])
    async with Running(Macros(executor.submit, database=database, clock=lambda: now)) as macros:
        (state,) = await macros.listing()
        await until(lambda: state.last_run == start + 3)
        assert state.next_run == start + 1e6
    assert len(executor.ended) == count
    assert state.last_state == ("done" if count else "skipped")
    await database.close()

    executor = Executor()  # what was dealt with is not done again
    database = Database(path, [])
    async with Running(Macros(executor.submit, database=database, clock=lambda: now)) as macros:
        (state,) = await macros.listing()
        assert (state.last_run, state.next_run) == (start + 3, start + 1e6)
        await asyncio.sleep(0.02)
    assert executor.begun == []
    await database.close()


async def test_smok_mac_01_a_section_that_did_not_end_was_not_executed(tmp_path: Path) -> None:
    path = tmp_path / "macros.db"
    now = MONDAY
    database = Database(path, [])
    executor = Executor(takes=0.2)
    async with Running(Macros(executor.submit, database=database, clock=lambda: now)) as macros:
        await macros.add(Macro("m", repr(MONDAY + 1), json.dumps(WRITE)))
        now = MONDAY + 1
        macros._wake.set()
        await until(lambda: executor.begun)
    await until(lambda: executor.ended)  # too late to be noted
    await database.close()

    executor = Executor()
    database = Database(path, [])
    async with Running(Macros(executor.submit, database=database, clock=lambda: now)):
        await until(lambda: executor.ended)
    assert executor.ended[0].section_id == f"macro-m-{MONDAY + 1:.3f}"  # the same once more
    await database.close()


# -- requests ---------------------------------------------------------------------------


async def test_requests_of_macros(tmp_path: Path) -> None:
    executor = Executor()
    server = Bare("127.0.0.1", 0)
    database = Database(tmp_path / "macros.db", [])
    host = MacroHost(server, executor.submit, database)
    async with serving(server), talking(server) as client:
        due = round(time.time() + 0.5, 3)
        when = repr(due).encode()
        orders = json.dumps(WRITE, separators=(",", ":")).encode()
        assert await client.ask(b"?macro-add[1] m %b %b" % (when, orders)) == [
            b"!macro-add[1] ok m %.3f" % due
        ]
        assert await client.ask(rb"?macro-add[2] dawn 30\_6\_*\_*\_* %b skip" % orders) != []
        section = b'{"orders":%b,"disposition":0}' % orders
        lines = await client.ask(b"?macro-list[3] m")
        assert lines == [
            b"#macro-list[3] m %b run-last %.3f \\@ \\@ %b" % (when, due, section),
            b"!macro-list[3] ok 1",
        ]
        await until(lambda: executor.ended)
        await until(lambda: host.macros.next_run != pytest.approx(due, abs=0.01))
        lines = await client.ask(b"?macro-list[4] /^m$/")
        assert lines[0].startswith(b"#macro-list[4] m %b run-last \\@ %.3f done " % (when, due))
        assert len(await client.ask(b"?macro-list[5]")) == 3
        assert await client.ask(b"?macro-remove[6] dawn") == [b"!macro-remove[6] ok"]
        lines = await client.ask(b"?macro-remove[7] dawn")
        assert lines == [rb"!macro-remove[7] fail There\_is\_no\_macro\_'dawn'."]
        assert server.get_sensor("macros.count").value() == 1
        assert (
            server.get_sensor("macros.next-run").status()
            == server.get_sensor("macros.next-run").UNKNOWN
        )
    await database.close()


@pytest.mark.parametrize(
    ("request_line", "reply"),
    [
        (b"?macro-add m 1e10", b"!macro-add invalid"),
        (b"?macro-add m never []", b"!macro-add invalid"),
        (b"?macro-add m 1e10 []", b"!macro-add invalid"),
        (b'?macro-add m 1e10 [{"type":"wait","time":1}] later', b"!macro-add invalid"),
        (b'?macro-add m 1 [{"type":"wait","time":1}]', b"!macro-add fail"),
        (b"?macro-list m", b"!macro-list fail"),
        (b"?macro-list /(/", b"!macro-list invalid"),
        (b"?macro-remove m n", b"!macro-remove invalid"),
    ],
)
async def test_bad_requests_of_macros(request_line: bytes, reply: bytes) -> None:
    server = Bare("127.0.0.1", 0)
    MacroHost(server, Executor().submit)
    async with serving(server), talking(server) as client:
        (line,) = await client.ask(request_line)
        assert line.startswith(reply)


async def test_a_failure_is_seen() -> None:
    executor = Executor()
    executor.fails = True
    server = Bare("127.0.0.1", 0)
    host = MacroHost(server, executor.submit)
    async with serving(server):
        due = time.time() + 0.1
        await host.macros.add(Macro("m", repr(due), json.dumps(WRITE)))
        sensor = server.get_sensor("macros.last-failure")
        await until(lambda: sensor.value())
        assert sensor.value() == f"macro-m-{due:.3f} failed"
        assert sensor.status() == sensor.ERROR


async def test_smok_mac_01_with_a_journal_nothing_is_executed_twice(tmp_path: Path) -> None:
    """The process dies between the end of a section and the note of it."""
    written: list[Any] = []
    due = time.time() + 0.1

    async def life(journal: Path, macros: Path) -> None:
        sensor = Sensor.integer("lamp")
        point = Pathpoint("lamp", sensor, on_write=lambda value, advise: written.append(value))
        server = AsyncOrderServer("127.0.0.1", 0, target=PathpointTarget(point), journal=journal)
        database = Database(macros)
        host = MacroHost(server, server.order_host, database)
        async with serving(server):
            if not await host.macros.listing():
                await host.macros.add(Macro("m", f"{due!r},4e9", json.dumps(WRITE)))
            (state,) = await host.macros.listing()
            await until(lambda: state.last_state)
            assert (state.last_run, state.last_state) == (pytest.approx(due), "done")
        await database.close()

    await life(tmp_path / "orders.db", tmp_path / "macros.db")
    assert written == [1]
    database = Database(tmp_path / "macros.db")
    await database.execute("UPDATE macros SET done_until = 0, last_run = NULL, last_state = ''")
    await database.close()
    await life(tmp_path / "orders.db", tmp_path / "macros.db")
    assert written == [1]


@pytest.mark.virtual_time
async def test_a_clock_that_was_years_ahead_is_put_right() -> None:
    clock = jumping()
    step = 10 * 365 * DAY
    executor = Executor(clock=clock)
    async with Running(Macros(executor.submit, clock=lambda: clock() + step)) as macros:
        await macros.add(Macro("m", "* * * * *", json.dumps(WRITE)))
        await asyncio.sleep(50)
        step = 0.0
        await asyncio.sleep(30)  # it is looked at
        executor.begun.clear()
        await asyncio.sleep(180)
        assert len(executor.begun) == 3


def test_macros_of_a_server_that_is_started_again() -> None:
    """Each time in a thread and a loop of its own."""
    sensor = Sensor.integer("lamp")
    written: list[Any] = []
    point = Pathpoint("lamp", sensor, on_write=lambda value, advise: written.append(value))
    server = OrderServer("127.0.0.1", 0, target=PathpointTarget(point))
    host = MacroHost(server, server.order_host)
    for number in range(2):
        with serving_in_thread(server):
            loop = server.ioloop.asyncio_loop
            macro = Macro(f"m{number}", repr(time.time() + 0.2), json.dumps(WRITE))
            asyncio.run_coroutine_threadsafe(host.macros.add(macro), loop).result(10)
            deadline = time.monotonic() + 10
            while len(written) <= number and time.monotonic() < deadline:
                time.sleep(0.01)
    assert written == [1, 1]
