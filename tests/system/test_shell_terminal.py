"""The shell as a person has it: typed at a terminal."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("needs pseudo terminals", allow_module_level=True)

from tests.system.programs import CLI, Served, Talk, serve
from tests.system.terminal import Terminal, terminal

pytestmark = pytest.mark.slow


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where the history goes."""
    return tmp_path / "state"


@pytest.fixture
def device() -> Iterator[Served]:
    """A demo device of the test's own."""
    with serve("demo") as served:
        yield served
        if served.process.poll() is None:
            assert served.end() == 0


@pytest.fixture
def shell(device: Served, state: Path) -> Iterator[Terminal]:
    """A shell that knows its device."""
    with terminal(*CLI, device.address, XDG_STATE_HOME=str(state)) as term:
        term.until(rf"-- connected to {device.address}: demo-api-1\.0, 18 sensors, \d+ requests")
        term.until(rf"{device.address}>")
        yield term


def leave(term: Terminal) -> None:
    before = len([line for line in term.lines() if "trying again" in line])
    term.type("quit\r")
    assert term.wait() == 0
    # That the connection ends now is no news.
    assert len([line for line in term.lines() if "trying again" in line]) == before


def test_completes_and_calls(device: Served, shell: Terminal) -> None:
    shell.type("set-lab\t")
    shell.until(rf"{device.address}> set-label")
    shell.until(r"\?set-label <text: string>   Leave a note for others.*")  # how it is called
    shell.type(' "a b"\r')
    shell.until('!set-label ok "a b"')
    leave(shell)


def test_completes_sensors_and_discrete_values(device: Served, shell: Terminal) -> None:
    shell.type("get compressor.h\t")
    shell.until(rf"{device.address}> get compressor\.hours")
    shell.type("\r")
    shell.until(r"compressor\.hours  10250 h  warn  .*Z  \d+s ago")
    shell.type("mode wa\t")
    shell.until(rf"{device.address}> mode warm-up")
    shell.type("\r")
    shell.until("!mode ok warm-up")
    leave(shell)


def test_shows_what_may_come_next(device: Served, shell: Terminal) -> None:
    shell.type("?pump-\t")
    shell.until(r" *\?pump-start +Start the pump\. Fails if it is running\. *")
    shell.until(r" *\?pump-stop +Stop the pump\. .*")
    shell.type("\x03")
    leave(shell)


def test_inform_that_comes_while_typing_tears_nothing(device: Served, shell: Terminal) -> None:
    shell.type("set-label half")
    shell.until(rf"{device.address}> set-label half")
    with Talk(device) as talk:
        talk.ask(b"?attach-module[1] m1")
        shell.until("-- sensors new: module.m1.attached, module.m1.voltage")
        shell.until("-- requests new: module-reset")
    shell.until(rf"{device.address}> set-label half")  # drawn again
    lines = shell.lines()
    where = [n for n, line in enumerate(lines) if line == f"{device.address}> set-label half"]
    assert len(where) == 1, lines  # it is there once, below what came
    assert where[0] > lines.index("-- requests new: module-reset")
    shell.type("-done\r")
    shell.until("!set-label ok half-done")
    shell.type("module-r\t")  # the new request is known
    shell.until(rf"{device.address}> module-reset")
    shell.type("\x03")
    leave(shell)


def test_log_and_watched_sensors_are_shown(device: Served, shell: Terminal) -> None:
    shell.type("log-level info\r")
    shell.until("!log-level ok info")
    shell.type("watch label pump.on\r")
    shell.until(r"\S+Z  pump\.on +nominal +0")
    with Talk(device) as talk:
        talk.ask(b"?pump-start[1]")
        shell.until(r"\S+Z  INFO pump: The pump was started by 127\.0\.0\.1:\d+")
        shell.until(r"\S+Z  pump\.on +nominal +1")
        shell.type("unwatch pump.*\r")
        shell.type("watchdog\r")
        shell.until("!watchdog ok")
        talk.ask(b"?pump-stop[2]")
        talk.ask(b"?set-label[3] last")
        shell.until(r"\S+Z  label +nominal +last")
    ons = [line for line in shell.lines() if re.search(r"pump\.on +nominal", line)]
    assert len(ons) == 2
    leave(shell)


