"""Lines of the shell, and scripts of them."""

import io

import pytest

from katcp.apps.cli._errors import NoConnection
from katcp.apps.cli._script import run_script
from katcp.apps.cli._session import PlainSampler, Quit, Session
from tests.apps.cli.helpers import here, readings
from tests.helpers.scripted import Device


def device() -> Device:
    made = Device(sensors={"a.x": "X V float", "a.y": "Y V float"})
    made.requests["list"] = "A request whose name is a word of the shell."
    made.values |= dict.fromkeys(("a.x", "a.y"), "1.5 1 {} nominal 0")
    readings(made, **{"a.x": "nominal 1", "a.y": "nominal 2"})
    made.answers["list"] = lambda session, message: [b"! ok theirs"]
    return made


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("", []),
        ("# remark", []),
        ("watchdog", ["!watchdog ok"]),
        ("?watchdog", ["!watchdog ok"]),
        ("list y", ["a.y  float  V  Y"]),
        ("?list", ["!list ok theirs"]),
        ("call list", ["!list ok theirs"]),
        ("get a.x", ["a.x  1 V  nominal  1970-01-01T00:00:01.500Z"]),
        ("requests lis", ["list  A request whose name is a word of the shell."]),
        ("help quit", ["quit  leave (also: exit, Ctrl-D)"]),
        ("help watchdog", ["?watchdog", "  Pong."]),
        ("sleep 0", []),
    ],
)
async def test_line(line: str, shown: list[str]) -> None:
    async with device() as made, here(made) as (place, paper):
        session = Session(place, PlainSampler(place))
        assert await session.do(line) == 0
        assert paper.shown == shown
        assert paper.complaints == []


@pytest.mark.parametrize(
    ("line", "status", "complaint"),
    [
        ("nothing", 1, "nothing invalid: Unknown request."),
        ("get z", 1, "no sensor 'z'"),
        ("get", 2, "get what? Name sensors"),
        ("watch", 2, "watch what? Name sensors"),
        ("watch a.x period", 2, "strategy period has 1 parameters, not 0"),
        ("unwatch a.x", 2, "none of these is watched"),
        ("list a b", 2, "list takes one filter at most"),
        ("requests a b", 2, "requests takes one filter at most"),
        ("sleep", 2, "sleep how long? Give seconds"),
        ("sleep nan", 2, "sleep how long? Give seconds"),
        ("get /[/", 2, "bad regular expression /[/: unterminated character set at position 0"),
        ("'", 2, "a quote ' is not closed"),
    ],
)
async def test_line_that_fails(line: str, status: int, complaint: str) -> None:
    async with device() as made, here(made) as (place, paper):
        session = Session(place, PlainSampler(place))
        assert await session.do(line) == status
        assert paper.complaints == [complaint]


async def test_quit() -> None:
    async with device() as made, here(made) as (place, _):
        session = Session(place, PlainSampler(place))
        for line in ("quit", "exit"):
            with pytest.raises(Quit):
                await session.do(line)


async def test_help_names_every_word() -> None:
    async with device() as made, here(made) as (place, paper):
        session = Session(place, PlainSampler(place))
        await session.do("help")
        assert {"list", "watch", "quit"} <= {line.split()[0] for line in paper.shown if line}


async def test_watch_and_unwatch() -> None:
    async with device() as made, here(made) as (place, paper):
        session = Session(place, PlainSampler(place))
        assert await session.do("watch a.* event-rate 1 60") == 0
        assert made.heard[-1].endswith(b" a.x,a.y event-rate 1 60")
        assert [line.split()[1] for line in paper.shown] == ["a.x", "a.y"]
        assert await session.do("unwatch a.x") == 0
        assert made.heard[-1].endswith(b" a.x none")
        assert await session.do("unwatch") == 0
        assert made.heard[-1].endswith(b" a.y none")


async def test_readings_that_were_asked_for_by_hand_are_shown_too() -> None:
    async with device() as made, here(made) as (place, paper):
        session = Session(place, PlainSampler(place))
        assert await session.do("?sensor-sampling a.x event") == 0
        assert paper.shown == [
            "1970-01-01T00:00:01.500Z  a.x  nominal      0",
            "!sensor-sampling ok a.x event",
        ]


async def test_some_that_cannot_be_watched() -> None:
    async with device() as made, here(made) as (place, paper):
        session = Session(place, PlainSampler(place))
        assert await session.do("watch a.x z") == 1
        assert paper.complaints == ["no sensor 'z'"]
        assert len(paper.shown) == 1


@pytest.mark.parametrize(
    ("script", "status"),
    [("", 0), ("watchdog\n", 0), ("nothing\nwatchdog\n", 1), ("'\nquit\nnothing\n", 2)],
)
async def test_script(script: str, status: int, capsys: pytest.CaptureFixture[str]) -> None:
    async with device() as made:
        source = io.StringIO(script)
        assert await run_script("127.0.0.1", made.port, None, False, source) == status


async def test_script_on_a_device_that_leaves() -> None:
    made = device()

    def leave(session: object, message: object) -> list[bytes]:
        made.cut()
        return []

    made.answers["leave"] = leave
    async with made:
        source = io.StringIO("leave\nwatchdog\n")
        with pytest.raises(NoConnection):
            await run_script("127.0.0.1", made.port, None, False, source)
