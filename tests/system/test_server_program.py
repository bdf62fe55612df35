"""``katcp-server`` as a process."""

import signal
import socket
from pathlib import Path

import pytest

from tests.system.programs import PATIENCE, Served, Talk, serve, server

pytestmark = pytest.mark.slow

DEVICES = """
import threading
import time
from katcp.server import AsyncDeviceServer, DeviceServer, blocking

class Adder(DeviceServer):
    def __init__(self, host, port):
        super().__init__(host, port)
    def setup_sensors(self):
        pass
    def request_add(self, req, x: int, y: int) -> int:
        "Add."
        return x + y
    def request_bug(self, req, msg):
        "Fail."
        raise KeyError("lost")

class Busy(AsyncDeviceServer):
    def setup_sensors(self):
        pass
    async def request_wait(self, req) -> None:
        "Never answer."
        import asyncio
        await asyncio.sleep(3600)

    @blocking
    def request_stick(self, req) -> None:
        "Never answer, and keep a thread."
        time.sleep(3600)

    def request_keep(self, req) -> None:
        "Start a thread that does not end."
        threading.Thread(target=time.sleep, args=(3600,)).start()

class Broken(AsyncDeviceServer):
    def setup_sensors(self):
        raise ValueError("no such\\nhardware")

class NoSensors(AsyncDeviceServer):
    pass

class NoDevice:
    pass
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "mydevices.py").write_text(DEVICES)
    return tmp_path


def test_host_device_is_the_default() -> None:
    with serve() as served:
        assert served.host == "127.0.0.1"
        with Talk(served) as talk:
            (inform, reply) = talk.ask(b"?sensor-value[1] memory.total")
            assert inform.split()[4] == b"nominal"
            assert reply == b"!sensor-value[1] ok 1"
        assert served.end() == 0
        assert served.line() == ""  # one line was all that it printed
        assert served.errors() == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_says_goodbye_and_exits_0(number: int) -> None:
    with serve("demo") as served, Talk(served) as one, Talk(served) as other:
        one.ask(b"?watchdog[1]")
        assert served.end(number) == 0
        for talk in (one, other):
            lines = [talk.line(), talk.line()]
            while lines[-1]:
                lines.append(talk.line())
            assert lines[-2] == b"#disconnect Device\\_server\\_shutting\\_down."
        assert served.errors() == ""


def test_signal_with_a_request_under_way(place: Path) -> None:
    busy = f"{place}/mydevices.py:Busy"
    with serve(busy) as served, Talk(served) as talk, Talk(served) as other:
        talk.say(b"?wait[1]")
        assert other.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        assert served.end() == 0
        lines = [line for line in iter(talk.line, b"") if not line.startswith(b"#client")]
        assert lines == [
            b"!wait[1] fail request_cancelled",
            b"#disconnect Device\\_server\\_shutting\\_down.",
        ]


def test_handler_that_is_stuck_does_not_keep_it_from_ending(place: Path) -> None:
    busy = f"{place}/mydevices.py:Busy"
    with serve(busy) as served, Talk(served) as talk, Talk(served) as other:
        talk.say(b"?stick[1]")
        assert other.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        assert served.end() == 0
        assert served.errors() == ""


def test_thread_that_is_stuck_does_not_keep_it_from_ending(place: Path) -> None:
    busy = f"{place}/mydevices.py:Busy"
    with serve(busy) as served, Talk(served) as talk:
        assert talk.ask(b"?keep[1]") == [b"!keep[1] ok"]
        assert served.end() == 0
        assert served.errors() == "katcp-server: threads are still at work after 3 s; leaving\n"


def test_halt_exits_0() -> None:
    with serve("demo") as served, Talk(served) as talk:
        assert talk.ask(b"?halt[1]") == [b"!halt[1] ok"]
        assert talk.line() == b"#disconnect Device\\_server\\_shutting\\_down."
        assert talk.line() == b""
        assert served.wait() == 0


def test_restart_serves_again_at_the_same_address() -> None:
    with serve("demo") as served:
        with Talk(served) as talk:
            assert talk.ask(b"?set-label[1] kept")[-1] == b"!set-label[1] ok kept"
            assert talk.ask(b"?restart[2]") == [b"!restart[2] ok"]
            assert talk.line().startswith(b"#disconnect")
            assert talk.line() == b""
        with again(served) as talk:
            assert talk.ask(b"?sensor-value[1] label")[0].endswith(b" label nominal kept")
        assert served.end() == 0
        assert served.line() == ""  # it said where it listens once


def again(served: Served) -> Talk:
    """Connect to a server that is being restarted."""
    for _ in range(int(PATIENCE * 100)):
        try:
            return Talk(served)
        except ConnectionError:
            signal.sigtimedwait([], 0.01)
    raise AssertionError("it did not come back")


@pytest.mark.parametrize(
    "device", ["mydevices:Adder", "mydevices.py:Adder", "{place}/mydevices.py:Adder"]
)
def test_class_of_a_user(place: Path, device: str) -> None:
    with serve(device.format(place=place), cwd=place) as served, Talk(served) as talk:
        assert talk.ask(b"?add[1] 2 3") == [b"!add[1] ok 5"]
        # A client is told of a bug in one line; the log has all of it.
        assert talk.ask(b"?bug[2]") == [b"!bug[2] fail KeyError:\\_'lost'"]
        assert served.end() == 0
        assert "Traceback" in served.errors()


def test_traceback_for_clients_who_are_to_have_it(place: Path) -> None:
    with serve("--tb-limit", "5", f"{place}/mydevices.py:Adder") as served, Talk(served) as talk:
        (reply,) = talk.ask(b"?bug[1]")
        assert reply.startswith(b"!bug[1] fail Traceback")
        assert served.end() == 0


def test_limits_and_log_level() -> None:
    with serve("demo", "--max-clients", "1", "--log-level", "info") as served:
        with Talk(served) as talk:
            assert talk.ask(b"?log-level[1]") == [b"!log-level[1] ok info"]
            with Talk(served, greeting=0) as second:
                assert second.line() == b"#disconnect Too\\_many\\_clients."
                assert second.line() == b""
        assert served.end() == 0


def test_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this computer has no IPv6")
    with serve("demo", "--host", "::1") as served, Talk(served) as talk:
        assert served.address == f"[::1]:{served.port}"
        assert talk.ask(b"?watchdog[1]") == [b"!watchdog[1] ok"]
        assert served.end() == 0


def test_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = server("demo", "--port", str(port))
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == (
        f"katcp-server: cannot listen on 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize(
    ("device", "status", "text"),
    [
        ("no_such_module_here:X", 1, "no module named 'no_such_module_here'"),
        ("none.py:X", 1, "no such file: none.py"),
        ("mydevices:Ader", 1, "mydevices has no class 'Ader'"),
        ("mydevices:NoDevice", 1, "mydevices:NoDevice is no device server"),
        ("mydevices:Broken", 1, "Broken() failed: ValueError: no such hardware"),
        ("mydevices:NoSensors", 1, "NoSensors defines no setup_sensors()"),
        ("nonsense", 2, "DEVICE is host, demo, package.module:Class or"),
    ],
)
def test_device_that_cannot_be_served(place: Path, device: str, status: int, text: str) -> None:
    result = server(device, "--port", "0", cwd=place)
    assert result.returncode == status
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"katcp-server: {text}")


def test_verbose_adds_the_traceback(place: Path) -> None:
    result = server("mydevices:Broken", "--port", "0", "--verbose", cwd=place)
    assert result.returncode == 1
    assert "Traceback (most recent call last):" in result.stderr
    assert "in setup_sensors" in result.stderr
    last = result.stderr.splitlines()[-1]
    assert last == "katcp-server: Broken() failed: ValueError: no such hardware"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port", "x"],
        ["--no-such-option"],
        ["--log-level", "loud"],
        ["--update-interval", "0"],
        ["demo", "host"],
        ["--update-interval", "1", "mydevices:Busy"],
        ["--max-clients", "1", "mydevices:Adder"],
    ],
)
def test_misuse(place: Path, arguments: list[str]) -> None:
    result = server("--port", "0", *arguments, cwd=place)
    assert result.returncode == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("katcp-server: ")


def test_help_and_version() -> None:
    shown = server("--help")
    assert shown.returncode == 0
    assert "listening on HOST:PORT" in " ".join(shown.stdout.split())
    version = server("--version")
    assert version.returncode == 0
    assert version.stdout.startswith("katcp-server, version ")
