"""Lists of the sensors of a resource."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Mapping
from typing import Any

from katcp.aio import under_way
from katcp.resource import KATCPSensor, SensorResultTuple

#: So many sensors are asked for their readings at a time.
_AT_A_TIME = 20
#: What makes a text a regular expression that cannot be a list of statuses too, as ``a|b`` can.
_ONLY_PATTERN = re.compile(r"[\\^$?*+()\[\]{}]")


def list_sensors(
    parent_class: Any,
    sensor_items: Mapping[str, KATCPSensor] | Iterable[tuple[str, KATCPSensor]],
    filter: str,
    strategy: bool,
    status: str,
    use_python_identifiers: bool,
    tuple: bool,
    refresh: bool,
) -> asyncio.Future[list[Any]]:
    """Return a future of a list of sensors, sorted by key.

    Parameters
    ----------
    parent_class : KATCPResource
        What they belong to. Those of a container have the name of their resource in front.
    sensor_items : iterable of (str, KATCPSensor), or mapping
        Sensors, by their names as Python identifiers.
    filter, strategy, status, use_python_identifiers, tuple, refresh
        See `KATCPResource.list_sensors`.

    Raises
    ------
    re.error
        From the future, if the filter is no regular expression.
    KATCPSensorError
        From the future, if a sensor cannot be refreshed.
    """
    return under_way(
        _list_sensors(
            # A container has groups; what is no resource at all has none.
            hasattr(parent_class, "groups") and not isinstance(parent_class, type),
            dict(sensor_items),
            filter,
            strategy,
            status,
            use_python_identifiers,
            tuple,
            refresh,
        ),
        getattr(parent_class, "ioloop", None),
    )


async def _list_sensors(
    with_parent: bool,
    sensors: dict[str, KATCPSensor],
    filter: str,
    strategy: bool,
    status: str,
    use_python_identifiers: bool,
    as_tuples: bool,
    refresh: bool,
) -> list[Any]:
    search = re.compile(filter).search
    found = [
        (key, sensor)
        for key, sensor in sorted(sensors.items())
        if search(key if use_python_identifiers else sensor.name)
        and not (strategy and sensor.sampling_strategy == ("none",))
    ]
    if refresh:
        for i in range(0, len(found), _AT_A_TIME):
            await asyncio.gather(*[s.get_reading() for _, s in found[i : i + _AT_A_TIME]])
    if status:
        found = [(key, sensor) for key, sensor in found if _matches(sensor.status, status)]
    describe = _values if as_tuples else _result
    return [
        describe(key, f"{sensor.parent_name}.{sensor.name}" if with_parent else sensor.name, sensor)
        for key, sensor in found
    ]


def _matches(status: str, wanted: Any) -> bool:
    """Tell whether a status is contained in what is wanted, or matched by it."""
    if not isinstance(wanted, str):
        return status in wanted
    if status in wanted and not _ONLY_PATTERN.search(wanted):
        return True
    try:
        return re.search(wanted, status) is not None
    except re.error:
        return status in wanted


def _result(key: str, name: str, sensor: KATCPSensor) -> SensorResultTuple:
    return SensorResultTuple(
        sensor, name, key, sensor.description, sensor.type, sensor.units, sensor.reading
    )


def _values(key: str, name: str, sensor: KATCPSensor) -> Any:
    reading = sensor.reading
    return (
        name,
        reading.value,
        reading.timestamp,
        sensor.type,
        sensor.units,
        reading.received_timestamp,
        reading.status,
        sensor.sampling_strategy,
    )
