"""Declared commands and properties, and nothing else, can be reached from outside."""

from __future__ import annotations

import asyncio
import enum
from typing import Any

import pytest

from katcp.endpoints import (
    InvalidMethodError,
    InvalidSpecifierError,
    InvalidValueError,
    KeyValueStore,
    Provider,
    StoreKey,
    remote_command,
    remote_property,
)
from tests.endpoints.served import reply, served


class Mode(enum.Enum):
    SLOW = 1
    FAST = 2


class Pump(Provider):
    """Declares some of what it has."""

    def __init__(self, name: str = "pump", **options: Any) -> None:
        super().__init__(name, **options)
        self._speed = 0.0
        self.calls: list[Any] = []

    @remote_property
    def top_speed(self) -> float:
        """The fastest [Hz]."""
        return self._speed

    @top_speed.setter
    def top_speed(self, value: float) -> None:
        if value < 0:
            raise ValueError("top_speed must be >= 0")
        self._speed = value

    @remote_property
    def serial(self) -> str:
        """Cannot be set."""
        return "0042"

    @remote_property
    async def uptime(self) -> int:
        """Has to be asked for."""
        await asyncio.sleep(0)
        return 7

    @remote_property
    def anything(self):  # type: ignore[no-untyped-def]
        """Of whatever type."""
        return self.calls[-1]

    @anything.setter
    def anything(self, value):  # type: ignore[no-untyped-def]
        self.calls.append(value)

    @property
    def private(self) -> int:
        return 1

    @remote_command
    async def spin(self, speed: float, mode: Mode = Mode.SLOW, *, ramp: float = 1.0) -> float:
        """Bring it up to a speed."""
        await asyncio.sleep(0)
        self.calls.append((speed, mode, ramp))
        return speed * ramp

    @remote_command
    def stop_now(self) -> None:
        self.calls.append("stop")

    @remote_command
    def pair(self, x, *rest: int):  # type: ignore[no-untyped-def]
        return x, *rest

    @remote_command
    def tell(self, *, who: str, how_loud: int = 1) -> str:
        return f"{who}{how_loud}"

    @remote_command
    def fail(self) -> None:
        raise ZeroDivisionError("oops")

    def dangerous(self) -> None:
        self.calls.append("dangerous")


def state(pump: Pump) -> Any:
    return {name: value for name, value in vars(pump).items() if name != "_sensors"}


# -- what is not declared ---------------------------------------------------------------

FORBIDDEN = [
    "name",
    "on_get",
    "on_set",
    "_value",
    "_speed",
    "__class__",
    "__init__",
    "lockout_key",
    "lockout",
    "dangerous",
    "private",
    "nix",
    "calls",
    "_remote",
    "",
    "spin.x",
    "é",
]


@pytest.mark.parametrize("word", FORBIDDEN)
async def test_drip_cmd_01_what_is_not_declared_cannot_be_reached(word: str) -> None:
    pump = Pump()
    argument = word.encode() or b"\\@"
    async with served(pump) as (_, client):
        before = state(pump)
        assert (await reply(client, b"?cmd pump " + argument))[::2] == [b"fail", b"306"]
        assert (await reply(client, b"?cmd pump %b 1" % argument))[::2] == [b"fail", b"306"]
        for request in (b"?configure pump %b", b"?configure pump %b 1", b"?get pump %b"):
            assert (await reply(client, request % argument))[::2] == [b"fail", b"310"]
        assert (await reply(client, b"?set pump 1 " + argument))[::2] == [b"fail", b"310"]
        assert state(pump) == before
        assert pump.name == "pump"


async def test_drip_cmd_01_nor_can_it_from_within() -> None:
    pump = Pump()
    with pytest.raises(InvalidMethodError, match="pump has no command 'dangerous'"):
        await pump.run_command("dangerous")
    with pytest.raises(InvalidMethodError):
        pump.on_cmd("dangerous")
    with pytest.raises(InvalidSpecifierError, match="pump has no property 'name'"):
        pump.on_config("name", "x")
    assert pump.calls == []


async def test_drip_cmd_01_a_property_is_no_command_and_the_other_way_round() -> None:
    async with served(Pump()) as (_, client):
        assert (await reply(client, b"?cmd pump serial"))[::2] == [b"fail", b"306"]
        assert (await reply(client, b"?configure pump spin"))[::2] == [b"fail", b"310"]


