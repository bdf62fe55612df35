"""The verbs, on a device of the test; see also tests/system."""

import asyncio
import re

import pytest

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._errors import Refused, TimedOut
from katcp.apps.cli._grammar import parse_pattern
from katcp.apps.cli._info import info
from katcp.protocol import Message
from tests.apps.cli.helpers import here, readings
from tests.helpers.scripted import V4, Device, Session, until

SENSORS = {
    "b.mode": "Mode \\@ discrete off on",
    "a.volts": "Supply V float 0 5",
    "a.amps": "Current A float",
}


def device() -> Device:
    made = Device(sensors=SENSORS, requests={"help": "Help.", "add": "Add.\n\nMore."})
    readings(made, **{"b.mode": "nominal on", "a.volts": "warn 4.5", "a.amps": "unknown 0"})
    return made


def part(text: str) -> verbs.Pattern:
    return parse_pattern(text, part=True)


async def test_list_is_sorted() -> None:
    async with device() as made, here(made) as (place, paper):
        assert await verbs.list_sensors(place, part("")) == 0
        assert paper.shown == [
            "a.amps   float             A  Current",
            "a.volts  float(0, 5)       V  Supply",
            "b.mode   discrete(off|on)     Mode",
        ]


async def test_list_filtered_with_values_as_json() -> None:
    async with device() as made, here(made, json=True) as (place, paper):
        assert await verbs.list_sensors(place, part("a."), values=True) == 0
        assert [(r["name"], r["value"], r["status"]) for r in paper.records] == [
            ("a.amps", 0.0, "unknown"),
            ("a.volts", 4.5, "warn"),
        ]


async def test_list_as_json() -> None:
    async with device() as made, here(made, json=True) as (place, paper):
        await verbs.list_sensors(place, part("mode"))
        assert paper.records == [
            {
                "name": "b.mode",
                "type": "discrete",
                "units": "",
                "description": "Mode",
                "params": ["off", "on"],
            }
        ]


async def test_requests() -> None:
    async with device() as made, here(made) as (place, paper):
        assert await verbs.list_requests(place, part("")) == 0
        assert paper.shown == ["add   Add.", "help  Help."]
    async with device() as made, here(made, json=True) as (place, paper):
        await verbs.list_requests(place, part("add"))
        assert paper.records == [{"name": "add", "description": "Add.\n\nMore."}]


async def test_get_by_name_asks_for_no_more_than_that() -> None:
    async with device() as made, here(made) as (place, paper):
        assert await verbs.get(place, [parse_pattern("b.mode"), parse_pattern("a.volts")]) == 0
        assert paper.shown == [
            "b.mode   on     nominal  1970-01-01T00:00:01.500Z",
            "a.volts  4.5 V  warn     1970-01-01T00:00:01.500Z",
        ]
        assert sorted(line.partition(b" ")[2] for line in made.heard) == [
            b"a.volts", b"a.volts", b"b.mode", b"b.mode", b"list-endpoints",
        ]  # fmt: skip


async def test_get_by_pattern() -> None:
    async with device() as made, here(made) as (place, paper):
        assert await verbs.get(place, [parse_pattern("*"), parse_pattern("zz*")]) == 1
        assert len(paper.shown) == 3
        assert paper.complaints == ["no sensor matches zz*"]


async def test_get_of_many_asks_for_all_at_once() -> None:
    names = [f"s{number:04d}" for number in range(300)]
    made = Device(sensors=dict.fromkeys(names, "S V float"))
    readings(made, **dict.fromkeys(names, "nominal 1"))
    async with made, here(made) as (place, paper):
        assert await verbs.get(place, [parse_pattern("s*")]) == 0
        assert len(paper.shown) == 300
        assert len(made.heard) == 2


async def test_get_of_what_is_gone_meanwhile() -> None:
    made = Device(sensors={"a": "A V float"})
    readings(made)
    async with made, here(made) as (place, paper):
        assert await verbs.get(place, [parse_pattern("a")]) == 1
        assert paper.complaints == ["sensor-value fail: Unknown sensor name."]


