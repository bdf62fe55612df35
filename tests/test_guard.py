"""The look at what each test leaves behind does see what is left behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

TESTS = """
import asyncio
import os
import socket
import threading

import tests.conftest

tests.conftest._GRACE = 0.1
kept = []


def test_leaves_a_file():
    kept.append(os.open(os.devnull, os.O_RDONLY))


def test_leaves_a_socket():
    kept.append(socket.socket())


def test_leaves_a_thread():
    over = threading.Event()
    kept.append(over)
    thread = threading.Thread(target=over.wait, args=(5,), name="left")
    thread.start()


def test_ends_that_thread():
    kept.pop().set()


async def test_leaves_a_task():
    kept.append(asyncio.ensure_future(asyncio.sleep(5)))


async def test_leaves_an_error_that_nobody_took():
    asyncio.get_running_loop().call_soon(lambda: 1 / 0)


def test_leaves_an_error_in_its_memory():
    class Bad:
        def __del__(self):
            raise ValueError("in the end")

    Bad()


def test_leaves_nothing():
    with socket.socket(), open(os.devnull):
        thread = threading.Thread(target=lambda: None)
        thread.start()


def test_leaves_a_file_in_a_cycle_that_is_collected():
    class Node:
        def __init__(self):
            self.me = self
            self.file = os.open(os.devnull, os.O_RDONLY)

        def __del__(self):
            os.close(self.file)

    Node()
"""


@pytest.mark.slow
def test_what_is_left_is_seen(tmp_path: Path) -> None:
    (tmp_path / "test_leaks.py").write_text(TESTS)
    (tmp_path / "conftest.py").write_text("from tests.conftest import io_loop, nothing_stays\n")
    options = ["-q", "-rA", "-p", "no:cacheprovider"]
    result = subprocess.run(
        [sys.executable, "-bb", "-m", "pytest", *options, "-c", "pyproject.toml", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 1, result.stdout + result.stderr
    bad = set(re.findall(r"^(?:ERROR|FAILED) \S*::(\w+)", result.stdout, re.MULTILINE))
    assert bad == {
        "test_leaves_a_file",
        "test_leaves_a_socket",
        "test_leaves_a_thread",
        "test_leaves_a_task",
        "test_leaves_an_error_that_nobody_took",
        "test_leaves_an_error_in_its_memory",
    }
    for text in ("1 files open", "left threads running", "left tasks running", "nobody took"):
        assert text in result.stdout
