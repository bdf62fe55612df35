"""katcp/storage: what is written is there, in order, also when the disk fails in between."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from katcp.storage import Database, StorageError
from katcp.storage._errors import is_of_the_disk
from katcp.storage._worker import Close, Worker

SCHEMA = ["CREATE TABLE things (id INTEGER PRIMARY KEY, what)"]
INSERT = "INSERT INTO things VALUES (?, ?)"
ALL = "SELECT id, what FROM things ORDER BY id"
ROOT = Path(__file__).parents[2]


def rows_in(path: Path) -> list[tuple[object, ...]]:
    """What somebody else finds in a file that nobody has open."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute(ALL).fetchall()
    finally:
        connection.close()


def as_if_stopped(path: Path) -> Path:
    """A copy of what is on the disk now."""
    copy = path.with_name("copy.db")
    for end in ("", "-wal"):
        Path(f"{copy}{end}").write_bytes(Path(f"{path}{end}").read_bytes())
    return copy


async def until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110  # a thread sees to it
        await asyncio.sleep(0.005)


async def filled(path: Path, *values: object) -> None:
    database = Database(path, SCHEMA)
    for number, value in enumerate(values):
        database.execute(INSERT, number, value)
    await database.close()


# -- writing and reading ----------------------------------------------------------------


