"""Snapshots, measurements, completion, progress."""

from __future__ import annotations

import asyncio
import io
import os
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from katcp.apps.cli._bench import bench
from katcp.apps.cli._commands import command, run
from katcp.apps.cli._completion import SHELLS, completion_script, joined
from katcp.apps.cli._errors import Misuse, NoConnection, Refused, TimedOut
from katcp.apps.cli._progress import Progress
from katcp.apps.cli._snapshot import snapshot
from katcp.snapshots import read_snapshot
from tests.apps.cli.helpers import here, readings
from tests.helpers.scripted import Device


def device() -> Device:
    made = Device(sensors={"a.b": "A V float", "bad\\_name": "B \\@ float"})
    readings(made, **{"a.b": "nominal 1.5"})
    return made


async def test_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    made = device()
    async with made, here(made) as (place, paper):
        assert await snapshot(place, str(path)) == 0
        assert paper.shown[0].startswith(f"{path}: 2 sensors, 2 requests, taken 2")
    assert read_snapshot(path).sensors[0].value == b"1.5"


async def test_snapshot_as_json_and_to_standard_output(tmp_path: Path) -> None:
    made = device()
    async with made, here(made, json=True) as (place, paper):
        assert await snapshot(place, str(tmp_path / "s.json")) == 0
        (record,) = paper.records
        assert (record["sensors"], record["requests"]) == (2, 2)
        assert await snapshot(place, "-") == 0
        assert '"format": "katcp-snapshot"' in paper.out.getvalue()


async def test_snapshots_that_fail(tmp_path: Path) -> None:
    made = device()
    async with made, here(made) as (place, _):
        with pytest.raises(Misuse, match="No such file"):
            await snapshot(place, str(tmp_path / "no" / "s.json"))
        made.answers["help"] = lambda session, message: [b"! fail Not\\_now\\e."]
        with pytest.raises(Refused, match=r"\?help was refused: fail Not now\\x1b"):
            await snapshot(place, str(tmp_path / "s.json"))
        made.answers["help"] = lambda session, message: session.close()
        with pytest.raises(NoConnection, match="lost"):
            await snapshot(place, str(tmp_path / "s.json"))
    assert not os.listdir(tmp_path)


async def test_snapshot_of_a_device_that_says_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("katcp.apps.cli._snapshot._PATIENCE", 0.1)
    made = device()
    made.answers["help"] = lambda session, message: None
    async with made, here(made, timeout=0.1) as (place, _):
        with pytest.raises(TimedOut, match=r"within 0\.1 s"):
            await snapshot(place, str(tmp_path / "s.json"))


async def test_bench() -> None:
    made = device()
    async with made, here(made) as (place, paper):
        assert await bench(place, 0.02, 4) == 0
        assert [line.split("  ")[0] for line in paper.shown[1:]] == [
            "one at a time",
            "4 at a time",
            "list",
            "list",
            "list",
        ]
    made = device()
    async with made, here(made, json=True) as (place, paper):
        made.answers["help"] = lambda session, message: [b"! fail No."]
        assert await bench(place, 0.02, 4) == 0
        first, second, *lists = paper.records
        assert first["min"] <= first["median"] <= first["p99"] <= first["max"]
        assert second["in_flight"] == 4
        assert [record["request"] for record in lists] == ["sensor-list", "sensor-value"]


@pytest.mark.parametrize("shell", SHELLS)
def test_completion_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["completion", shell]) == 0
    out = capsys.readouterr().out
    assert out == completion_script(shell)
    assert "_KATCP_CLI_COMPLETE" in out


def candidates(words: list[str], incomplete: str) -> list[str]:
    made = ShellComplete(command, {}, "katcp-cli", "_KATCP_CLI_COMPLETE")
    return [item.value for item in made.get_completions(words, incomplete)]


def test_completion_of_verbs_options_and_strategies() -> None:
    assert candidates(["127.0.0.1:1"], "re") == ["record", "replay"]
    assert "--plain" in candidates(["watch"], "--p")
    assert candidates(["watch", "--strategy"], "ev") == ["event", "event-rate"]
    assert candidates(["log", "--level"], "w") == ["warn"]


@pytest.mark.parametrize(
    ("words", "whole"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "h", ":", "1", "get"], ["a", "h:1", "get"]),
        (["a", "h", ":"], ["a", "h:"]),
        (["a", ""], ["a", ""]),
        ([":"], [":"]),
    ],
)
def test_words_that_bash_takes_apart(words: list[str], whole: list[str]) -> None:
    assert joined(words) == whole


async def test_completion_of_names() -> None:
    made = device()
    async with made:
        address = f"127.0.0.1:{made.port}"
        assert await asyncio.to_thread(candidates, [address, "get"], "") == ["a.b"]
        assert await asyncio.to_thread(candidates, ["--address", address, "call"], "wat") == [
            "watchdog"
        ]
    assert await asyncio.to_thread(candidates, [address, "get"], "") == []  # it is gone


def test_completion_leaves_the_context_alone() -> None:
    assert click.get_current_context(silent=True) is None


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_progress_shows_what_takes_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("katcp.apps.cli._progress._PATIENCE", 0.0)
    terminal = Terminal()
    progress = Progress(terminal)
    with progress.step("outer", 7) as outer, progress.step("inner"):
        await asyncio.sleep(0.01)
        outer.advance(3)
        await asyncio.sleep(0.2)
    shown = terminal.getvalue()
    assert "outer" in shown
    assert "3/7" in shown
    assert "inner" not in shown


async def test_progress_is_silent_about_what_is_quick() -> None:
    terminal = Terminal()
    with Progress(terminal).step("quick"):
        await asyncio.sleep(0)
    assert terminal.getvalue() == ""
