"""``katcp-cli orders`` on a device that takes orders, with both as processes."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.programs import CLI, Served, Talk, cli, serve

pytestmark = pytest.mark.slow

PLANT = "docs/examples/plant.py:Plant"
OPEN = {"type": "write", "path": "valve", "value": "open"}
READ = {"type": "read", "path": "pressure"}


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "plant.db"
    monkeypatch.setenv("PLANT_JOURNAL", str(path))
    return path


@pytest.fixture
def plant(journal: Path) -> Iterator[Served]:
    with serve(PLANT) as served:
        yield served


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def submit(plant: Served, orders: Any, *arguments: str) -> Any:
    return cli(plant.address, "orders", "--submit", "-", *arguments, stdin=json.dumps(orders))


def test_a_section_is_submitted_followed_and_looked_at(plant: Served) -> None:
    done = submit(plant, [OPEN, READ], "first", "--follow")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1].endswith("  first  done")
    pump = {"type": "write", "path": "pump", "value": "perhaps"}
    refused = submit(plant, [OPEN, pump])
    assert refused.returncode == 1
    assert "section-execute invalid: order 1: " in refused.stderr
    write, read = records(cli(plant.address, "orders", "first", "--json").stdout)
    assert (write["outcome"], read["value"]) == ("ok", "1.0")


def killed_in_the_middle(journal: Path) -> bool:
    """Kill a device that carries out orders; tell whether that was in the middle of one."""
    with serve(PLANT) as plant:
        with Talk(plant) as talk:
            text = json.dumps([OPEN] * 6, separators=(",", ":")).encode()
            assert talk.ask(b"?section-execute 1 %s night-run" % text)
            talk.say(b'?section-execute 0 [{"type":"read","path":"pressure"}] after')
            while not talk.line().startswith(b"#order-state night-run 0 ok"):
                pass
        os.kill(plant.process.pid, signal.SIGKILL)
        plant.process.wait(20)
    copy = journal.with_name("copy.db")  # to open the file itself would change it
    for end in ("", "-wal"):
        shutil.copy(f"{journal}{end}", f"{copy}{end}")
    with contextlib.closing(sqlite3.connect(copy)) as connection:
        (count,) = connection.execute(
            "SELECT count(*) FROM orders WHERE outcome IS NULL"
        ).fetchone()
    return bool(count == 1)


def test_a_device_that_is_killed_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if sys.platform == "win32":
        pytest.skip("needs SIGKILL")
    for attempt in range(5):  # it may have died between one order and the next
        journal = tmp_path / f"{attempt}" / "plant.db"
        journal.parent.mkdir()
        monkeypatch.setenv("PLANT_JOURNAL", str(journal))
        if killed_in_the_middle(journal):
            break
    with serve(PLANT) as plant:
        followed = cli(plant.address, "orders", "night-run", "--follow")
        assert followed.returncode == 1  # not all of it was done
        assert followed.stdout.splitlines()[-1].endswith("night-run  partial")
        orders = records(cli(plant.address, "orders", "night-run", "--json").stdout)
        outcomes = [order["outcome"] for order in orders]
        assert outcomes.count("failed:interrupted") == 1
        assert outcomes.count("ok") == 5
        assert (
            "nobody knows whether it was done"
            in orders[outcomes.index("failed:interrupted")]["detail"]
        )
        assert cli(plant.address, "orders", "after", "--follow").returncode == 0


if sys.platform != "win32":
    from tests.system.terminal import terminal

    def test_a_table_that_lives(plant: Served) -> None:
        orders = [{"type": "wait", "time": 60}, {"type": "write", "path": "pump", "value": True}]
        submit(plant, {"orders": orders, "disposition": 1}, "a")
        submit(plant, [READ], "b")
        with terminal(*CLI, plant.address, "orders", "--follow") as term:
            term.until(rf"{plant.address}  2 sections, 1 running, 1 queued  \d\d:\d\d:\d\dZ")
            term.until(r"section +state +orders +trouble +age +took +from")
            term.until(r"a +running +1/2 +1 not done +\d+s +[\d.]+s +alone +127\.0\.0\.1:\d+")
            term.until(r"b +queued +0/1 .*")
            cli(plant.address, "orders", "a", "--cancel", "--force")
            term.until(r"a +partial|a +failed +2/2 +2 not done .*")
            term.until(r"b +done +1/1 .*")
            term.until(r"last: b order 0 ok")
            term.type("q")
            assert term.wait() == 0

    def test_a_table_of_one_section_ends_with_it(plant: Served, tmp_path: Path) -> None:
        (tmp_path / "x.json").write_text(json.dumps([OPEN, {"type": "wait", "time": 2}]))
        submitting = ("orders", "a", "--submit", str(tmp_path / "x.json"), "--follow")
        with terminal(*CLI, plant.address, *submitting) as term:
            term.until(r"a +running +.*")
            assert term.wait() == 0
            assert any(line.split()[:4] == ["0", "write", "valve", "ok"] for line in term.lines())

    def test_a_table_of_a_device_that_goes_away(journal: Path) -> None:
        with serve(PLANT) as served, terminal(*CLI, served.address, "orders", "--follow") as term:
            term.until(rf"{served.address}  0 sections.*")
            assert served.end() == 0
            assert term.wait() == 3
            assert any("connection to" in line for line in term.lines())
