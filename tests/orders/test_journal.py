"""The journal: what is in the file at each moment, and what is made of it after a restart."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from katcp.errors import FailReply
from katcp.orders import (
    Disposition,
    Journal,
    OrderExecutor,
    Outcome,
    ReadOrder,
    Section,
    SectionAbandoned,
    SysctlOrder,
    WaitOrder,
    WriteOrder,
)
from katcp.storage import Database, StorageError
from tests.helpers.serving import serving, talking, until
from tests.orders.plant import Plant, write
from tests.orders.test_requests import ask, execute


@asynccontextmanager
async def opened(path: Path, **options: Any) -> AsyncIterator[Journal]:
    journal = Journal(path, **options)
    journal.open()
    try:
        yield journal
    finally:
        await journal.close()


def crashed(path: Path, name: str = "crashed.db") -> Path:
    """Copy the files as a crash at this moment would leave them."""
    copy = path.parent / name
    for end in ("", "-wal"):
        source = Path(f"{path}{end}")
        if source.exists():
            shutil.copy(source, f"{copy}{end}")
    return copy


def a_section(section_id: str = "a") -> Section:
    orders = [WriteOrder("valve", 1), ReadOrder("pressure"), WaitOrder(0.5), SysctlOrder("x", "y")]
    section = Section(orders, Disposition.CANNOT_JOIN, section_id=section_id, finish_by=4e9)
    section.origin = "somebody"
    return section


def outcome(section: Section, index: int, word: str = "ok", **fields: Any) -> Outcome:
    return Outcome(section.orders[index], word, 2, 1.7e9, "why", **fields)


async def test_what_was_accepted_is_there_after_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    async with opened(path) as journal:
        assert await journal.recover() == []
        await journal.accepted(a_section(), "somebody")
        copy = crashed(path)
    async with opened(copy) as journal:
        (section,) = await journal.recover()
        assert section.to_json() == a_section().to_json()
        assert (section.section_id, section.origin, section.state) == ("a", "somebody", "new")
        assert section.results == (None,) * 4
        assert await journal.last_number() == 1
        entry = await journal.find("a")
        assert entry is not None
        assert (entry.state, entry.finished, entry.begun) == (None, None, frozenset())
        assert await journal.find("b") is None


async def test_what_was_begun_and_what_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    section = a_section()
    async with opened(path) as journal:
        await journal.accepted(section, "")
        await journal.started(section, 0)
        first = crashed(path, "first.db")
        await journal.ended(section, 0, outcome(section, 0))
        second = crashed(path, "second.db")
        await journal.started(section, 1)
        await journal.started(section, 2)
        await journal.started(section, 3)
        third = crashed(path, "third.db")
    async with opened(first) as journal:
        (found,) = await journal.recover()
        assert found.results[0] is not None
        assert found.results[0].outcome == "failed:interrupted"
        assert found.results[1:] == (None,) * 3
        # It is written down, and will not be anything else.
        again = crashed(first)
    async with opened(again) as journal:
        entry = await journal.find("a")
        assert entry is not None
        assert entry.outcomes[0].outcome == "failed:interrupted"
    async with opened(second) as journal:
        (found,) = await journal.recover()
        assert found.results == (outcome(section, 0), None, None, None)
    async with opened(third) as journal:
        # To read and to wait can be repeated.
        (found,) = await journal.recover()
        assert [each and each.outcome for each in found.results] == [
            "ok", None, None, "failed:interrupted",
        ]  # fmt: skip


async def test_what_has_ended_is_remembered(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    section = a_section()
    reading = (1.7e9, 1, 0.25)
    async with opened(path) as journal:
        await journal.accepted(section, "")
        for index in range(3):
            await journal.started(section, index)
        await journal.ended(section, 0, outcome(section, 0, "failed:timeout"))
        await journal.ended(section, 1, outcome(section, 1, reading=reading))
        for index in (0, 1):
            section.record(index, outcome(section, index, "failed:timeout" if not index else "ok"))
        section.mark_as_being_executed()
        await journal.finished(section)  # of the others nobody has said anything
        copy = crashed(path)
    async with opened(copy) as journal:
        assert await journal.recover() == []
        (entry,) = await journal.entries()
        assert entry.state == "partial"
        found = entry.section()
        assert (found.state, found.section_id) == ("partial", "a")
        assert found.started == entry.started == section.started
        assert [each.outcome for each in found.progress] == ["failed:timeout", "ok", "ok", "ok"]
        assert found.progress[0].detail == "why"
        assert found.progress[1].reading == reading
        with pytest.raises(Exception, match="timeout"):
            found.raise_for_failures()


async def test_all_that_was_left_was_interrupted(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    section = Section([WriteOrder("valve", 1)], section_id="a")
    async with opened(path) as journal:
        await journal.accepted(section, "")
        await journal.started(section, 0)
        copy = crashed(path)
    async with opened(copy) as journal:
        assert await journal.recover() == []
        entry = await journal.find("a")
        assert entry is not None
        assert entry.state == "failed"


async def test_the_first_outcome_counts(tmp_path: Path) -> None:
    section = a_section()
    async with opened(tmp_path / "orders.db") as journal:
        await journal.accepted(section, "")
        await journal.ended(section, 0, outcome(section, 0, "stale"))
        await journal.ended(section, 0, outcome(section, 0, "ok"))
        await journal.ended(section, 1, outcome(section, 1, "abandoned"))
        entry = await journal.find("a")
        assert entry is not None
        assert {index: each.outcome for index, each in entry.outcomes.items()} == {0: "stale"}


async def test_the_oldest_are_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path / "orders.db", keep=5) as journal:
        for number in range(201):
            section = Section([WaitOrder(0)], section_id=f"n{number}")
            await journal.accepted(section, "")
            if number:
                section.mark_as_being_executed()
                await journal.finished(section)
        entries = await journal.entries()
        # The first has not ended.
        assert [entry.section_id for entry in entries] == [
            "n0",
            *(f"n{n}" for n in range(196, 201)),
        ]
        assert await journal.last_number() == 201
        # An id that has been forgotten, or whose section has ended, is free.
        again = Section([WaitOrder(1), WaitOrder(2)], section_id="n200")
        await journal.accepted(again, "")
        entry = await journal.find("n200")
        assert entry is not None
        assert (entry.state, len(entry.section()), entry.outcomes) == (None, 2, {})
    with pytest.raises(ValueError, match="keep"):
        Journal(tmp_path / "orders.db", keep=-1)


async def test_a_database_that_is_shared(tmp_path: Path) -> None:
    database = Database(tmp_path / "all.db", ["CREATE TABLE mine (x)"])
    journal = Journal(database)
    journal.open()
    await journal.accepted(a_section(), "")
    await journal.close()
    database.execute("INSERT INTO mine VALUES (1)")
    assert await database.query("SELECT count(*) FROM sections") == [(1,)]
    assert len(await Journal(database).recover()) == 1
    journal.let_go()
    assert journal.problem is None
    await database.close()


async def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    with pytest.raises(StorageError, match="text is not a database"):
        Journal(tmp_path / "text").open()
    journal = Journal(tmp_path / "orders.db")
    with pytest.raises(StorageError, match="is not open"):
        await journal.recover()
    await journal.close()
    async with opened(tmp_path / "orders.db") as journal:
        await journal.accepted(a_section(), "")
    with sqlite3.connect(tmp_path / "orders.db") as connection:
        connection.execute("UPDATE sections SET document = '{}'")
    connection.close()
    async with opened(tmp_path / "orders.db") as journal:
        with pytest.raises(StorageError, match="a section 'a' that cannot be read"):
            await journal.recover()


class FullDisk(Database):
    """Says that the disk is full when it is to be."""

    full = False

    async def flush(self) -> None:
        if self.full:
            raise StorageError("the disk is full", kept=True)
        await super().flush()


class SlowDisk(Database):
    """Waits until it may go on."""

    wait: asyncio.Event | None = None

    async def flush(self) -> None:
        if self.wait is not None:
            await self.wait.wait()
        await super().flush()


async def test_what_cannot_be_written_is_not_accepted(tmp_path: Path) -> None:
    database = FullDisk(tmp_path / "orders.db")
    journal = Journal(database)
    database.full = True
    with pytest.raises(StorageError, match="full"):
        await journal.accepted(a_section(), "")
    database.full = False
    assert await journal.recover() == []  # nor is it there when there is room again
    section = a_section("b")
    await journal.accepted(section, "")
    database.full = True
    with pytest.raises(StorageError, match="full"):
        await journal.started(section, 0)
    await journal.ended(section, 0, outcome(section, 0))  # it is written later
    database.full = False
    (found,) = await journal.recover()
    assert found.results[0] == outcome(section, 0)
    await database.close()


# -- with a device --------------------------------------------------------------------------


async def test_a_device_without_room_refuses(tmp_path: Path) -> None:
    database = FullDisk(tmp_path / "orders.db")
    async with serving(Plant(journal=Journal(database))) as plant, talking(plant) as client:
        database.full = True
        line = execute([write("valve", 1)], 0, "a")
        assert (await client.ask(line))[0].startswith(b"!section-execute fail It\\_cannot\\_be")
        (reply,) = await ask(client, "section-list", "a")
        assert reply == ["fail", "Unknown section 'a'."]
        assert plant.order_host._listeners == {}
        database.full = False
        assert await client.ask(line) == [b"!section-execute ok a"]
        assert await ask(client, "section-wait", "a") == [["ok", "done"]]
        assert plant.done == [("valve", 1)]
    await database.close()


async def test_the_same_again_while_it_is_written_down(tmp_path: Path) -> None:
    database = SlowDisk(tmp_path / "orders.db")
    plant = Plant(journal=Journal(database))
    async with serving(plant), talking(plant) as client, talking(plant) as other:
        await plant.order_host.until_ready()
        database.wait = asyncio.Event()
        line = execute([write("valve", 1)], 0, "a")
        await client.send(line)
        await until(lambda: plant.order_host.has("a"))
        await other.send(line)
        assert await other.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert plant.done == []
        database.wait.set()
        assert await client.line() == b"!section-execute ok a"
        assert (await other.line()).startswith(b"!section-execute ok a ")
        assert await ask(client, "section-wait", "a") == [["ok", "done"]]
        assert plant.done == [("valve", 1)]
    await database.close()


async def test_a_device_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    orders = [write("valve", 1), write("pump", True), {"type": "read", "path": "pressure"}]
    async with serving(Plant(journal=path)) as plant, talking(plant) as client:
        await client.send(execute(orders, 1, "a"), execute([write("valve", 2)], 0, "b"))
        await until(lambda: plant.order_host.has("b") and len(plant.done) == 2)
        await client.send(execute([write("valve", 3)], 1))
        await until(lambda: len(plant.order_host.sections) == 3)
        await ask(client, "section-list")
        copy = crashed(path)
    for file, stopped in ((copy, False), (path, True)):
        async with serving(Plant(journal=file)) as plant, talking(plant) as client:
            plant.released.set()
            # Known by their ids; what had not begun is done now, in order, and nothing else.
            assert await ask(client, "section-wait", "s-1", 10) == [["ok", "done"]], stopped
            assert await ask(client, "section-wait", "a", 10) == [["ok", "partial"]]
            assert plant.done == [("valve", 2), ("valve", 3)]
            *results, _ = await ask(client, "section-result", "a")
            assert [line[4] for line in results] == ["ok", "failed:interrupted", "ok"]
            (reply,) = await client.ask(execute(orders, 1, "a"))
            assert reply == b"!section-execute ok a partial"
            *listed, _ = await ask(client, "section-list")
            assert [line[0] for line in listed] == ["a", "b", "s-1"]
            # Ids do not begin again.
            await client.send(execute([write("valve", 4)]))
            assert (await client.line()) == b"!section-execute ok s-4"
            await ask(client, "orders-sync")


async def test_what_may_be_repeated_is(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    async with serving(Plant(journal=path)) as plant, talking(plant) as client:
        await client.send(execute([write("pump", True, repeatable=True)], 0, "a"))
        await client.lines(2)
        copy = crashed(path)
        submitted = plant.order_host.find("a").submitted
    async with serving(Plant(journal=copy)) as plant, talking(plant) as client:
        assert await ask(client, "section-list", "a")
        assert plant.order_host.find("a").submitted == submitted
        plant.released.set()
        assert await ask(client, "section-wait", "a", 10) == [["ok", "done"]]
        assert plant.done == [("pump", True)]


async def test_smok_sec_17_the_same_id_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    line = execute([write("valve", 1)], 0, "night-run")
    async with serving(Plant(journal=path)) as plant, talking(plant) as client:
        assert await client.ask(line) == [b"!section-execute ok night-run"]
        await ask(client, "section-wait", "night-run")
    async with serving(Plant(journal=path)) as plant, talking(plant) as client:
        assert await client.ask(line) == [b"!section-execute ok night-run done"]
        assert plant.done == []


async def test_a_cancelled_section_stays_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    async with serving(Plant(journal=path)) as plant, talking(plant) as client:
        await ask(client, "orders-pause")
        await client.send(execute([write("valve", 1)], 0, "a"))
        assert await client.line() == b"!section-execute ok a"
        assert await ask(client, "section-cancel", "a") == [["ok"]]
        copy = crashed(path)
    async with serving(Plant(journal=copy)) as plant, talking(plant) as client:
        assert await ask(client, "section-wait", "a") == [["ok", "cancelled"]]
        assert plant.done == []


async def test_the_device_itself_gives_orders_that_last(tmp_path: Path) -> None:
    path = tmp_path / "orders.db"
    plant = Plant(journal=path)
    with pytest.raises(RuntimeError, match="has not read its journal"):
        plant.execute(Section([WriteOrder("valve", 1)]))
    async with plant:
        section = Section([WriteOrder("pump", True)])
        future = plant.execute(section)
        await until(lambda: section.state == "running")
    with pytest.raises(SectionAbandoned):
        await future
    async with Plant(journal=path) as other:
        await until(lambda: other.order_host.find("s-1").ended)
        assert other.order_host.find("s-1").results[0].outcome == "failed:interrupted"


async def test_a_server_that_cannot_have_its_journal(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no database " * 1000)
    plant = Plant(journal=tmp_path / "text")
    with pytest.raises(StorageError, match="is not a database"):
        plant.start()
    async with serving(Plant()) as first:
        second = Plant(port=first.bind_address[1], journal=tmp_path / "orders.db")
        with pytest.raises(OSError, match="use"):
            second.start()
        async with opened(tmp_path / "orders.db"):
            pass  # it has been let go of


async def test_a_second_start_does_no_harm(tmp_path: Path) -> None:
    async with Plant(journal=tmp_path / "orders.db") as plant, talking(plant) as client:
        with pytest.raises(RuntimeError, match="already started"):
            plant.start()
        assert await client.ask(execute([write("valve", 1)])) == [b"!section-execute ok s-1"]
        await ask(client, "orders-sync")


async def test_a_journal_that_cannot_be_understood(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "orders.db"
    async with opened(path) as journal:
        await journal.accepted(a_section(), "")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE sections SET document = '[]'")
    connection.close()
    async with serving(Plant(journal=path)) as plant, talking(plant) as client:
        (reply,) = await ask(client, "section-execute", 0, "[]")
        assert reply[0] == "fail"
        assert "No orders are taken: The journal has a section 'a'" in reply[1]
        with pytest.raises(FailReply):
            await plant.order_host.until_ready()
        with pytest.raises(RuntimeError):
            plant.execute(Section())
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
        await until(lambda: "Service 'orders' failed" in caplog.text)


async def test_an_executor_alone_with_a_journal(tmp_path: Path) -> None:
    plant = Plant()
    async with opened(tmp_path / "orders.db") as journal:
        executor = OrderExecutor(plant.target, journal=journal)
        section = Section([WriteOrder("valve", 1), ReadOrder("pressure")])
        await asyncio.wait_for(executor.execute(section), 10)
        entry = await journal.find("s-1")
        assert entry is not None
        assert entry.state == "done"
        assert entry.begun == {0, 1}
        await executor.stop()
