"""The sampling strategies that the user wants, and the requests that set them.

A strategy dies with the connection, and with its sensor when that is removed or replaced (KATCP
guidelines 5.1, "lifetime of strategies"); what the user wants does not. So the two are kept apart:
wishes, and the names for which they are in force.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from katcp.protocol import SEC_TO_MS_FAC, SEC_TS_KATCP_MAJOR, ProtocolFlags, format_argument

#: Strategy -> what its parameters are: a difference, or a time.
PARAMETERS: dict[str, tuple[str, ...]] = {
    "none": (),
    "auto": (),
    "event": (),
    "period": ("time",),
    "differential": ("difference",),
    "event-rate": ("time", "time"),
    "differential-rate": ("difference", "time", "time"),
}
#: Strategy that version 4 does not have -> the nearest that it has.
_INSTEAD_V4 = {"event-rate": "event", "differential-rate": "differential"}

#: No sensor is asked for more often [s].
SHORTEST_PERIOD = 0.001
#: So many sensors are set by one request at most, and by names of so many bytes.
_BULK_NAMES, _BULK_BYTES = 1000, 256 * 1024

Parameter = float | int | str | bytes


class Wish(NamedTuple):
    """A strategy and its parameters: times in seconds, as the user gave them."""

    strategy: str
    parameters: tuple[Parameter, ...]


class SetSampling(NamedTuple):
    """A request: sensors, and the arguments that follow their names."""

    names: tuple[str, ...]
    arguments: tuple[bytes, ...]


def make_wish(strategy: str, parameters: Sequence[Parameter]) -> Wish:
    """Check a strategy and its parameters (KATCP guidelines 5.1, "strategies").

    Raises
    ------
    ValueError
        For an unknown strategy, a wrong number of parameters, or a parameter out of its range.
    """
    kinds = PARAMETERS.get(strategy)
    if kinds is None:
        raise ValueError(f"Unknown sampling strategy {strategy!r}")
    if len(parameters) != len(kinds):
        raise ValueError(f"Strategy {strategy} takes {len(kinds)} parameters, not {parameters!r}")
    numbers = [_number(parameter) for parameter in parameters]
    times = [number for number, kind in zip(numbers, kinds, strict=True) if kind == "time"]
    if any(math.isnan(number) or number < 0 for number in numbers):
        raise ValueError(f"Strategy {strategy}: parameters must be at least 0, not {parameters!r}")
    if strategy == "period" and not SHORTEST_PERIOD <= times[0] < math.inf:
        raise ValueError(
            f"The period must be finite and at least {SHORTEST_PERIOD} s, not {parameters[0]!r}"
        )
    if len(times) == 2:
        shortest, longest = times
        if longest <= 0 or shortest > longest or math.isinf(shortest):
            raise ValueError(
                f"Strategy {strategy}: the shortest time must not be above the longest, and that "
                f"not 0: {parameters!r}"
            )
    return Wish(strategy, tuple(parameters))


def _number(parameter: Parameter) -> float:
    try:
        return float(parameter)
    except (TypeError, ValueError):
        raise ValueError(f"Sampling parameter {parameter!r} is not a number") from None


def wire_arguments(wish: Wish, major: int, of_timestamps: bool) -> tuple[bytes, ...]:
    """Return the arguments behind the names of the sensors, before escaping.

    To version 4 times are milliseconds, also the differences of timestamps, and strategies that
    it does not have are replaced by the nearest ones.
    """
    if major >= SEC_TS_KATCP_MAJOR:
        return (wish.strategy.encode(), *map(format_argument, wish.parameters))
    strategy = _INSTEAD_V4.get(wish.strategy, wish.strategy)
    arguments = [strategy.encode()]
    for kind, parameter in zip(PARAMETERS[strategy], wish.parameters, strict=False):
        if kind == "time" or of_timestamps:
            arguments.append(_milliseconds(_number(parameter)))
        else:
            arguments.append(format_argument(parameter))
    return tuple(arguments)


def _milliseconds(seconds: float) -> bytes:
    milliseconds = seconds * SEC_TO_MS_FAC
    if math.isfinite(milliseconds) and abs(milliseconds - round(milliseconds)) < 1e-6:
        return b"%d" % round(milliseconds)  # 1.001 s is a little less than 1001 ms in binary
    return format_argument(milliseconds)


@dataclass
class SamplingWishes:
    """What the user wants sampled, and what is.

    Attributes
    ----------
    wishes : dict
        Sensor -> `Wish`.
    in_force : set
        Sensors for which the device has accepted it on this connection.
    asked : set
        Sensors for which it has been asked to. One that is replaced meanwhile is taken out: it
        cannot be known whether the old or the new sensor got the strategy.
    refused : dict
        Sensor -> wish that the device has refused, so that this is logged once.
    """

    wishes: dict[str, Wish] = field(default_factory=dict)
    in_force: set[str] = field(default_factory=set)
    asked: set[str] = field(default_factory=set)
    refused: dict[str, Wish] = field(default_factory=dict)

    def want(self, names: Collection[str], wish: Wish) -> None:
        """Remember a wish for some sensors; ``none`` forgets theirs."""
        if self.asked:  # what is in force was asked for
            self.in_force.difference_update(names)
            self.asked.difference_update(names)
        for name in names if self.refused else ():
            self.refused.pop(name, None)
        if wish.strategy != "none":
            self.wishes.update(dict.fromkeys(names, wish))
            return
        for name in names:
            self.wishes.pop(name, None)

    def connection_lost(self) -> None:
        """Take note that the device has forgotten everything."""
        self.in_force.clear()
        self.asked.clear()

    def sensors_gone(self, names: Collection[str]) -> None:
        """Take note that sensors were removed or replaced, and their strategies with them."""
        self.in_force.difference_update(names)
        self.asked.difference_update(names)

    def accepted(self, names: Collection[str], wishes: Mapping[str, Wish]) -> None:
        """Take note that the device has accepted what was wished for some sensors.

        Wishes that are former ones by now do not count.
        """
        wanted = self.wishes
        in_force = self.asked.intersection(
            [name for name in names if wanted.get(name) == wishes[name]]
        )
        self.in_force |= in_force
        for name in in_force if self.refused else ():
            self.refused.pop(name, None)

    def due(self, known: Container[str]) -> dict[str, Wish]:
        """Return the wishes that are to be set: not in force, of sensors that are there."""
        if len(self.in_force) == len(self.wishes):  # what is in force is wished, too
            return {}
        return {
            name: wish
            for name, wish in self.wishes.items()
            if name not in self.in_force and name in known
        }


def set_requests(
    wishes: dict[str, Wish], flags: ProtocolFlags, is_timestamp: Callable[[str], bool]
) -> list[SetSampling]:
    """Return the requests that set some wishes: several sensors in one, where the device can."""
    kinds: dict[tuple[Wish, bool], list[str]] = {}
    if flags.major >= SEC_TS_KATCP_MAJOR and len(set(map(id, wishes.values()))) == 1:
        # Thousands of sensors get the same: 0.04 µs for each to see that, and 0.3 to sort them.
        kinds[next(iter(wishes.values())), False] = list(wishes)
        wishes = {}
    for name, wish in wishes.items():
        # Only the differences of timestamps depend on the sensor, and only in version 4.
        of_timestamps = flags.major < SEC_TS_KATCP_MAJOR and is_timestamp(name)
        kinds.setdefault((wish, of_timestamps), []).append(name)
    groups: dict[tuple[bytes, ...], list[str]] = {}
    for (wish, of_timestamps), names in kinds.items():
        groups.setdefault(wire_arguments(wish, flags.major, of_timestamps), []).extend(names)
    requests = []
    for arguments, names in groups.items():
        if not flags.bulk_set_sensor_sampling:
            requests += [SetSampling((name,), arguments) for name in names]
            continue
        at = 0
        while at < len(names):
            chunk = names[at : at + _BULK_NAMES]
            if sum(map(len, chunk)) + len(chunk) > _BULK_BYTES:
                chunk = chunk[: _how_many(chunk)]
            requests.append(SetSampling(tuple(chunk), arguments))
            at += len(chunk)
    return requests


def _how_many(names: Sequence[str]) -> int:
    """Return how many of some names may go into one request: as many as fit, but one at least."""
    size = 0
    for count, name in enumerate(names):
        if count and size + len(name) > _BULK_BYTES:
            return count
        size += len(name) + 1
    return len(names)
