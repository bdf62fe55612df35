"""F16: a server whose process may have no more files open serves on, and accepts again after."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.helpers import figures
from tests.system.programs import ROOT, SERVER, Served, Talk, environment

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="has no limit of files to set"),
]

FILES = 64

DEVICE = """
from katcp.server import AsyncDeviceServer, Sensor

class Small(AsyncDeviceServer):
    def setup_sensors(self):
        self.add_sensor(Sensor.integer("a"))
"""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "small.py").write_text(DEVICE)
    command = [*SERVER, "--port", "0", f"{tmp_path}/small.py:Small"]
    process = subprocess.Popen(
        ["sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh", *command],
        cwd=ROOT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield Served(process)
        finally:
            if process.poll() is None:
                process.kill()


def is_greeted(sock: socket.socket) -> bool:
    """Tell whether a connection was greeted; if not, it must have been closed."""
    sock.settimeout(10)
    heard = b""
    with contextlib.suppress(ConnectionError):
        while b"#version-connect katcp-device" not in heard:
            data = sock.recv(4096)
            if not data:
                break
            heard += data
    return bool(heard)


def test_f16_without_files_it_serves_on_and_accepts_again(served: Served) -> None:
    measured = psutil.Process(served.process.pid)
    address = (served.host, served.port)
    with Talk(served) as first, contextlib.ExitStack() as sockets:
        for _ in range(2):
            socks = [
                sockets.enter_context(socket.create_connection(address, 10))
                for _ in range(2 * FILES)
            ]
            greeted = [is_greeted(sock) for sock in socks]
            # As many as there were files for; one is kept to turn the others away with.
            assert FILES / 2 < sum(greeted) < FILES
            assert measured.num_fds() <= FILES
            before, begun = _cpu(measured), time.monotonic()
            for number in range(1, 21):
                assert first.ask(b"?watchdog[%d]" % number)[-1] == b"!watchdog[%d] ok" % number
                # Those who come all the while are closed, and keep nobody waiting.
                with socket.create_connection(address, 10) as late:
                    assert not is_greeted(late)
                time.sleep(0.02)
            used, taken = _cpu(measured) - before, time.monotonic() - begun
            assert used < taken / 2, "the loop turns without end"
            figures.note("of the processor meanwhile", 100 * used / taken, "%")
            for sock in socks:
                sock.close()
            _until_accepted(address)
        assert first.ask(b"?watchdog[99]")[-1] == b"!watchdog[99] ok"
    assert served.end() == 0
    lines = served.errors().splitlines()
    (line,) = lines  # one a minute
    assert f"Turning away connections to 127.0.0.1:{served.port}: Too many open files" in line


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _until_accepted(address: tuple[str, int]) -> None:
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with socket.create_connection(address, 10) as sock:
            if is_greeted(sock):
                return
        time.sleep(0.01)
    pytest.fail("nobody is accepted any more")
