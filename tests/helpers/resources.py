"""Resources of devices that remember what state they were in, and end with their block."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from katcp.resource_client import KATCPClientResource

#: Nothing a test waits for may take longer than this [s].
PATIENCE = 10.0


class Told(KATCPClientResource):
    """A resource that writes down the states it is in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.story = [self.state]

    def _update_state(self, _flag: Any = None) -> None:
        super()._update_state(_flag)
        if self.state != self.story[-1]:
            self.story.append(self.state)


def make(host: str, port: int, **spec: Any) -> Told:
    """Return a controlled resource that is quick to connect again."""
    return Told(
        {
            "name": "dev",
            "address": (host, port),
            "controlled": True,
            "auto_reconnect_delay": 0.005,
            **spec,
        }
    )


@asynccontextmanager
async def running(resource: Any, *, synced: bool = True) -> AsyncIterator[Any]:
    """Start a resource, wait until it is synced, stop it at the end."""
    resource.start()
    try:
        if synced:
            await resource.until_synced(timeout=PATIENCE)
        yield resource
    finally:
        resource.stop()
        await resource.until_stopped(timeout=PATIENCE)


@asynccontextmanager
async def resource_of(device: Any, *, synced: bool = True, **spec: Any) -> AsyncIterator[Told]:
    """Make and run a resource of a device: a scripted one, or a server of ours."""
    host, port = (device.host, device.port) if hasattr(device, "port") else device.bind_address[:2]
    async with running(make(host or "127.0.0.1", port, **spec), synced=synced) as resource:
        yield resource
