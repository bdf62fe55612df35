"""Which request of a device sets a sensor.

There is none in the protocol for that; devices name theirs in few ways: for a sensor ``pump.mode``,
``?pump-set-mode``, ``?set-pump-mode``, ``?pump-mode`` and, where no other sensor's name ends so,
``?set-mode`` and ``?mode``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator


def setting_requests(name: str, sensors: Collection[str]) -> Iterator[str]:
    """Yield the names of the requests that may set a sensor, the likeliest first.

    Parameters
    ----------
    name : str
        Of the sensor.
    sensors : collection of str
        Names of all sensors of the device.
    """
    parts = [re.sub(r"[^A-Za-z0-9-]", "-", part) for part in name.split(".")]
    for index in range(len(parts) - 1, -1, -1):
        yield "-".join([*parts[:index], "set", *parts[index:]])
    yield "-".join(parts)
    for index in range(1, len(parts)):
        ending = "." + ".".join(name.split(".")[index:])
        if sum(sensor.endswith(ending) for sensor in sensors) <= 1:
            rest = "-".join(parts[index:])
            yield f"set-{rest}"
            yield rest
