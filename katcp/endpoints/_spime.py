"""A spime: an endpoint that reports itself, by schedule, on change, and when it is set."""

from __future__ import annotations

from typing import ClassVar

from katcp.endpoints._logging import LoggedEndpoint


class Spime(LoggedEndpoint):
    """An endpoint that reports itself: what most endpoints of instruments are.

    Parameters
    ----------
    name : str
    **options
        Those of `LoggedEndpoint`, and so of `Endpoint`.

    Examples
    --------
    A thermometer that is read each second, and broadcast when it has changed by more than 1 %, or
    each hour::

        class Thermometer(Spime):
            async def on_get(self):
                return await self.parent.send(["TEMP?"])

        Thermometer(
            "sample",
            type="float",
            units="K",
            calibration="2.5 * {} + 4",
            schedule_interval=1,
            schedule_status="on",
            max_interval=3600,
            max_fractional_change=0.01,
        )
    """

    kind: ClassVar[str] = "spime"
