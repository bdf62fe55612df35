"""``/metrics`` for Prometheus.

A sensor's name is the label ``sensor``, as it is: no two sensors can meet in one series, and no
name has to be changed into something that Prometheus takes for a name.

==================================  ===============================================================
``katcp_sensor_value``              number; 1 and 0 for booleans, seconds for timestamps
``katcp_sensor_state``              discrete sensors: 1 for the present word, 0 for the others
``katcp_sensor_status``             0 to 6, as `STATUSES` has them
``katcp_sensor_timestamp_seconds``  time of the reading
``katcp_sensor_info``               1; its labels tell type and units
==================================  ===============================================================

Value and state are left out while the status is one that says nothing of the value (unknown,
failure, unreachable, inactive), so that nothing old is plotted as if it were new. Strings and
addresses have no number and would be a new series with each text; they are left out.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder

from katcp.server import STATISTICS_GAUGES, STATISTICS_MEANINGS
from katcp.web._inventory import STATUSES, Reading, SensorInfo

#: Statuses with which the value is what is so now.
_VALID = frozenset({"nominal", "warn", "error"})
_NUMERIC = frozenset({"integer", "float", "boolean", "timestamp"})
#: Words of a discrete sensor with more of them are not counted one by one.
_MOST_STATES = 100

#: The loop's lag is looked at so often [s], for so long after it was last asked for [s].
_LOOK = 0.5
_INTEREST = 300.0


class LagMeter:
    """Measures by how much timers of the loop are late, while somebody wants to know."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._histogram = Histogram(
            "katcp_loop_lag_seconds",
            "How late timers of the server's loop are, looked at twice a second.",
            registry=registry,
            buckets=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10),
        )
        self._timer: asyncio.TimerHandle | None = None
        self._until = 0.0

    def keep_looking(self) -> None:
        """Begin to look, or go on."""
        self._until = time.monotonic() + _INTEREST
        if self._timer is None:
            self._plan()

    def _plan(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK, self._look, loop.time() + _LOOK)

    def _look(self, due: float) -> None:
        self._timer = None
        self._histogram.observe(max(0.0, asyncio.get_running_loop().time() - due))
        if time.monotonic() < self._until:
            self._plan()

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Metrics:
    """What Prometheus is told, besides the sensors."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.lag = LagMeter(self.registry)
        self.answers = Counter(
            "katcp_web_answers",
            "Answers to HTTP requests, by the first digit of their status.",
            ["status"],
            registry=self.registry,
        )
        self.spared = Counter(
            "katcp_web_readings_spared",
            "Readings not sent to pages that were behind, since newer ones followed.",
            registry=self.registry,
        )

    async def write(
        self,
        accept: str,
        sensors: Mapping[str, SensorInfo],
        readings: Mapping[str, Reading],
        statistics: Mapping[str, int],
        pages: int,
    ) -> tuple[bytes, str]:
        """Return the text, and its content type.

        It is made in another thread: with 10,000 sensors that takes longer than the loop may be
        kept.
        """
        self.lag.keep_looking()
        families = [
            *_server_families(statistics),
            GaugeMetricFamily("katcp_web_pages", "Pages that are open.", value=pages),
        ]
        source = _Source([self.registry, families, _SensorFamilies(sensors, readings)])
        encode, content_type = choose_encoder(accept)
        loop = asyncio.get_running_loop()
        text: bytes = await loop.run_in_executor(None, encode, source)
        return text, content_type


class _Source:
    """What looks like a registry to the encoders."""

    def __init__(self, parts: Iterable[Any]) -> None:
        self._parts = parts

    def collect(self) -> Iterator[Metric]:
        for part in self._parts:
            yield from part.collect() if hasattr(part, "collect") else part


def _server_families(statistics: Mapping[str, int]) -> Iterator[Metric]:
    for name, value in statistics.items():
        meaning = STATISTICS_MEANINGS.get(name, name)
        family = GaugeMetricFamily if name in STATISTICS_GAUGES else CounterMetricFamily
        yield family(f"katcp_server_{name}", meaning, value=value)


class _SensorFamilies:
    def __init__(self, sensors: Mapping[str, SensorInfo], readings: Mapping[str, Reading]) -> None:
        self._sensors = sensors
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        values = GaugeMetricFamily(
            "katcp_sensor_value", "Value of a sensor that is a number.", labels=["sensor"]
        )
        states = GaugeMetricFamily(
            "katcp_sensor_state",
            "Whether a discrete sensor is in a state (1) or not (0).",
            labels=["sensor", "state"],
        )
        statuses = GaugeMetricFamily(
            "katcp_sensor_status",
            "Status of a sensor: " + ", ".join(f"{n} {name}" for n, name in enumerate(STATUSES)),
            labels=["sensor"],
        )
        times = GaugeMetricFamily(
            "katcp_sensor_timestamp_seconds", "Time of a sensor's reading.", labels=["sensor"]
        )
        about = InfoMetricFamily("katcp_sensor", "What a sensor is.", labels=["sensor"])
        for name, info in self._sensors.items():
            about.add_metric([name], {"type": info.type, "units": info.units})
            reading = self._readings.get(name)
            if reading is None:
                continue
            if reading.status in STATUSES:
                statuses.add_metric([name], STATUSES.index(reading.status))
            times.add_metric([name], reading.time)
            if reading.status not in _VALID:
                continue
            if info.type in _NUMERIC:
                value = _number(reading.value)
                if value is not None:
                    values.add_metric([name], value)
            elif info.type == "discrete" and len(info.params) <= _MOST_STATES:
                for word in dict.fromkeys(info.params):
                    states.add_metric([name, word], float(word == reading.value))
        yield from (values, states, statuses, times, about)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
