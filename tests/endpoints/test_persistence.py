"""Values that outlive the process: exactly as they were, with their times, when they are wanted."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import sqlite3
import threading
import weakref
from pathlib import Path
from typing import Any

import pytest

from katcp.endpoints import (
    AsyncEndpointServer,
    EndpointHost,
    EndpointServer,
    InvalidValueError,
    KeyValueStore,
    Persistence,
    ResourceError,
    Spime,
    StoreKey,
)
from katcp.endpoints._keys import _persistence as persistence
from katcp.endpoints._keys._persistence import decoded, encoded, take_durable, until_durable
from katcp.storage import Database, StorageError
from tests.endpoints.served import reply, served
from tests.helpers.serving import Bare, serving, serving_in_thread, talking, until


def store(*keys: StoreKey) -> KeyValueStore:
    return KeyValueStore("kv", endpoints=keys or [StoreKey("foo"), StoreKey("bar")])


def rows(path: Path) -> dict[str, tuple[Any, ...]]:
    """What is in a file that nobody has open."""
    connection = sqlite3.connect(path)
    try:
        found = connection.execute("SELECT path, type, value FROM endpoint_values").fetchall()
    finally:
        connection.close()
    return {path: (kind, value) for path, kind, value in found}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept.db"


# -- values as they are kept ------------------------------------------------------------

VALUES = [
    None,
    True,
    False,
    0,
    -(2**63),
    2**200,
    1.79,
    -0.0,
    1e-320,
    math.inf,
    "",
    "a b = \\ \n \0 é 中",
    "\udcff\udc80",
    b"\xff\0\n",
    [1, "two", None],
    {"a": [1.5]},
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_values_come_back_exactly(path, value):
    async with served(store(), persist=path) as (server, _):
        key = server.endpoint_host.find("foo")
        assert isinstance(key, StoreKey)
        if value is None:
            key.restore(None, 1.0)
            key.on_hold(key)
        else:
            await key.write(value)
        set_at = key.set_at
    again = store()
    async with served(again, persist=path):
        key = again.endpoint("foo")
        assert isinstance(key, StoreKey)
        assert repr(key.value) == repr(value)
        assert type(key.value) is type(value)
        assert key.set_at == set_at


def test_nan_comes_back():
    assert math.isnan(decoded(*encoded(math.nan)))


def test_what_cannot_be_kept_or_read():
    for value in (object(), {1, 2}, [object()]):
        with pytest.raises(ValueError, match="cannot be kept"):
            encoded(value)
    for kind, value in (("thing", 1), ("integer", "x"), ("json", "{"), ("bytes", "x")):
        with pytest.raises(ValueError, match=kind):
            decoded(kind, value)


async def test_values_in_the_file_can_be_read_by_people(path):
    keys = [StoreKey("a", type="float"), StoreKey("b"), StoreKey("c", type="boolean")]
    async with served(store(*keys), persist=path) as (_, client):
        assert await reply(client, b"?set[1] a 1.5") == [b"ok", b"1.5"]
        assert await reply(client, b"?set[1] b hello\\_you") == [b"ok", b"hello you"]
        assert await reply(client, b"?set[1] c 1") == [b"ok", b"1"]
    assert rows(path) == {
        "kv.a": ("float", "1.5"),
        "kv.b": ("text", "hello you"),
        "kv.c": ("boolean", 1),
    }


# -- a store restarted is the store that stopped ----------------------------------------


async def test_a_store_restarted_is_the_store_that_stopped(path):
    def made() -> KeyValueStore:
        return store(
            StoreKey("set", initial_value="first", calibration="2 * {}", type="float"),
            StoreKey("unset", initial_value="first"),
            StoreKey("nothing"),
        )

    async with served(made(), persist=path, node="here") as (_, client):
        assert await reply(client, b"?set[1] set 1.5") == [b"ok", b"1.5"]
        before = await reply(client, b"?get[1] set")
        sensor = await client.ask(b"?sensor-value[1] kv.set")
    async with served(made(), persist=path, node="there") as (_, client):
        assert await reply(client, b"?get[1] kv.set") == before
        assert await client.ask(b"?sensor-value[1] kv.set") == sensor
        assert (await reply(client, b"?get[1] unset"))[:2] == [b"ok", b"first"]
        assert (await reply(client, b"?get[1] nothing"))[-1] == b"unknown"


async def test_nobody_is_told_of_a_value_that_is_back(path):
    async with served(store(), persist=path) as (_, client):
        await reply(client, b"?set[1] foo 1")
    async with served(store(StoreKey("foo", log_on_set=True, initial_value="0")), persist=path) as (
        _,
        client,
    ):
        await reply(client, b"?alert-subscribe[1] #")
        assert (await reply(client, b"?get[1] foo"))[1] == b"1"
        assert await client.ask(b"?ping[1]") == [b"!ping[1] ok"]


async def test_the_same_device_started_again_goes_on(path):
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store()], persist=path)
    for number in range(3):
        async with serving(server), talking(server) as client:
            if number:
                assert (await reply(client, b"?get[1] foo"))[1] == b"%d" % (number - 1)
            assert await reply(client, b"?set[1] foo %d" % number) == [b"ok", b"%d" % number]
            await server.endpoint_host.find("bar").write(f"{number}")
        await server.endpoint_host.find("bar").write("while it was down")
    async with serving(server):
        pass
    assert rows(path) == {"kv.foo": ("text", "2"), "kv.bar": ("text", "while it was down")}


def test_a_device_with_a_thread_of_its_own_keeps_values_too(path):
    for number in range(2):
        kept = store()
        server = EndpointServer("127.0.0.1", 0, endpoints=[kept], persist=path)
        with serving_in_thread(server):
            key = kept.endpoint("foo")
            assert isinstance(key, StoreKey)
            assert key.value == (None if number == 0 else "x")
            future = asyncio.run_coroutine_threadsafe(
                key.write("x"),
                server.ioloop.asyncio_loop,
            )
            future.result(10)


async def test_a_value_of_another_type_stays_away(path, caplog):
    async with served(store(), persist=path) as (_, client):
        await reply(client, b"?set[1] foo word")
        await reply(client, b"?set[1] bar 7")
    keys = [StoreKey("foo", type="float", initial_value=1.5), StoreKey("bar", type="integer")]
    async with served(store(*keys), persist=path) as (_, client):
        assert (await reply(client, b"?get[1] foo"))[1] == b"1.5"
        assert (await reply(client, b"?get[1] bar"))[1] == b"7"
    assert "kv.foo does not hold what it held before: 'word' is no float" in caplog.text
    assert rows(path)["kv.foo"] == ("text", "word")


async def test_keys_that_come_later_hold_what_they_held(path):
    async with served(store(), persist=path) as (server, client):
        await reply(client, b"?set[1] foo 1")
    async with served(KeyValueStore("kv"), persist=path) as (server, client):
        kv = server.endpoint_host.find("kv")
        kv.add_endpoint(StoreKey("foo", initial_value="0"))
        kv.add_endpoint(StoreKey("bar", initial_value="0"))
        assert (await reply(client, b"?get[1] foo"))[1] == b"1"
        await reply(client, b"?set[1] foo 2")
        kv.remove_endpoint("foo")
        kv.remove_endpoint("bar")
        kv.add_endpoint(StoreKey("foo"))
        kv.add_endpoint(StoreKey("bar", initial_value="new"))
        assert (await reply(client, b"?get[1] foo"))[1] == b"2"
        assert (await reply(client, b"?get[1] bar"))[1] == b"new"
    assert rows(path) == {"kv.foo": ("text", "2")}


async def test_a_row_that_makes_no_sense_costs_only_itself(path, caplog):
    async with served(store(), persist=path) as (_, client):
        await reply(client, b"?set[1] foo 1")
        await reply(client, b"?set[1] bar 2")
    connection = sqlite3.connect(path)
    connection.execute("UPDATE endpoint_values SET type = 'thing' WHERE path = 'kv.foo'")
    connection.commit()
    connection.close()
    async with served(store(), persist=path) as (_, client):
        assert (await reply(client, b"?get[1] foo"))[-1] == b"unknown"
        assert (await reply(client, b"?get[1] bar"))[1] == b"2"
    assert "the value of kv.foo cannot be read" in caplog.text


async def test_what_cannot_be_kept_is_logged(path, caplog):
    async with served(store(), persist=path) as (server, _):
        await server.endpoint_host.find("foo").write("good")
        await server.endpoint_host.find("bar").write(object())
    assert "The value of kv.bar is not kept: a object cannot be kept" in caplog.text
    assert list(rows(path)) == ["kv.foo"]


# -- when it is written -----------------------------------------------------------------


async def test_a_value_is_written_within_the_flush_interval(path):
    kept = Persistence(path, flush_interval=0.1)
    async with served(store(), persist=kept) as (_, client):
        await reply(client, b"?set[1] foo 1")
        await reply(client, b"?set[1] foo 2")
        database = kept._database
        assert database is not None
        assert kept._timer is not None
        await until(lambda: kept._timer is None and not database.waiting)
        assert await database.query("SELECT value FROM endpoint_values") == [("2",)]


async def test_a_thousand_sets_are_one_write(path):
    kept = Persistence(path)
    async with served(store(), persist=kept) as (server, _):
        key = server.endpoint_host.find("foo")
        for number in range(1000):
            await key.write(f"{number}")
        assert len(kept._dirty) == 1
        await kept.flush()
        assert not kept._dirty
    assert rows(path)["kv.foo"] == ("text", "999")


async def test_durable_sets_are_on_the_disk_when_they_are_answered(path):
    kept = Persistence(path, flush_interval=1000)
    async with served(store(), persist=kept) as (_, client):
        assert await reply(client, b"?set[1] foo 1 durable=true") == [b"ok", b"1"]
        assert not kept._dirty
        assert kept._database is not None
        assert kept._database.waiting == 0
        (key,) = (await reply(client, b"?lock[1] foo"))[1:]
        for order in (b"durable=true lockout-key=%s", b"lockout-key=%s durable=true"):
            assert (await reply(client, b"?set[1] foo 2 " + order % key))[0] == b"ok"
            assert not kept._dirty
        assert (await reply(client, b"?set[1] foo 3 durable=true"))[-1] == b"307"
        assert await reply(client, b"?set[1] bar durable=true") == [b"ok", b"durable=true"]
        assert await reply(client, b"?set[1] bar 5 durable=false") == [b"ok", b"5"]
        assert kept._dirty


async def test_durable_needs_something_that_keeps_values():
    async with served(store()) as (server, client):
        assert (await reply(client, b"?set[1] foo 1 durable=true"))[::2] == [b"fail", b"304"]
        assert server.endpoint_host.find("foo").value is None
        with pytest.raises(InvalidValueError):
            await until_durable(None)


def test_durable_is_taken_from_behind_the_value_only():
    assert take_durable([b"a", b"durable=true"], 2) == ([b"a", b"durable=true"], False)
    assert take_durable([b"a", b"1", b"Durable=TRUE"], 2) == ([b"a", b"1"], True)
    assert take_durable([b"a", b"1", b"durable=0"], 2) == ([b"a", b"1"], False)
    assert take_durable([b"a", b"1", b"durable=maybe"], 2)[0] == [b"a", b"1", b"durable=maybe"]


async def test_a_disk_that_is_full(path, monkeypatch, caplog):
    monkeypatch.setattr("katcp.storage._worker.RETRY", 0.01)
    kept = Persistence(path, flush_interval=0.02)
    async with served(store(), persist=kept) as (_, client):
        database = kept._database
        assert database is not None
        (pages,) = (await database.query("PRAGMA page_count"))[0]
        await database.query(f"PRAGMA max_page_count = {pages}")
        large = b"x" * 20_000
        answer = await reply(client, b"?set[1] foo %s durable=true" % large)
        assert answer[0] == b"fail"
        assert answer[-1] == b"200"
        assert b"it is set, but not on the disk" in answer[1]
        assert "full" in (kept.problem or "")
        assert (await reply(client, b"?get[1] foo"))[1] == large
        for number in range(10):
            assert await reply(client, b"?set[1] bar %d" % number) == [b"ok", b"%d" % number]
            await asyncio.sleep(0.02)
        assert database.waiting <= 2  # what is new waits as values, one for each key
        database._worker._connection.execute("PRAGMA max_page_count = 1000000")
        await until(lambda: kept.problem is None and not kept._dirty)
    assert rows(path) == {"kv.foo": ("text", large.decode()), "kv.bar": ("text", "9")}


async def test_a_disk_that_does_not_answer(path, monkeypatch):
    monkeypatch.setattr(persistence, "PATIENCE", 0.02)
    kept = Persistence(path)
    async with served(store(), persist=kept):

        async def never() -> None:
            await asyncio.get_running_loop().create_future()

        monkeypatch.setattr(kept, "flush", never)
        with pytest.raises(ResourceError, match="not on the disk after"):
            await until_durable(kept)


async def test_values_lost_at_the_end_are_logged(path, caplog):
    kept = Persistence(path, flush_interval=1000)
    async with served(store(), persist=kept) as (_, client):
        database = kept._database
        assert database is not None
        (pages,) = (await database.query("PRAGMA page_count"))[0]
        await database.query(f"PRAGMA max_page_count = {pages}")
        await reply(client, b"?set[1] foo " + b"x" * 20_000)
    assert "The last values are not kept" in caplog.text


# -- files and lives --------------------------------------------------------------------


def test_a_file_that_cannot_be_used_is_refused_at_once(path):
    path.write_text("Dear diary, " * 100)
    with pytest.raises(StorageError, match=r"kept\.db is not a database"):
        AsyncEndpointServer("127.0.0.1", 0, endpoints=[store()], persist=path)
    with pytest.raises(ValueError, match="flush_interval"):
        Persistence(path, flush_interval=-1)


async def test_a_database_that_is_shared_stays_open(path):
    database = Database(path)
    async with served(store(), persist=database) as (server, client):
        await reply(client, b"?set[1] foo 1")
        assert server.endpoint_host.persistence.path == path
    assert await database.query("SELECT value FROM endpoint_values") == [("1",)]
    await database.close()


async def test_any_device_can_keep_values(path):
    device = Bare("127.0.0.1", 0)
    host = EndpointHost(device, database=path)
    host.add(store())
    async with serving(device), talking(device) as client:
        await reply(client, b"?set[1] foo 1")
    assert rows(path) == {"kv.foo": ("text", "1")}


async def test_other_endpoints_are_left_alone(path):
    class Thermometer(Spime):
        value = 1.0

        def on_get(self) -> float:
            return self.value

        def on_set(self, value: float) -> None:
            self.value = value

    async with served(Thermometer("t", type="float"), persist=path) as (_, client):
        assert await reply(client, b"?set[1] t 5") == [b"ok"]
    assert rows(path) == {}


async def test_nothing_is_left_of_a_device_that_has_stopped(path):
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store()], persist=path)
    async with serving(server), talking(server) as client:
        await reply(client, b"?set[1] foo 1")
    assert not [t for t in threading.enumerate() if t.name.startswith("storage-")]
    gone = weakref.ref(server)
    del server, client

    def is_gone() -> bool:
        gc.collect()
        return gone() is None

    await until(is_gone)  # connections take a few turns to end


async def test_a_device_that_has_no_endpoints_yet_closes_its_file(path):
    server = AsyncEndpointServer("127.0.0.1", 0, persist=path)
    assert server.endpoint_host.persistence.path == path
    async with serving(server):
        await asyncio.sleep(0.01)
    assert not [t for t in threading.enumerate() if t.name.startswith("storage-")]


async def test_a_device_that_was_never_started_lets_go_of_its_file(path):
    server = AsyncEndpointServer("127.0.0.1", 0, endpoints=[store()], persist=path)
    await server.endpoint_host.find("foo").write("never written")
    gone = weakref.ref(server.endpoint_host)
    del server
    gc.collect()
    assert gone() is None
    assert not [t for t in threading.enumerate() if t.name.startswith("storage-")]


async def test_a_device_that_is_stopped_says_so(path):
    kept = Persistence(path)
    async with served(store(), persist=kept):
        pass
    with pytest.raises(StorageError, match="is closed"):
        await kept.flush()
    assert kept.problem is None


async def test_sets_while_the_disk_is_slow_wait_for_their_turn(path, caplog):
    kept = Persistence(path, flush_interval=0.01)
    async with served(store(), persist=kept) as (server, _):
        kept._written = slow = asyncio.get_running_loop().create_future()
        await server.endpoint_host.find("foo").write("1")
        await asyncio.sleep(0.05)
        assert kept._dirty
        slow.set_result(None)
        await until(lambda: not kept._dirty)
    with caplog.at_level(logging.DEBUG):
        assert rows(path) == {"kv.foo": ("text", "1")}
