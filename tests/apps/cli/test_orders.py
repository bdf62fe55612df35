"""The verb orders, on a device of the test; see also tests/system."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from katcp.apps.cli import _verbs_of_orders as verbs
from katcp.apps.cli._commands import run
from katcp.apps.cli._errors import NoConnection, Refused
from katcp.apps.cli._orders import OrderRow, SectionRow, event_line, state_piece
from katcp.apps.cli._orders_follow import Following, SectionTable, follow
from katcp.apps.cli._verbs import Here
from tests.apps.cli.helpers import Paper, here
from tests.helpers.scripted import Device
from tests.helpers.serving import serving, until
from tests.orders.plant import Plant, write

VALVE = write("valve", 1)
READ = {"type": "read", "path": "pressure"}
PUMP = write("pump", True)


@contextlib.asynccontextmanager
async def at(plant: Plant, *, as_json: bool = False) -> AsyncIterator[tuple[Here, Paper]]:
    device: Any = SimpleNamespace(port=plant.bind_address[1])
    async with here(device, json=as_json) as (place, paper):
        yield place, paper


async def submit(place: Here, orders: Any, name: str, disposition: int = 0) -> None:
    assert await verbs._submit(place, (disposition, json.dumps(orders)), name, False, True) == 0


async def test_submitting_and_following() -> None:
    async with serving(Plant()) as plant, at(plant) as (place, paper):
        assert await verbs._list(place) == 0
        assert paper.shown == ["no sections"]
        described = (0, json.dumps([VALVE, READ]))
        assert await verbs._submit(place, described, "first", True, True) == 0
        lines = [line.split("  ", 1)[1] for line in paper.shown[1:]]
        assert lines[-1] == "first  done"
        # It may have ended before it was followed.
        assert set(lines) <= {
            "first  running",
            "first  done",
            "first  order 0  ok",
            "first  order 1  ok",
        }
        with pytest.raises(Refused, match="section-execute invalid: order 0: "):
            await verbs._submit(place, (0, '[{"type":"x"}]'), None, False, True)
        await verbs._submit(place, (1, json.dumps([VALVE])), None, False, True)
        assert len(plant.order_host.sections[-1].section_id or "") == 12


async def test_what_is_listed() -> None:
    async with serving(Plant()) as plant, at(plant) as (place, paper):
        await submit(place, [VALVE, READ], "first")
        await submit(place, [{"type": "read", "path": "flow"}], "second", 1)
        await plant.order_host.executor.sync()
        paper.out.truncate(0)
        paper.out.seek(0)
        await verbs._list(place)
        head, first, second = (line.split() for line in paper.shown)
        assert head == ["section", "state", "orders", "trouble", "age", "took", "from"]
        assert first[:4] == ["first", "done", "2/2", "-"]
        assert second[:6] == ["second", "failed", "1/1", "1", "not", "done"]
        assert "alone" in second
        await verbs._show(place, "second")
        assert paper.shown[-1].split()[:6] == [
            "0",
            "read",
            "flow",
            "failed:malformed",
            "3",
            "attempts",
        ]
        assert paper.shown[-1].endswith("no number")
        await verbs._show(place, "first")
        assert paper.shown[-1].endswith("= 0.25")
        with pytest.raises(Refused, match="Unknown section 'third'"):
            await verbs._show(place, "third")


async def test_json() -> None:
    async with serving(Plant()) as plant, at(plant, as_json=True) as (place, paper):
        await submit(place, [VALVE, READ], "a", 1)
        assert await follow(place, "a", False) == 0
        assert {event["section"] for event in paper.records} == {"a"}
        assert paper.records[-1]["state"] == "done"
        await verbs._list(place)
        row = paper.records[-1]
        assert (row["state"], row["orders"], row["ended"], row["good"]) == ("done", 2, 2, 2)
        assert row["joinable"] is False
        assert row["submitted"] <= row["started"] <= row["finished"]
        assert row["origin"].startswith("127.0.0.1:")
        await verbs._show(place, "a")
        valve, read = paper.records[-2:]
        assert (valve["index"], valve["outcome"], valve["value"]) == (0, "ok", None)
        assert (read["target"], read["attempts"], read["value"]) == ("pressure", 1, "0.25")


async def test_cancelling() -> None:
    async with serving(Plant()) as plant, at(plant, as_json=True) as (place, paper):
        await submit(place, [PUMP, {"type": "wait", "time": 60}], "a", 1)
        await submit(place, [VALVE], "b")
        await until(lambda: plant.order_host.find("a").state == "running")
        assert await verbs._cancel(place, "b", False) == 0
        assert paper.records[-1]["state"] == "cancelled"
        with pytest.raises(Refused, match="fail: section a is already running"):
            await verbs._cancel(place, "a", False)
        assert await verbs._cancel(place, "a", True) == 0
        following = asyncio.ensure_future(follow(place, "a", False))
        plant.released.set()
        assert await following == 1
        assert paper.records[-1]["state"] == "partial"


async def test_following_all() -> None:
    async with serving(Plant()) as plant, at(plant) as (place, paper):
        await submit(place, [VALVE], "old")
        await plant.order_host.executor.sync()
        await submit(place, [PUMP], "running")
        before = len(paper.shown)
        following = asyncio.ensure_future(follow(place, None, False))
        await until(lambda: plant.order_host._followers)
        async with at(plant) as (other, _):
            await submit(other, [VALVE], "new")
        await until(lambda: "new  done" in paper.out.getvalue())
        lines = [line.split("  ", 1)[1] for line in paper.shown[before:]]
        assert lines == [
            "running  running", "new  queued", "new  running", "new  order 0  ok", "new  done",
        ]  # fmt: skip
        plant.released.set()
        await until(lambda: "running  done" in paper.out.getvalue())
        await plant.stop()
        with pytest.raises(NoConnection, match="lost"):
            await following


async def test_a_table() -> None:
    async with serving(Plant()) as plant, at(plant) as (place, _):
        following = Following(place)
        table = SectionTable(place, following)
        keeping = asyncio.ensure_future(following.keep_rows())
        await submit(place, [VALVE], "first")
        await submit(place, [PUMP], "second", 1)
        await until(lambda: [row.state for row in following.rows] == ["done", "running"])
        text = str(table.draw(100, 20, True))
        assert "2 sections, 1 running, 0 queued" in text
        assert "last: first order 0 ok" in text
        assert "first" in str(table.draw(100, 20, True))
        small = str(table.draw(100, 5, True))
        assert "2-2 of 2  arrows" in small
        assert "first    " not in small
        table.key("up", 5)
        assert "1-1 of 2" in str(table.draw(100, 5, False))
        table.key("end", 5)
        assert "2-2 of 2" in str(table.draw(100, 5, False))
        table.key("home", 5)
        assert "1-1 of 2" in str(table.draw(100, 5, False))
        table.key("pagedown", 5)
        assert "2-2 of 2" in str(table.draw(100, 5, False))
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def test_a_device_that_takes_no_orders() -> None:
    async with Device() as device, here(device) as (place, _):
        with pytest.raises(Refused, match="takes no orders"):
            await verbs._list(place)


def test_what_a_device_may_say() -> None:
    assert SectionRow.of([b"a"], 5).record()["orders"] == 0
    assert SectionRow.of([b"a", b"x\x1b", b"", b"many", b"1", b"2", b"", b"me"], 5).started == 2
    row = OrderRow.of([b"a", b"-1", b"write"], 5)
    assert (row.index, row.outcome, row.timestamp, row.value) == (0, "", None, None)
    assert row.line()[2].text == ""
    assert state_piece("failed:timeout").style == "fail"
    assert state_piece("new\n") == ("new\\n", "fail")
    line = event_line(0.0, ["a", "0", "retrying", "3", "no answer"])
    assert "".join(piece.text for piece in line).endswith(
        "a  order 0  retrying  3 attempts  no answer"
    )


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--cancel"], "cancel what? Name a section"),
        (["a", "--cancel", "--follow"], "--cancel and --follow exclude each other"),
        (["a", "--cancel", "--submit", "x"], "--submit and --cancel exclude each other"),
        (["a", "--force"], "--force is for --cancel"),
        (["--submit", "/nowhere/x.json"], "cannot read /nowhere/x.json: No such file"),
        (["--submit", "README.md"], "README.md is no JSON"),
    ],
)
def test_misuse(arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["localhost:1", "orders", *arguments]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "reason"), [("1", "neither an array"), ('{"disposition": 2}', "is 0 or 1")]
)
def test_files_that_are_no_sections(
    text: str, reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(text)
    assert run(["localhost:1", "orders", "--submit", str(tmp_path / "x.json")]) == 2
    assert reason in capsys.readouterr().err
