"""Watching, on a device of the test."""

import asyncio

import pytest

from katcp.apps.cli._errors import NoConnection, Refused
from katcp.apps.cli._grammar import Strategy, parse_pattern
from katcp.apps.cli._watch import watch
from tests.apps.cli.helpers import here
from tests.helpers.scripted import Device, until

EVENT = Strategy("event")


def device(*names: str) -> Device:
    made = Device(sensors=dict.fromkeys(names, "S V float"))
    for name in "abc":
        made.values[name] = "1.5 1 {} nominal 0"
    return made


async def test_ends_after_as_many_as_wanted() -> None:
    async with device("a", "b") as made, here(made) as (place, paper):
        assert await watch(place, [parse_pattern("*")], EVENT, count=2) == 0
        assert paper.shown == [
            "1970-01-01T00:00:01.500Z  a  nominal      0 V",
            "1970-01-01T00:00:01.500Z  b  nominal      0 V",
        ]
        assert made.heard[-1].endswith(b"sensor-sampling[2] a,b event")


async def test_ends_after_a_time() -> None:
    async with device("a") as made, here(made, json=True) as (place, paper):
        assert await watch(place, [parse_pattern("a")], EVENT, duration=0.2) == 0
        assert [record["value"] for record in paper.records] == [0.0]


async def test_updates_of_others_are_not_shown() -> None:
    async with device("a") as made, here(made) as (place, paper):
        watching = asyncio.ensure_future(watch(place, [parse_pattern("a")], EVENT, count=2))
        await until(lambda: paper.shown)
        made.say(b"#sensor-status 2 1 z nominal 9", b"#sensor-status 2 2 z warn 1 a warn 7")
        assert await watching == 0
        assert paper.shown[1:] == ["1970-01-01T00:00:02.000Z  a  warn         7 V"]


async def test_connection_lost() -> None:
    async with device("a") as made, here(made) as (place, paper):
        watching = asyncio.ensure_future(watch(place, [parse_pattern("a")], EVENT))
        await until(lambda: paper.shown)
        made.cut()
        with pytest.raises(NoConnection, match="lost"):
            await watching


async def test_nothing_to_watch() -> None:
    async with device("a") as made, here(made) as (place, paper):
        assert await watch(place, [parse_pattern("z")], EVENT) == 1
        assert paper.complaints == ["no sensor 'z'"]


async def test_strategy_that_is_refused() -> None:
    made = device("a")
    made.answers["sensor-sampling"] = lambda session, message: [b"! fail No."]
    async with made, here(made) as (place, _):
        with pytest.raises(Refused, match="a: sensor-sampling fail: No"):
            await watch(place, [parse_pattern("a")], EVENT)


async def test_sensors_come_go_and_are_replaced() -> None:
    made = device("a", "b")
    async with made, here(made) as (place, paper):
        watching = asyncio.ensure_future(watch(place, [parse_pattern("*")], EVENT, count=4))
        await until(lambda: len(paper.shown) == 2)
        in_force = {"b": b"event"}  # `a` was replaced: it is sampled no more

        def ask_or_set(session: object, message: object) -> object:
            arguments = message.arguments  # type: ignore[attr-defined]
            if len(arguments) == 1:
                name = arguments[0].decode()
                return [b"! ok %b %b" % (arguments[0], in_force.get(name, b"none"))]
            return made._sample(session, message)  # type: ignore[arg-type]

        made.answers["sensor-sampling"] = ask_or_set
        made.sensors["c"] = "S V float"
        made.forget()
        made.say(b"#interface-changed", b"#interface-changed sensor-list")
        await until(lambda: len(paper.shown) == 4)
        assert await watching == 0
        assert [line.split()[1] for line in paper.shown] == ["a", "b", "a", "c"]
        assert made.heard[-1].endswith(b" a,c event")


async def test_sensor_that_is_gone_is_told_of() -> None:
    made = device("a", "b")
    async with made, here(made) as (place, paper):
        watching = asyncio.ensure_future(watch(place, [parse_pattern("*")], EVENT, count=3))
        await until(lambda: len(paper.shown) == 2)
        made.say(b"#interface-changed request-list")  # does not matter here
        del made.sensors["a"]
        made.answers["sensor-sampling"] = lambda session, message: [b"! ok b event"]
        made.say(b"#interface-changed sensor a removed")
        await until(lambda: paper.complaints)
        assert paper.complaints == ["sensor a is gone"]
        made.say(b"#sensor-status 2 1 a nominal 1", b"#sensor-status 2 1 b nominal 2")
        assert await watching == 0
        assert paper.shown[-1] == "1970-01-01T00:00:02.000Z  b  nominal      2 V"
