"""A key-value store from a file in one command, and the command line on it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.system.programs import Talk, cli, serve, server

STORE = """\
device: {name: somenode, persist: store.db, flush-interval: 0.2}
providers:
  - name: kv_example
    module: kv_store
    endpoints:
      - name: foo
        module: kv_store_key
      - name: bar
        module: kv_store_key
        initial_value: 0.75
        type: float
        raw_type: float
        calibration: times2({})
      - name: baz
        module: kv_store_key
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "store.yaml"
    path.write_text(STORE, encoding="utf-8")
    return path


def columns(*arguments: str) -> list[list[str]]:
    done = cli(*arguments)
    assert done.returncode == 0, done
    return [line.split()[:3] for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_store_in_one_command(path: Path) -> None:
    with serve(str(path)) as served:
        there = ("--address", served.address)
        assert columns(*there, "set", "foo", "1.79") == [["kv_example.foo", "1.79", "nominal"]]
        assert columns(*there, "set", "bar", "2") == [["kv_example.bar", "4.0", "nominal"]]
        assert columns(*there, "get", "foo", "somenode.kv_example.bar") == [
            ["kv_example.foo", "1.79", "nominal"],
            ["kv_example.bar", "4.0", "nominal"],
        ]
        assert ["kv_example.baz", "string", "Value"] in columns(*there, "list", "kv_example")
        shell = cli(*there, stdin="get foo\nset baz 'a b' durable=true\nget baz\n")
        assert "a b" in shell.stdout
        refused = cli(*there, "set", "bar", "word")
        assert refused.returncode != 0
        assert "304" in refused.stderr
        assert served.end(signal.SIGKILL) == -signal.SIGKILL
    with serve(str(path)) as served:
        with Talk(served) as talk:
            (reply,) = talk.ask(b"?get[1] baz")
            assert reply.startswith(b"!get[1] ok a\\_b ")
        assert served.end() == 0
        assert served.errors() == ""


@pytest.mark.slow
def test_the_file_is_read_again_and_values_stay(path: Path) -> None:
    with serve(str(path), "--log-level", "info") as served, Talk(served) as talk:
        assert talk.ask(b"?set[1] foo word") == [b"!set[1] ok word"]
        path.write_text(STORE.replace("name: baz", "name: qux"), encoding="utf-8")
        served.process.send_signal(signal.SIGHUP)
        while not talk.ask(b"?get[2] qux")[-1].startswith(b"!get[2] ok"):
            pass
        assert talk.ask(b"?get[3] foo")[-1].startswith(b"!get[3] ok word ")
        assert served.end() == 0


def test_a_file_that_is_in_use_is_told(path: Path) -> None:
    with serve(str(path)):
        second = server("--port", "0", str(path))
    assert second.returncode == 1
    (line,) = second.stderr.splitlines()
    assert line.startswith("katcp-server: ")
    assert line.endswith("store.db is in use by another process")


def test_check_counts_endpoints(path: Path) -> None:
    done = server("--check", str(path))
    assert (done.returncode, done.stdout) == (
        0,
        f"{path}: 0 sensors, 0 requests, 4 endpoints\n",
    )
