"""Programs written for katcp-python 0.9.3 run unchanged, and print what they print with it.

Each program in ``programs`` runs with katcp-python 0.9.3, too; what it printed there is in
``outputs``.
"""

from __future__ import annotations

import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

HERE = pathlib.Path(__file__).parent
PROGRAMS = HERE / "programs"
OUTPUTS = HERE / "outputs"
ROOT = HERE.parents[1]

#: Lines that differ on purpose: program -> {line of 0.9.3: ours}.
DIFFERENT = {
    "correlator_servlet": {
        # W19: a parameter that takes several values has a name.
        "Error in parameter 2 ():": "Error in parameter 2 (values):",
        # W28: help texts are cleaned.
        "\\n\\n        @param": "\\n\\n@param",
    },
    "tango_translator": {
        "Error in parameter 2 ():": "Error in parameter 2 (arguments):",
    },
}


def environment() -> dict[str, str]:
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH")) if p)
    return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("collectd_bridge", ()),
        ("commissioning", ()),
        ("control_room", ()),
        ("correlator_servlet", ()),
        ("correlator_servlet", ("--tornado",)),
        ("fpga_transport", ()),
        ("interactive_cli", ()),
        ("loop_helpers", ()),
        ("monitor_sidecar", ()),
        ("tango_translator", ()),
    ],
    ids=lambda value: value if isinstance(value, str) else "".join(value),
)
def test_program(program: str, arguments: tuple[str, ...]) -> None:
    done = run(program, *arguments)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    expected = (OUTPUTS / f"{program}{''.join(arguments)}.txt").read_text(encoding="utf-8")
    for before, after in DIFFERENT.get(program, {}).items():
        assert before in expected
        expected = expected.replace(before, after)
    assert done.stdout.splitlines() == expected.splitlines()


@pytest.mark.parametrize("program", ["device_suite", "pulsar_backend_tests"])
def test_suite(program: str) -> None:
    done = run(program)
    assert done.returncode == 0, done.stderr
    count = (PROGRAMS / f"{program}.py").read_text(encoding="utf-8").count("    def test_")
    assert f"Ran {count} tests" in done.stderr
    assert done.stderr.rstrip().endswith("OK")


@contextmanager
def running(program: str, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run a server until the end of the block; provides its process and its port."""
    process = subprocess.Popen(
        [sys.executable, str(PROGRAMS / f"{program}.py"), *arguments],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        match = re.search(r"(\d+)$", process.stdout.readline().strip())
        assert match is not None, process.communicate(timeout=10)[1]
        yield process, int(match.group(1))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=10)


def converse(port: int, *lines: bytes) -> list[list[bytes]]:
    """Send lines; return for each what comes up to the reply, without the greeting."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
        stream = sock.makefile("rwb")
        for _ in range(3):
            stream.readline()
        answers = []
        for line in lines:
            stream.write(line + b"\n")
            stream.flush()
            answer = []
            while not answer or not answer[-1].startswith(b"!"):
                answer.append(stream.readline().rstrip(b"\n"))
                assert answer[-1], "the server is gone"
            answers.append(answer)
        return answers


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_seti_backend(how: signal.Signals) -> None:
    with running("seti_backend", "-p", "0", "--nodebug") as (process, port):
        assert converse(
            port,
            b'?configure array_1 m001,m002 4096 {"b":1,"a":2} proxy',
            b"?configure array_1 m001,m002 4096 streams proxy",
            b"?configure array_1 m001 many {} proxy",
            b"?capture-init array_1",
            b"?capture-start array_1",
            b"?save-data a b\\_c",
            b"?sensor-list version",
        ) == [
            [b"!configure ok"],
            [b"!configure fail bad\\_streams:\\_" + BAD_JSON],
            [
                b"!configure fail Error\\_in\\_parameter\\_3\\_(n_channels):\\_"
                b"Could\\_not\\_parse\\_value\\_'b'many''\\_as\\_integer."
            ],
            [b"!capture-init ok"],
            [b"!capture-start ok array_1"],
            [b"!save-data ok 4"],
            [
                b"#sensor-list version String\\_sensor\\_'version'\\_with\\_no\\_unit \\@ string",
                b"!sensor-list ok 1",
            ],
        ]
        process.send_signal(how)
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0, errors
        assert output.splitlines() == [
            "Shutting down server",
            '{"array_1:antennas": ["m001", "m002"], "array_1:n_channels": 4096, '
            '"array_1:streams": ["a", "b"]}',
            "['alerts', 'alerts', 'alerts', 'save']",
        ]


BAD_JSON = b"JSONDecodeError"


def test_pulsar_backend() -> None:
    with running("pulsar_backend", "--log-level", "CRITICAL") as (process, port):
        answers = converse(
            port,
            b"?configure a 3 1",
            b"?prepare a",
            b"?target-start a vela 1",
            b"?capture-start a",
            b"?product-list",
            b"?sensor-value a.state",
        )
        assert answers[:-1] == [
            [b"#interface-changed", b"#configure configured a", b"!configure ok"],
            [b"!prepare ok"],
            [b"!target-start ok vela 1"],
            [b"!capture-start ok 1"],
            [b"#product-list a 3", b"!product-list ok 1"],
        ]
        assert answers[-1][0].endswith(b" 1 a.state nominal capturing")
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=10)
        assert process.returncode == 0, errors
        assert output.splitlines() == ["shutting down", "ended"]
