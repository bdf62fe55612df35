"""The state loop: what follows what, whatever the device does and whenever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from katcp.client import Message
from katcp.inspecting_client import InspectingClientAsync, InspectingClientStateType
from tests.helpers.inspecting import Told, inspecting, make
from tests.helpers.scripted import V4, V50, V51, Device, Session, until

SENSORS = {"a.b": "Sensor. V integer", "a.c": "Sensor. V float"}


def device(**kwargs: Any) -> Device:
    return Device(**{"greeting": V50, "sensors": SENSORS, **kwargs})


async def test_the_first_sync_and_the_end() -> None:
    told = Told()
    async with device() as dev:
        async with inspecting(dev, told) as client:
            assert told.story == "DCMS"
            assert told.changes == [
                {
                    "requests": {"added": {"help", "watchdog"}, "removed": set()},
                    "sensors": {"added": {"a.b", "a.c"}, "removed": set()},
                }
            ]
            assert client.synced
            assert client.connected
            assert client.is_connected()
        assert told.story == "DCMSD"
        assert not client.connected
        assert not client.synced


async def test_a_change() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told) as client:
        dev.sensors = {"a.b": "Sensor. mV integer", "new": "Sensor. V integer"}
        dev.requests["go"] = "Go."
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.story == "DCMSCMS"
        assert told.changes[1] == {
            "requests": {"added": {"go"}, "removed": set()},
            "sensors": {"added": {"a.b", "new"}, "removed": {"a.b", "a.c"}},
        }
        assert sorted(client.sensors) == ["a.b", "new"]
        assert sorted(client.requests) == ["go", "help", "watchdog"]


async def test_announced_although_nothing_has_changed() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told) as client:
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.story == "DCMSCNS"
        assert len(told.changes) == 1


async def test_not_synced_before_a_reply_that_follows_the_announcement() -> None:
    async with device() as dev, inspecting(dev) as client:

        def change(session: Session, message: Message) -> list[bytes]:
            dev.sensors["new"] = "Sensor. V integer"
            session.say(b"#interface-changed sensor new added")
            return [b"! ok"]

        dev.answers["change"] = change
        reply, _ = await client.simple_request("change")
        assert reply.reply_ok()
        assert not client.synced
        await client.until_synced(timeout=5)
        assert "new" in client.sensors


@pytest.mark.parametrize(
    ("change", "asked"),
    [
        (b"sensor a.b modified", [b"?sensor-list[3] a.b"]),
        (b"sensor new added", [b"?sensor-list[3] new"]),
        (b"sensor gone removed", [b"?sensor-list[3] gone"]),
        (b"request go added", [b"?help[3] go"]),
        (b"sensor-list", [b"?sensor-list[3]"]),
        (b"request-list", [b"?help[3]"]),
        (b"whatever", [b"?help[3]", b"?sensor-list[4]"]),
        (b"", [b"?help[3]", b"?sensor-list[4]"]),
    ],
)
async def test_b_client_8_every_form_of_interface_changed(
    change: bytes, asked: list[bytes]
) -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.forget()
        dev.sensors = {"a.b": "Sensor. mV integer", "a.c": SENSORS["a.c"], "new": "New. V float"}
        dev.requests["go"] = "Go."
        dev.say((b"#interface-changed " + change).rstrip())
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == asked


async def test_b_client_8_device_changed_is_the_same_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with device() as dev, inspecting(dev) as client:
        dev.forget()
        dev.say(b"#device-changed sensor-list")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == [b"?sensor-list[3]"]
        assert "#device-changed is deprecated" in caplog.text


async def test_a_burst_costs_one_inspection() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told) as client:
        dev.forget()
        dev.sensors |= {f"n{i}": "New. V float" for i in range(5)}
        dev.say(*(b"#interface-changed sensor n%d added" % i for i in range(5)))
        await until(lambda: "n4" in client.sensors)
        await client.until_synced(timeout=5)
        assert [line.split(b" ")[1] for line in dev.heard] == [b"n0", b"n1", b"n2", b"n3", b"n4"]
        assert told.story == "DCMSCMS"


@pytest.mark.parametrize("when", ["help", "sensor-list"])
async def test_a_change_during_an_inspection_is_not_missed(when: str) -> None:
    told = Told()
    async with device() as dev:

        def change_once(session: Session, message: Message) -> list[bytes]:
            lines = dev._builtin(session, message)
            del dev.answers[when]
            dev.sensors["late"] = "Sensor. V integer"
            session.say(b"#interface-changed")
            return lines

        dev.answers[when] = change_once
        async with inspecting(dev, told) as client:
            # Synced is not announced in between: it would not be true.
            assert told.story == ("DCMCMS" if when == "sensor-list" else "DCMCNS")
            assert "late" in client.sensors
            assert dev.heard == [b"?help[1]", b"?sensor-list[2]", b"?help[3]", b"?sensor-list[4]"]


async def test_a_change_while_the_user_is_busy_is_not_missed() -> None:
    story: list[str] = []
    async with device() as dev:
        client = make(dev)

        async def slow(state: InspectingClientStateType, changes: Any) -> None:
            story.append(str(state))
            if state.model_changed and "late" not in dev.sensors:
                dev.sensors["late"] = "Sensor. V integer"
                dev.say(b"#interface-changed sensor late added")
                await until(lambda: client._agenda)

        client.set_state_callback(slow)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        assert "late" in client.sensors
        await until(lambda: "[connected synced" in story[-1])
        assert len([s for s in story if "[connected synced" in s]) == 1
        client.stop()
        await client.until_stopped(timeout=5)


async def test_a_flood_of_changes_is_inspected_at_a_limited_rate() -> None:
    told = Told()
    async with device() as dev:
        client = make(dev, told)
        client.max_resync_rate = 20.0
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        dev.forget()
        loop = asyncio.get_running_loop()
        begun = loop.time()
        for number in range(300):
            dev.sensors["last"] = f"Number_{number} V integer"
            dev.say(b"#interface-changed")
            await asyncio.sleep(0.001)
        took = loop.time() - begun
        await client.until_synced(timeout=10)
        inspections = dev.heard.count(b"?help") + sum(b"?help[" in line for line in dev.heard)
        # Six at once, twenty a second, and the one that is under way.
        assert inspections <= 6 + 20 * took + 2
        assert client._model.sensors["last"][1] == b"Number_299"
        client.stop()
        await client.until_stopped(timeout=5)


async def test_no_inspection_at_first() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told, initial_inspection=False) as client:
        assert told.story == "DCS"
        assert dev.heard == []
        assert client.initial_inspection is True
        assert client.sensors == client.requests == []
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.story == "DCSCMS"


# -- failures ----------------------------------------------------------------------------


async def test_w56_failures_are_tried_again_and_success_resets_the_backoff(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    left = {"help": 3, "sensor-list": 1}

    async with device() as dev:
        for name in left:

            def answer(session: Session, message: Message) -> list[bytes]:
                if left[message.name] > 0:
                    left[message.name] -= 1
                    return [b"! fail not\\_ready"]
                return dev._builtin(session, message)

            dev.answers[name] = answer
        async with inspecting(dev, told) as client:
            assert told.story == "DCCCCCMS"
            assert [line.split(b"[")[0] for line in dev.heard] == [
                *[b"?help"] * 4,
                b"?sensor-list",
                b"?help",
                b"?sensor-list",
            ]
            assert client.resync_delay is not None
            assert client.resync_delay.delay <= client.initial_resync_timeout
            assert caplog.text.count("trying again in") == 4
            assert "?help was answered 'fail not ready'" in caplog.text


async def test_an_answer_that_never_comes_is_not_waited_for_longer_than_the_limit() -> None:
    told = Told()
    async with device() as dev:
        dev.answers["help"] = lambda session, message: None
        client = make(dev, told)
        client.sync_timeout = 0.05
        await client.connect(timeout=5)
        await until(lambda: len(dev.heard) >= 2)
        del dev.answers["help"]
        await client.until_synced(timeout=5)
        assert told.tidy_story == "DCMS"
        client.stop()
        await client.until_stopped(timeout=5)


async def test_a_bug_in_the_way_drops_the_connection_and_tries_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = Told()
    async with device() as dev:
        client = make(dev, told)
        broken = [True]

        class Broken(InspectingClientAsync):
            pass

        real = client._adopt

        def adopt(findings: Any) -> Any:
            if broken:
                broken.clear()
                raise ZeroDivisionError("a bug")
            return real(findings)

        client._adopt = adopt  # type: ignore[method-assign]
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.count == 2
        assert "a bug" in caplog.text
        client.stop()
        await client.until_stopped(timeout=5)


async def test_what_could_not_be_read_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    sensors = {"a.b": "Sensor. V integer", "odd": "Text."}
    async with device(sensors=sensors) as dev, inspecting(dev) as client:
        assert client.sync_problems == ("sensor 'odd' without a type",)
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert client.sync_problems == ("sensor 'odd' without a type",)
        assert caplog.text.count("sensor 'odd' without a type") == 1
        dev.sensors["odd"] = "Text. V float"
        dev.say(b"#interface-changed")
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert client.sync_problems == ()


# -- loss --------------------------------------------------------------------------------


async def test_loss_and_return() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told) as client:
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.tidy_story == "DCMSDCNS"
        del dev.sensors["a.c"]
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.tidy_story == "DCMSDCNSDCMS"
        assert told.changes[-1] == {"sensors": {"added": set(), "removed": {"a.c"}}}


@pytest.mark.parametrize("request_name", ["help", "request-timeout-hint", "sensor-list"])
@pytest.mark.parametrize("how", ["cut", "half an answer", "before the answer"])
async def test_a_device_that_dies_in_the_middle_of_an_inspection(
    request_name: str, how: str
) -> None:
    told = Told()
    deaths = 2
    async with device(greeting=V51) as dev:

        def die(session: Session, message: Message) -> list[bytes]:
            nonlocal deaths
            if not deaths:
                return dev._builtin(session, message)
            deaths -= 1
            lines = dev._builtin(session, message)
            if how == "half an answer":
                dev.answer(session, message, *lines[:-1])
                session.close()
            elif how == "cut":
                session.abort()
            else:
                session.close()
            return []

        dev.answers[request_name] = die
        async with inspecting(dev, told) as client:
            assert dev.count == 3
            assert told.tidy_story == "DCDCDCMS"
            assert sorted(client.sensors) == ["a.b", "a.c"]
            assert told.changes[0]["sensors"]["added"] == {"a.b", "a.c"}


async def test_changes_found_but_not_yet_told_are_told_on_the_next_connection() -> None:
    told = Told()
    async with device() as dev:
        client = make(dev, told)
        real = client._adopt

        def lose_the_connection(findings: Any) -> Any:
            changes = real(findings)
            if dev.count == 1:
                client.katcp_client._link.drop()  # type: ignore[union-attr]
                client._on_connection(False)
            return changes

        client._adopt = lose_the_connection  # type: ignore[method-assign]
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        assert told.tidy_story == "DCDCMS"
        assert told.changes[0]["sensors"]["added"] == {"a.b", "a.c"}
        client.stop()
        await client.until_stopped(timeout=5)


async def test_loss_while_the_user_is_busy() -> None:
    told = Told()
    async with device() as dev:
        client = make(dev)

        async def slow(state: InspectingClientStateType, changes: Any) -> None:
            told(state, changes)
            if state.model_changed and dev.count == 1:
                dev.cut()
                await until(lambda: not client.connected)
                assert str(client.state) == "[!connected !synced !model_changed !data_synced]"

        client.set_state_callback(slow)
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        await until(lambda: told.tidy_story == "DCMDCNS")
        client.stop()
        await client.until_stopped(timeout=5)


async def test_a_device_that_comes_back_as_another_version() -> None:
    told = Told()
    async with device(greeting=V51) as dev, inspecting(dev, told) as client:
        assert b"?request-timeout-hint[2]" in dev.heard
        dev.forget()
        dev.greeting = V4
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == [b"?help", b"?sensor-list"]
        dev.forget()
        dev.greeting = V50
        dev.cut()
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == [b"?help[4]", b"?sensor-list[5]"]
        assert told.tidy_story == "DCMS" + 2 * "DCNS"


async def test_a_late_greeting_has_the_device_inspected_again() -> None:
    async with device(greeting=()) as dev:
        client = make(dev)
        client.katcp_client.greeting_timeout = 0.01
        await client.connect(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == [b"?help", b"?sensor-list"]
        dev.forget()
        dev.say(*V50)
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert dev.heard == [b"?help[1]", b"?sensor-list[2]"]
        client.stop()
        await client.until_stopped(timeout=5)


async def test_a_device_that_hangs_without_closing() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told, heartbeat=0.03) as client:
        dev.answers["watchdog"] = lambda session, message: None
        await client.until_not_synced(timeout=5)
        await client.until_synced(timeout=5)
        assert told.tidy_story.startswith("DCMSDCNS")
        assert dev.count >= 2
        del dev.answers["watchdog"]


async def test_a_device_that_is_switched_off_and_on() -> None:
    told = Told()
    async with device() as dev, inspecting(dev, told) as client:
        dev.refuse()
        dev.cut()
        await client.until_not_synced(timeout=5)
        await asyncio.sleep(0.03)
        assert told.tidy_story == "DCMSD"
        await dev.listen()
        await client.until_synced(timeout=5)
        assert told.tidy_story == "DCMSDCNS"


# -- the callback ------------------------------------------------------------------------


async def test_w62_exceptions_of_the_callback_harm_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def asynchronous(state: Any, changes: Any) -> None:
        raise ValueError("from a coroutine")

    def plain(state: Any, changes: Any) -> None:
        raise ValueError("from a function")

    def future(state: Any, changes: Any) -> Any:
        result = asyncio.get_running_loop().create_future()
        result.set_exception(ValueError("from a future"))
        return result

    async with device() as dev:
        for callback in (asynchronous, plain, future):
            client = make(dev)
            client.set_state_callback(callback)
            await client.connect(timeout=5)
            await client.until_synced(timeout=5)
            client.stop()
            await client.until_stopped(timeout=5)
        assert dev.count == 3
        for kind in ("coroutine", "function", "future"):
            assert f"ValueError: from a {kind}" in caplog.text


async def test_the_callback_is_waited_for_before_the_next_state() -> None:
    gate = asyncio.Event()
    story: list[str] = []

    async def slow(state: InspectingClientStateType, changes: Any) -> None:
        story.append(f"begin {state.model_changed}")
        if state.model_changed:
            await gate.wait()
        story.append(f"end {state.model_changed}")

    async with device() as dev:
        client = make(dev)
        client.set_state_callback(slow)
        await client.connect(timeout=5)
        await client.until_data_synced(timeout=5)
        await until(lambda: story[-1] == "begin True")
        assert not client.synced
        gate.set()
        await client.until_synced(timeout=5)
        await until(lambda: story[-4:] == ["begin True", "end True", "begin False", "end False"])
        client.stop()
        await client.until_stopped(timeout=5)


async def test_changes_as_an_iterator() -> None:
    async with device() as dev:
        client = make(dev)
        feed = client.changes()
        await client.connect(timeout=5)
        seen = []
        async for state, changes in feed:
            seen.append((state, changes))
            if state.synced:
                client.stop()
        assert [str(state).count("!") for state, _ in seen] == [4, 3, 1, 1, 4]
        assert seen[2][1].sensors.added == {"a.b", "a.c"}
        assert [item async for item in client.changes()] == []  # it is stopped
        await client.until_stopped(timeout=5)
