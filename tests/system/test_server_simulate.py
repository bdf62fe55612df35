"""``katcp-server simulate``: a copy of a device from a snapshot of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.system.programs import Served, Talk, cli, serve, server


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("simulate") / "demo.json"
    with serve("demo") as served:
        assert cli(served.address, "snapshot", str(path)).returncode == 0
        listings["sensors"] = listing(served, b"?sensor-list[1]")
        listings["requests"] = listing(served, b"?help[1]")
        listings["versions"] = listing(served, b"?version-list[1]")
    return path


listings: dict[str, list[bytes]] = {}


def listing(served: Served, request: bytes) -> list[bytes]:
    with Talk(served) as talk:
        return talk.ask(request)


def values(served: Served) -> dict[bytes, tuple[bytes, bytes]]:
    """Return name -> (status, value)."""
    lines = listing(served, b"?sensor-value[1]")[:-1]
    words = [line.split(b" ") for line in lines]
    return {w[3]: (w[4], w[5]) for w in words}


@pytest.mark.slow
def test_same_interface(snapshot: Path) -> None:
    with serve("simulate", str(snapshot), "--still") as served:
        assert listing(served, b"?sensor-list[1]") == listings["sensors"]
        assert listing(served, b"?help[1]") == listings["requests"]
        assert listing(served, b"?version-list[1]") == listings["versions"]
        assert served.end() == 0
        assert served.errors() == ""


@pytest.mark.slow
def test_requests(snapshot: Path) -> None:
    with serve("simulate", str(snapshot)) as served, Talk(served) as talk:
        assert talk.ask(b"?set-setpoint[1] 20") == [b"!set-setpoint[1] ok 20.0"]
        assert values(served)[b"stage2.setpoint"] == (b"nominal", b"20.0")
        assert talk.ask(b"?mode[2]") == [b"!mode[2] ok off"]
        assert talk.ask(b"?mode[3] cooling") == [b"!mode[3] ok cooling"]
        (reply,) = talk.ask(b"?mode[4] broken")
        assert reply.startswith(b"!mode[4] fail ")
        assert talk.ask(b"?vent[5]") == [b"!vent[5] ok"]
        assert talk.ask(b"?calibrate[6]") == [b"!calibrate[6] fail Not\\_simulated."]
        assert served.end() == 0


@pytest.mark.slow
def test_values_move_and_may_be_still(snapshot: Path) -> None:
    with serve("--rate", "50", "simulate", str(snapshot), "--seed", "7") as served:
        first = values(served)
        while True:
            later = values(served)
            moved = {name for name in first if first[name][1] != later[name][1]}
            if {b"stage1.temperature", b"vessel.pressure"} <= moved:
                break
        assert later[b"site.wind-speed"] == first[b"site.wind-speed"]
        assert later[b"stage2.setpoint"] == first[b"stage2.setpoint"]
        assert served.end() == 0
    with serve("simulate", "--still", str(snapshot)) as served, Talk(served) as talk:
        talk.ask(b"?sensor-sampling[1] stage1.temperature auto")
        assert talk.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        assert served.end() == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["simulate"], 2, "Missing argument 'SNAPSHOT'."),
        (["simulate", "none.json"], 1, "none.json: No such file or directory"),
        (["simulate", "setup.py"], 1, "setup.py: not JSON: line 1"),
        (["simulate", "x", "--rate", "0"], 2, "Invalid value for '--rate'"),
    ],
)
def test_what_is_no_snapshot(arguments: list[str], status: int, said: str) -> None:
    result = server(*arguments, "--port", "0")
    assert result.returncode == status
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"katcp-server: {said}")
