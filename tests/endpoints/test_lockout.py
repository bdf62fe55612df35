"""Locks: who may change an endpoint, until when, and what is seen of it."""

from __future__ import annotations

import asyncio
import logging
import random
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from katcp.endpoints import (
    AccessDeniedError,
    AsyncEndpointServer,
    Endpoint,
    InvalidKeyError,
    InvalidValueError,
    KeyValueStore,
    Lockout,
    Locks,
    StoreKey,
    remote_command,
)
from katcp.endpoints._locks import _book as locks_room
from katcp.endpoints._locks._lockout import family, lock_family, unlock_family
from katcp.endpoints._requests._locks import LockRequests, take_key
from katcp.errors import FailReply
from katcp.protocol import Message
from katcp.server import AccessPolicy
from katcp.storage import Database
from tests.helpers import lock_victim
from tests.helpers.serving import serving, talking, until
from tests.helpers.wire import WireClient

KEY = "0123456789abcdef0123456789abcdef"
OTHER = "f" * 32
DASHED = "01234567-89ab-cdef-0123-456789abcdef"


class Quiet(AsyncEndpointServer):
    """Tells clients nothing of each other."""

    announces_clients = False


class Clocks:
    """A clock that is turned by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def lockout_with(clock: Clocks) -> Lockout:
    return Lockout("peaches", clock=clock, wall=lambda: clock.now + 1.7e9)


def store_of(*names: str) -> KeyValueStore:
    return KeyValueStore("kv", endpoints=[StoreKey(name, initial_value="1") for name in names])


class Instrument(KeyValueStore):
    """A provider that takes raw commands."""

    def send(self, to_send: Any) -> Any:
        return to_send


def serve(**options: Any) -> AsyncEndpointServer:
    store = Instrument(
        "kv",
        endpoints=[StoreKey(name, initial_value="1") for name in ("foo", "bar")],
        allow_send=True,
    )
    return Quiet("127.0.0.1", 0, endpoints=[store], node="node", **options)


async def key_of(client: WireClient, line: bytes = b"?lock[1] foo") -> str:
    reply = (await client.ask(line))[-1]
    assert reply.startswith(b"!lock[1] ok "), reply
    return reply.split()[-1].decode()


async def code_of(client: WireClient, line: bytes) -> tuple[bytes, int]:
    """Return status and code of a reply that is not ok; 0 for one that is."""
    words = (await client.ask(line))[-1].split(b" ")
    return words[1], 0 if words[1] == b"ok" else int(words[3])


# -- one lock ---------------------------------------------------------------------------


def test_drip_lck_01_a_key_is_made_up_or_echoed() -> None:
    made = {Lockout("a").lock() for _ in range(20)}
    assert len(made) == 20
    assert all(re.fullmatch("[0-9a-f]{32}", key) for key in made)
    assert Lockout("a").lock(DASHED) == KEY
    assert Lockout("a").lock(DASHED.upper()) == KEY.upper()


@pytest.mark.parametrize("key", [KEY, DASHED, KEY.upper(), DASHED.upper(), KEY.encode(), f" {KEY}"])
def test_drip_lck_03_the_right_key_passes_however_it_is_written(key: Any) -> None:
    lockout = Lockout("peaches")
    lockout.lock(KEY)
    lockout.check(key)
    assert lockout.unlock(key)


@pytest.mark.parametrize("key", ["zz", KEY[:-1], KEY + "0", "g" * 32, b"\xff" * 32, "-", " "])
def test_drip_lck_03_a_malformed_key_is_refused_open_or_locked(key: Any) -> None:
    lockout = Lockout("peaches")
    for _ in range(2):
        for attempt in (lockout.check, lockout.lock, lockout.unlock):
            with pytest.raises(InvalidKeyError) as caught:
                attempt(key)
            assert caught.value.code == 308
            assert len(key) < 3 or repr(key).strip("b'") not in str(caught.value)
        if not lockout.is_locked:
            lockout.lock(KEY)


def test_a_locked_one_lets_nobody_pass_without_the_key() -> None:
    lockout = Lockout("peaches")
    lockout.check()
    lockout.check(OTHER)  # of no importance while it is open
    lockout.lock(KEY, "night run", "do not touch")
    for key in (None, "", OTHER):
        with pytest.raises(
            AccessDeniedError, match=r"peaches is locked by night run since .*Z \(do"
        ):
            lockout.check(key)
        assert not lockout.opened_by(key)


def test_drip_lck_05_only_the_same_key_locks_again() -> None:
    lockout = Lockout("peaches")
    lockout.lock(KEY, "me", "because")
    since = lockout.since
    for key in (None, OTHER):
        with pytest.raises(AccessDeniedError):
            lockout.lock(key, "you")
    assert lockout.lock(KEY) == KEY
    assert (lockout.owner, lockout.reason, lockout.since) == ("me", "because", since)
    lockout.lock(KEY, "me too")
    assert (lockout.owner, lockout.reason) == ("me too", "because")


def test_unlocking() -> None:
    lockout = Lockout("peaches")
    assert not lockout.unlock()
    assert not lockout.unlock(KEY)
    lockout.lock(KEY)
    for key in (None, OTHER):
        with pytest.raises(AccessDeniedError):
            lockout.unlock(key)
    assert lockout.unlock(OTHER, force=True)
    assert not lockout.is_locked
    assert (lockout.owner, lockout.reason, lockout.since, lockout.expires) == ("", "", None, None)
    assert not lockout.unlock(force=True)


def test_a_lease_ends_by_itself_and_is_renewed_by_its_key() -> None:
    clock = Clocks()
    lockout = lockout_with(clock)
    changes: list[bool] = []
    lockout.on_change = lambda lockout: changes.append(lockout.is_locked)
    lockout.lock(KEY, lease=10)
    assert lockout.expires == 1.7e9 + 1010
    clock.now = 1009.999
    lockout.lock(KEY, lease=10)
    clock.now = 1010
    assert lockout.is_locked
    clock.now = 1019.999
    assert not lockout.is_locked
    lockout.check()
    assert changes == [True, True, False]
    lockout.lock(OTHER, lease=1)
    lockout.lock(OTHER)  # it does not end by itself any more
    clock.now = 1e9
    assert lockout.is_locked


@pytest.mark.parametrize("lease", [0, -1, float("nan"), float("inf")])
def test_a_lease_is_a_time_above_zero(lease: float) -> None:
    lockout = Lockout("peaches")
    with pytest.raises(InvalidValueError) as caught:
        lockout.lock(lease=lease)
    assert caught.value.invalid
    assert not lockout.is_locked


def test_a_lease_goes_on_when_the_clock_is_another() -> None:
    clock, other = Clocks(), Clocks()
    lockout = lockout_with(clock)
    lockout.lock(KEY, lease=10)
    clock.now += 4
    other.now = 50.0
    lockout.use_clock(other)
    other.now = 55.9
    assert lockout.is_locked
    other.now = 56.1
    assert not lockout.is_locked


def test_a_lock_ends_with_its_connection_and_no_other() -> None:
    lockout = Lockout("peaches")
    mine, yours = object(), object()
    lockout.lock(KEY, client=mine)
    assert not lockout.client_gone(yours)
    assert lockout.client_gone(mine)
    assert not lockout.is_locked
    lockout.lock(KEY)
    assert not lockout.client_gone(mine)
    assert lockout.is_locked


def test_drip_lck_07_nothing_of_a_lock_shows_the_key() -> None:
    lockout = Lockout("peaches")
    key = lockout.lock(owner="me", reason="because")
    shown = repr(lockout) + repr(lockout.held) + str(lockout.refusal()) + repr(lockout.refusal())
    assert key not in shown
    assert "me" in shown
    assert lockout.held is not None
    values = [getattr(lockout.held, name) for name in lockout.held.__dataclass_fields__]
    assert not [value for value in values if key in repr(value)]


# -- providers --------------------------------------------------------------------------


def test_drip_lck_06_a_provider_covers_what_is_in_it() -> None:
    store = store_of("foo", "bar", "baz")
    foo, bar, _ = store.children()
    bar.lockout.lock(OTHER, "somebody else")
    key, others = lock_family(store, owner="me")
    assert others == [bar]
    foo.lockout.check(key)
    store.lockout.check(key)
    with pytest.raises(AccessDeniedError):
        foo.lockout.check(OTHER)
    with pytest.raises(AccessDeniedError, match="somebody else"):
        bar.lockout.check(key)
    with pytest.raises(AccessDeniedError):
        unlock_family(store, OTHER)
    assert all(one.is_locked for one in family(store))
    opened, left = unlock_family(store, key)
    assert [one.name for one in opened] == ["kv", "foo", "baz"]
    assert left == [bar]
    assert bar.lockout.owner == "somebody else"
    opened, left = unlock_family(store, force=True)
    assert (opened, left) == ([bar], [])


def test_a_provider_of_somebody_else_leaves_all_as_it_is() -> None:
    store = store_of("foo")
    store.lockout.lock(OTHER)
    with pytest.raises(AccessDeniedError):
        lock_family(store, KEY)
    assert not store.children()[0].is_locked


def test_one_may_be_opened_alone_and_is_locked_again_with_its_provider() -> None:
    store = store_of("foo", "bar")
    lock_family(store, KEY)
    foo = store.endpoint("foo")
    foo.lockout.unlock(KEY)
    assert not foo.is_locked
    assert store.endpoint("bar").is_locked
    lock_family(store, KEY)
    assert foo.is_locked


def test_several_are_locked_by_one_key_as_far_as_they_are_free() -> None:
    locks = Locks()
    one, two = StoreKey("one"), StoreKey("two")
    for endpoint in (one, two):
        locks.adopt(endpoint)
    one.lockout.lock(OTHER)
    key, others = locks.lock([one, two])
    assert others == [one]
    two.lockout.check(key)
    with pytest.raises(AccessDeniedError):
        locks.lock([one, two])
    opened, left = locks.unlock([one, two], OTHER)
    assert (opened, left) == ([one], [two])
    with pytest.raises(InvalidKeyError):
        locks.unlock([], "bad")


@pytest.mark.virtual_time
async def test_leases_end_on_time_although_nobody_asks() -> None:
    loop = asyncio.get_running_loop()
    changed: list[tuple[str, bool, float]] = []
    locks = Locks(
        on_change=lambda one: changed.append((one.name, one.is_locked, loop.time() - start))
    )
    start = loop.time()
    store = store_of("foo", "bar")
    for one in family(store):
        locks.adopt(one)
    locks.start(loop)
    locks.lock([store.endpoint("foo")], lease=30)
    locks.lock([store.endpoint("bar")], lease=10)
    await asyncio.sleep(5)
    locks.unlock([store.endpoint("bar")], force=True)
    locks.lock([store.endpoint("bar")], lease=3600)
    await asyncio.sleep(3600 * 2)
    ended = [(name, round(when, 6)) for name, locked, when in changed if not locked]
    assert ended == [("bar", 5), ("foo", 30), ("bar", 3605)]
    locks.lock([store], lease=100)
    locks.stop()
    changed.clear()
    await asyncio.sleep(1000)
    assert changed == []
    assert not store.is_locked  # found out by looking
    assert changed[0][:2] == ("kv", False)


async def test_one_may_be_locked_before_it_is_served() -> None:
    changed: list[str] = []
    locks = Locks(on_change=lambda one: changed.append(one.name))
    locks.start(asyncio.get_running_loop())
    foo = StoreKey("foo")
    foo.lockout.lock(KEY, lease=1000)
    locks.adopt(foo)
    assert changed == ["foo"]
    locks.abandon(StoreKey("bar"))  # it was never here
    locks.abandon(foo)
    foo.lockout.unlock(KEY)
    assert changed == ["foo"]
    again = StoreKey("foo")
    locks.adopt(again)
    again.lockout.check(KEY)
    assert again.is_locked
    locks.stop()


def test_a_lock_of_a_connection_does_not_wait_for_an_endpoint_longer_than_that() -> None:
    locks = Locks()
    client, other, foo = Clocks(), Clocks(), StoreKey("foo")  # anything that can be referred to
    locks.adopt(foo)
    locks.lock([foo], client=client)
    locks.abandon(foo)
    locks.client_gone(other)
    locks.client_gone(client)
    again = StoreKey("foo")
    locks.adopt(again)
    assert not again.is_locked
    clock = Clocks()
    again = StoreKey("again")
    again.lockout = lockout_with(clock)
    locks.adopt(again)
    locks.lock([again], lease=10)
    locks.abandon(again)
    clock.now += 11
    other_again = StoreKey("again")
    other_again.lockout = lockout_with(clock)
    locks.adopt(other_again)
    assert not other_again.is_locked


def test_a_refusal_says_something_although_the_lock_has_just_ended() -> None:
    assert str(Lockout("peaches").refusal()) == "peaches was locked"


# -- keys of requests -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "after", "rest", "key"),
    [
        ([b"foo", b"1"], 2, [b"foo", b"1"], None),
        ([b"foo", b"1", b"lockout-key=abc"], 2, [b"foo", b"1"], "abc"),
        ([b"foo", b"lockout-key=abc"], 2, [b"foo", b"lockout-key=abc"], None),
        ([b"foo", b"lockout-key=a", b"lockout-key="], 2, [b"foo", b"lockout-key=a"], ""),
        ([b"lockout-key=\xff"], 0, [], "\ufffd"),
        ([], 0, [], None),
    ],
)
def test_a_key_is_taken_only_behind_the_value(
    arguments: list[bytes], after: int, rest: list[bytes], key: str | None
) -> None:
    assert take_key(arguments, after) == (rest, key)


# -- over the wire ----------------------------------------------------------------------


async def test_drip_lck_01_over_the_wire() -> None:
    async with serving(serve()) as server, talking(server) as client:
        keys = set()
        for _ in range(3):
            key = await key_of(client)
            assert re.fullmatch("[0-9a-f]{32}", key)
            keys.add(key)
            assert await client.ask(b"?unlock[2] foo " + key.encode()) == [b"!unlock[2] ok"]
        assert len(keys) == 3
        assert await key_of(client, b"?lock[1] foo " + DASHED.encode()) == KEY


@pytest.mark.parametrize(
    "line",
    [
        b"?set foo 2",
        b"?set foo 5 max_interval",
        b"?cmd foo anything",
        b"?configure foo max-interval 5",
        b"?send kv *IDN?",
    ],
)
async def test_drip_lck_02_what_changes_something_is_refused(line: bytes) -> None:
    async with serving(serve()) as server, talking(server) as client:
        await key_of(client, b"?lock[1] kv")
        if not line.startswith(b"?cmd"):  # the store has no commands; see the next test
            assert await code_of(client, line) == (b"fail", 307)
        assert (await client.ask(b"?get foo"))[0].startswith(b"!get ok 1 ")
        assert await client.ask(b"?configure foo max-interval") == [b"!configure ok 0.0"]


async def test_drip_lck_02_commands_are_refused() -> None:

    class Motor(Endpoint):
        turns = 0

        @remote_command
        def turn(self) -> int:
            """Turn once."""
            self.turns += 1
            return self.turns

    motor = Motor("motor")
    server = Quiet("127.0.0.1", 0, endpoints=[motor])
    async with serving(server), talking(server) as client:
        key = await key_of(client, b"?lock[1] motor")
        assert await code_of(client, b"?cmd motor turn") == (b"fail", 307)
        assert motor.turns == 0
        line = b"?cmd motor turn lockout-key=" + key.encode()
        assert await client.ask(line) == [b"!cmd ok 1"]


@pytest.mark.parametrize(
    "line",
    [
        b"?get foo",
        b"?get foo max_interval",
        b"?sensor-value kv.foo",
        b"?sensor-sampling kv.foo event",
        b"?ping foo",
        b"?ping",
        b"?is-locked foo",
        b"?configure foo max_interval",
        b"?list-endpoints",
    ],
)
async def test_drip_lck_02_what_only_looks_is_let_pass(line: bytes) -> None:
    async with serving(serve()) as server, talking(server) as client, talking(server) as other:
        await key_of(client, b"?lock[1] kv")
        reply = (await other.ask(line))[-1]
        assert reply.split(b" ")[1] == b"ok"


async def test_drip_lck_03_over_the_wire() -> None:
    async with serving(serve()) as server, talking(server) as client:
        await key_of(client, b"?lock[1] foo " + KEY.encode())
        for key in (KEY, DASHED, KEY.upper(), DASHED.upper()):
            line = b"?set foo x lockout-key=" + key.encode()
            assert await client.ask(line) == [b"!set ok x"]
        assert await code_of(client, b"?set foo y lockout-key=" + OTHER.encode()) == (b"fail", 307)
        for target in (b"foo", b"bar"):  # locked and open
            for line in (b"?set %s y lockout-key=12", b"?unlock %s 12", b"?lock %s 12"):
                assert await code_of(client, line % target) == (b"fail", 308)
        assert await code_of(client, b"?lock-key 12") == (b"fail", 308)
        assert (await client.ask(b"?get foo"))[0].startswith(b"!get ok x ")


async def test_drip_lck_04_unlock(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "katcp.endpoints")
    async with serving(serve()) as server, talking(server) as client, talking(server) as other:
        key = await key_of(client)
        for argument in (b"", b" \\@", b" " + OTHER.encode()):
            assert await code_of(other, b"?unlock foo" + argument) == (b"fail", 307)
        assert await other.ask(b"?unlock[2] foo " + key.encode()) == [b"!unlock[2] ok"]
        assert await other.ask(b"?unlock[3] foo") == [
            b"#warning[3] 1 foo\\_was\\_not\\_locked",
            b"!unlock[3] ok",
        ]
        await key_of(client)
        assert not caplog.records
        assert await other.ask(b"?unlock[3] foo \\@ force") == [b"!unlock[3] ok"]
        assert "opened kv.foo by force" in caplog.text
        assert other.writer.get_extra_info("sockname")[0] in caplog.text
        await key_of(client, b"?lock[1] foo \\@ owner=\\nme\xff")
        assert await other.ask(b"?unlock[4] foo force") == [b"!unlock[4] ok"]
        assert "'\\nme\ufffd' had locked it" in caplog.text


async def test_drip_lck_04_forcing_can_be_refused() -> None:
    class Careful(AccessPolicy):
        def may_request(self, client: Any, name: str, arguments: Any) -> Any:
            return not (name == "unlock" and b"force" in arguments)

    async with serving(serve(access=Careful())) as server, talking(server) as client:
        key = await key_of(client)
        assert await client.ask(b"?unlock foo \\@ force") == [b"!unlock fail Access\\_denied."]
        assert await client.ask(b"?unlock foo " + key.encode()) == [b"!unlock ok"]


async def test_drip_lck_04_forcing_is_a_right_that_the_host_grants() -> None:
    server = serve()
    asked: list[str] = []
    answers: list[Any] = [False, FailReply("only on Sundays"), None, True]

    def may_force(connection: Any) -> Any:
        asked.append(connection.address)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def may_force_later(connection: Any) -> Any:
        return may_force(connection)

    async with serving(server), talking(server) as client:
        locks = server.endpoint_host.locks
        await key_of(client)
        for way in (may_force, may_force, may_force_later):
            locks.may_force = way
            assert await code_of(client, b"?unlock foo \\@ force") == (b"fail", 307)
        assert await client.ask(b"?unlock foo \\@ force") == [b"!unlock ok"]
        assert len(set(asked)) == 1
        assert len(asked) == 4


async def test_drip_lck_05_over_the_wire() -> None:
    async with serving(serve()) as server, talking(server) as client, talking(server) as other:
        key = await key_of(client)
        assert await code_of(other, b"?lock foo") == (b"fail", 307)
        assert await code_of(client, b"?lock foo " + OTHER.encode()) == (b"fail", 307)
        assert await key_of(other, b"?lock[1] foo " + key.encode()) == key


async def test_drip_lck_06_over_the_wire() -> None:
    async with serving(serve()) as server, talking(server) as client, talking(server) as other:
        theirs = await key_of(other, b"?lock[1] bar \\@ owner=alice")
        lines = await client.ask(b"?lock[1] kv")
        assert lines[0] == b"#warning[1] 5 kv.bar\\_stays\\_locked\\_by\\_alice"
        key = lines[-1].split()[-1]
        assert await code_of(client, b"?set bar 2 lockout-key=" + key) == (b"fail", 307)
        assert await code_of(client, b"?set foo 2") == (b"fail", 307)
        assert await client.ask(b"?set foo 2 lockout-key=" + key) == [b"!set ok 2"]
        assert await client.ask(b"?unlock kv " + key) == [
            b"#warning 5 kv.bar\\_stays\\_locked\\_by\\_alice",
            b"!unlock ok",
        ]
        assert await client.ask(b"?set foo 3") == [b"!set ok 3"]
        assert await code_of(client, b"?set bar 3") == (b"fail", 307)
        assert await other.ask(b"?set bar 3 lockout-key=" + theirs.encode()) == [b"!set ok 3"]
        assert await other.ask(b"?unlock kv \\@ force") == [b"!unlock ok"]
        assert await client.ask(b"?set bar 4") == [b"!set ok 4"]


async def test_drip_lck_06_what_comes_to_a_locked_provider_is_locked_as_that_is() -> None:
    server = serve()
    async with serving(server), talking(server) as client:
        key = await key_of(client, b"?lock[1] kv")
        store = server.endpoint_host.find("kv")
        store.add_endpoint(StoreKey("baz"))
        assert await code_of(client, b"?set baz 1") == (b"fail", 307)
        assert await client.ask(b"?set baz 1 lockout-key=" + key.encode()) == [b"!set ok 1"]
        assert (await client.ask(b"?sensor-value kv.baz.locked"))[0].endswith(b" nominal 1")
        store.remove_endpoint("foo")  # and comes again, as when a file is read anew
        store.add_endpoint(StoreKey("foo"))
        assert await code_of(client, b"?set foo 1") == (b"fail", 307)
        assert await client.ask(b"?unlock kv " + key.encode()) == [b"!unlock ok"]
        assert await client.ask(b"?is-locked *") == [b"!is-locked ok 0"]


async def test_drip_lck_06_all_at_once() -> None:
    async with serving(serve()) as server, talking(server) as client:
        key = await key_of(client, b"?lock[1] *")
        assert [line.split()[1] for line in (await client.ask(b"?is-locked *"))[:-1]] == [
            b"kv",
            b"kv.foo",
            b"kv.bar",
        ]
        assert await client.ask(b"?unlock * " + key.encode()) == [b"!unlock ok"]
        assert await client.ask(b"?is-locked foo") == [b"!is-locked ok 0"]


async def test_drip_lck_07_nobody_is_shown_the_key(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with serving(serve()) as server, talking(server) as owner, talking(server) as other:
        key = await key_of(owner, b"?lock[1] kv \\@ reason=night owner=me lease=1000")
        seen: list[bytes] = []
        for line in (b"?log-level all", b"?sensor-sampling kv.foo.locked event"):
            seen += await other.ask(line)
        await owner.ask(b"?lock-key " + key.encode())
        await owner.ask(b"?set foo 2")
        await owner.ask(b"?set foo 2 lockout-key=" + key.encode())
        await owner.ask(b"?configure foo lockout_key 5 lockout-key=" + key.encode())
        await owner.ask(b"?cmd foo no_such lockout-key=" + key.encode())
        await owner.ask(b"?lock kv \\@ " + key.encode())  # in the wrong place
        await owner.ask(b"?lock[5] kv " + key.encode())
        for line in (
            b"?help",
            b"?sensor-list",
            b"?sensor-value",
            b"?is-locked kv",
            b"?is-locked *",
            b"?list-endpoints",
            b"?client-list",
            b"?get foo lockout_key",
            b"?get foo lockout-key",
            b"?get foo _lockout",
            b"?configure kv lockout_key",
            b"?cmd foo lockout_key",
            b"?set foo 3",
            b"?set foo 3 lockout-key=" + OTHER.encode(),
            b"?unlock foo",
            b"?lock foo",
            b"?unlock kv \\@ force",
        ):
            seen += await other.ask(line)
        everything = b"\n".join(seen).lower() + caplog.text.lower().encode()
        assert key.encode() not in everything
        store = server.endpoint_host.find("kv")
        assert key not in repr(store) + repr(store.lockout) + repr(vars(store))


async def test_drip_lck_08_is_locked_shows_who_since_when_and_why() -> None:
    async with serving(serve()) as server, talking(server) as client, talking(server) as other:
        host, port = client.writer.get_extra_info("sockname")[:2]
        before = time.time()
        await key_of(client)
        words = (await other.ask(b"?is-locked foo"))[0].split(b" ")
        assert words[:4] == [b"!is-locked", b"ok", b"1", f"{host}:{port}".encode()]
        assert before - 0.001 <= float(words[4]) <= time.time() + 0.001
        assert words[5:] == [b"\\@"]
        await client.ask(b"?unlock foo \\@ force")
        assert await other.ask(b"?is-locked foo") == [b"!is-locked ok 0"]
        await key_of(client, b"?lock[1] foo \\@ owner=night\\_run reason=a\\_b lease=1000")
        words = (await other.ask(b"?is-locked node.kv.foo"))[0].split(b" ")
        assert (words[3], words[5]) == (b"night\\_run", b"a\\_b")
        assert 990 < float(words[6]) - float(words[4]) <= 1000.001
        assert await code_of(other, b"?is-locked nothing") == (b"fail", 102)


async def test_drip_lck_08_a_lease_ends_with_its_connection() -> None:
    server = serve()
    async with serving(server), talking(server) as other:
        async with talking(server) as client:
            await key_of(client, b"?lock[1] kv \\@ lease=connection")
            assert (await other.ask(b"?is-locked foo"))[0].endswith(b" connection")
            assert await code_of(other, b"?set foo 2") == (b"fail", 307)
            sampled = await other.ask(b"?sensor-sampling kv.foo.locked event")
            assert sampled[0].endswith(b" kv.foo.locked nominal 1")
        assert (await other.line()).endswith(b" kv.foo.locked nominal 0")
        assert await other.ask(b"?set foo 2") == [b"!set ok 2"]
        async with talking(server) as client:
            await key_of(client, b"?lock[1] bar")
        await until(lambda: server.endpoint_host.device.running())
        assert await code_of(other, b"?set bar 2") == (b"fail", 307)  # it was no lease


async def test_drip_lck_08_a_lease_ends_with_its_time() -> None:
    async with serving(serve()) as server, talking(server) as client:
        sampled = await client.ask(b"?sensor-sampling kv.foo.locked event")
        assert sampled[0].endswith(b" nominal 0")
        lines = await client.ask(b"?lock foo \\@ lease=0.2")
        while not lines[-1].endswith(b" kv.foo.locked nominal 0"):
            lines.append(await client.line())
        assert [line[-1:] for line in lines if b"kv.foo.locked" in line] == [b"1", b"0"]
        assert await client.ask(b"?is-locked foo") == [b"!is-locked ok 0"]


async def test_drip_lck_09_a_key_of_a_connection() -> None:
    async with serving(serve()) as server, talking(server) as one, talking(server) as two:
        key = (await key_of(one)).encode()
        assert await one.ask(b"?lock-key " + key) == [b"!lock-key ok"]
        assert await one.ask(b"?set foo 2") == [b"!set ok 2"]
        assert await one.ask(b"?configure foo max-interval 5") == [b"!configure ok 5.0"]
        assert await code_of(two, b"?set foo 3") == (b"fail", 307)
        # That of the request wins, right or wrong; and there is a way to say that there is none.
        assert await code_of(one, b"?set foo 3 lockout-key=" + OTHER.encode()) == (b"fail", 307)
        assert await code_of(one, b"?set foo 3 lockout-key=") == (b"fail", 307)
        assert await two.ask(b"?lock-key " + OTHER.encode()) == [b"!lock-key ok"]
        assert await two.ask(b"?set foo 3 lockout-key=" + key) == [b"!set ok 3"]
        assert await one.ask(b"?lock-key \\@") == [b"!lock-key ok"]
        assert await code_of(one, b"?set foo 4") == (b"fail", 307)
        assert (await two.ask(b"?get foo"))[0].startswith(b"!get ok 3 ")


async def test_a_value_may_look_like_a_key() -> None:
    async with serving(serve()) as server, talking(server) as client:
        assert await client.ask(b"?set foo lockout-key=1") == [b"!set ok lockout-key=1"]
        line = b"?set foo lockout-key=1 lockout-key=" + KEY.encode()
        assert await client.ask(line) == [b"!set ok lockout-key=1"]


async def test_drip_lck_10_a_schedule_goes_on_while_it_is_locked() -> None:
    key = StoreKey("foo", initial_value="1", schedule_interval=0.05)
    server = Quiet("127.0.0.1", 0, endpoints=[key])
    async with serving(server), talking(server) as client, talking(server) as listener:
        assert (await client.ask(b"?logging foo on"))[-1].split()[1] == b"ok"
        await key_of(client)
        assert (await listener.ask(b"?alert-subscribe sensor_value.#"))[-1].split()[1] == b"ok"
        for _ in range(3):
            assert b"sensor_value.foo" in await listener.line()
        assert await code_of(client, b"?set foo 2") == (b"fail", 307)


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        (b"?lock", (b"invalid", 303)),
        (b"?unlock", (b"invalid", 303)),
        (b"?is-locked", (b"invalid", 303)),
        (b"?is-locked a b", (b"invalid", 303)),
        (b"?lock-key a b", (b"invalid", 303)),
        (b"?lock foo \\@ forever=1", (b"invalid", 303)),
        (b"?lock foo \\@ owner=a owner=b", (b"invalid", 303)),
        (b"?unlock foo \\@ reason=x", (b"invalid", 303)),
        (b"?lock foo \\@ lease=0", (b"invalid", 304)),
        (b"?lock foo \\@ lease=soon", (b"invalid", 304)),
        (b"?lock foo \\@ lease=nan", (b"invalid", 304)),
        (b"?lock foo \\@ owner=" + b"x" * 101, (b"invalid", 304)),
        (b"?lock foo \\@ reason=" + b"x" * 501, (b"invalid", 304)),
        (b"?lock nothing", (b"fail", 102)),
        (b"?unlock nothing", (b"fail", 102)),
    ],
)
async def test_requests_that_are_not_understood(line: bytes, answer: tuple[bytes, int]) -> None:
    async with serving(serve()) as server, talking(server) as client:
        assert await code_of(client, line) == answer
        assert await client.ask(b"?is-locked *") == [b"!is-locked ok 0"]


async def test_there_may_be_nothing_to_lock() -> None:
    server = serve()
    async with serving(server), talking(server) as client:
        server.endpoint_host.remove("kv")
        assert await code_of(client, b"?lock *") == (b"fail", 304)
        assert (await client.ask(b"?unlock *"))[-1] == b"!unlock ok"


async def test_a_lease_of_a_client_that_has_gone_meanwhile() -> None:
    class Gone:
        address = "10.0.0.5:41234"
        client_disconnect_called = True

        def __init__(self) -> None:
            self.client_connection = self

    host = serve().endpoint_host
    answer = await LockRequests(host).request_lock(
        Gone(), Message.request("lock", "foo", "", "lease=connection")
    )
    assert answer[0] == "ok"
    assert not host.find("foo").is_locked


async def test_a_key_may_be_given_by_its_name() -> None:
    async with serving(serve()) as server, talking(server) as client:
        assert await key_of(client, b"?lock[1] foo lockout-key=" + DASHED.encode()) == KEY
        assert await client.ask(b"?unlock foo lockout-key=" + KEY.encode()) == [b"!unlock ok"]


# -- across restarts --------------------------------------------------------------------


def keeping(path: Path) -> tuple[AsyncEndpointServer, Database]:
    server, database = serve(), Database(path)
    server.endpoint_host.locks.keep_in(database)
    return server, database


async def test_locks_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    server, database = keeping(path)
    async with serving(server), talking(server) as client:
        key = await key_of(client, b"?lock[1] kv \\@ owner=me reason=night")
        await client.ask(b"?unlock bar " + key.encode())  # this one alone is open
        since = (await client.ask(b"?is-locked kv"))[0].split()[4]
    await database.close()
    assert key.encode() not in path.read_bytes()
    server, database = keeping(path)
    async with serving(server), talking(server) as client:
        assert (await client.ask(b"?sensor-value kv.foo.locked"))[0].endswith(b" nominal 1")
        assert (await client.ask(b"?is-locked foo"))[0].startswith(b"!is-locked ok 1 me ")
        assert await client.ask(b"?is-locked bar") == [b"!is-locked ok 0"]
        words = (await client.ask(b"?is-locked kv"))[0].split()
        assert (words[3], words[4], words[5]) == (b"me", since, b"night")
        assert await code_of(client, b"?set foo 2") == (b"fail", 307)
        assert await client.ask(b"?unlock kv " + key.encode()) == [b"!unlock ok"]
    await database.close()
    server, database = keeping(path)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?is-locked *") == [b"!is-locked ok 0"]
    await database.close()


async def test_what_was_confirmed_is_on_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    server, database = keeping(path)
    async with serving(server), talking(server) as client:
        copy = tmp_path / "copy.db"

        def kept() -> list[tuple[str, str]]:
            # What a process that is killed now leaves behind.
            copy.write_bytes(path.read_bytes())
            wal = Path(f"{path}-wal")
            if wal.exists():
                Path(f"{copy}-wal").write_bytes(wal.read_bytes())
            found = Database(copy)
            rows = found.query_now("SELECT path, owner FROM endpoint_locks ORDER BY path")
            closing.append(found)
            return rows

        closing: list[Database] = []
        await key_of(client, b"?lock[1] foo \\@ owner=me")
        assert kept() == [("kv.foo", "me")]
        await closing.pop().close()
        await client.ask(b"?unlock foo \\@ force")
        assert kept() == []
        await closing.pop().close()
    await database.close()


async def test_leases_go_on_while_the_device_is_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.db"
    server, database = keeping(path)
    async with serving(server), talking(server) as client:
        await client.ask(b"?lock foo \\@ lease=1000")
        await client.ask(b"?lock bar \\@ lease=2000")
        await client.ask(b"?lock kv \\@ lease=connection")
    await database.close()
    real = time.time
    monkeypatch.setattr(
        Lockout.__init__, "__kwdefaults__", {"clock": time.monotonic, "wall": lambda: real() + 1500}
    )
    server, database = keeping(path)
    async with serving(server), talking(server) as client:
        assert await client.ask(b"?is-locked foo") == [b"!is-locked ok 0"]
        assert await client.ask(b"?is-locked kv") == [b"!is-locked ok 0"]
        assert (await client.ask(b"?is-locked bar"))[0].startswith(b"!is-locked ok 1 ")
        bar = server.endpoint_host.find("bar")
        assert bar.lockout.held is not None
        left = bar.lockout.held.deadline - time.monotonic()
        assert 490 < left < 500.1
    await database.close()


async def test_a_lock_waits_for_an_endpoint_that_is_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "store.db"
    database = Database(path)
    locks = Locks()
    locks.keep_in(database)
    foo = StoreKey("foo")
    locks.adopt(foo)
    foo.lockout.lock(KEY, "me")  # before a loop knows of it
    locks.start(asyncio.get_running_loop())
    assert await locks.settled()
    locks.stop()
    await database.close()
    database = Database(path)
    locks = Locks()
    locks.keep_in(database)
    foo = StoreKey("foo")
    locks.adopt(foo)
    assert foo.lockout.owner == "me"
    foo.lockout.check(KEY)
    await database.close()


async def test_a_lock_is_held_although_it_cannot_be_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks_room, "PATIENCE", 0.05)
    server, database = keeping(tmp_path / "store.db")
    async with serving(server), talking(server) as client:
        await key_of(client, b"?lock[1] bar")
        await database.close()
        lines = await client.ask(b"?lock[1] foo")
        assert (
            lines[0]
            == b"#warning[1] 5 the\\_lock\\_could\\_not\\_be\\_kept\\_on\\_the\\_disk\\_yet"
        )
        assert lines[1].startswith(b"!lock[1] ok ")
        assert await code_of(client, b"?set foo 2") == (b"fail", 307)
        assert "lock of kv.foo is not kept" in caplog.text


async def test_a_database_that_cannot_be_prepared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(locks_room, "PATIENCE", 0.05)
    database = Database(tmp_path / "store.db")
    locks = Locks()
    locks.keep_in(database)
    await database.close()
    locks.start(asyncio.get_running_loop())
    assert not await locks.settled()
    assert "cannot be kept across restarts" in caplog.text
    locks.stop()


async def changed_until_it_is_gone(
    client: WireClient,
    rng: random.Random,
    held: dict[str, str | None],
    kill: Callable[[], object],
) -> tuple[str, str | None] | None:
    """Lock and unlock until the connection is lost: soon after some of that is confirmed.

    `held` has the key of each lock that was confirmed, and is kept up. Returns what was asked for
    and not confirmed: the name, and the key if it was to be locked.
    """
    left = rng.randint(1, 5)
    while True:
        name = rng.choice(sorted(held))
        before = held[name]
        after = None if before else f"{rng.getrandbits(128):032x}"
        line = f"?unlock {name} {before}" if before else f"?lock {name} {after} owner={after}"
        try:
            reply = (await client.ask(line.encode()))[-1]
        except (EOFError, ConnectionError):
            return name, after
        assert b" ok" in reply, reply
        held[name] = after
        left -= 1
        if left == 0:
            asyncio.get_running_loop().call_later(rng.uniform(0, 0.01), kill)


async def found(client: WireClient, name: str) -> str | None:
    """Return the key of a lock, which these owners tell; it must open it."""
    words = (await client.ask(b"?is-locked " + name.encode()))[-1].decode().split()
    if words[2] == "0":
        return None
    assert await code_of(client, b"?set %s 1" % name.encode()) == (b"fail", 307)
    line = f"?set {name} 1 lockout-key={words[3]}".encode()
    assert await code_of(client, line) == (b"ok", 0)
    return words[3]


@pytest.mark.slow
@pytest.mark.parametrize("kills", [12, pytest.param(500, marks=pytest.mark.soak)])
async def test_no_lock_is_lost_and_none_haunts_a_device_that_was_killed(
    tmp_path: Path, kills: int
) -> None:
    rng = random.Random(kills)
    held: dict[str, str | None] = dict.fromkeys(lock_victim.NAMES)
    seen = set()
    with lock_victim.breeding(tmp_path / "locks.db") as breeder:
        pending: tuple[str, str | None] | None = None
        for _ in range(kills):
            breeder.bear()
            assert breeder.until_serving(time.monotonic() + 20)
            assert breeder.port is not None
            async with await WireClient.connect(("127.0.0.1", breeder.port)) as client:
                for name in held:
                    now = await found(client, name)
                    if pending is not None and pending[0] == name:
                        assert now in (held[name], pending[1])
                        held[name] = now
                    assert now == held[name]
                    seen.add(now is None)
                pending = await changed_until_it_is_gone(client, rng, held, breeder.kill)
    assert seen == {True, False}
