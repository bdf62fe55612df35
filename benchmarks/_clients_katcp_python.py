"""The client jobs, done with katcp-python's clients, on the loop of the Tornado that it needs."""

from __future__ import annotations

from _client_jobs import Job, Result, after_news, in_flight, over_and_over, run_job
from tornado import gen
from tornado.ioloop import IOLoop
from tornado.locks import Event

from katcp import AsyncClient, Message
from katcp.inspecting_client import InspectingClientAsync
from katcp.resource_client import KATCPClientResource


async def requests(job: Job) -> Result:
    """``?add 1 2``, some of them in flight."""
    client = AsyncClient("127.0.0.1", job["port"])
    client.set_ioloop(IOLoop.current())
    client.start()
    await client.until_protocol(timeout=10)

    async def add() -> None:
        reply, _ = await client.future_request(Message.request("add", 1, 2))
        assert reply.arguments == [b"ok", b"3"], reply

    result = await in_flight(job, add, gen.multi)
    client.stop()
    await client.until_stopped()
    return result


async def synced(job: Job) -> InspectingClientAsync:
    client = InspectingClientAsync("127.0.0.1", job["port"])
    await client.connect(timeout=10)
    await client.until_synced(timeout=60)
    assert len(client.sensors) == job["sensors"], len(client.sensors)
    return client


async def close(client: InspectingClientAsync | KATCPClientResource) -> None:
    client.stop()
    await client.until_stopped()


async def sync_list(job: Job) -> Result:
    """Connect, have the device inspected: requests and sensors."""
    return await over_and_over(job, lambda: synced(job), close)


async def sync_objects(job: Job) -> Result:
    """The same, and make an object of each sensor."""

    async def begin() -> InspectingClientAsync:
        client = await synced(job)
        sensors = [await client.future_get_sensor(name) for name in client.sensors]
        assert [sensor.units for sensor in sensors] == ["degC"] * job["sensors"], len(sensors)
        return client

    return await over_and_over(job, begin, close)


async def sync_subscribe(job: Job) -> Result:
    """The same, and sample all sensors until each object has its first value."""

    async def begin() -> KATCPClientResource:
        client = KATCPClientResource(
            {"name": "benchmark", "address": ("127.0.0.1", job["port"]), "controlled": True}
        )
        client.set_ioloop(IOLoop.current())
        client.start()
        await client.until_synced(timeout=60)
        await client.set_sampling_strategies(".*", "auto")
        values = [sensor.value for sensor in dict.values(client.sensor)]
        assert values == [20.5] * job["sensors"], len(values)
        return client

    return await over_and_over(job, begin, close)


async def resync(job: Job) -> Result:
    """Be synced, and hear that there is one sensor more."""
    client = await synced(job)
    news = Event()

    def changed(state, changes):
        if changes and changes.get("sensors") and changes["sensors"].added:
            news.set()

    async def request(name: str, argument: str) -> None:
        await client.until_synced(timeout=60)
        reply, _ = await client.simple_request(name, argument)
        assert reply.reply_ok(), reply

    client.set_state_callback(changed)
    result = await after_news(job, request, news)
    await close(client)
    return result


if __name__ == "__main__":
    run_job(
        {
            "requests": requests,
            "sync-list": sync_list,
            "sync-objects": sync_objects,
            "sync-subscribe": sync_subscribe,
            "resync": resync,
        },
        lambda main: IOLoop.current().run_sync(main),
    )
