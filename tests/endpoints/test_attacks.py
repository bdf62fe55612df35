"""What clients may do that mean no good, or send whatever comes: all is answered, once, by a code.

The walks are seeded; one that fails can be had again by its seed. The long ones are marked `soak`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
from collections.abc import Sequence
from typing import Any

import pytest

from katcp.endpoints import (
    RETURN_CODES,
    AsyncEndpointServer,
    DerivedEndpoint,
    EndpointHost,
    KeyValueStore,
    Provider,
    Spime,
    StoreKey,
    remote_command,
    remote_property,
)
from katcp.protocol import Message
from tests.endpoints.served import parse_line, reply, served
from tests.helpers.serving import talking, until
from tests.helpers.wire import WireClient

SEEDS = [pytest.param(seed, marks=pytest.mark.soak if seed > 3 else ()) for seed in range(1, 41)]


class Slow(Spime):
    """Takes its time, and fails now and then."""

    def __init__(self, name: str, chance: random.Random, **options: Any) -> None:
        super().__init__(name, **options)
        self._chance = chance

    async def on_get(self) -> float:
        await asyncio.sleep(self._chance.choice((0, 0, 0.001, 0.003)))
        if self._chance.random() < 0.1:
            raise RuntimeError("it does so now and then")
        return self._chance.random()

    async def on_set(self, value: Any) -> None:
        await asyncio.sleep(0.001)


class Pump(Provider):
    """Has commands, properties and a device to send to."""

    speed = 0.0

    @remote_property
    async def top(self) -> float:
        await asyncio.sleep(0)
        return self.speed

    @top.setter
    async def top(self, value: float) -> None:
        await asyncio.sleep(0)
        if value < 0:
            raise ValueError("it cannot turn backwards")
        self.speed = value

    @remote_command
    def double(self, value: float, *, times: int = 2) -> float:
        return value * times

    @remote_command
    async def words(self, *words):  # type: ignore[no-untyped-def]
        return words

    async def send(self, to_send: Any) -> Any:
        return to_send


def tree(chance: random.Random) -> list[Any]:
    """Return endpoints of all kinds."""
    return [
        KeyValueStore(
            "store",
            endpoints=[
                StoreKey("text", log_on_set=True),
                StoreKey("number", type="float", params=(0, 5), initial_value=1.0),
                StoreKey("both", calibration="times2({})", get_on_set=True),
                StoreKey("settable", calibration="{}", calibration_settable=True),
                StoreKey("floored", quantum=0.01, conditions={10: "0"}),
                StoreKey("count", type="integer"),
                StoreKey("word", type="discrete", params=["on", "off"]),
            ],
        ),
        Pump("pump", allow_send=True, endpoints=[Slow("slow", chance), Slow("text", chance)]),
        Provider("outer", endpoints=[Provider("inner", endpoints=[StoreKey("deep")])]),
        DerivedEndpoint("derived", "{store.number} * 2"),
    ]


# -- whatever comes ---------------------------------------------------------------------

NAMES = sorted(EndpointHost.request_names())

GOOD = [
    "text",
    "store.text",
    "number",
    "both",
    "settable",
    "floored",
    "count",
    "word",
    "pump",
    "pump.slow",
    "slow",
    "deep",
    "outer",
    "inner.deep",
    "node.store.number",
    "node",
    "*",
    "store",
    "derived",
    "pump.text",
]
ADDRESSES = [
    *GOOD * 3,
    *[
        "number.max_interval",
        "pump.top",
        "nix",
        "a.b.c.d",
        ".",
        "..",
        "number.",
        ".number",
        "store..text",
        "node.node",
        "Store",
        "TEXT",
        "store_text",
    ],
]

WORDS = (
    *ADDRESSES,
    *[
        "max_interval",
        "max-interval",
        "schedule_interval",
        "schedule_status",
        "calibration",
        "top",
        "double",
        "words",
        "single_schedule",
        "get_on_set",
        "log_on_set",
        "check_field",
        "alert_routing_key",
        "on",
        "off",
        "restart",
        "force",
        "lease=connection",
        "lease=0.01",
        "lease=-1",
        "lease=nan",
        "lease=1e308",
        "owner=me",
        "reason=why",
        "times=3",
        "times=x",
        "lockout-key=",
        "lockout-key=xyz",
        "durable=true",
        "durable=false",
        "0",
        "1",
        "-1",
        "0.5",
        "1e308",
        "nan",
        "inf",
        "-inf",
        "1_0",
        "0x1",
        "10",
        "True",
        "sensor_value.#",
        "#",
        "*.*",
        "sensor_value.text",
        "__class__",
        "_value",
        "on_get",
        "name",
        "lockout_key",
        "9**9**9",
        "{}**{}",
        "times2({})",
        "open('x')",
        "().__class__",
        "{0.__class__}",
        "'3'",
    ],
    "é",
    "\u202e",
    "0" * 32,
    "f" * 32,
    "a" * 2000,
    "1" * 5000,
    "(" * 10000,
    ".".join("a" * 500),
    ".".join(["#", "*"] * 100),
    "",
    " ",
    "\0\n\r\t\x1b\\",
)


PROPERTIES = [
    "max_interval",
    "max-interval",
    "max_fractional_change",
    "max_absolute_change",
    "schedule_interval",
    "log_interval",
    "schedule_status",
    "logging_status",
    "calibration",
    "top",
    "get_on_set",
    "log_on_set",
    "delay_start",
    "check_field",
    "alert_routing_key",
    "check_errors",
]
COMMANDS = ["double", "words", "single_schedule", "single-schedule", "nix"]
NUMBERS = ["0", "1", "-1", "0.5", "0.001", "2", "4.9", "1e308", "nan", "inf", "1_0", "9" * 400, "x"]
STATES = ["on", "off", "restart", "1", "true", "maybe"]
KEYS = ["0" * 32, "f" * 32, "0000-0000" + "0" * 24, "xyz", ""]
PATTERNS = ["#", "*", "sensor_value.#", "sensor_value.text", "*.*", "a.#.b", "#.#", "."]

#: What the arguments of a request are meant to be: words of these lists.
SHAPES: dict[str, list[Sequence[str]]] = {
    "get": [ADDRESSES, PROPERTIES],
    "set": [ADDRESSES, NUMBERS, PROPERTIES],
    "cmd": [ADDRESSES, COMMANDS, NUMBERS, ["times=3", "times=x", "lockout-key=" + KEYS[0]]],
    "configure": [ADDRESSES, PROPERTIES, [*NUMBERS, *STATES, "{}", "2*{}", "value_cal"]],
    "send": [ADDRESSES, WORDS, WORDS],
    "ping": [ADDRESSES, WORDS],
    "endpoint-list": [ADDRESSES],
    "list-endpoints": [ADDRESSES],
    "set-condition": [["10", "11"], ADDRESSES],
    "lock": [ADDRESSES, KEYS, ["lease=connection", "lease=0.005", "owner=me", "reason=why"]],
    "unlock": [ADDRESSES, KEYS, ["force"]],
    "is-locked": [ADDRESSES],
    "lock-key": [KEYS],
    "logging": [ADDRESSES, STATES],
    "schedule-once": [ADDRESSES, NUMBERS],
    "alert-subscribe": [PATTERNS],
    "alert-unsubscribe": [PATTERNS],
    "alert-send": [[*ADDRESSES, "a.b"], WORDS, WORDS],
    "alert-list": [],
}


def anything(chance: random.Random) -> bytes:
    """Return some argument."""
    roll = chance.random()
    if roll < 0.02:
        return chance.randbytes(chance.randrange(3000))
    if roll < 0.15:
        return chance.randbytes(chance.randrange(9))
    return chance.choice(WORDS).encode()


def any_request(chance: random.Random, mid: int) -> Message:
    """Return a request that may be right, or nearly so, or nonsense."""
    name = chance.choice(NAMES)
    if chance.random() < 0.2:
        arguments = [anything(chance) for _ in range(chance.choice((0, 1, 2, 3, 4, 20)))]
        return Message(Message.REQUEST, name, arguments, mid=str(mid))
    shape = SHAPES[name]
    length = len(shape) - (chance.random() < 0.5) + (chance.random() < 0.02)
    arguments = []
    for place in range(max(length, 0)):
        if chance.random() < 0.07 or place >= len(shape):
            arguments.append(anything(chance))
        else:
            arguments.append(chance.choice(shape[place]).encode())
    if name == "cmd" and len(arguments) > 1 and chance.random() < 0.5:
        arguments[0] = b"pump"
    return Message(Message.REQUEST, name, arguments, mid=str(mid))


def check_documented(request: Message, answer: Sequence[bytes]) -> None:
    """Complain of a reply that is none of a request of endpoints."""
    about = (repr(request)[:400], [bytes(one[:300]) for one in answer])
    if answer[0] == b"ok":
        return
    assert answer[0] in (b"fail", b"invalid"), about
    assert answer[1], about
    code = int(answer[2])
    assert code >= 100, about
    assert code in RETURN_CODES, about
    # Only a hook that fails by itself fails in a way that nobody foresaw.
    assert code != 999 or b"now and then" in answer[1], about


async def answers(client: WireClient, requests: Sequence[Message]) -> None:
    """Send requests in one go; each must be answered once, as is documented."""
    waiting = {request.mid: request for request in requests}
    await client.raw(b"".join(bytes(request) + b"\n" for request in requests))
    while waiting:
        line = await client.line()
        assert line, waiting
        if line.startswith(b"!"):
            head = line.partition(b" ")[0]
            mid = head.partition(b"[")[2].rstrip(b"]")
            request = waiting.pop(mid)
            assert head[1:].partition(b"[")[0].decode() == request.name
            check_documented(request, parse_line(line))


async def check_consistent(server: AsyncEndpointServer, client: WireClient) -> None:
    """Have what is seen of endpoints by different ways agree."""
    host = server.endpoint_host
    locked = set()
    for endpoint in host.all_endpoints():
        path = endpoint.path.encode()
        said = await reply(client, b"?is-locked " + path)
        shown = server.get_sensor(f"{endpoint.path}.locked").value()
        assert said[1] == (b"1" if endpoint.is_locked else b"0")
        assert shown == endpoint.is_locked
        if endpoint.is_locked:
            locked.add(endpoint.path)
        if isinstance(endpoint, StoreKey):
            answer = await reply(client, b"?get " + path)
            if answer[0] == b"ok" and answer[4] != b"unknown":
                raw = server.get_sensor(
                    f"{endpoint.path}.raw" if endpoint.calibrated else path.decode()
                )
                assert answer[4].decode() == ("error" if raw.status() == raw.ERROR else "nominal")
        if isinstance(endpoint, Spime):
            is_on = server.get_sensor(f"{endpoint.path}.logging").value()
            assert is_on == endpoint.logging.schedule.is_on
    listed = await client.ask(b"?is-locked *")
    paths = {parse_line(line)[0].decode() for line in listed if line.startswith(b"#is-locked")}
    assert paths == locked


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_is_asked_is_answered_once_by_a_documented_code(seed: int) -> None:
    chance = random.Random(seed)
    async with served(*tree(chance), node="node") as (server, client):
        store = server.endpoint_host.find("store")
        assert isinstance(store, KeyValueStore)
        mids = itertools.count(1)

        async def one_client(turns: int) -> None:
            async with talking(server) as other:
                for _ in range(turns):
                    count = chance.choice((1, 5, 30))
                    await answers(other, [any_request(chance, next(mids)) for _ in range(count)])
                if chance.random() < 0.5:  # and away, with some unanswered
                    last = [any_request(chance, next(mids)) for _ in range(30)]
                    await other.raw(b"".join(bytes(request) + b"\n" for request in last))

        async def come_and_go() -> None:
            for number in range(30):
                key = StoreKey(f"new-{number}", schedule_interval=0.01, schedule_status="on")
                store.add_endpoint(key)
                await asyncio.sleep(0.002)
                store.remove_endpoint(key)

        await asyncio.gather(*(one_client(6) for _ in range(6)), come_and_go())
        await until(lambda: server.statistics.clients == 1)
        everything = server.endpoint_host.all_endpoints()
        await until(lambda: all(one.lockout.expires is None for one in everything))
        await check_consistent(server, client)
        hub = server.endpoint_host.alerts
        assert hub.subscribers == server.get_sensor("alerts.subscribers").value() == 0


# -- against a model --------------------------------------------------------------------


class Model:
    """What a store and a provider in it, and their locks, are to be after what was asked."""

    def __init__(self) -> None:
        self.values: dict[str, bytes | None] = {"s": None, "s.a": b"0", "s.b": b"0", "s.p.c": b"0"}
        self.families = {
            "s": ["s", "s.a", "s.b", "s.p", "s.p.c"],
            "s.p": ["s.p", "s.p.c"],
            **{leaf: [leaf] for leaf in ("s.a", "s.b", "s.p.c")},
        }
        #: Path -> key, and the client that the lock goes with.
        self.locks: dict[str, tuple[str, int | None]] = {}
        self.shown: dict[int, str] = {}
        self.limits = dict.fromkeys(("s.a", "s.b", "s.p.c"), 0.0)

    def passes(self, path: str, key: str | None) -> bool:
        return path not in self.locks or self.locks[path][0] == key

    def change(self, path: str, client: int, key: str | None) -> bytes | None:
        """Return the code for which a change is refused; None if it is not."""
        key = self.shown.get(client) if key is None else key
        return None if self.passes(path, key) else b"307"

    def lock(self, path: str, client: int, key: str, lease: bool) -> bytes | None:
        if not self.passes(path, key):
            return b"307"
        for one in self.families[path]:
            if self.passes(one, key):
                self.locks[one] = (key, client if lease else None)
        return None

    def unlock(self, path: str, key: str | None, force: bool) -> bytes | None:
        if not force and not self.passes(path, key):
            return b"307"
        for one in self.families[path]:
            if force or self.passes(one, key):
                self.locks.pop(one, None)
        return None

    def gone(self, client: int) -> None:
        self.shown.pop(client, None)
        self.locks = {path: held for path, held in self.locks.items() if held[1] != client}


MODEL_KEYS = ["0" * 32, "f" * 32, "ab" * 16]


@pytest.mark.parametrize("seed", SEEDS)
async def test_state_is_what_a_model_says(seed: int) -> None:
    chance = random.Random(seed)
    model = Model()
    keys = [StoreKey(name, initial_value="0") for name in "ab"]
    inner = Provider("p", endpoints=[StoreKey("c", initial_value="0")])
    async with contextlib.AsyncExitStack() as stack:
        server, watcher = await stack.enter_async_context(
            served(KeyValueStore("s", endpoints=[*keys, inner]))
        )
        clients: dict[int, tuple[Any, WireClient]] = {}

        async def connect(number: int) -> None:
            manager = talking(server)
            clients[number] = (manager, await manager.__aenter__())

        for number in range(3):
            await connect(number)
        for step in range(300):
            number = chance.randrange(3)
            client = clients[number][1]
            leaf = chance.choice(list(model.limits))
            path = chance.choice(list(model.families))
            key = chance.choice([None, *MODEL_KEYS])
            own = [b"lockout-key=" + key.encode()] if key else []
            roll = chance.randrange(9)
            value: bytes = b"%d" % step
            if roll < 2:
                request = [b"set", leaf.encode(), value, *own]
                refused = model.change(leaf, number, key)
                if refused is None:
                    model.values[leaf] = value
            elif roll == 2:
                request = [b"configure", leaf.encode(), b"max_interval", value, *own]
                refused = model.change(leaf, number, key)
                if refused is None:
                    model.limits[leaf] = step
            elif roll < 5:
                key = key or MODEL_KEYS[0]
                lease = chance.random() < 0.4
                request = [b"lock", path.encode(), key.encode(), *[b"lease=connection"] * lease]
                refused = model.lock(path, number, key, lease)
            elif roll == 5:
                force = chance.random() < 0.2
                request = [b"unlock", path.encode(), (key or "").encode(), *[b"force"] * force]
                refused = model.unlock(path, key, force)
            elif roll == 6:
                request = [b"lock-key", (key or "").encode()]
                refused = None
                model.shown.pop(number, None)
                if key:
                    model.shown[number] = key
            elif roll == 7:
                request = [b"get", leaf.encode()]
                refused = None
            else:
                await clients.pop(number)[0].__aexit__(None, None, None)
                await until(lambda: server.statistics.clients == 3)
                model.gone(number)
                await connect(number)
                continue
            message = Message(Message.REQUEST, request[0].decode(), request[1:], mid="1")
            lines = await client.ask(bytes(message))
            answer = parse_line(lines[-1])
            expected = [b"ok"] if refused is None else [b"fail", refused]
            assert [answer[0], *answer[2:3]][: len(expected)] == expected, (step, message, answer)
            if roll == 7:
                assert answer[1] == model.values[leaf]
            locked = {
                one for one in model.families["s"] if server.get_sensor(f"{one}.locked").value()
            }
            assert locked == set(model.locks), (step, message)
        for leaf, limit in model.limits.items():
            answer = await reply(watcher, b"?get %b max_interval" % leaf.encode())
            assert float(answer[1]) == limit
            answer = await reply(watcher, b"?get %b" % leaf.encode())
            assert answer[1] == model.values[leaf]
        for manager, _ in clients.values():
            await manager.__aexit__(None, None, None)


# -- what was found once ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_line", "expected"),
    [
        (b"?unlock text owner=x", [b"invalid", b"303"]),
        (b"?lock text \\@ lease=1e10", [b"invalid", b"304"]),
        (b"?lock text \\@ lease=inf", [b"invalid", b"304"]),
        (b"?cmd number single_schedule nan", [b"fail", b"304"]),
        (b"?cmd number single_schedule -1", [b"fail", b"304"]),
        (b"?cmd number single_schedule inf", [b"fail", b"304"]),
        (b"?set floored 1e999999", [b"ok"]),
        (b"?set floored -9e999999", [b"ok"]),
        (b"?set floored 1e-999999", [b"ok"]),
        (b"?set floored snan", [b"ok"]),
        (b"?set number nan", [b"invalid", b"304"]),
        (b"?set count " + b"9" * 100_000, [b"invalid", b"304"]),
        (b"?set-condition " + b"9" * 100_000, [b"invalid", b"304"]),
        (b"?configure number max_interval lockout-key=abc", [b"invalid", b"304"]),
        (b"?configure text alert_routing_key lockout-key=abc", [b"ok"]),
    ],
)
async def test_what_was_answered_wrongly_once(request_line: bytes, expected: list[bytes]) -> None:
    store = tree(random.Random(1))[0]
    async with served(store) as (_, client):
        answer = await reply(client, request_line)
        assert [answer[0], *answer[2:3]][: len(expected)] == expected, answer
        assert b"there are owner=" not in answer[1]


@pytest.mark.parametrize(
    "request_line",
    [
        b"?get text %b",
        b"?get %b",
        b"?set word %b",
        b"?cmd text %b",
        b"?cmd text single_schedule %b",
        b"?set-condition %b",
        b"?logging text %b",
        b"?lock text \\@ lease=%b",
        b"?lock text \\@ %b=1",
        b"?configure text max_interval %b",
        b"?configure settable calibration %b",
        b"?alert-subscribe %b",
    ],
)
@pytest.mark.parametrize("letter", [b"x", b"\xff", b"\\0"])
async def test_a_huge_argument_is_not_sent_back(request_line: bytes, letter: bytes) -> None:
    store = tree(random.Random(1))[0]
    async with served(store) as (_, client):
        lines = await client.ask(request_line % (letter * 100_000))
        assert parse_line(lines[-1])[0] in (b"fail", b"invalid")
        assert len(lines[-1]) < 4000


async def test_a_pattern_that_is_no_text_comes_back_as_it_was() -> None:
    async with served(StoreKey("k")) as (_, client):
        assert await client.ask(b"?alert-subscribe[1] \xff.#") == [b"!alert-subscribe[1] ok"]
        warning, _ = await client.ask(b"?alert-subscribe[2] \xff.#")
        assert warning.startswith(b"#warning[2] 1 \xff.#")
        listed = await client.ask(b"?alert-list[3]")
        assert listed == [b"#alert-list[3] \xff.#", b"!alert-list[3] ok 1 0"]
        sent = await client.ask(b"?alert-send[4] \xff.x 1")
        assert sent[-1] == b"!alert-send[4] ok 1"


async def test_an_instrument_that_does_not_answer_collects_only_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("katcp.endpoints._lanes.MOST_WAITING", 20)

    class Never(Spime):
        async def on_get(self) -> None:
            await asyncio.get_running_loop().create_future()

    stuck = Provider("stuck", endpoints=[Never("never")])
    async with served(stuck, StoreKey("other")) as (_, client):
        await client.send(*[b"?get[%d] never" % number for number in range(25)])
        for number in range(21, 25):
            answer = await client.until_reply()
            head = b"!get[%d] fail 20\\_requests\\_wait\\_for\\_their\\_turn\\_already 300" % number
            assert answer == [head]
        assert (await reply(client, b"?set other 1"))[0] == b"ok"


async def test_floods_leave_nothing_behind_and_keep_nobody_waiting() -> None:
    chance = random.Random(7)
    async with served(*tree(chance), node="node") as (server, client):
        host = server.endpoint_host

        async def flood(other: WireClient, *lines: bytes) -> None:
            await other.send(*lines)
            for _ in lines:
                await other.until_reply()

        async with talking(server) as first, talking(server) as second:
            await asyncio.gather(
                flood(first, *[b"?alert-subscribe #.a.#.%d" % n for n in range(500)]),
                flood(
                    second, *[b"?schedule-once store.text 1000", b"?schedule-once both 9e9"] * 500
                ),
            )
            assert host.alerts.subscribers == 1
            keys = [b"%032x" % number for number in range(500)]
            for key in keys:
                await first.send(b"?lock number %b lease=connection" % key)
                await second.send(b"?lock count %b lease=1000" % keys[0], b"?lock-key " + key)
            await flood(client, *[b"?get number"] * 100)
            for _ in keys:
                await first.until_reply()
                await second.until_reply()
                await second.until_reply()
            assert len(host.locks._leased) == 2
            text = host.find("store.text")
            assert isinstance(text, Spime)
            assert len(text.logging.schedule._singles) == 100
        await until(lambda: server.statistics.clients == 1)
        assert host.alerts.subscribers == 0
        assert len(host.locks._leased) == 1
        assert not host.locks._keys
        assert await reply(client, b"?is-locked number") == [b"ok", b"0"]


async def test_what_is_removed_while_a_change_waits_is_not_changed() -> None:
    chance = random.Random(1)
    pump = Pump("pump", allow_send=True, endpoints=[Slow("busy", chance)])
    key = StoreKey("key")
    pump.add_endpoint(key)
    async with served(pump) as (_, other):
        turn = pump.lane.turn()
        await turn.__aenter__()
        await other.send(b"?set[1] key 1", b"?cmd[2] key single_schedule 9", b"?set[3] busy 1")
        await until(lambda: len(pump.lane._waiting) == 3)
        pump.remove_endpoint(key)
        again = StoreKey("key")
        pump.add_endpoint(again)
        await turn.__aexit__(None, None, None)
        told = {(await other.until_reply())[-1] for _ in range(3)}
        assert told == {
            b"!set[1] fail key\\_has\\_been\\_removed 102",
            b"!cmd[2] fail key\\_has\\_been\\_removed 102",
            b"!set[3] ok",
        }
        assert key.value is None
        assert again.value is None
