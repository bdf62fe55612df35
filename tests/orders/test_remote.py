"""Sections on another device, by an inspecting client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from katcp.errors import FailReply, KatcpClientError
from katcp.inspecting_client import InspectingClientAsync
from katcp.orders import (
    Disposition,
    OrderClient,
    ReadOrder,
    RemoteSection,
    Section,
    SectionFailed,
    SectionLost,
    SysctlOrder,
    WaitOrder,
    WriteOrder,
)
from tests.helpers.serving import serving, until
from tests.orders.plant import Plant


@asynccontextmanager
async def client_of(plant: Plant, **options: Any) -> AsyncIterator[OrderClient]:
    client = InspectingClientAsync(*plant.bind_address, timeout=10)
    client.katcp_client.auto_reconnect_delay = 0.01
    async with client:
        yield OrderClient(client, **options)


async def test_a_section_from_afar() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        section = Section([WriteOrder("valve", 3), ReadOrder("pressure")], Disposition.CANNOT_JOIN)
        changes: list[Any] = []
        remote = await orders.execute(section)
        remote.on_change(lambda each, index: changes.append((each.state, index)))
        assert remote.section_id == section.section_id
        result = await asyncio.wait_for(remote, 10)
        assert result.ok
        result.raise_for_failures()
        assert (result.section_id, result.state, remote.state) == (
            section.section_id,
            "done",
            "done",
        )
        write, read = result.outcomes
        assert (write.outcome, write.attempts, write.order) == ("ok", 1, section.orders[0])
        assert read.reading.value == 0.25
        assert read.reading.status == 1
        assert result.submitted <= result.started <= result.finished
        assert plant.order_host.find(remote.section_id).disposition is Disposition.CANNOT_JOIN
        assert changes[-1] == ("done", None)
        assert {index for _, index in changes} >= {0, 1}
        assert remote.ended
        assert "2 orders, done" in repr(remote)
        assert await remote.cancel() is False
    await until(lambda: not orders._tasks)


async def test_what_fails_far_away() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        remote = await orders.execute(Section([ReadOrder("flow"), SysctlOrder("note", "x")]))
        result = await remote
        assert result.state == "partial"
        assert [outcome.outcome for outcome in result.outcomes] == ["failed:malformed", "ok"]
        assert result.outcomes[0].attempts == 3
        assert result.outcomes[0].detail == "no number"
        with pytest.raises(SectionFailed, match="no number"):
            result.raise_for_failures()
        with pytest.raises(FailReply, match="order 1: there is no point 'valv'"):
            await orders.execute(Section([WaitOrder(0), WriteOrder("valv", 1)]))
        assert not orders._open


async def test_cancelling_from_afar() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        assert await orders.pause() == 0
        first = await orders.execute(Section([WriteOrder("valve", 1)]))
        second = await orders.execute(Section([WriteOrder("pump", True), WaitOrder(60)]))
        assert await first.cancel()
        assert (await first).state == "cancelled"
        assert await orders.resume() == 1
        await until(lambda: second.state == "running")
        assert not await second.cancel()
        assert await second.cancel(force=True)
        plant.released.set()
        result = await second
        assert [outcome.outcome for outcome in result.outcomes] == ["ok", "cancelled"]
        await orders.sync()
        infos = await orders.list()
        assert [(info.section_id, info.state, info.good) for info in infos] == [
            (first.section_id, "cancelled", 0),
            (second.section_id, "partial", 1),
        ]
        assert infos[0].started is None
        assert infos[1].orders == infos[1].ended == 2


async def test_syncing_from_afar() -> None:
    async with serving(Plant()) as plant, client_of(plant, timeout=0.1) as orders:
        remote = await orders.execute(Section([WriteOrder("pump", True)]))
        with pytest.raises(FailReply, match=r"not ended within 0\.01 s"):
            await orders.sync(0.01)
        syncing = asyncio.ensure_future(orders.sync())
        await asyncio.sleep(0.15)  # it asks anew in between
        assert not syncing.done()
        plant.released.set()
        await syncing
        assert (await remote).ok


async def test_a_section_through_a_lost_connection() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        remote = await orders.execute(Section([WriteOrder("valve", 1), WriteOrder("pump", True)]))
        await until(lambda: remote.results[0] is not None)
        for _ in range(3):
            (connection,) = plant._server.connections
            plant._server.disconnect(connection, "a test")
            await until(lambda gone=connection: plant._server.connections.keys() - {gone})
            await until(lambda: orders.client.synced)
        plant.released.set()
        result = await asyncio.wait_for(remote, 10)
        assert [outcome.outcome for outcome in result.outcomes] == ["ok", "ok"]
        assert plant.done == [("valve", 1), ("pump", True)]


async def test_a_section_that_ends_while_nobody_is_connected() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        remote = await orders.execute(Section([WriteOrder("pump", True)]))
        (connection,) = plant._server.connections
        plant._server.disconnect(connection, "a test")
        plant.released.set()
        await until(lambda: plant.order_host.find(remote.section_id).ended)
        assert (await asyncio.wait_for(remote, 10)).ok


async def test_a_reply_that_is_lost_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        listen = plant.order_host.listen

        def cut(section_id: str, connection: Any, **options: Any) -> None:
            """Lose the connection when the section is taken, before the reply."""
            monkeypatch.setattr(plant.order_host, "listen", listen)
            listen(section_id, connection, **options)
            connection.transport.abort()

        monkeypatch.setattr(plant.order_host, "listen", cut)
        remote = await asyncio.wait_for(orders.execute(Section([WriteOrder("valve", 1)])), 10)
        assert (await asyncio.wait_for(remote, 10)).ok
        assert plant.done == [("valve", 1)]
        assert len(plant.order_host.sections) == 1


async def restarted(plant: Plant, **options: Any) -> Plant:
    """Stop a device; return another one for the same address."""
    port = plant.bind_address[1]
    await plant.stop()
    return Plant(port=port, **options)


async def test_a_section_through_a_restart(tmp_path: Path) -> None:
    journal = tmp_path / "orders.db"
    async with serving(Plant(journal=journal)) as plant, client_of(plant) as orders:
        running = await orders.execute(Section([WriteOrder("pump", True)], section_id="a"))
        barrier = Section([WriteOrder("valve", 1)], Disposition.CANNOT_JOIN)
        waiting = await orders.execute(barrier)
        async with serving(await restarted(plant, journal=journal)) as other:
            result = await asyncio.wait_for(running, 10)
            assert result.outcomes[0].outcome == "failed:interrupted"
            assert (await asyncio.wait_for(waiting, 10)).ok
            assert other.done == [("valve", 1)]
            again = await orders.execute(Section([WriteOrder("pump", True)], section_id="a"))
            assert (await asyncio.wait_for(again, 10)).state == "failed"


async def test_a_device_that_forgets() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        remote = await orders.execute(Section([WriteOrder("pump", True)]))
        async with serving(await restarted(plant)):
            with pytest.raises(SectionLost, match="Unknown section"):
                await asyncio.wait_for(remote, 10)


async def test_a_client_that_is_stopped() -> None:
    async with serving(Plant()) as plant:
        async with client_of(plant) as orders:
            remote = await orders.execute(Section([WriteOrder("pump", True)]))
        with pytest.raises(KatcpClientError, match="stopped"):
            await asyncio.wait_for(remote, 10)
        await until(lambda: not orders._tasks)
        with pytest.raises(KatcpClientError):
            await orders.execute(Section([WriteOrder("valve", 1)]))
        with pytest.raises(KatcpClientError):
            await orders.list()
        assert not orders._open


async def test_a_device_that_is_not_there() -> None:
    client = InspectingClientAsync("127.0.0.1", 1)
    client.connect()
    try:
        with pytest.raises(KatcpClientError, match="no connection"):
            await OrderClient(client, patience=0.05).execute(Section([WaitOrder(0)]))
    finally:
        await client.stop()


async def test_whoever_waits_may_give_up() -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        remote = await orders.execute(Section([WriteOrder("pump", True)]))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(remote, 0.01)
        assert not remote.ended
        plant.released.set()
        assert (await remote).ok


async def test_what_cannot_be_understood_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(Plant()) as plant, client_of(plant) as orders:
        remote = await orders.execute(Section([WriteOrder("pump", True)]))
        told: list[RemoteSection] = []

        def raise_error(section: RemoteSection, index: int | None) -> None:
            told.append(section)
            raise ValueError("of the user's")

        remote.on_change(raise_error)
        plant.released.set()
        assert (await remote).ok
        assert told
        assert "A listener to changes of a section raised" in caplog.text
