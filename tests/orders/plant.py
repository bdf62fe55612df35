"""A device that takes orders, for tests."""

from __future__ import annotations

import asyncio
from typing import Any

from katcp.orders import (
    AsyncOrderServer,
    OrderExecutor,
    OrderFailed,
    Pathpoint,
    PathpointTarget,
)
from katcp.server import Sensor


class Plant(AsyncOrderServer):
    """Has a valve, a pump that is slow to obey, a pressure to read, and one that breaks."""

    announces_clients = False

    def __init__(self, host: str = "127.0.0.1", port: int = 0, **options: Any) -> None:
        #: What was written, done or sent, in order.
        self.done: list[Any] = []
        #: The pump obeys when this is set.
        self.released = asyncio.Event()
        self.broken = True
        executor_options = options.pop("executor_options", {})
        target = PathpointTarget(
            Pathpoint("valve", Sensor.integer("valve", params=[0, 10]), on_write=self._move),
            Pathpoint("pump", Sensor.boolean("pump"), on_write=self._pump),
            Pathpoint("pressure", Sensor.float("pressure"), on_read=self._measure),
            Pathpoint("flow", Sensor.float("flow"), on_read=self._break),
            sysctl={"note": self._note},
            message={"hello": self._hello},
        )
        executor = OrderExecutor(target, retry_delay=0.001, grace=0.2, **executor_options)
        super().__init__(host, port, executor=executor, **options)

    async def _move(self, value: int, advise: int) -> None:
        self.done.append(("valve", value))

    async def _pump(self, value: bool, advise: int) -> None:
        await self.released.wait()
        self.done.append(("pump", value))

    async def _measure(self, advise: int) -> float:
        self.done.append("pressure")
        return 0.25

    async def _break(self, advise: int) -> float:
        self.done.append("flow")
        if self.broken:
            raise OrderFailed("malformed", "no number")
        return 1.5

    def _note(self, text: str) -> None:
        self.done.append(("note", text))

    def _hello(self) -> None:
        self.done.append("hello")


def write(path: str, value: Any, **fields: Any) -> dict[str, Any]:
    """Return an order as JSON has it."""
    return {"type": "write", "path": path, "value": value, **fields}
