"""Requests of endpoints over the wire: send, ping, and what all of them have in common."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from katcp.endpoints import (
    AccessDeniedError,
    AsyncEndpointServer,
    Endpoint,
    KeyValueStore,
    Provider,
    ServiceError,
    StoreKey,
)
from katcp.endpoints._requests._endpoints import EndpointRequests
from katcp.protocol import Message, escape
from tests.endpoints.served import informs, parse_line, reply, served
from tests.helpers.serving import serving, talking


class Scope(Provider):
    """Has a device behind it."""

    def __init__(self, name: str = "scope", **options: Any) -> None:
        super().__init__(name, **options)
        self.sent: list[Any] = []
        self.answer: Any = "ACME,7,0042"

    async def send(self, to_send: Any) -> Any:
        await asyncio.sleep(0)
        self.sent.append(to_send)
        if isinstance(self.answer, BaseException):
            raise self.answer
        return self.answer


class Slow(Endpoint):
    """Answers when it is told to."""

    def __init__(self, name: str = "slow", **options: Any) -> None:
        super().__init__(name, **options)
        self.go = asyncio.Event()
        self.asked = asyncio.Event()

    async def on_get(self) -> Any:
        self.asked.set()
        await self.go.wait()
        return "done"


# -- send -------------------------------------------------------------------------------

COMMANDS = ["*IDN?", "a b", "lockout-key=x", "", "\\n\n\0", "ü", "name=value"]


@pytest.mark.parametrize("command", COMMANDS)
async def test_drip_send_01_the_device_gets_the_very_text(command: str) -> None:
    scope = Scope(allow_send=True)
    async with served(scope) as (_, client):
        argument = escape(command.encode()) or b"\\@"
        assert await reply(client, b"?send scope " + argument) == [b"ok", b"ACME,7,0042"]
        assert scope.sent == [[command]]


@pytest.mark.parametrize(
    ("answer", "arguments"),
    [
        (None, []),
        ("", [b""]),
        (b"\xff", [b"\xff"]),
        (["a", 1, 2.5], [b"a", b"1", b"2.5"]),
        (True, [b"1"]),
    ],
)
async def test_drip_send_01_the_client_gets_the_answer(answer: Any, arguments: list[bytes]) -> None:
    scope = Scope(allow_send=True)
    scope.answer = answer
    async with served(scope) as (_, client):
        assert await reply(client, b"?send scope one two \xff") == [b"ok", *arguments]
        assert scope.sent == [["one", "two", b"\xff"]]


async def test_drip_send_01_who_has_no_device_says_so() -> None:
    closed = Scope("closed")
    kv = KeyValueStore("kv", endpoints=[StoreKey("foo")], allow_send=True)
    async with served(closed, kv, Scope(allow_send=True)) as (_, client):
        for target in (b"closed", b"kv", b"foo"):
            assert (await reply(client, b"?send %b x" % target))[::2] == [b"fail", b"306"]
        assert closed.sent == []
        assert (await reply(client, b"?send scope"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?send"))[::2] == [b"invalid", b"303"]


async def test_a_device_that_fails() -> None:
    scope = Scope(allow_send=True)
    scope.answer = ConnectionResetError("gone")
    async with served(scope) as (_, client):
        assert (await reply(client, b"?send scope x"))[::2] == [b"fail", b"201"]


# -- ping -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_",
    [b"", b" *", b" node", b" kv", b" foo", b" node.kv.foo", b" foo x y \\@ z=1", b" * a b"],
)
async def test_drip_ping_01_anything_is_answered(request_: bytes) -> None:
    async with served(KeyValueStore("kv", endpoints=[StoreKey("foo")]), node="node") as (_, client):
        assert await client.ask(b"?ping" + request_) == [b"!ping ok"]


async def test_drip_ping_01_who_is_not_there_does_not_answer() -> None:
    async with served(StoreKey("foo")) as (_, client):
        assert (await reply(client, b"?ping nix"))[::2] == [b"fail", b"102"]


async def test_drip_ping_01_neither_locks_nor_other_requests_hold_it_up() -> None:
    slow = Slow()
    async with served(Provider("p", endpoints=[slow])) as (_, client):
        await client.ask(b"?lock *")
        await client.send(b"?get[1] slow", b"?get[2] slow")
        await asyncio.wait_for(slow.asked.wait(), 10)
        for target in (b"", b" slow", b" p"):
            assert await client.ask(b"?ping[3]" + target) == [b"!ping[3] ok"]
        assert await client.ask(b"?watchdog[4]") == [b"!watchdog[4] ok"]
        slow.go.set()
        found = await client.lines(2)
        assert [line.split(b" ")[:3] for line in found] == [
            [b"!get[1]", b"ok", b"done"],
            [b"!get[2]", b"ok", b"done"],
        ]


async def test_a_ping_of_ones_own() -> None:
    class Deaf(Endpoint):
        def ping(self, *args: Any, **kwargs: Any) -> None:
            raise AccessDeniedError("not today")

    async with served(Deaf("deaf")) as (_, client):
        assert await reply(client, b"?ping deaf") == [b"fail", b"not today", b"307"]


# -- what they have in common -----------------------------------------------------------


async def test_replies_come_as_they_are_ready_and_those_of_a_provider_in_order() -> None:
    slow = Slow()
    bus = Provider("bus", endpoints=[slow, StoreKey("a")])
    async with served(bus, StoreKey("b")) as (_, client):
        await client.send(b"?get[1] slow", b"?set[2] a 1", b"?get[3] a", b"?set[4] b 1")
        assert await client.line() == b"!set[4] ok 1"
        slow.go.set()
        found = await client.lines(3)
        assert [line.split(b" ")[0] for line in found] == [b"!get[1]", b"!set[2]", b"!get[3]"]
        assert found[2].startswith(b"!get[3] ok 1 ")


async def test_a_lock_that_comes_meanwhile_holds() -> None:
    slow = Slow()
    key = StoreKey("a")
    async with served(Provider("bus", endpoints=[slow, key])) as (_, client):
        await client.send(b"?get[1] slow", b"?set[2] a 1", b"?cmd[3] a single-schedule 1")
        await asyncio.wait_for(slow.asked.wait(), 10)
        await client.ask(b"?lock[4] a")
        slow.go.set()
        assert (await client.line()).startswith(b"!get[1] ok")
        found = await client.lines(2)
        assert [line.split(b" ")[0] for line in found] == [b"!set[2]", b"!cmd[3]"]
        assert [line.split(b" ")[-1] for line in found] == [b"307", b"307"]
        assert key.value is None


async def test_the_key_of_a_lock_lets_pass() -> None:
    scope = Scope(allow_send=True)
    key = b"0123456789abcdef0123456789abcdef"
    async with served(scope, StoreKey("a")) as (device, client):
        assert await reply(client, b"?lock * " + key) == [b"ok", key]
        requests = [
            b"?set a 1",
            b"?cmd a single-schedule 1",
            b"?configure a max-interval 1",
            b"?set a 1 max-interval",
            b"?send scope x",
        ]
        for request in requests:
            assert (await reply(client, request))[::2] == [b"fail", b"307"]
            assert (await reply(client, request + b" lockout-key=" + key))[0] == b"ok"
            assert (await reply(client, request + b" lockout-key=zz"))[2] == b"308"
        for request in (b"?get a", b"?configure a max-interval", b"?get a max-interval"):
            assert (await reply(client, request))[0] == b"ok"
        async with talking(device) as other:
            assert (await reply(other, b"?lock-key " + key)) == [b"ok"]
            for request in requests:
                assert (await reply(other, request))[0] == b"ok"
                wrong = request + b" lockout-key=" + key[::-1]
                assert (await reply(other, wrong))[::2] == [b"fail", b"307"]
            # A value may look like a key: what follows the target is the value.
            assert await reply(other, b"?set a lockout-key=1") == [b"ok", b"lockout-key=1"]


async def test_an_endpoint_may_see_to_its_requests_itself() -> None:
    class Counting(StoreKey):
        seen: list[Any] = []  # noqa: RUF012

        async def handle_request(
            self, channel: Any, method: str, properties: Mapping[str, Any], request: Sequence[bytes]
        ) -> list[bytes]:
            self.seen.append((channel.address, method, dict(properties), list(request)))
            return [*await super().handle_request(channel, method, properties, request), b"!"]

    async with served(Counting("c")) as (_, client):
        assert await reply(client, b"?set c 1") == [b"ok", b"1", b"!"]
        [(address, method, properties, request)] = Counting.seen
        assert (method, properties, request) == ("set", {"lockout_key": None}, [b"1"])
        assert address.startswith("127.0.0.1:")


async def test_operations_that_there_are_not() -> None:
    key = StoreKey("k")
    with pytest.raises(Exception, match="there is no operation 'run'"):
        await key.handle_request(None, "run", {}, [])
    assert await key.handle_request(None, "set", {}, [b"1"]) == [b"1"]


async def test_an_error_that_nobody_foresaw_is_one_failed_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Broken(Endpoint):
        def on_get(self) -> Any:
            raise KeyError("secret details")

        def on_set(self, value: Any) -> Any:
            raise SystemExit(3)

    async with served(Broken("b"), StoreKey("k")) as (_, client):
        with caplog.at_level(logging.ERROR):
            status, text, code = await reply(client, b"?get b")
        assert (status, code) == (b"fail", b"999")
        assert b"Traceback" not in text
        mark = text.rpartition(b" ")[2].rstrip(b")").decode()
        assert mark in caplog.text
        assert (await reply(client, b"?set b 1"))[0] == b"fail"
        assert (await reply(client, b"?set k 1"))[0] == b"ok"


async def test_help_says_how() -> None:
    async with served(StoreKey("k")) as (_, client):
        listed = await informs(client, b"?help")
        names = {line[0] for line in listed[:-1]}
        assert {
            b"get",
            b"set",
            b"cmd",
            b"configure",
            b"send",
            b"list-endpoints",
            b"endpoint-list",
            b"ping",
            b"set-condition",
            b"lock",
            b"unlock",
            b"is-locked",
            b"lock-key",
            b"logging",
            b"schedule-once",
            b"alert-subscribe",
            b"alert-unsubscribe",
            b"alert-send",
        } <= names
        [text, _] = await informs(client, b"?help get")
        assert b"target : str" in text[1]


async def test_a_client_that_leaves_while_it_is_served() -> None:
    slow = Slow()
    async with served(Provider("p", endpoints=[slow])) as (device, client):
        async with talking(device) as other:
            await other.send(b"?get[1] slow")
            await asyncio.wait_for(slow.asked.wait(), 10)
        slow.go.set()
        assert (await reply(client, b"?get slow"))[1] == b"done"


async def test_stopping_while_requests_wait() -> None:
    slow = Slow()
    device = AsyncEndpointServer("127.0.0.1", 0, endpoints=[Provider("p", endpoints=[slow])])
    device.start()
    async with talking(device) as client:
        await client.send(b"?get[1] slow", b"?get[2] slow")
        await asyncio.wait_for(slow.asked.wait(), 10)
        await device.stop()
        rest = await client.rest()
    assert b"!get[1] fail" in rest
    assert b"!get[2] fail" in rest
    assert slow.lane.free


async def test_nothing_is_set_that_would_not_be_kept() -> None:
    key = StoreKey("k")
    device = AsyncEndpointServer("127.0.0.1", 0, endpoints=[key])
    for _ in range(2):
        async with serving(device), talking(device) as client:
            assert (await reply(client, b"?set k 1"))[0] == b"ok"
            [task] = [task for task in device.service_tasks if task.name == "endpoints"]
            assert task.future is not None
            assert not device.endpoint_host.stopping
        assert device.endpoint_host.stopping
        with pytest.raises(ServiceError, match="about to stop"):
            await EndpointRequests(device.endpoint_host).request_set(
                None, Message.request("set", "k", "2")
            )
    assert key.value == "1"


async def test_a_thousand_requests_at_once() -> None:
    keys = [StoreKey(f"k{number}") for number in range(50)]
    async with served(KeyValueStore("kv", endpoints=keys)) as (_, client):
        requests = [b"?set[%d] k%d %d" % (n + 1, n % 50, n) for n in range(1000)]
        await client.send(*requests)
        found = [await client.line() for _ in requests]
        assert found == [b"!set[%d] ok %d" % (n + 1, n) for n in range(1000)]


WORDS = [
    b"*",
    b"",
    b"#",
    b"foo",
    b"kv",
    b"kv.foo",
    b"n.kv.bar",
    b"pump.speed",
    b"nix",
    b"max-interval",
    b"log_on_set",
    b"schedule-interval",
    b"calibration",
    b"single_schedule",
    b"on",
    b"off",
    b"restart",
    b"-1",
    b"0",
    b"1e308",
    b"nan",
    b"9" * 400,
    b"\xff\0\n",
    b"lockout-key=",
    b"lockout-key=0123456789abcdef0123456789abcdef",
    b"0123456789abcdef0123456789abcdef",
    b"force",
    b"lease=1",
    b"lease=connection",
    b"durable=true",
    b"sensor_value.*",
    b"__class__",
    b"x" * 3000,
]


@pytest.mark.parametrize("seed", range(4))
async def test_drip_rc_01_whatever_is_asked_is_answered_once_and_failures_have_codes(
    seed: int,
) -> None:
    chance = random.Random(seed)
    kv = KeyValueStore(
        "kv",
        endpoints=[
            StoreKey("foo", calibration="1/{}", log_on_set=True, conditions={0: 0}),
            StoreKey("bar", type="float", params=(0, 5), get_on_set=True),
        ],
    )
    async with served(kv, Scope(allow_send=True), StoreKey("pump"), node="n") as (device, client):
        host = device.endpoint_host
        names = [
            name.encode()
            for part in host._parts
            for name in (n[8:].replace("_", "-") for n in dir(part) if n.startswith("request_"))
        ]
        assert len(names) > 15
        for number in range(1, 400):
            name = chance.choice(names)
            given = [chance.choice(WORDS) for _ in range(chance.choice([0, 1, 1, 2, 2, 2, 3, 4]))]
            line = b" ".join([b"?%b[%d]" % (name, number), *(escape(w) or b"\\@" for w in given)])
            await client.send(line)
            head = b"!%b[%d]" % (name, number)
            while not (answer := await client.line()).startswith(head + b" "):
                assert answer.startswith((b"#", b"!" + name)), (line, answer)
                assert not answer.startswith(b"!"), (line, answer)
            status, *rest = parse_line(answer)
            assert status in (b"ok", b"fail", b"invalid"), (line, answer)
            if status != b"ok":
                assert len(rest) >= 2, (line, answer)
                assert 100 <= int(rest[1]) < 999, (line, answer)
                assert rest[0], (line, answer)
        assert await client.ask(b"?watchdog[1]") != []