async def test_get_where_the_device_refuses_for_another_reason() -> None:
    made = device()
    made.answers["sensor-list"] = lambda session, message: [b"! fail Not\\_today."]
    async with made, here(made) as (place, paper):
        assert await verbs.get(place, [parse_pattern("a")]) == 1
        assert paper.complaints == ["no sensor 'a': sensor-list fail: Not today."]
        with pytest.raises(Refused, match="Not today"):
            await verbs.get(place, [parse_pattern("*")])


async def test_call_prints_informs_as_they_come() -> None:
    made = device()
    proceed = asyncio.Event()

    async def slowly(session: Session, message: Message) -> list[bytes]:
        made.answer(session, message, b"# one")
        await proceed.wait()
        return [b"# two", b"! ok 2"]

    made.answers["list"] = slowly
    async with made, here(made) as (place, paper):
        calling = asyncio.ensure_future(verbs.call(place, "list", [b"x y"]))
        await until(lambda: paper.shown)
        assert paper.shown == ["#list one"]
        proceed.set()
        assert await calling == 0
        assert paper.shown == ["#list one", "#list two", "!list ok 2"]


async def test_call_that_fails() -> None:
    made = device()
    made.answers["add"] = lambda session, message: [b"# so\\_far", b"! fail No.\\_Never."]
    async with made, here(made) as (place, paper):
        assert await verbs.call(place, "add", []) == 1
        assert paper.shown == ['#add "so far"']
        assert paper.complaints == ["add fail: No. Never."]
    async with made, here(made, json=True) as (place, paper):
        assert await verbs.call(place, "add", []) == 1
        assert paper.records == [
            {"inform": "add", "arguments": ["so far"]},
            {"reply": "add", "status": "fail", "arguments": ["No. Never."]},
        ]
        assert paper.complaints == []


async def test_call_that_is_not_answered() -> None:
    made = device()

    async def never(session: Session, message: Message) -> list[bytes]:
        await asyncio.sleep(60)
        return []

    made.answers["add"] = never
    async with made, here(made, timeout=0.1) as (place, _):
        with pytest.raises(TimedOut):
            await verbs.call(place, "add", [])


async def test_help() -> None:
    async with device() as made, here(made) as (place, paper):
        assert await verbs.help_on(place, "add") == 0
        assert paper.shown == ["?add", "  Add.", "", "  More."]
        with pytest.raises(Refused, match="Unknown request method"):
            await verbs.help_on(place, "subtract")
    made = device()
    made.answers["help"] = lambda session, message: [b"! ok 0"]
    async with made, here(made, json=True) as (place, _):
        with pytest.raises(Refused, match="no help on 'add'"):
            await verbs.help_on(place, "add")


async def test_info() -> None:
    made = device()
    made.answers["version-list"] = lambda session, message: [b"# x 1.0 b", b"! ok 1"]
    async with made, here(made) as (place, paper):
        assert await info(place) == 0
        *shown, latency = paper.shown
        assert shown == [
            f"address         127.0.0.1:{made.port}",
            "x               1.0 b",
            "katcp-protocol  5.1-BIMT",
            "flags           bulk sampling, message ids, many clients, timeout hints",
            "sensors         3",
            "  nominal       1",
            "  warn          1",
            "  unknown       1",
            "requests        2",
        ]
        assert re.fullmatch(r"latency +min .*s, median .*s, max .*s \(10 round trips\)", latency)


async def test_info_of_an_old_device() -> None:
    made = Device(V4)
    made.answers["client-list"] = lambda session, message: [b"# 1.2.3.4:5", b"! ok 1"]
    async with made, here(made, json=True) as (place, paper):
        assert await info(place) == 0
        (record,) = paper.records
        assert record["protocol"].startswith("4")
        assert record["versions"] == {}
        assert record["clients"] == ["1.2.3.4:5"]