def test_a_name_with_an_underscore_cannot_be_declared() -> None:
    with pytest.raises(ValueError, match="_secret begins with an underscore"):

        @remote_command
        def _secret(self: Any) -> None: ...

    class Sly(Provider):
        @remote_property
        def _hidden(self) -> int:
            return 1

    assert "_hidden" not in Sly("s").remote_members()


def test_an_override_is_remote_only_if_it_is_declared_again() -> None:
    class Other(Pump):
        def stop_now(self) -> None:
            raise AssertionError

        @remote_command
        def fail(self) -> None: ...

    assert "stop_now" not in Other("o").remote_members()
    assert "fail" in Other("o").remote_members()
    assert "stop_now" in Pump("p").remote_members()


# -- arguments --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (b"spin 50", [b"50.0"]),
        (b"spin 50 fast", [b"50.0"]),
        (b"spin 50 ramp=2", [b"100.0"]),
        (b"spin ramp=2 50 fast", [b"100.0"]),
        (b"stop_now", []),
        (b"pair a=b", [b"a=b"]),
        (b"pair \xff 1 2", [b"\xff", b"1", b"2"]),
        (b"tell who=me", [b"me1"]),
        (b"tell who=me how-loud=3", [b"me3"]),
        (b"tell who=", [b"1"]),
    ],
)
async def test_drip_cmd_02_right_arguments(request_: bytes, answer: list[bytes]) -> None:
    async with served(Pump()) as (_, client):
        assert await reply(client, b"?cmd pump " + request_) == [b"ok", *answer]


@pytest.mark.parametrize(
    "request_",
    [
        b"spin",
        b"spin x",
        b"spin 1 sideways",
        b"spin 1 fast 3",
        b"spin 1 ramp=x",
        b"spin 1 ramp=1 ramp=2",
        b"spin 1 speed=2",
        b"stop_now 1",
        b"pair",
        b"pair a 1 x",
        b"tell",
        b"tell me",
    ],
)
async def test_drip_cmd_02_wrong_arguments_are_invalid_and_the_usage_is_told(
    request_: bytes,
) -> None:
    pump = Pump()
    async with served(pump) as (_, client):
        status, text, code = await reply(client, b"?cmd pump " + request_)
        assert (status, code) == (b"invalid", b"304")
        assert b"usage: " + request_.split(b" ")[0].replace(b"_", b"-") in text
        assert pump.calls == []


async def test_drip_cmd_02_usage_says_what_there_is() -> None:
    pump = Pump()
    assert pump.command("spin").usage.startswith("spin speed: float [mode: ")
    assert pump.command("spin").usage.endswith(" [ramp=float]")
    assert pump.command("pair").usage == "pair x: any [rest: integer...]"
    assert pump.command("tell").usage == "tell who=string [how_loud=integer]"
    assert pump.command("spin").doc == "Bring it up to a speed."


async def test_drip_cmd_02_from_within() -> None:
    pump = Pump()
    async with served(pump, StoreKey("k")) as (device, _):
        host = device.endpoint_host
        assert await host.cmd("pump", "spin", [5], {"ramp": 3}) == 15
        assert await pump.cmd("pump", "spin", [5], {"ramp": 3}) == 15
        with pytest.raises(InvalidValueError, match="usage: spin"):
            await host.cmd("pump", "spin")
        payload = {"ramp": 3}
        await host.cmd("pump", "spin", (5,), payload)
        assert payload == {"ramp": 3}


async def test_a_command_that_fails() -> None:
    async with served(Pump()) as (_, client):
        status, text, code = await reply(client, b"?cmd pump fail")
        assert (status, code) == (b"fail", b"999")
        assert b"oops" in text
        assert b"Traceback" not in text
        assert (await reply(client, b"?cmd pump"))[::2] == [b"invalid", b"303"]


@pytest.mark.parametrize("name", [b"stop-now", b"stop_now"])
async def test_drip_cmd_03_dash_and_underscore_are_equal_in_commands(name: bytes) -> None:
    async with served(Pump()) as (_, client):
        assert await reply(client, b"?cmd pump " + name) == [b"ok"]


