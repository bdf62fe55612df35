"""Following a device, with a screen that is kept."""

import asyncio
import contextlib
import io
import logging
from collections.abc import AsyncIterator

import pytest

from katcp.apps.cli._errors import Misuse
from katcp.apps.cli._follow import Follower, KeptSampler, Notices, few
from katcp.apps.cli._grammar import Strategy
from katcp.apps.cli._live import LiveScreen
from katcp.inspecting_client import InspectingClientAsync
from tests.helpers.scripted import Device, until

SENSORS = {"a": "A V float 0 5", "m": "M \\@ discrete on off"}


def lines(terminal: io.StringIO) -> list[str]:
    return terminal.getvalue().splitlines()


@contextlib.asynccontextmanager
async def following(
    device: Device,
) -> AsyncIterator[tuple[Follower, InspectingClientAsync, io.StringIO]]:
    terminal = io.StringIO()
    screen = LiveScreen(terminal)
    logger = logging.getLogger("tests.follow")
    handler = Notices(screen, verbose=False)
    logger.addHandler(handler)
    logger.propagate = False
    client = InspectingClientAsync("127.0.0.1", device.port, logger=logger)
    client.katcp_client.auto_reconnect_delay = 0.05
    client.initial_resync_timeout = 0.05
    follower = Follower(client, screen)
    client.start()
    try:
        yield follower, client, terminal
    finally:
        await client.stop()
        logger.removeHandler(handler)


async def test_knows_the_device_when_it_is_synced() -> None:
    device = Device(sensors=SENSORS, requests={"help": "Help.", "add": "Add."})
    async with device, following(device) as (follower, client, terminal):
        await client.until_synced(10)
        await until(lambda: lines(terminal))
        assert lines(terminal) == [
            f"-- connected to 127.0.0.1:{device.port}: demo-api-2.1, 2 sensors, 2 requests"
        ]
        assert follower.vocabulary.requests == {"help": "Help.", "add": "Add."}
        assert follower.vocabulary.sensors["m"].words == ["on", "off"]
        info = follower.vocabulary.sensors["a"]
        assert (info.description, info.units, info.type) == ("A", "V", "float")


async def test_tells_of_changes() -> None:
    device = Device(sensors=SENSORS)
    async with device, following(device) as (follower, client, terminal):
        await client.until_synced(10)
        await until(lambda: lines(terminal))
        device.sensors = {"b": "B V float", "m": "M \\@ discrete on off half"}
        device.requests["new"] = "New."
        device.say(b"#interface-changed")
        await until(lambda: "-- requests new: new" in lines(terminal))
        assert lines(terminal)[1:] == [
            "#interface-changed",
            "-- sensors new: b",
            "-- sensors gone: a",
            "-- sensors changed: m",
            "-- requests new: new",
        ]
        assert set(follower.vocabulary.sensors) == {"b", "m"}
        assert follower.vocabulary.sensors["m"].words == ["on", "off", "half"]
        assert "new" in follower.vocabulary.requests
        device.requests.pop("new")
        device.say(b"#interface-changed request new removed")
        await until(lambda: "-- requests gone: new" in lines(terminal))
        assert "new" not in follower.vocabulary.requests


async def test_tells_of_loss_and_return() -> None:
    device = Device(sensors=SENSORS)
    async with device, following(device) as (follower, client, terminal):
        await client.until_synced(10)
        changed = asyncio.Event()
        follower.on_change = changed.set
        device.refuse()
        device.say(b"#disconnect Going\\_home.")
        device.cut()
        await until(lambda: any("cannot connect" in line for line in lines(terminal)))
        assert lines(terminal)[1:] == [
            f"-- connection to 127.0.0.1:{device.port} lost (Going home); trying again",
            f"-- cannot connect to 127.0.0.1:{device.port}: Connection refused; trying again",
        ]
        assert not follower.connected
        assert changed.is_set()
        await device.listen()
        await client.until_synced(10)
        await until(lambda: len(lines(terminal)) == 4)
        assert lines(terminal)[3].startswith("-- connected to ")


async def test_shows_informs() -> None:
    device = Device(sensors=SENSORS)
    async with device, following(device) as (_, client, terminal):
        await client.until_synced(10)
        device.say(b"#log warn 1.5 a.b Too\\_hot", b"#log", b"#surprise a\\_b \xff")
        await until(lambda: any("surprise" in line for line in lines(terminal)))
        assert lines(terminal)[-3:] == [
            "1970-01-01T00:00:01.500Z  WARN a.b: Too hot",
            "-   :",
            '#surprise "a b" \\xff',
        ]


async def test_sampler_that_remembers() -> None:
    device = Device(sensors=SENSORS)
    plain = device._sample

    def picky(session: object, message: object) -> object:
        if b"m" in message.arguments[0].split(b","):  # type: ignore[attr-defined]
            return [b"! fail Not\\_m."]
        return plain(session, message)  # type: ignore[arg-type]

    device.answers["sensor-sampling"] = picky
    async with device, following(device) as (_, client, _terminal):
        await client.until_synced(10)
        sampler = KeptSampler(client)
        assert await sampler.set([], Strategy("event")) == []
        errors = await sampler.set(["a", "m"], Strategy("period", ("0.5",)))
        assert [str(error) for error in errors] == ["m: sensor-sampling fail: Not m."]
        assert set(client.sampling) == {"a"}  # what was refused is not tried for ever
        with pytest.raises(Misuse, match="period"):
            await sampler.set(["a"], Strategy("period", ("0",)))


def test_few_names_or_their_number() -> None:
    assert few(["b", "a\x1b"]) == r"a\x1b, b"
    assert few(map(str, range(7))) == "7"


def test_other_trouble_is_told_only_when_wanted() -> None:
    terminal = io.StringIO()
    record = logging.LogRecord("x", logging.WARNING, "f", 1, "odd \x1b", None, None)
    Notices(LiveScreen(terminal), verbose=False).handle(record)
    assert lines(terminal) == []
    Notices(LiveScreen(terminal), verbose=True).handle(record)
    assert lines(terminal) == [r"-- odd \x1b"]
