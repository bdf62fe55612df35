"""Limits of ``katcp-server``, and who it lets in, as a process."""

import time
from pathlib import Path

import pytest

from tests.system.programs import Talk, serve, server

pytestmark = pytest.mark.slow

OLD = """
from katcp.server import DeviceServer

class Old(DeviceServer):
    def __init__(self, host, port):
        super().__init__(host, port)
    def setup_sensors(self):
        pass
"""


def test_allow() -> None:
    with serve("demo", "--allow", "10.0.0.0/8") as served:
        with Talk(served, greeting=0) as talk:
            assert talk.line() == b"#disconnect Clients\\_from\\_127.0.0.1\\_are\\_not\\_allowed."
            assert talk.line() == b""
        assert served.end() == 0
        assert served.errors().count("Turned 127.0.0.1:") == 1
    with serve("demo", "--allow", "10.0.0.0/8", "--allow", "127.0.0.1") as served:
        with Talk(served) as talk:
            assert talk.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert served.end() == 0


@pytest.mark.parametrize("entry", ["nonsense", "10.0.0.1/8"])
def test_bad_entry(entry: str) -> None:
    ended = server("--port", "0", "demo", "--allow", entry)
    assert ended.returncode == 2
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"katcp-server: --allow: {entry!r} is neither an address nor a network")


def test_no_remote_halt(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_text(OLD)
    with serve("--no-remote-halt", "--allow", "127.0.0.1", "old.py:Old", cwd=tmp_path) as served:
        with Talk(served) as talk:
            for name in (b"halt", b"restart"):
                assert talk.ask(b"?%s[1]" % name) == [b"!%s[1] invalid Unknown\\_request." % name]
            assert talk.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        assert served.end() == 0


def test_restart_keeps_the_limits() -> None:
    with serve("demo", "--max-clients", "1") as served:
        with Talk(served) as talk:
            assert talk.ask(b"?restart[1]") == [b"!restart[1] ok"]
            assert talk.line().startswith(b"#disconnect ")
            assert talk.line() == b""
        end = time.monotonic() + 30
        while True:
            try:
                first = Talk(served)
                break
            except (OSError, AssertionError):
                assert time.monotonic() < end, "it did not come back"
                time.sleep(0.05)
        with first, Talk(served, greeting=0) as talk:
            assert talk.line() == b"#disconnect Too\\_many\\_clients."
        assert served.end() == 0


def test_clients_of_one_address() -> None:
    with serve("demo", "--max-clients-per-address", "2") as served:
        with Talk(served), Talk(served), Talk(served, greeting=0) as third:
            assert third.line() == b"#disconnect Too\\_many\\_clients\\_from\\_127.0.0.1."
        assert served.end() == 0


@pytest.mark.parametrize(
    ("options", "warnings"),
    [
        (["--host", "0.0.0.0"], 1),
        (["--host", "0.0.0.0", "--allow", "127.0.0.0/8"], 0),
        (["--host", "127.0.0.1"], 0),
    ],
)
def test_warning_where_everybody_may_do_everything(options: list[str], warnings: int) -> None:
    with serve("demo", *options) as served:
        assert served.end() == 0
        errors = served.errors()
    assert errors.count("everybody who does may do everything") == warnings
    assert len(errors.splitlines()) == warnings


def test_subscriptions_and_statistics() -> None:
    with serve("demo", "--max-subscriptions", "1", "--statistics-period", "0.05") as served:
        with Talk(served) as talk:
            lines = talk.ask(b"?sensor-sampling[1] server.subscriptions-refused event")
            assert lines[-1].startswith(b"!sensor-sampling[1] ok ")
            (line,) = talk.ask(b"?sensor-sampling[2] server.clients event")
            assert line.startswith(b"!sensor-sampling[2] fail Too\\_many\\_subscriptions:")
            assert talk.line().endswith(b" server.subscriptions-refused nominal 1")
        assert served.end() == 0


def test_silent_client() -> None:
    with serve("demo", "--idle-timeout", "0.2", "--keepalive", "5", "1", "2") as served:
        with Talk(served) as talk:
            assert talk.line() == b"#disconnect Nothing\\_was\\_heard\\_for\\_0.2\\_s."
        assert served.end() == 0
