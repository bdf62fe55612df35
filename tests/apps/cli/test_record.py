"""Recording readings to a file, and printing them again."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

from katcp.apps.cli._errors import Misuse, NoConnection
from katcp.apps.cli._grammar import parse_pattern, parse_strategy
from katcp.apps.cli._link import connected
from katcp.apps.cli._record import Recording, record, replay
from katcp.apps.cli._verbs import Here
from tests.apps.cli.helpers import Paper, here
from tests.helpers.scripted import V4, Device, until

SENSORS = {"a": "A V float", "m": "M \\@ timestamp", "t": "T \\@ string"}


def device(greeting: Any = None) -> Device:
    made = Device(sensors=SENSORS) if greeting is None else Device(greeting, SENSORS)
    made.values = {
        "a": "1600000000.25 1 a nominal 3.00",
        "m": "1600000000.25 1 m nominal 1500.5",
        "t": "1600000000.25 1 t unknown \\e[2J\\_\xff",
    }
    return made


def wanted(path: Path, *names: str, **options: Any) -> Recording:
    patterns = [parse_pattern(name) for name in names or ["*"]]
    return Recording(str(path), patterns, parse_strategy(["event"]), **options)


async def recorded(path: Path, **options: Any) -> Paper:
    made = device()
    async with made, here(made) as (place, paper):
        assert await record(place, wanted(path, **options)) == 0
        return paper


async def test_a_recording_is_lines_of_json(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    paper = await recorded(path, count=3)
    assert paper.shown[0].startswith(f"{path}: 3 readings of 3 sensors in ")
    head, *lines = [json.loads(line) for line in path.read_text("ascii").splitlines()]
    assert head["format"] == "katcp-record"
    by_name = {line["name"]: line for line in lines}
    assert by_name["a"] | {"received": 0} == {
        "received": 0,
        "name": "a",
        "value": 3.0,
        "units": "V",
        "type": "float",
        "status": "nominal",
        "timestamp": 1600000000.25,
        "raw": "3.00",
    }


async def test_a_replay_prints_what_watch_printed(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await recorded(path, count=3)
    paper = Paper()
    assert replay(paper, str(path), [], None) == 0
    assert sorted(paper.shown) == [
        "2020-09-13T12:26:40.250Z  a  nominal      3.00 V",
        "2020-09-13T12:26:40.250Z  m  nominal      1970-01-01T00:25:00.500Z",
        "2020-09-13T12:26:40.250Z  t  unknown      (\\x1b[2J \xff)",
    ]
    paper = Paper(json=True)
    assert replay(paper, str(path), [parse_pattern("a")], None) == 0
    assert paper.records == [
        {
            "name": "a",
            "value": 3.0,
            "units": "V",
            "type": "float",
            "status": "nominal",
            "timestamp": 1600000000.25,
        }
    ]


async def test_times_of_an_old_device_are_seconds(tmp_path: Path) -> None:
    made = device(V4)
    made.values = {"m": "1600000000250 1 m nominal 1500500"}
    path = tmp_path / "r.jsonl"
    async with made, here(made) as (place, _):
        assert await record(place, wanted(path, "m", count=1)) == 0
    paper = Paper()
    replay(paper, str(path), [], None)
    assert paper.shown == ["2020-09-13T12:26:40.250Z  m  nominal      1970-01-01T00:25:00.500Z"]


async def test_log_lines_too(tmp_path: Path) -> None:
    made = device()
    path = tmp_path / "r.jsonl"
    async with made, here(made) as (place, _):
        task = asyncio.ensure_future(record(place, wanted(path, "a", log=True, duration=0.5)))
        await until(lambda: any(b"sensor-sampling" in line for line in made.heard))
        made.say(b"#log info 1.5 x Hello\\_you")
        await task
    paper = Paper()
    replay(paper, str(path), [], None)
    assert "1970-01-01T00:00:01.500Z  INFO x: Hello you" in paper.shown
    paper = Paper(json=True)
    replay(paper, str(path), [], None)
    assert {"level": "info", "timestamp": 1.5, "name": "x", "message": "Hello you"} in paper.records


async def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    await recorded(path, count=1)
    before = path.read_text()
    with pytest.raises(Misuse, match="exists: --append adds to it"):
        await recorded(path, count=1)
    await recorded(path, count=1, append=True)
    assert path.read_text().startswith(before)
    paper = Paper()
    replay(paper, str(path), [], None)
    assert len(paper.shown) == 2


async def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match="No such file"):
        await recorded(tmp_path / "no" / "r.jsonl", count=1)


async def test_goes_on_when_the_device_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    made = device()
    async with made, connected("127.0.0.1", made.port, None) as asker:
        paper = Paper()
        place = Here(asker, paper, lambda: connected("127.0.0.1", made.port, None))
        task = asyncio.ensure_future(record(place, wanted(path, "a", count=2, reconnect=True)))
        await until(lambda: "value" in (path.read_text() if path.exists() else ""))
        made.cut()
        assert await asyncio.wait_for(task, 10) == 0
    assert "lost; trying again" in paper.complaints[0].replace(" by the device", "")
    paper = Paper()
    replay(paper, str(path), [], None)
    assert len(paper.shown) == 2
    assert [text.partition(" at ")[0] for text in paper.complaints] == [
        "connection lost",
        "connection connected",
    ]


async def test_connection_lost(tmp_path: Path) -> None:
    made = device()
    path = tmp_path / "r.jsonl"
    async with made, here(made) as (place, paper):
        task = asyncio.ensure_future(record(place, wanted(path, "a")))
        await until(lambda: any(b"sensor-sampling" in line for line in made.heard))
        made.cut()
        with pytest.raises(NoConnection):
            await asyncio.wait_for(task, 10)
        assert " readings of 1 sensors in " in paper.shown[0]
    assert json.loads(path.read_text().splitlines()[-1])["event"] == "lost"


HEAD = '{"format": "katcp-record", "version": 1}\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is no recording"),
        ("[]\n", "is no recording"),
        ('{"format": "katcp-record", "version": 2}\n', "another version"),
        (HEAD + "nonsense\n", "line 2 is no line of a recording"),
        (HEAD + '{"received": "x"}\n', "line 2 is no line"),
        (HEAD + '{"received": true}\n', "line 2 is no line"),
        (HEAD + '{"received": 1, "name": 3}\n', "line 2 is no line"),
        (HEAD + '{"received": 1, "level": "x", "name": "a", "message": 3}\n', "line 2"),
        (HEAD + "[" * 100_000 + "\n", "line 2"),
    ],
)
def test_what_is_no_recording(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(text)
    with pytest.raises(Misuse, match=complaint):
        replay(Paper(), str(path), [], None)


def test_bytes_that_are_no_recording(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(HEAD.encode() + b"\xff\xfe\n")
    with pytest.raises(Misuse, match="it is not text"):
        replay(Paper(), str(path), [], None)


def test_a_last_line_that_was_not_finished_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    path.write_text(HEAD + '{"received": 1, "event": "lost"}\n\n{"received": 2, "na')
    paper = Paper()
    assert replay(paper, str(path), [], None) == 0
    assert len(paper.complaints) == 1


def test_nothing_of_a_recording_reaches_the_terminal_raw(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    odd = "\x1b[2J\u202e"
    reading = {"received": 1, **dict.fromkeys(("name", "status", "type", "units", "value"), odd)}
    line = {"received": 1, "level": odd, "name": odd, "message": odd, "timestamp": odd}
    event = {"received": 1, "event": odd}
    path.write_text(HEAD + "".join(json.dumps(r) + "\n" for r in (reading, line, event)))
    paper = Paper()
    replay(paper, str(path), [], None)
    assert all(text.isprintable() for text in [*paper.shown, *paper.complaints])
    assert len(paper.shown) == 2


def test_the_pace_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "r.jsonl"
    lines = [{"received": moment, "event": "lost"} for moment in (10.0, 10.5, 9.0, 14.0)]
    path.write_text(HEAD + "".join(json.dumps(line) + "\n" for line in lines))
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("katcp.apps.cli._record.time.monotonic", lambda: now[0])
    monkeypatch.setattr("katcp.apps.cli._record.time.sleep", sleep)
    with contextlib.suppress(BrokenPipeError):
        replay(Paper(), str(path), [], 2.0)
    assert slept == [0.25, 1.75]
