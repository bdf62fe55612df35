"""Requests about sections, points and single orders, over the wire."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from katcp.orders import OrderExecutor, OrderHost, OrderServer, PathpointTarget, Section, WaitOrder
from katcp.protocol import Message
from katcp.server import Sensor
from tests.helpers.serving import Bare, serving, serving_in_thread, talking, until
from tests.helpers.wire import WireClient
from tests.orders.plant import Plant, write

VALVE = write("valve", 1)


def execute(orders: Any, disposition: Any = 0, *rest: Any) -> bytes:
    """Return the line that submits orders."""
    return bytes(Message.request("section-execute", disposition, json.dumps(orders), *rest))


async def ask(client: WireClient, *words: Any) -> list[list[str]]:
    """Make a request; return its informs and its reply, without their names."""
    name, *arguments = words
    await client.send(bytes(Message.request(name, *arguments, mid=9)))
    lines = []
    while True:
        raw = (await client.line()).decode()
        message = _parsed(raw)
        if f"{name}[9]" in raw.split(" ")[0]:
            lines.append(message)
            if raw.startswith("!"):
                return lines


def _parsed(line: str) -> list[str]:
    arguments = line.split(" ")[1:]
    replaced = [("\\@", ""), ("\\_", " "), ("\\\\", "\\")]
    for old, new in replaced:
        arguments = [argument.replace(old, new) for argument in arguments]
    return arguments


async def test_a_section_from_submission_to_result() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        orders = [VALVE, {"type": "read", "path": "pressure"}, {"type": "wait", "time": 0.01}]
        await client.send(execute(orders, 1))
        assert await client.line() == b"!section-execute ok s-1"
        assert await client.line() == b"#section-state s-1 running"
        lines = await client.lines(3)
        assert set(lines) == {b"#order-state s-1 %d ok 1 \\@" % index for index in range(3)}
        assert await client.line() == b"#section-state s-1 done"
        assert sorted(map(str, plant.done)) == ["('valve', 1)", "pressure"]

        *results, reply = await ask(client, "section-result", "s-1")
        assert reply == ["ok", "3"]
        assert [line[:6] for line in results] == [
            ["s-1", "0", "write", "valve", "ok", "1"],
            ["s-1", "1", "read", "pressure", "ok", "1"],
            ["s-1", "2", "wait", "0.01", "ok", "1"],
        ]
        assert abs(float(results[0][6]) - time.time()) < 60
        assert results[0][7:] == [""]
        assert results[1][9:] == ["nominal", "0.25"]

        listed, reply = await ask(client, "section-list", "s-1")
        assert reply == ["ok", "1"]
        assert listed[:4] == ["s-1", "done", "1", "3"]
        submitted, started, finished = map(float, listed[4:7])
        assert submitted <= started <= finished
        assert listed[7].startswith("127.0.0.1:")
        assert listed[8:] == ["3", "3"]


async def test_other_names_of_the_requests() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([VALVE], 0, "a").replace(b"section-execute", b"order-submit"))
        assert await client.line() == b"!order-submit ok a"
        assert await ask(client, "section-wait", "a") == [["ok", "done"]]
        line, reply = await ask(client, "order-status", "a")
        assert reply == ["ok", "1"]
        assert line[:6] == ["a", "0", "write", "valve", "ok", "1"]
        line, reply = await ask(client, "order-status")
        assert reply == ["ok", "1"]
        assert line[:2] == ["a", "done"]
        *_, reply = await ask(client, "order-cancel", "a")
        assert reply == ["fail", "section a is already done", "1"]


async def test_a_section_in_one_argument() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        wait = {"type": "wait", "time": 60}
        for section, section_id in (([wait], "a"), ({"orders": [wait], "disposition": 1}, "b")):
            reply = await ask(client, "order-submit", json.dumps(section), section_id)
            assert reply[-1] == ["ok", section_id]
        first, second, _ = await ask(client, "section-list")
        assert [first[:3], second[:3]] == [["a", "running", "0"], ["b", "queued", "1"]]
        line, reply = await ask(client, "order-status", "a")
        assert line[:6] == ["a", "0", "wait", "60", "running", "1"]
        for words in (["1"], ["[]", "x", "y"], ["what"], ['{"orders": 1}']):
            reply = (await ask(client, "order-submit", *words))[-1]
            assert reply[0] == "invalid", words


@pytest.mark.parametrize(
    ("orders", "text"),
    [
        ([VALVE, {"type": "jump"}, VALVE], "order 1: has the unknown type 'jump'"),
        ([VALVE, {"path": "valve"}], "order 1: has no type"),
        ([VALVE, VALVE, {"type": "read"}], "order 2: read has no 'path'"),
        ([write("valve", 1, advise=2)], "order 0: write: 'advise'"),
        ([VALVE, write("valv", 1)], "order 1: there is no point 'valv'"),
        ([VALVE, write("valve", 11)], "order 1: "),
        ([VALVE, write("pressure", 1)], "order 1: point 'pressure' cannot be written"),
        ([VALVE, {"type": "wait", "time": -1}], "order 1: wait: "),
        ([VALVE, 7], "order 1: must be an object"),
        ({"orders": [VALVE], "colour": 1}, "a section has the unknown field 'colour'"),
        ("text", "orders must be an array"),
    ],
)
async def test_smok_ord_14_one_bad_order_refuses_all(orders: Any, text: str) -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute(orders))
        reply = _parsed((await client.line()).decode())
        assert reply[0] == "invalid"
        assert text in reply[1]
        assert await ask(client, "section-check", 0, json.dumps(orders)) == [reply]
        assert await ask(client, "section-list") == [["ok", "0"]]
        assert plant.done == []


async def test_what_is_no_json_and_no_disposition() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        (reply,) = await ask(client, "section-execute", 0, "[]", "two words")
        assert reply == ["invalid", "The id of a section has 1 to 128 characters, and no spaces."]
        for raw in (b"[", b"\xff", b"[" * 100_000, b"nothing"):
            await client.send(bytes(Message.request("section-execute", 0, raw)))
            assert (await client.line()).startswith(b"!section-execute invalid ")
        (reply,) = await ask(client, "section-execute", 2, "[]")
        assert reply == ["invalid", "The disposition is 0 or 1, not '2'."]
        assert await ask(client, "section-check", "cannot-join", json.dumps([VALVE])) == [
            ["ok", "1"]
        ]
        assert plant.done == []


async def test_an_object_may_say_when_it_is_to_have_ended() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(
            execute({"orders": [write("pump", True)], "finish_by": time.time() + 0.05})
        )
        assert await client.line() == b"!section-execute ok s-1"
        assert await ask(client, "section-wait", "s-1", 5) == [["ok", "failed"]]
        result, _ = await ask(client, "section-result", "s-1")
        assert result[4] in ("failed:timeout", "failed:deadline")
        (reply,) = await ask(
            client, "section-execute", 0, json.dumps({"orders": [], "section_id": "a"}), "b"
        )
        assert reply[0] == "invalid"


async def test_smok_sec_17_the_same_id_again_does_not_run_again() -> None:
    async with serving(Plant()) as plant, talking(plant) as client, talking(plant) as other:
        line = execute([VALVE, write("pump", True)], 0, "night-run")
        await client.send(line)
        assert await client.line() == b"!section-execute ok night-run"
        await until(lambda: plant.done)
        assert await other.ask(line) == [b"!section-execute ok night-run running"]
        plant.released.set()
        # The other is told from now on, too.
        assert await other.line() == b"#order-state night-run 1 ok 1 \\@"
        assert await other.line() == b"#section-state night-run done"
        assert await other.ask(line) == [b"!section-execute ok night-run done"]
        assert plant.done == [("valve", 1), ("pump", True)]
        # What is not the same is no repetition.
        (reply,) = await ask(client, "section-execute", 0, json.dumps([VALVE]), "night-run")
        assert reply == ["fail", "There is another section 'night-run'."]
        (reply,) = await ask(
            client, "section-execute", 1, json.dumps([VALVE, write("pump", True)]), "night-run"
        )
        assert reply[0] == "fail"


async def test_smok_sec_20_the_queue_has_an_end() -> None:
    plant = Plant(executor_options={"max_queue": 3})
    async with serving(plant), talking(plant) as client:
        assert await ask(client, "orders-pause") == [["ok", "0"]]
        for number in range(3):
            await client.send(execute([VALVE]))
            assert await client.line() == b"!section-execute ok s-%d" % (number + 1)
        (reply,) = await ask(client, "section-execute", 0, json.dumps([VALVE]))
        assert reply == ["fail", "The queue is full: 3 sections have not ended"]
        assert await ask(client, "orders-resume") == [["ok", "3"]]
        assert await ask(client, "orders-sync", 5) == [["ok"]]
        (reply,) = await ask(client, "section-execute", 0, json.dumps([VALVE]))
        assert reply[0] == "ok"
        await ask(client, "section-wait", reply[1])
        assert len(plant.done) == 4


async def test_smok_sec_11_cancelling_what_runs() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([write("pump", True), {"type": "wait", "time": 60}], 0, "a"))
        assert await client.lines(2) == [b"!section-execute ok a", b"#section-state a running"]
        assert await ask(client, "section-cancel", "a") == [
            ["fail", "section a is already running", "1"]
        ]
        assert await ask(client, "section-cancel", "a", "force") == [["ok"]]
        plant.released.set()
        assert await ask(client, "section-wait", "a", 5) == [["ok", "partial"]]
        assert plant.done == [("pump", True)]
        pump, wait, _ = await ask(client, "section-result", "a")
        assert (pump[4], wait[4]) == ("ok", "cancelled")


async def test_cancelling_what_waits() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await ask(client, "orders-pause")
        await client.send(execute([VALVE], 0, "a"))
        assert await client.line() == b"!section-execute ok a"
        await client.send(b"?section-cancel a")
        assert set(await client.lines(2)) == {b"#section-state a cancelled", b"!section-cancel ok"}
        assert await ask(client, "section-cancel", "a") == [["ok"]]  # it is what was wanted
        assert await ask(client, "section-wait", "a") == [["ok", "cancelled"]]
        await ask(client, "orders-resume")
        assert await ask(client, "orders-sync") == [["ok"]]
        assert plant.done == []


async def test_smok_exe_04_waiting_in_vain_does_no_harm() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([{"type": "wait", "time": 0.4}], 0, "a"))
        assert await client.lines(2) == [b"!section-execute ok a", b"#section-state a running"]
        (reply,) = await ask(client, "section-wait", "a", 0.1)
        assert reply == ["fail", "Section a is running after 0.1 s."]
        (reply,) = await ask(client, "orders-sync", 0.01)
        assert reply == ["fail", "Sections have not ended within 0.01 s."]
        assert plant.order_host.find("a").future.running()
        assert not any(plant.order_host._waiters.values())
        assert await ask(client, "section-wait", "a", 10) == [["ok", "done"]]


async def test_smok_wait_02_others_are_served_during_a_wait() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([{"type": "wait", "time": 0.3}], 1, "a"), b"?section-wait[1] a")
        assert await client.lines(2) == [b"!section-execute ok a", b"#section-state a running"]
        for _ in range(5):  # on the same connection
            assert await client.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        assert plant.order_host.find("a").state == "running"
        assert (await client.lines(3))[-1] == b"!section-wait[1] ok done"


async def test_smok_sys_02_a_type_that_nobody_knows() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        (reply,) = await ask(client, "sysctl", "explode", "now")
        assert reply[0] == "fail"
        assert reply[1].startswith("unhandled-sysctl")
        assert await ask(client, "sysctl", "note", "two words") == [["ok"]]
        assert await ask(client, "sysctl", "note") == [["ok"]]
        (reply,) = await ask(client, "sysctl", "")
        assert reply == ["invalid", "op_type must not be empty."]
        assert plant.done == [("note", "two words"), ("note", "")]
        assert await client.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]


async def test_messages() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        assert await ask(client, "message-execute", "hello") == [["ok"]]
        (reply,) = await ask(client, "message-execute", "nobody")
        assert reply[:1] == ["fail"]
        assert "unknown-message" in reply[1]
        assert plant.done == ["hello"]


async def test_smok_pp_01_what_was_read_last() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        (reply,) = await ask(client, "point-get", "flow")
        assert reply == ["fail", "Point 'flow' has not been read yet."]
        assert plant.done == []
        (reply,) = await ask(client, "point-read", "flow")
        assert reply == ["fail", "failed:malformed after 3 attempts: no number"]
        assert plant.done == ["flow"] * 3
        (reply,) = await ask(client, "point-get", "flow")
        assert reply[0] == "ok"
        assert reply[2] == "failure"
        assert reply[4:] == ["malformed: no number"]
        plant.broken = False
        (reply,) = await ask(client, "point-read", "flow")
        assert reply[2:] == ["nominal", "1.5"]
        (reply,) = await ask(client, "point-get", "flow")
        assert reply[2:] == ["nominal", "1.5"]
        assert plant.done == ["flow"] * 4
        (reply,) = await ask(client, "point-get", "nothing")
        assert reply == ["fail", "Unknown point 'nothing'."]


async def test_points_are_listed_and_written() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        *listed, reply = await ask(client, "point-list")
        assert reply == ["ok", "4"]
        assert listed == [
            ["flow", "float", "ro", "", "unknown"],
            ["pressure", "float", "ro", "", "unknown"],
            ["pump", "boolean", "wo", "", "unknown"],
            ["valve", "integer", "wo", "", "unknown"],
        ]
        assert await ask(client, "point-write", "valve", 3) == [["ok", "1"]]
        assert plant.done == [("valve", 3)]
        (valve, _) = await ask(client, "point-list", "/^va/")
        assert valve[4] == "nominal"
        assert (await ask(client, "point-list", "valve"))[-1] == ["ok", "1"]
        for name, word in (("/x/", "fail"), ("/(/", "invalid"), ("nothing", "fail")):
            (reply,) = await ask(client, "point-list", name)
            assert reply[0] == word
        for words, status in (
            (("valve", 11), "invalid"),
            (("valve", "much"), "invalid"),
            (("valve", 1, "hard"), "invalid"),
            (("pressure", 1), "fail"),
            (("nothing", 1), "fail"),
            (("valve", 1, 0, time.time() - 1), "fail"),
        ):
            (reply,) = await ask(client, "point-write", *words)
            assert reply[0] == status, words
        assert reply[1].startswith("stale after 0 attempts")
        assert plant.done == [("valve", 3)]
        assert await ask(client, "point-write", "valve", 4, "force") == [["ok", "1"]]
        # They are sections as others are.
        *_, last, reply = await ask(client, "section-list")
        assert last[1:4] == ["done", "0", "1"]


async def test_a_read_that_takes_too_long() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([write("pump", True)], 1, "a"))
        assert await client.lines(2) == [b"!section-execute ok a", b"#section-state a running"]
        (reply,) = await ask(client, "point-read", "pressure", 0, 0.05)
        assert reply == ["fail", "failed:timeout after 0 attempts."]
        plant.released.set()
        await ask(client, "orders-sync")
        assert plant.done == [("pump", True)]  # the one that waited was cancelled


async def test_followers() -> None:
    async with serving(Plant()) as plant, talking(plant) as client, talking(plant) as other:
        assert await ask(other, "section-follow", "on") == [["ok"]]
        await client.send(execute([VALVE], 0, "a"))
        assert await client.lines(4) == [
            b"!section-execute ok a",
            b"#section-state a running",
            b"#order-state a 0 ok 1 \\@",
            b"#section-state a done",
        ]
        assert await other.lines(4) == [
            b"#section-state a queued",
            b"#section-state a running",
            b"#order-state a 0 ok 1 \\@",
            b"#section-state a done",
        ]
        assert await ask(other, "section-follow", "off") == [["ok"]]
        # One section only.
        await ask(client, "orders-pause")
        await client.send(execute([VALVE], 0, "b"), execute([VALVE], 0, "c"))
        assert await client.lines(2) == [b"!section-execute ok b", b"!section-execute ok c"]
        assert await ask(other, "section-follow", "on", "c") == [["ok", "queued"]]
        assert await ask(client, "section-follow", "off", "b") == [["ok", "queued"]]
        (reply,) = await ask(other, "section-follow", "on", "d")
        assert reply == ["fail", "Unknown section 'd'."]
        await ask(client, "orders-resume")
        assert await other.lines(3) == [
            b"#section-state c running",
            b"#order-state c 0 ok 1 \\@",
            b"#section-state c done",
        ]
        assert {line.split()[1] for line in await client.lines(3)} == {b"c"}
        assert await ask(other, "section-follow", "on", "c") == [["ok", "done"]]
        assert plant.order_host._listeners == {}


async def test_retries_are_told_of() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([{"type": "read", "path": "flow"}], 0, "a"))
        assert await client.lines(6) == [
            b"!section-execute ok a",
            b"#section-state a running",
            b"#order-state a 0 retrying 1 no\\_number",
            b"#order-state a 0 retrying 2 no\\_number",
            b"#order-state a 0 failed:malformed 3 no\\_number",
            b"#section-state a failed",
        ]
        value = plant.sensors["orders.last-failure"]
        assert value.status() == Sensor.ERROR
        assert "read flow: failed:malformed after 3 attempts (no number)" in value.value()
        plant.broken = False
        await ask(client, "point-read", "flow")
        assert value.status() == Sensor.NOMINAL
        assert "failed:malformed" in value.value()


async def test_progress_of_what_runs() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await client.send(execute([VALVE, write("pump", True)], 0, "a"))
        assert (await client.lines(3))[2] == b"#order-state a 0 ok 1 \\@"
        valve, pump, reply = await ask(client, "section-progress", "a")
        assert (valve[4], pump[4], reply) == ("ok", "running", ["ok", "2"])
        assert await ask(client, "section-result", "a") == [["fail", "Section a is running."]]
        for name in ("result", "progress", "wait", "cancel", "list"):
            (reply,) = await ask(client, f"section-{name}", "b")
            assert reply == ["fail", "Unknown section 'b'."]
        plant.released.set()


async def test_sensors_tell_how_it_is_doing() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:

        def sensor(name: str) -> Any:
            return plant.sensors[f"orders.{name}"].value()

        assert (sensor("state"), sensor("queue-length"), sensor("current-section")) == (
            "idle", 0, "",
        )  # fmt: skip
        await ask(client, "orders-pause")
        assert sensor("state") == "paused"
        await client.send(execute([write("pump", True)], 1, "a"), execute([VALVE], 0, "b"))
        assert await client.lines(2) == [b"!section-execute ok a", b"!section-execute ok b"]
        assert sensor("queue-length") == 2
        await ask(client, "orders-resume")
        await until(lambda: sensor("queue-length") == 1)
        assert (sensor("state"), sensor("current-section")) == ("running", "a")
        await until(lambda: sensor("oldest-wait") > 0)
        plant.released.set()
        await ask(client, "orders-sync")
        assert (sensor("sections-done"), sensor("sections-failed")) == (2, 0)
        assert (sensor("state"), sensor("queue-length"), sensor("oldest-wait")) == ("idle", 0, 0.0)


async def test_only_so_many_sections_are_remembered() -> None:
    async with serving(Plant(history=3)) as plant, talking(plant) as client:
        for number in range(6):
            await client.send(execute([VALVE]))
            assert (await client.lines(4))[-1] == b"#section-state s-%d done" % (number + 1)
        *listed, _ = await ask(client, "section-list")
        assert [line[0] for line in listed] == ["s-4", "s-5", "s-6"]
        assert await ask(client, "section-result", "s-3") == [["fail", "Unknown section 's-3'."]]
    with pytest.raises(ValueError, match="history"):
        Plant(history=-1)


async def test_the_device_itself_gives_orders() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        await plant.order_host.until_ready()
        section = plant.target["valve"].write(5)
        result = await plant.execute(section, origin="the macro")
        assert result.ok
        listed, _ = await ask(client, "section-list", section.section_id)
        assert listed[7] == "the macro"
        with pytest.raises(ValueError, match="already"):
            plant.execute(Section([WaitOrder(0)], section_id=section.section_id))
    with pytest.raises(RuntimeError):
        plant.execute(Section([WaitOrder(0)]))


async def test_clients_that_go_leave_nothing() -> None:
    async with serving(Plant()) as plant, talking(plant) as client:
        for number in range(5):
            async with talking(plant) as other:
                await ask(other, "section-follow", "on")
                await other.send(execute([write("pump", True)], 0, f"a{number}"))
                assert await other.line() == b"!section-execute ok a%d" % number
        host = plant.order_host
        await until(lambda: not host._followers and not any(host._listeners.values()))
        plant.released.set()
        assert await ask(client, "orders-sync") == [["ok"]]
        assert host._listeners == {}


async def test_a_server_that_stops_and_starts_again() -> None:
    plant = Plant()
    async with serving(plant), talking(plant) as client:
        await client.send(execute([write("pump", True)], 1, "a"), execute([VALVE], 0, "b"))
        assert (await client.lines(3))[2] == b"#section-state a running"
    assert plant.order_host.find("b").state == "abandoned"
    assert plant.order_host.find("a").results[0].outcome == "failed:interrupted"
    async with serving(plant), talking(plant) as client:
        plant.released.set()
        await client.send(execute([VALVE], 0, "c"))
        assert (await client.lines(4))[-1] == b"#section-state c done"
    assert plant.done == [("valve", 1)]


async def test_orders_on_any_device() -> None:
    device = Bare("127.0.0.1", 0)
    host = OrderHost(device, OrderExecutor(PathpointTarget()))
    async with serving(device), talking(device) as client:
        await client.send(execute([{"type": "wait", "time": 0}]))
        assert (await client.lines(4))[-1] == b"#section-state s-1 done"
        # Nobody tells the host of those that leave.
        async with talking(device) as other:
            await ask(other, "section-follow", "on")
        await until(lambda: len(device._server.connections) == 1)
        assert len(host._followers) == 1
        await client.send(execute([{"type": "wait", "time": 0}]))
        assert (await client.lines(4))[-1] == b"#section-state s-2 done"
        assert not host._followers


def test_a_device_in_a_thread_of_its_own() -> None:
    done = []
    server = OrderServer("127.0.0.1", 0)
    with serving_in_thread(server):
        deadline = time.monotonic() + 10
        while not server.order_host._ready.is_set() and time.monotonic() < deadline:
            time.sleep(0.005)
        section = Section([WaitOrder(0.01)])
        section.future.add_done_callback(done.append)
        assert server.execute(section).result(10).ok
        assert done


def test_a_server_has_one_target() -> None:
    executor = OrderExecutor(PathpointTarget())
    with pytest.raises(ValueError, match="target"):
        OrderServer("127.0.0.1", 0, target=PathpointTarget(), executor=executor)

    class Other:
        """No target of points."""

    server = OrderServer("127.0.0.1", 0, target=Other())  # type: ignore[arg-type]
    assert not server.has_request("point-list")
    with pytest.raises(TypeError):
        server.add_pathpoint(None)  # type: ignore[arg-type]


async def test_many_sections_at_once() -> None:
    count = 2000
    async with serving(Plant()) as plant, talking(plant) as client:
        begin = asyncio.get_running_loop().time()
        await client.send(*[execute([VALVE], 0, f"n-{i}") for i in range(count)])
        seen = 0
        while seen < count:
            line = await client.line()
            seen += line.startswith(b"#section-state") and line.endswith(b" done")
        assert len(plant.done) == count
        assert plant.sensors["orders.queue-length"].value() == 0
        assert asyncio.get_running_loop().time() - begin < 60
