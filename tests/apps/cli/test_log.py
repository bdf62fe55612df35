"""Following what a device logs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.apps.cli._errors import NoConnection, Refused
from katcp.apps.cli._log import is_wanted, log
from tests.apps.cli.helpers import here
from tests.helpers.scripted import V4, Device, until


def device(level: bytes = b"warn", greeting: Any = None) -> Device:
    made = Device() if greeting is None else Device(greeting)
    made.answers["log-level"] = lambda session, message: [
        b"! ok " + (message.arguments[0] if message.arguments else level)
    ]
    return made


async def follow(made: Device, *lines: bytes, json: bool = False, **options: Any) -> Any:
    async with made, here(made, json=json) as (place, paper):
        task = asyncio.ensure_future(log(place, **options))
        await until(lambda: any(line.startswith(b"?log-level") for line in made.heard))
        await asyncio.sleep(0.05)
        made.say(*lines)
        assert await asyncio.wait_for(task, 10) == 0
        return paper


async def test_lines_are_printed() -> None:
    paper = await follow(
        device(),
        b"#log warn 1.5 pump Too\\_fast",
        b"#log error 2 pump \\e[2J",
        count=2,
    )
    assert paper.shown == [
        "1970-01-01T00:00:01.500Z  WARN pump: Too fast",
        "1970-01-01T00:00:02.000Z  ERROR pump: \\x1b[2J",
    ]


async def test_levels_below_are_left_out() -> None:
    paper = await follow(
        device(),
        b"#log debug 1 a x",
        b"#log fatal 1 a y",
        b"#log odd 1 a z",
        level="warn",
        count=2,
    )
    assert [line.split()[1] for line in paper.shown] == ["FATAL", "ODD"]


async def test_as_json_with_times_of_an_old_device() -> None:
    paper = await follow(device(greeting=V4), b"#log info 1500 a b", b"#log", json=True, count=2)
    assert paper.records == [
        {"level": "info", "timestamp": 1.5, "name": "a", "message": "b"},
        {"level": "", "timestamp": None, "name": "", "message": ""},
    ]


async def test_the_level_of_the_device_is_put_back() -> None:
    made = device()
    await follow(made, b"#log debug 1 a x", device_level="debug", count=1)
    asked = [line.partition(b" ")[2] for line in made.heard if line.startswith(b"?log-level")]
    assert asked == [b"", b"debug", b"warn"]


async def test_a_device_that_sends_less_than_is_wanted_is_told_of() -> None:
    paper = await follow(device(), level="info", duration=0.05)
    assert paper.complaints == [
        "the device sends lines from warn on only; --device-level info has it send more, to all "
        "its clients"
    ]


async def test_a_level_that_is_refused() -> None:
    made = device()
    made.answers["log-level"] = lambda session, message: [b"! fail No."]
    async with made, here(made) as (place, _):
        with pytest.raises(Refused, match="log-level fail: No"):
            await log(place, device_level="info")


async def test_connection_lost() -> None:
    made = device()
    async with made, here(made) as (place, _):
        task = asyncio.ensure_future(log(place))
        await until(lambda: made.heard)
        made.cut()
        with pytest.raises(NoConnection, match="lost"):
            await asyncio.wait_for(task, 10)


def test_what_is_wanted() -> None:
    assert is_wanted([b"warn"], "warn")
    assert not is_wanted([b"info"], "warn")
    assert is_wanted([], "off")