def test_comes_back_with_the_device(shell: Terminal, device: Served, state: Path) -> None:
    shell.type("watch label\r")
    shell.until(r"\S+Z  label +nominal +as found after the power cut")
    with Talk(device) as talk:
        talk.ask(b"?set-label[1] before")
        shell.until(r"\S+Z  label +nominal +before")
        assert device.end() == 0
    shell.until(
        rf"-- connection to {device.address} lost \(Device server shutting down\); trying again"
    )
    shell.until(rf"{device.address} \(not connected\)>")
    shell.type("watchdog\r")
    shell.until(f"-- not connected to {device.address}")
    with serve("demo", "--port", str(device.port)) as again:
        assert again.address == device.address
        shell.until(rf"{device.address}>")
        with Talk(again) as talk:
            talk.ask(b"?set-label[1] again")
            shell.until(r"\S+Z  label +nominal +again")  # it is still watched
        shell.type("watchdog\r")
        shell.until("!watchdog ok")
        leave(shell)
        assert again.end() == 0


def test_nobody_there_at_first(device: Served, state: Path) -> None:
    port = device.port
    assert device.end() == 0
    with terminal(*CLI, f"127.0.0.1:{port}", XDG_STATE_HOME=str(state)) as term:
        term.until(f"-- cannot connect to 127.0.0.1:{port}: Connection refused; trying again")
        term.until(rf"127\.0\.0\.1:{port} \(not connected\)>")
        with serve("demo", "--port", str(port)) as served:
            term.until(f"-- connected to {served.address}: .*")
            leave(term)
            assert served.end() == 0


def test_refusal_and_misuse(shell: Terminal) -> None:
    shell.type("vent\r")
    shell.until(r"-- vent fail: A stage is at .*")
    shell.type("get nope\r")
    shell.until("-- no sensor 'nope'")
    shell.type('set-label "a\r')
    shell.until('-- a quote " is not closed')
    leave(shell)


def test_ctrl_c_ends_the_wait_and_the_line_but_not_the_shell(shell: Terminal) -> None:
    shell.type("calibrate 100\r")
    shell.until("#calibrate 1 100 .*")
    shell.type("\x03")
    shell.until(r".*-- interrupted; the device may still be at it")
    shell.type("half a line\x03")
    shell.type("help quit\r")
    shell.until(r"quit  leave \(also: exit, Ctrl-D\)")
    leave(shell)


def test_ctrl_d_leaves(shell: Terminal) -> None:
    shell.type("\x04")
    assert shell.wait() == 0


def test_halting_the_device_from_its_own_shell(shell: Terminal, device: Served) -> None:
    shell.type("halt\r")
    shell.until("!halt ok")
    assert device.wait() == 0
    shell.until(r"-- connection to .* lost .*")
    leave(shell)


def test_history_is_kept(shell: Terminal, device: Served, state: Path) -> None:
    shell.type("set-label remembered\r")
    shell.until("!set-label ok remembered")
    leave(shell)
    path = state / "katcp" / "cli-history"
    assert "set-label remembered" in path.read_text()
    assert path.stat().st_mode & 0o077 == 0  # arguments may be nobody else's business
    with terminal(*CLI, device.address, XDG_STATE_HOME=str(state)) as term:
        term.until(rf"{device.address}>")
        term.type("\x1b[A\x1b[A\r")  # up, beyond the `quit`
        term.until("!set-label ok remembered")
        leave(term)


def test_without_a_place_for_history(device: Served) -> None:
    with terminal(*CLI, device.address, XDG_STATE_HOME="/dev/null/no") as term:
        term.until(rf"{device.address}>")
        leave(term)


def test_colours_unless_the_user_wants_none(device: Served, state: Path) -> None:
    with terminal(*CLI, device.address, XDG_STATE_HOME=str(state)) as term:
        term.until(rf"{device.address}>")
        term.type("get compressor.hours\r")
        term.until("compressor.hours  10250 h  warn .*")
        assert "\x1b[33mwarn\x1b[0m" in term.output
        leave(term)
    with terminal(*CLI, device.address, XDG_STATE_HOME=str(state), NO_COLOR="1") as term:
        term.until(rf"{device.address}>")
        term.type("get compressor.hours\r")
        term.until("compressor.hours  10250 h  warn .*")
        assert "\x1b[33m" not in term.output
        leave(term)


def test_verb_at_a_terminal_is_in_colour(device: Served) -> None:
    with terminal(*CLI, device.address, "get", "compressor.hours") as term:
        assert term.wait() == 0
        assert "\x1b[33mwarn\x1b[0m" in term.output