async def test_a_query_sees_what_was_queued_before_it(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    futures = [database.execute(INSERT, number, f"thing {number}") for number in range(2500)]
    rows = await database.query(ALL)
    assert rows == [(number, f"thing {number}") for number in range(2500)]
    assert [await future for future in futures] == [1] * 2500
    await database.close()


async def test_values_come_back_as_they_went_in(tmp_path):
    values = [None, 1, -(2**63), 1.5, 1e300, float("inf"), "", "\0 é \n", b"", b"\xff\0"]
    await filled(tmp_path / "a.db", *values)
    database = Database(tmp_path / "a.db", SCHEMA)
    assert [what for _, what in await database.query(ALL)] == values
    await database.close()


async def test_execute_tells_how_many_rows_changed(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    await database.execute_together([(INSERT, (n, "x")) for n in range(5)])
    assert await database.execute("UPDATE things SET what = 'y' WHERE id < ?", 3) == 3
    assert (
        await database.execute_together(
            [("DELETE FROM things WHERE id = 0", ()), ("DELETE FROM things WHERE id > 2", ())]
        )
        == 3
    )
    await database.close()


async def test_statements_together_are_done_all_or_not_at_all(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    database.execute(INSERT, 1, "first")
    bad = database.execute_together([(INSERT, (2, "second")), (INSERT, (1, "twice"))])
    database.execute(INSERT, 3, "third")
    with pytest.raises(StorageError, match=r"UNIQUE.*INSERT INTO things"):
        await bad
    await database.close()
    assert rows_in(tmp_path / "a.db") == [(1, "first"), (3, "third")]


async def test_a_statement_that_is_refused_costs_only_itself(tmp_path, caplog):
    database = Database(tmp_path / "a.db", SCHEMA)
    database.execute(INSERT, 1, "one")
    database.execute("INSERT INTO neverland VALUES (1)")
    with pytest.raises(StorageError, match="no such table: nowhere") as info:
        await database.query("SELECT * FROM nowhere")
    assert not info.value.kept
    database.execute(INSERT, 2, "two")
    await database.flush()
    await database.close()
    assert rows_in(tmp_path / "a.db") == [(1, "one"), (2, "two")]
    assert [r.message for r in caplog.records if "no such table: neverland" in r.message]


async def test_values_that_sqlite_does_not_take_are_refused(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    with pytest.raises(StorageError):
        await database.execute(INSERT, 1, object())
    with pytest.raises(StorageError):
        await database.execute(INSERT, 1, 2**63)
    with pytest.raises(StorageError):
        await database.query("SELECT ?", object())
    assert await database.query(ALL) == []
    await database.close()


def test_what_ends_in_now_needs_no_loop(tmp_path):
    database = Database(tmp_path / "a.db")
    database.prepare_now("things", SCHEMA)
    database.execute(INSERT, 1, "one")
    assert database.query_now(ALL) == [(1, "one")]
    with pytest.raises(StorageError, match="no such table"):
        database.query_now("SELECT * FROM neverland")
    asyncio.run(database.close())
    with pytest.raises(StorageError, match="closed"):
        database.query_now(ALL)


# -- commits ----------------------------------------------------------------------------


async def test_what_was_flushed_is_in_the_file(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA, flush_interval=1000)
    database.execute(INSERT, 1, "one")
    await database.flush()
    database.execute(INSERT, 2, "two")
    await database.flush_now()
    database.execute(INSERT, 3, "three")
    await database.query(ALL)
    copy = as_if_stopped(tmp_path / "a.db")
    assert rows_in(copy) == [(1, "one"), (2, "two")]
    assert database.waiting == 1
    await database.close()
    assert len(rows_in(tmp_path / "a.db")) == 3


async def test_everything_is_committed_after_the_flush_interval(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA, flush_interval=0.02)
    database.execute(INSERT, 1, "one")
    await database.query(ALL)
    await until(lambda: not database.waiting)
    copy = as_if_stopped(tmp_path / "a.db")
    assert rows_in(copy) == [(1, "one")]
    await database.close()


def test_a_flush_interval_is_not_negative(tmp_path):
    with pytest.raises(ValueError, match="flush_interval"):
        Database(tmp_path / "a.db", flush_interval=-1)


# -- the end ----------------------------------------------------------------------------


async def test_after_close_nothing_is_left_and_nothing_is_taken(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    database.execute(INSERT, 1, "one")
    closing = [asyncio.ensure_future(database.close()) for _ in range(3)]
    await asyncio.gather(*closing)
    await database.close()
    assert database.is_closed
    assert os.listdir(tmp_path) == ["a.db"]
    assert not [t for t in threading.enumerate() if t.name.startswith("storage-")]
    for call in (lambda: database.execute(INSERT, 2, 2), database.flush_now):
        with pytest.raises(StorageError, match="is closed"):
            call()
    with pytest.raises(StorageError, match="is closed"):
        await database.query(ALL)


async def test_a_database_let_go_of_writes_what_it_has_and_ends(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA, flush_interval=1000)
    database.execute(INSERT, 1, "one")
    gone = weakref.ref(database)
    del database
    gc.collect()
    assert gone() is None
    assert not [t for t in threading.enumerate() if t.name.startswith("storage-")]
    assert rows_in(tmp_path / "a.db") == [(1, "one")]


@pytest.mark.slow
def test_a_program_that_ends_without_closing_loses_nothing(tmp_path):
    program = """
        import asyncio, sys
        from katcp.storage import Database
        async def main():
            database = Database(sys.argv[1], ["CREATE TABLE things (id, what)"],
                                flush_interval=1000)
            for number in range(100):
                database.execute("INSERT INTO things VALUES (?, 'x')", number)
            return database
        kept = asyncio.run(main())
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(tmp_path / "a.db")],
        check=True,
        cwd=ROOT,
    )
    assert len(rows_in(tmp_path / "a.db")) == 100


async def test_those_who_wait_no_more_are_not_told(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    waiting = asyncio.ensure_future(database.query(ALL))
    await asyncio.sleep(0)
    waiting.cancel()
    database.execute(INSERT, 1, "one").cancel()
    await database.flush()
    assert await database.query(ALL) == [(1, "one")]
    await database.close()


# -- tables -----------------------------------------------------------------------------


async def test_each_step_of_a_schema_is_done_once(tmp_path):
    await filled(tmp_path / "a.db", "old")
    more = [*SCHEMA, "ALTER TABLE things ADD COLUMN note", "UPDATE things SET note = 'new'"]
    for _ in range(2):
        database = Database(tmp_path / "a.db", more)
        assert await database.query("SELECT * FROM things") == [(0, "old", "new")]
        database.execute("UPDATE things SET note = 'new'")
        await database.close()
    with pytest.raises(StorageError, match=r"a\.db was written by a newer version"):
        Database(tmp_path / "a.db", SCHEMA)


async def test_parts_have_tables_of_their_own(tmp_path):
    for _ in range(2):
        database = Database(tmp_path / "a.db", SCHEMA)
        database.execute("INSERT OR REPLACE INTO things VALUES (1, 'x')")
        await database.prepare("notes", ["CREATE TABLE notes (text)"])
        await database.execute("INSERT INTO notes VALUES ('x')")
        await database.close()
    database = Database(tmp_path / "a.db", SCHEMA)
    await database.prepare("notes", ["CREATE TABLE notes (text)", "CREATE TABLE more (text)"])
    with pytest.raises(StorageError, match="newer version: it has step 2 of 'notes'"):
        await database.prepare("notes", ["CREATE TABLE notes (text)"])
    with pytest.raises(StorageError, match="tables of 'bad'"):
        await database.prepare("bad", ["CREATE TABLE good (text)", "CREATE BAD"])
    with pytest.raises(StorageError, match="no such table: good"):
        await database.query("SELECT * FROM good")
    assert len(await database.query("SELECT * FROM notes")) == 2
    await database.close()


def test_a_schema_that_is_wrong_is_refused_at_once(tmp_path):
    with pytest.raises(StorageError, match=r"a\.db: near"):
        Database(tmp_path / "a.db", ["CREATE NONSENSE"])


# -- files that cannot be opened --------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: path.write_text("Dear diary, " * 100), "is not a database"),
        (lambda path: path.mkdir(), "it is a directory"),
        (lambda path: _foreign(path, "CREATE TABLE theirs (x)"), "of another program"),
        (lambda path: _foreign(path, "PRAGMA application_id = 7"), "of another program"),
        (lambda path: _foreign(path, f"PRAGMA application_id = {0x4B415443}",
                               "PRAGMA user_version = 9"), "written by a newer version"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_file_is_said(tmp_path, make, text):
    path = tmp_path / "a.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(StorageError, match=text) as info:
        Database(path, SCHEMA)
    assert str(path) in str(info.value)
    assert before is None or path.read_bytes() == before


def _foreign(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"there is no directory .*/none"):
        Database(tmp_path / "none" / "a.db")


def run(program: str, path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), str(path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
    )


async def test_a_file_belongs_to_one_at_a_time(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    with pytest.raises(StorageError, match=r"a\.db is in use by another process"):
        Database(tmp_path / "a.db", SCHEMA)
    program = "import sys; from katcp.storage import Database; Database(sys.argv[1])"
    ran = run(program, tmp_path / "a.db")
    assert "is in use by another process" in ran.stderr
    await database.close()
    await Database(tmp_path / "a.db", SCHEMA).close()


@pytest.mark.parametrize("what", ["file", "directory"])
async def test_what_may_not_be_written_is_said(tmp_path, what):
    tmp_path.chmod(0o755)
    path = tmp_path / "a.db"
    await filled(path, "x")
    if what == "file":
        path.chmod(0o444)
    else:
        path.unlink()
    tmp_path.chmod(0o555)
    program = """
        import os, sys
        if os.getuid() == 0:  # who may do anything
            from katcp.storage import Database
            os.setuid(65534)
        from katcp.storage import Database
        Database(sys.argv[1])
    """
    ran = run(program, path)
    tmp_path.chmod(0o755)
    assert "StorageError" in ran.stderr
    assert str(path) in ran.stderr.splitlines()[-1]


# -- disks that fail --------------------------------------------------------------------


async def test_a_full_disk_costs_nothing_once_it_is_cleared(tmp_path, caplog):
    database = Database(tmp_path / "a.db", SCHEMA, flush_interval=0)
    database.execute(INSERT, 0, "before")
    await database.flush()
    (pages,) = (await database.query("PRAGMA page_count"))[0]
    await database.query(f"PRAGMA max_page_count = {pages}")
    large = "x" * 20_000
    database.execute(INSERT, 1, large)
    with pytest.raises(StorageError, match=r"a\.db cannot be written now: .*full") as info:
        await database.flush()
    assert info.value.kept
    assert "full" in (database.problem or "")
    later = database.execute(INSERT, 2, "later")
    with pytest.raises(StorageError, match="cannot be written now"):
        await database.query(ALL)
    with pytest.raises(StorageError, match="cannot be written now") as info:
        await later
    assert info.value.kept
    with pytest.raises(StorageError, match="cannot be written now"):
        await database.prepare("more", ["CREATE TABLE more (x)"])
    assert database.waiting == 2
    assert len([r for r in caplog.records if r.levelno == logging.ERROR]) == 1
    await _allow(database, tmp_path)
    await database.flush()
    assert database.problem is None
    assert "can be written again" in caplog.text
    assert await database.query(ALL) == [(0, "before"), (1, large), (2, "later")]
    await database.close()
    assert len(rows_in(tmp_path / "a.db")) == 3


async def _allow(database: Database, tmp_path: Path) -> None:
    """Give the disk room again, which a query may not while it is full."""
    connection = database._worker._connection
    connection.execute("PRAGMA max_page_count = 1000000")


async def test_while_the_disk_is_full_only_so_much_is_kept(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA, flush_interval=0, max_waiting=5)
    (pages,) = (await database.query("PRAGMA page_count"))[0]
    await database.query(f"PRAGMA max_page_count = {pages}")
    database.execute(INSERT, 1, "x" * 20_000)
    with pytest.raises(StorageError):
        await database.flush()
    with pytest.raises(StorageError, match="changes wait already"):
        [database.execute(INSERT, number, "x") for number in range(2, 20)]
    with pytest.raises(StorageError, match="5 changes are lost"):
        await database.close()


async def test_it_tries_again_by_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("katcp.storage._worker.RETRY", 0.01)
    database = Database(tmp_path / "a.db", SCHEMA, flush_interval=0)
    (pages,) = (await database.query("PRAGMA page_count"))[0]
    await database.query(f"PRAGMA max_page_count = {pages}")
    database.execute(INSERT, 1, "x" * 20_000)
    await until(lambda: database.problem is not None)
    await _allow(database, tmp_path)
    await until(lambda: database.problem is None)
    await database.close()
    assert len(rows_in(tmp_path / "a.db")) == 1


@pytest.mark.slow
def test_a_disk_that_gives_errors_is_opened_anew(tmp_path):
    program = """
        import asyncio, resource, signal, sys
        from katcp.storage import Database, StorageError
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        async def main():
            database = Database(sys.argv[1], ["CREATE TABLE things (id, what)"])
            await database.execute("INSERT INTO things VALUES (0, 'before')")
            await database.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
            for number in range(1, 11):
                database.execute("INSERT INTO things VALUES (?, ?)", number, "x" * 20_000)
            try:
                await database.flush()
            except StorageError as error:
                print(error, error.kept)
            print(database.problem)
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            await database.flush()
            print(database.problem)
            await database.close()
        asyncio.run(main())
    """
    ran = run(program, tmp_path / "a.db")
    first, problem, after = ran.stdout.splitlines()
    assert "cannot be written now" in first
    assert first.endswith("True")
    assert problem != "None"
    assert after == "None"
    assert [number for number, _ in rows_in(tmp_path / "a.db")] == list(range(11))


# -- processes that are killed ----------------------------------------------------------


@pytest.mark.slow
def test_a_process_that_is_killed_has_what_it_flushed(tmp_path):
    program = """
        import asyncio, sys
        from katcp.storage import Database
        async def main():
            database = Database(sys.argv[1], ["CREATE TABLE IF NOT EXISTS things (id, what)"])
            [(last,)] = await database.query("SELECT coalesce(max(id), 0) FROM things")
            number = last
            while True:
                for _ in range(7):
                    number += 1
                    database.execute("INSERT INTO things VALUES (?, 'x')", number)
                await database.flush()
                print(number, flush=True)
        asyncio.run(main())
    """
    path = tmp_path / "a.db"
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(program), str(path)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        ) as process:
            assert process.stdout is not None
            said = [process.stdout.readline() for _ in range(5)]
            process.send_signal(signal.SIGKILL)
            said += process.stdout.readlines()
        last = int([line for line in said if line.endswith("\n")][-1])
        numbers = [number for number, _ in rows_in(path)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= last


async def full(path: Path) -> Database:
    """A database that has something to write, and no room."""
    database = Database(path, SCHEMA, flush_interval=0)
    (pages,) = (await database.query("PRAGMA page_count"))[0]
    await database.query(f"PRAGMA max_page_count = {pages}")
    database.execute(INSERT, 1, "x" * 20_000)
    with pytest.raises(StorageError):
        await database.flush()
    return database


async def test_a_statement_that_turns_out_bad_later_costs_only_itself(tmp_path, caplog):
    database = await full(tmp_path / "a.db")
    database.execute("INSERT INTO neverland VALUES (1)")
    database.execute(INSERT, 2, "two")
    await _allow(database, tmp_path)
    await database.flush()
    assert "no such table: neverland" in caplog.text
    await database.close()
    assert len(rows_in(tmp_path / "a.db")) == 2


async def test_after_an_error_of_the_disk_the_file_is_opened_anew(tmp_path):
    path = tmp_path / "a.db"
    database = await full(path)
    database._worker._reopen = True  # as after an error of input or output
    path.rename(tmp_path / "away.db")
    path.mkdir()
    with pytest.raises(StorageError, match="it is a directory") as info:
        await database.flush()
    assert info.value.kept
    with pytest.raises(StorageError, match="cannot be written now"):
        await database.query(ALL)
    path.rmdir()
    (tmp_path / "away.db").rename(path)
    await database.flush()
    assert database.problem is None
    await database.close()
    assert len(rows_in(path)) == 1


def test_who_waits_in_a_loop_that_has_ended_is_not_told(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    database._worker.items.put(Close(None))  # so that nothing is done before the loop has ended
    database._thread.join()

    async def leave() -> None:
        database.execute(INSERT, 1, "one")

    asyncio.run(leave())
    worker = Worker(tmp_path / "a.db", SCHEMA, 1.0)
    worker.items = database._worker.items
    worker.items.put(Close(None))
    opened: concurrent.futures.Future[None] = concurrent.futures.Future()
    worker.run(opened)
    opened.result()
    assert rows_in(tmp_path / "a.db") == [(1, "one")]


async def test_a_database_let_go_of_closes_once(tmp_path):
    database = Database(tmp_path / "a.db", SCHEMA)
    database._finalizer()
    assert database.is_closed
    await database.close()


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (sqlite3.OperationalError("database or disk is full"), True),
        (sqlite3.OperationalError("disk I/O error"), True),
        (sqlite3.OperationalError("no such table: x"), False),
        (sqlite3.IntegrityError("UNIQUE constraint failed"), False),
        (OverflowError("disk I/O error"), False),
    ],
)
def test_errors_of_the_disk_are_known_by_their_texts(error, is_so):
    assert is_of_the_disk(error) is is_so


def test_a_file_that_is_damaged(tmp_path):
    path = tmp_path / "a.db"
    asyncio.run(filled(path, *range(1000)))
    content = bytearray(path.read_bytes())
    content[100:4096] = bytes(3996)
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"a\.db (is damaged|is not a database)"):
        Database(path, SCHEMA)