@pytest.mark.parametrize("name", [b"top-speed", b"top_speed"])
async def test_drip_cmd_03_dash_and_underscore_are_equal_in_properties(name: bytes) -> None:
    async with served(Pump()) as (_, client):
        assert await reply(client, b"?configure pump %b 5" % name) == [b"ok", b"5.0"]
        assert await reply(client, b"?get pump " + name) == [b"ok", b"5.0"]
        assert await reply(client, b"?get pump." + name) == [b"ok", b"5.0"]
        assert await reply(client, b"?set pump.%b 6" % name) == [b"ok", b"6.0"]
        assert await reply(client, b"?set pump 7 " + name) == [b"ok", b"7.0"]


def test_parameters_that_say_nothing_are_refused() -> None:
    with pytest.raises(TypeError, match=r"command f: \*\*kwargs says nothing"):

        class Bad(Provider):
            @remote_command
            def f(self, **kwargs: Any) -> None: ...

    with pytest.raises(TypeError, match=r"Lost\.f\(\): an annotation is not known: .*Nowhere"):

        class Lost(Provider):
            @remote_command
            def f(self, x: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="is not the annotation"):

        class Listed(Provider):
            @remote_property
            def p(self) -> list[int]:
                return []

            @p.setter
            def p(self, value: list[int]) -> None: ...

    class Fine(Provider):
        @remote_property
        def p(self) -> list[int]:  # it cannot be set
            return [1]

        @remote_command
        def f(self, x: int) -> Nowhere: ...  # type: ignore[name-defined]  # noqa: F821

    assert set(Fine("f").remote_members()) >= {"p", "f"}
    with pytest.raises(TypeError, match="is not the annotation"):

        class Worse(Provider):
            @remote_command
            def f(self, x: dict) -> None: ...  # type: ignore[type-arg]


# -- properties -------------------------------------------------------------------------


async def test_drip_con_01_a_property_is_read_and_set() -> None:
    kv = KeyValueStore("kv", endpoints=[StoreKey("foo")])
    async with served(kv) as (_, client):
        assert await reply(client, b"?configure foo max_interval") == [b"ok", b"0.0"]
        assert await reply(client, b"?configure foo max_interval 5") == [b"ok", b"5.0"]
        assert await reply(client, b"?configure foo max_interval") == [b"ok", b"5.0"]
        for bad in (b"-1", b"x", b"nan", b"inf", b"\\@"):
            status, text, code = await reply(client, b"?configure foo max-interval " + bad)
            assert (status, code) == (b"invalid", b"304")
            assert b"max_interval" in text
        assert await reply(client, b"?configure foo max_interval") == [b"ok", b"5.0"]
        assert (await reply(client, b"?configure foo nix"))[::2] == [b"fail", b"310"]
        assert (await reply(client, b"?configure foo nix 5"))[::2] == [b"fail", b"310"]
        assert (await reply(client, b"?configure foo"))[::2] == [b"invalid", b"303"]
        assert (await reply(client, b"?configure foo a b c"))[::2] == [b"invalid", b"303"]


async def test_drip_con_01_refused_values_say_why() -> None:
    async with served(Pump()) as (_, client):
        assert await reply(client, b"?configure pump top-speed -1") == [
            b"invalid",
            b"top_speed must be >= 0",
            b"304",
        ]
        assert (await reply(client, b"?configure pump serial 1"))[::2] == [b"fail", b"306"]
        assert await reply(client, b"?configure pump serial") == [b"ok", b"0042"]
        assert await reply(client, b"?configure pump uptime") == [b"ok", b"7"]


@pytest.mark.parametrize("value", [b"text", b"\xff"])
async def test_a_property_without_a_type_takes_anything(value: bytes) -> None:
    async with served(Pump()) as (_, client):
        assert await reply(client, b"?configure pump anything " + value) == [b"ok", value]


async def test_a_property_by_its_address_unless_an_endpoint_has_it() -> None:
    shadow = StoreKey("serial", initial_value="mine")
    async with served(Pump(endpoints=[shadow])) as (_, client):
        assert (await reply(client, b"?get pump.serial"))[1] == b"mine"
        assert await reply(client, b"?get pump serial") == [b"ok", b"0042"]
        assert await reply(client, b"?get pump.uptime") == [b"ok", b"7"]
        assert (await reply(client, b"?get nix.uptime"))[::2] == [b"fail", b"102"]
        assert (await reply(client, b"?get pump.nix"))[::2] == [b"fail", b"102"]
        assert (await reply(client, b"?get pump.uptime x"))[0] == b"fail"
        assert (await reply(client, b"?cmd pump.uptime x"))[::2] == [b"fail", b"102"]
