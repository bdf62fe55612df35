"""Sensors of a fake device, made from what tests say about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from katcp.compat import ensure_native_str
from katcp.protocol import format_argument
from katcp.sensors import Sensor

#: ``(description, units, type, *params)``, or a ready sensor.
SensorInfo = Sequence[Any] | Sensor


def sensor_of(name: str, info: SensorInfo) -> Sensor:
    """Return a sensor for what is said about it.

    Parameters
    ----------
    name : str
    info : sequence or Sensor
        Description, units, name of the type (as in ``#sensor-list``), and its parameters: lowest
        and highest value of a number, words of a discrete sensor. A `Sensor` is returned itself.

    Raises
    ------
    KatcpSyntaxError
        If there is no such type.
    ValueError
        If type or parameters are missing, or the parameters are none of that type.
    """
    if isinstance(info, Sensor):
        if info.name != name:
            raise ValueError(f"Sensor {info.name!r} cannot go by the name of {name!r}.")
        return info
    if len(info) < 3:
        raise ValueError(f"Sensor {name!r} needs description, units and type, not {info!r}.")
    description, units, type_name, *params = info
    number = Sensor.parse_type(ensure_native_str(type_name))
    values = Sensor.parse_params(number, [format_argument(param) for param in params])
    sensor = Sensor(number, name, _text(description), "", values)
    sensor.units = _text(units)  # any, as a device may say what it likes
    return sensor


def _text(value: Any) -> str:
    return "" if value is None else ensure_native_str(value)


def updated(
    sensors: Mapping[str, Sensor],
    seen: Mapping[str, SensorInfo],
    infos: Mapping[str, SensorInfo],
) -> dict[str, Sensor]:
    """Return the sensors that `infos` describe.

    Those that are described as before (`seen`) stay what they are, with their values.
    """
    return {
        name: sensors[name]
        if name in sensors and name in seen and _same(seen[name], info)
        else sensor_of(name, info)
        for name, info in infos.items()
    }


def _same(one: SensorInfo, other: SensorInfo) -> bool:
    return one is other or (type(one) is type(other) and one == other)
