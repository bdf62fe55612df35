"""The client jobs, done with aiokatcp's client."""

from __future__ import annotations

import asyncio

import aiokatcp
from _client_jobs import Job, Result, after_news, in_flight, over_and_over, run_job

TYPES = {b"float": float, b"integer": int, b"boolean": bool, b"string": bytes}


async def requests(job: Job) -> Result:
    """``?add 1 2``, some of them in flight."""
    client = await aiokatcp.Client.connect("127.0.0.1", job["port"])

    async def add() -> None:
        reply, _ = await client.request("add", 1, 2)
        assert reply == [b"3"], reply

    result = await in_flight(job, add)
    await close(client)
    return result


async def close(client: aiokatcp.Client) -> None:
    client.close()
    await client.wait_closed()


async def sync_list(job: Job) -> Result:
    """Connect, list the sensors, make an object of each."""

    async def begin() -> aiokatcp.Client:
        client = await aiokatcp.Client.connect("127.0.0.1", job["port"])
        _, informs = await client.request("sensor-list")
        sensors = aiokatcp.SensorSet()
        for inform in informs:
            name, description, units, type_name, *_ = inform.arguments
            sensors.add(
                aiokatcp.Sensor(
                    TYPES[type_name],
                    aiokatcp.decode(str, name),
                    aiokatcp.decode(str, description),
                    aiokatcp.decode(str, units),
                )
            )
        assert len(sensors) == job["sensors"], len(sensors)
        return client

    return await over_and_over(job, begin, close)


async def sync_subscribe(job: Job) -> Result:
    """Connect, watch all sensors until each has its first value."""

    async def begin() -> aiokatcp.Client:
        client = await aiokatcp.Client.connect("127.0.0.1", job["port"])
        watcher = aiokatcp.SensorWatcher(client)
        client.add_sensor_watcher(watcher)
        await watcher.synced.wait()
        values = [sensor.value for sensor in watcher.sensors.values()]
        assert values == [20.5] * job["sensors"], len(values)
        return client

    return await over_and_over(job, begin, close)


class Newcomers(aiokatcp.SensorWatcher):
    """Sets an event when it is synced with sensors that it did not have before."""

    def __init__(self, client: aiokatcp.Client) -> None:
        super().__init__(client)
        self.known = 0
        self.news = asyncio.Event()

    def state_updated(self, state: aiokatcp.SyncState) -> None:
        super().state_updated(state)
        if state == aiokatcp.SyncState.SYNCED and len(self.sensors) > self.known:
            self.known = len(self.sensors)
            self.news.set()


async def resync(job: Job) -> Result:
    """Watch all sensors, and hear that there is one more."""
    client = await aiokatcp.Client.connect("127.0.0.1", job["port"])
    watcher = Newcomers(client)
    client.add_sensor_watcher(watcher)
    await watcher.synced.wait()
    result = await after_news(job, client.request, watcher.news)
    await close(client)
    return result


if __name__ == "__main__":
    run_job(
        {
            "requests": requests,
            "sync-list": sync_list,
            "sync-objects": sync_list,  # an object of each is what it takes to have a list
            "sync-subscribe": sync_subscribe,
            "resync": resync,
        }
    )
