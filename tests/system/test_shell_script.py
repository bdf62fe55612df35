"""The shell without a terminal: lines from a pipe."""

import subprocess

import pytest

from tests.system.programs import CLI, PATIENCE, Served, cli, environment, serve

pytestmark = pytest.mark.slow


def test_does_what_the_lines_say(demo: Served) -> None:
    result = cli(
        demo.address,
        stdin="# a remark\n\n?set-label 'a b'\nget label compressor.hours\nhelp quit\n",
    )
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == '!set-label ok "a b"'
    assert lines[1].startswith("label             a b      nominal  ")
    assert lines[2].startswith("compressor.hours  10250 h  warn     ")
    assert lines[3] == "quit  leave (also: exit, Ctrl-D)"
    assert "\x1b" not in result.stdout


@pytest.mark.parametrize(
    ("script", "status"),
    [
        ("", 0),
        ("watchdog\n", 0),
        ("watchdog", 0),  # without an end of the last line
        ("vent\nwatchdog\n", 1),
        ("vent\nwatchdog\nget nope *[\nadd 'x\nwatchdog\n", 2),
        ("add 'x\nvent\nwatchdog\n", 1),
        ("get nope\n", 1),
        ("vent\nquit\nadd 'x\n", 1),
        ("sleep x\n", 2),
        ("watch\n", 2),
        ("unwatch label\n", 2),
        ("list a b\n", 2),
    ],
)
def test_exit_status_is_that_of_the_last_that_failed(
    demo: Served, script: str, status: int
) -> None:
    assert cli(demo.address, stdin=script).returncode == status


def test_watch_goes_on_while_other_lines_are_done(demo: Served) -> None:
    script = "watch label\nset-label one\nset-label two\nunwatch\nset-label three\n"
    result = cli(demo.address, stdin=script)
    assert result.returncode == 0
    shown = [line for line in result.stdout.splitlines() if "  label  nominal  " in line]
    assert [line.split()[-1] for line in shown][1:] == ["one", "two"]


def test_time_limit(demo: Served) -> None:
    result = cli(demo.address, "--timeout", "0.3", stdin="calibrate 9\nwatchdog\n")
    assert result.returncode == 4
    assert result.stderr.startswith("katcp-cli: no reply to ?calibrate from ")


def test_last_line_may_halt_the_device() -> None:
    with serve("demo") as served:
        result = cli(served.address, stdin="halt\n")
        assert (result.returncode, result.stdout) == (0, "!halt ok\n")
        assert served.wait() == 0


def test_no_line_may_follow_the_end_of_the_device() -> None:
    with serve("demo") as served:
        result = cli(served.address, stdin="halt\nsleep 0.5\nwatchdog\n")
        assert result.returncode == 3
        assert "katcp-cli: " in result.stderr
        assert served.wait() == 0


def test_connection_lost_while_waiting_for_a_line() -> None:
    with serve("demo") as served:
        process = subprocess.Popen(
            [*CLI, served.address],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdin.write("watchdog\n")
            process.stdin.flush()
            assert process.stdout.readline() == "!watchdog ok\n"
            assert served.end() == 0
            assert process.wait(PATIENCE) == 3
            assert process.stderr.read().startswith(
                f"katcp-cli: connection to {served.address} lost: "
            )


def test_nobody_listens() -> None:
    result = cli("127.0.0.1:1", stdin="watchdog\n")
    assert result.returncode == 3
    assert result.stderr == "katcp-cli: cannot connect to 127.0.0.1:1: Connection refused\n"


def test_json_is_for_verbs(demo: Served) -> None:
    assert cli(demo.address, "--json", stdin="").returncode == 2
