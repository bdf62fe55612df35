"""Verbs at a terminal: live tables and pictures, progress, pages; narrow, and without colour."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo terminals", allow_module_level=True)

from tests.system.programs import CLI, Served, serve
from tests.system.terminal import Terminal, terminal

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def device() -> Iterator[Served]:
    with serve("demo", "--update-interval", "0.1") as served:
        yield served


@pytest.fixture(scope="module")
def host() -> Iterator[Served]:
    with serve("host") as served:
        yield served


def test_watch_is_a_table_that_lives(device: Served) -> None:
    with terminal(*CLI, device.address, "watch", "stage1.*", "label") as term:
        term.until(rf"{device.address}  3 sensors  .* updates/s  \d\d:\d\d:\d\dZ")
        term.until(r"sensor +value +status +age +trend")
        term.until(r"label +as found .* +nominal +\d+s")
        term.until(r"stage1\.temperature +[\d.]+ K +\w+ +\d+s +[▁▂▃▄▅▆▇█]{4,}")
        assert len([line for line in term.lines() if line.startswith("label")]) == 1
        assert "\x1b[32m" in term.output  # nominal is green
        term.type("q")
        assert term.wait() == 0
        assert [line for line in term.lines() if line.startswith("label")]  # it stays


def test_watch_on_a_narrow_terminal_without_colour(device: Served) -> None:
    with terminal(*CLI, device.address, "watch", "*", columns=40, NO_COLOR="1") as term:
        term.until(r"sensor +value +status? +age|sensor +value +stat… +age")
        term.until(r"mode +\S+ +nomin +\d+\w")
        assert all(len(line) <= 40 for line in term.lines())
        assert not re.search(r"\x1b\[[\d;]*3[0-7]m", term.output)
        term.type("\x03")
        assert term.wait() == 130


def test_watch_moves_by_keys(device: Served) -> None:
    with terminal(*CLI, device.address, "watch", "*", rows=12) as term:
        first = term.until(r"1-(\d+) of (\d+)  arrows, PgUp, PgDn; q leaves")
        room, count = int(first[1]), int(first[2])
        assert room < count
        term.type("G")
        term.until(rf"{count - room + 1}-{count} of {count}  .*")
        term.type("k")
        term.until(rf"{count - room}-{count - 1} of {count}  .*")
        term.type("\x1b[5~")  # PgUp
        term.until(rf"\d+-\d+ of {count}  .*")
        term.type("\x04")
        assert term.wait() == 0


def test_watch_of_a_device_that_goes_away() -> None:
    with serve("demo") as served, terminal(*CLI, served.address, "watch", "*") as term:
        term.until(r"mode +off +nominal .*")
        assert served.end() == 0
        assert term.wait() == 3
        lines = [line for line in term.lines() if line.startswith("katcp-cli: ")]
        assert len(lines) == 1
        assert f"connection to {served.address} lost" in lines[0]
        assert any(line.startswith("mode") for line in term.lines())  # what was last known


def test_watch_with_nothing_to_watch(device: Served) -> None:
    with terminal(*CLI, device.address, "watch", "nothing") as term:
        assert term.wait() == 1
        assert [line for line in term.lines() if line] == ["katcp-cli: no sensor 'nothing'"]


@pytest.mark.parametrize("arguments", [["--plain"], []])
def test_watch_line_by_line(device: Served, arguments: list[str]) -> None:
    kind = {} if arguments else {"TERM": "dumb"}
    with terminal(
        *CLI, device.address, "watch", "label", "--count", "1", *arguments, **kind
    ) as term:
        term.until(r"\S+Z  label  nominal      as found .*")
        assert term.wait() == 0


def test_plot(device: Served) -> None:
    with terminal(*CLI, device.address, "plot", "stage1.temperature", columns=40) as term:
        term.until(r"stage1\.temperature [\d.]+ K, \w+")
        term.until(r" *-10 s +-5 s +now *")
        assert all(len(line) <= 40 for line in term.lines())
        term.type("q")
        assert term.wait() == 0


def test_get_tells_ages(device: Served) -> None:
    with terminal(*CLI, device.address, "get", "label") as term:
        assert term.wait() == 0
        term.until(r"label  as found .*  nominal  \S+Z  \d+s ago")
    with terminal(*CLI, device.address, "get", "label", columns=60) as term:
        assert term.wait() == 0
        term.until(r"label  as found .*  nominal  \d+s")


def test_record_shows_how_far_it_is(device: Served, tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    with terminal(*CLI, device.address, "record", str(path)) as term:
        term.until(r". recording \d+ 0:00:\d\d")
        term.type("\x03")
        assert term.wait() == 130
        term.until(rf"{path}: \d+ readings of 18 sensors in .* s")
        assert not any("recording" in line for line in term.lines())
    assert path.read_text().count("\n") > 18


def test_long_lists_come_in_a_pager(device: Served, tmp_path: Path) -> None:
    state = str(tmp_path)
    with terminal(
        *CLI, device.address, rows=18, NO_COLOR="1", XDG_STATE_HOME=state, PAGER="cat -A"
    ) as term:
        term.until(rf"{device.address}>")
        term.type("list\r")
        term.until(r"mode  .*\$")  # as only the pager prints it
        term.type("list mode\r")
        term.until(r"mode  .*[^$]")
        term.type("quit\r")
        assert term.wait() == 0


def shell(device: Served, state: Path, config: Path) -> Terminal:
    return Terminal(
        *CLI, device.address, XDG_STATE_HOME=str(state), XDG_CONFIG_HOME=str(config), columns=60
    )


def test_several_devices_in_one_shell(device: Served, host: Served, tmp_path: Path) -> None:
    config = tmp_path / "katcp" / "devices.toml"
    config.parent.mkdir()
    config.write_text(f'pc = "{host.address}"\n')
    term = shell(device, tmp_path / "state", tmp_path)
    try:
        term.until(rf"{device.address}>")
        term.type("connect p\t")
        term.until(rf"{device.address}> connect pc")
        term.type("\r")
        term.until(r"-- pc: connected to .*")
        term.until(rf"Also connected: {device.address}; Tab completes.*")
        term.type("get upt\t")
        term.until(r"pc> get uptime")
        term.type("\r")
        term.until(r"uptime  [\d.]+ s  nominal  \d+\w")
        term.type(f"{device.address}:mode off\r")
        term.until(r"!mode ok off")
        term.type(f"use {device.address}\r")
        term.until(rf"{device.address}>")
        term.type("quit\r")
        assert term.wait() == 0
    finally:
        term.close()
    term = shell(device, tmp_path / "state", tmp_path)
    try:
        term.until(rf"{device.address}>")
        term.type("\x1b[A\x1b[A")  # history of the last time
        term.until(rf"{device.address}> use {device.address}")
        term.type("\x03\x04")
        assert term.wait() == 0
    finally:
        term.close()
