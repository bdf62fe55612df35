"""A device that takes orders."""

from __future__ import annotations

import asyncio
import os
from typing import Any

from katcp.orders._executor import OrderExecutor
from katcp.orders._future import SectionFuture
from katcp.orders._host import OrderHost
from katcp.orders._journal import Journal
from katcp.orders._pathpoint import Pathpoint
from katcp.orders._section import Section
from katcp.orders._targets import PathpointTarget, Target
from katcp.server import AsyncDeviceServer, ClientConnection, DeviceServer


class OrderServer(DeviceServer):
    """A device that takes orders: from clients by requests, from its own program by `execute`.

    Parameters are those of `DeviceServer`, and

    Parameters
    ----------
    target : Target, optional
        What orders are carried out on. By default points of its own, which are added by
        `add_pathpoint`.
    executor : OrderExecutor, optional
        Carries them out; it has its own target.
    journal : str, path or Journal, optional
        File in which orders are written down, so that they survive the process; None: they do not.
    history : int
        How many sections that have ended are remembered.

    Attributes
    ----------
    target : Target
    order_host : OrderHost

    Examples
    --------
    ::

        class Plant(OrderServer):
            def setup_sensors(self):
                self.add_pathpoint(
                    Pathpoint("valve", Sensor.integer("valve"), on_write=self.move_valve)
                )

            async def move_valve(self, value, advise):
                ...

        plant = Plant("", 7147, journal="orders.db")
        plant.start()
    """

    def __init__(
        self,
        *args: Any,
        target: Target | None = None,
        executor: OrderExecutor | None = None,
        journal: str | os.PathLike[str] | Journal | None = None,
        history: int = 1000,
        **kwargs: Any,
    ) -> None:
        if executor is not None and target is not None:
            raise ValueError("An executor has its own target: give one of them.")
        if executor is None:
            executor = OrderExecutor(PathpointTarget() if target is None else target)
        self.target: Any = executor.target
        super().__init__(*args, **kwargs)
        if isinstance(self.target, PathpointTarget):
            for point in self.target:
                self._show_point(point)
        if not (journal is None or isinstance(journal, Journal)):
            journal = Journal(journal, keep=history)
        self.order_host = OrderHost(self, executor, journal, history=history)

    def setup_sensors(self) -> None:
        """Make sensors and points; none by default."""

    def add_pathpoint(self, point: Pathpoint) -> Pathpoint:
        """Add a point that orders read and write, and its sensor, if the device does not have it.

        Raises
        ------
        TypeError
            If orders are carried out on something else.
        ValueError
            If there is a point of this name.
        """
        if not isinstance(self.target, PathpointTarget):
            raise TypeError("The target of this device is none of points.")
        self.target.add(point)
        self._show_point(point)
        return point

    def _show_point(self, point: Pathpoint) -> None:
        name = point.sensor.name
        if not self.has_sensor(name) or self.get_sensor(name) is not point.sensor:
            self.add_sensor(point.sensor)

    # -- orders -------------------------------------------------------------------------

    def execute(self, *sections: Section, origin: str = "") -> SectionFuture:
        """Have sections carried out, in this order; from any thread.

        Parameters
        ----------
        *sections : Section
        origin : str
            Who wants it, for those who look at the list of sections.

        Returns
        -------
        SectionFuture
            Of the result of the section, or of a list of results if there are several. In the
            loop it is awaited; other threads may ask for its ``result(timeout)``.

        Raises
        ------
        RuntimeError
            If the device does not run, or there is no room for them.
        ValueError
            If one of them was given away before.
        """
        return self.order_host.execute(*sections, origin=origin)

    # -- life ---------------------------------------------------------------------------

    def start(self, timeout: float | None = None) -> None:
        """Start; see `DeviceServer.start`.

        Raises
        ------
        katcp.storage.StorageError
            If the journal cannot be used.
        """
        journal = self.order_host.journal
        opened = journal is not None and journal.open()
        try:
            super().start(timeout)
        except BaseException:
            if journal is not None and opened:
                journal.let_go()
            raise

    def on_client_disconnect(
        self, client_conn: ClientConnection, msg: str, connection_valid: bool
    ) -> Any:
        """Tell a client that goes nothing more of sections."""
        self.order_host.client_gone(client_conn)
        return super().on_client_disconnect(client_conn, msg, connection_valid)


class AsyncOrderServer(OrderServer, AsyncDeviceServer):
    """An `OrderServer` that runs in the loop that is current when it is made.

    ``async with`` also waits until the journal has been read.
    """

    async def __aenter__(self) -> Any:
        """Start, and serve until the end of the block."""
        self.start()
        try:
            await self.order_host.until_ready()
        except BaseException:
            await asyncio.shield(self.stop())
            raise
        return self
