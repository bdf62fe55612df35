"""The two programs, as processes."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
SERVER = [sys.executable, "-m", "katcp.apps.server"]
CLI = [sys.executable, "-m", "katcp.apps.cli"]

#: Nothing a test waits for may take longer than this [s].
PATIENCE = 20.0


def environment(**extra: str) -> dict[str, str]:
    """Return the environment for a program: that of the tests, but for what would change it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("KATCP_ADDRESS", "NO_COLOR", "COVERAGE_PROCESS_START")
    }
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **extra}


class Served:
    """A ``katcp-server`` that runs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, daemon=True, name="ThreadPoolExecutor-out").start()
        first = self.line()
        assert first.startswith("listening on "), first
        self.address = first.removeprefix("listening on ")
        host, _, port = self.address.rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line.rstrip("\n"))
        self._lines.put("")

    def line(self) -> str:
        """Return the next line of its output; an empty one at the end."""
        return self._lines.get(timeout=PATIENCE)

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self) -> int:
        """Wait for the end; return the exit status."""
        return self.process.wait(PATIENCE)

    def errors(self) -> str:
        """Return what it wrote to standard error, after its end."""
        assert self.process.stderr is not None
        return self.process.stderr.read()


@contextlib.contextmanager
def serve(*arguments: str, cwd: Path = ROOT) -> Iterator[Served]:
    """Run ``katcp-server`` on a free port; end it with the block, if it has not ended."""
    process = subprocess.Popen(
        [*SERVER, "--port", "0", *arguments],
        cwd=cwd,
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


def run(
    *command: str,
    stdin: str | None = None,
    cwd: Path = ROOT,
    **extra: str,
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    return subprocess.run(
        command,
        cwd=cwd,
        env=environment(**extra),
        input="" if stdin is None else stdin,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def server(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run a ``katcp-server`` that ends by itself."""
    return run(*SERVER, *arguments, cwd=cwd)


def cli(
    *arguments: str, stdin: str | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run ``katcp-cli``."""
    return run(*CLI, *arguments, stdin=stdin, **extra)


class Talk:
    """A plain socket to a server."""

    def __init__(self, served: Served, greeting: int = 3) -> None:
        self._socket = socket.create_connection((served.host, served.port), PATIENCE)
        self._file = self._socket.makefile("rb")
        for _ in range(greeting):
            assert self.line().startswith(b"#version-connect ")

    def __enter__(self) -> Talk:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._file.close()
        self._socket.close()

    def say(self, line: bytes) -> None:
        """Send a line."""
        self._socket.sendall(line + b"\n")

    def line(self) -> bytes:
        """Return the next line; an empty one at the end of the stream."""
        return self._file.readline().rstrip(b"\n")

    def ask(self, request: bytes) -> list[bytes]:
        """Send a request; return what comes up to its reply."""
        self.say(request)
        lines = [self.line()]
        while not lines[-1].startswith(b"!"):
            assert lines[-1], lines
            lines.append(self.line())
        return lines
