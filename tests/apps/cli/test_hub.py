"""Several devices in one shell."""

from __future__ import annotations

import contextlib
import io
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from katcp.apps.cli._complete import complete
from katcp.apps.cli._hub import Hub
from katcp.apps.cli._live import LiveScreen
from katcp.apps.cli._settings import Settings, Target
from tests.apps.cli.helpers import readings
from tests.helpers.scripted import Device, until


@pytest.fixture(autouse=True)
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    (tmp_path / "katcp").mkdir()
    return tmp_path / "katcp" / "devices.toml"


def device(value: str) -> Device:
    made = Device(sensors={"a": "A V float"}, requests={"help": "Help."})
    readings(made, a=f"nominal {value}")
    return made


@contextlib.asynccontextmanager
async def hub_on(made: Device) -> AsyncIterator[tuple[Hub, io.StringIO]]:
    paper = io.StringIO()
    hub = Hub(LiveScreen(paper), Settings())
    try:
        await hub.open(Target("127.0.0.1", made.port), "one")
        yield hub, paper
    finally:
        await hub.close()


def call_two(config: Path, made: Device) -> None:
    config.write_text(f'two = "127.0.0.1:{made.port}"\n')


def said(paper: io.StringIO) -> list[str]:
    lines = paper.getvalue().splitlines()
    paper.seek(0)
    paper.truncate()
    return lines


async def test_two_devices(config: Path) -> None:
    async with device("1") as one, device("2") as two, hub_on(one) as (hub, paper):
        call_two(config, two)
        assert said(paper)[0].startswith(f"-- connected to 127.0.0.1:{one.port}")
        assert await hub.do("connect two") == 0
        assert hub.current.name == "two"
        assert said(paper)[0].startswith("-- two: connected to ")
        await hub.do("get a")
        await hub.do("one:get a")
        assert [line.split()[1] for line in said(paper)] == ["2", "1"]
        await hub.do("one:watch a")
        await until(lambda: "one: " in paper.getvalue())
        said(paper)
        await hub.do("devices")
        assert said(paper) == [
            f"   one  127.0.0.1:{one.port}  connected",
            f"*  two  127.0.0.1:{two.port}  connected",
        ]
        await hub.do("use one")
        assert hub.current.name == "one"
        assert hub.others == ["two"]
        await hub.do("disconnect two")
        assert hub.others == []
        said(paper)
        await hub.do("devices")
        assert said(paper)[1] == f"   two  127.0.0.1:{two.port}"


async def test_names_are_completed(config: Path) -> None:
    async with device("1") as one, device("2") as two, hub_on(one) as (hub, _):
        call_two(config, two)

        def ways(line: str) -> list[str]:
            place, rest = hub.addressed(line)
            return [candidate.text for candidate in complete(rest, hub.vocabulary(place))]

        assert ways("connect t") == ["two"]
        assert ways("on") == []
        await hub.do("connect two")
        assert ways("on") == ["one:"]
        assert ways("use ") == ["one", "two"]
        assert ways("one:get ") == ["a"]
        assert ways("set a ") == []


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("connect", "-- connect to what? Say HOST:PORT, or a name of devices.toml; then: as NAME"),
        ("connect a b", "-- connect to what?"),
        ("connect h:1 as 3", "-- '3' is no name"),
        ("connect host:port", "-- no device 'host:port' in devices.toml"),
        ("connect host", "-- no device 'host' in devices.toml (an address has a port)"),
        ("use", "-- use which? Name one of one"),
        ("use other", "-- not connected to 'other': see devices"),
        ("disconnect", "-- it is the only one: quit leaves"),
        ("connect h:1 as one", "-- 'one' is connected already: use one"),
        ("connect 'x", "-- a quote ' is not closed"),
    ],
)
async def test_mistakes(line: str, complaint: str) -> None:
    async with device("1") as one, hub_on(one) as (hub, paper):
        said(paper)
        assert await hub.do(line) == 2
        assert said(paper)[0].startswith(complaint)
