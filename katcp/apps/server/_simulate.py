"""``katcp-server simulate``: a device as it was when a snapshot of it was taken, and alive."""

from __future__ import annotations

import asyncio
import datetime
import logging
import os
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, ClassVar, TypeVar

import click

from katcp.apps.server._errors import StartError, one_line
from katcp.apps.server._plausible import Motion
from katcp.errors import FailReply
from katcp.inspecting_client import setting_requests
from katcp.kattypes import concurrent_reply
from katcp.protocol import Message
from katcp.sensors import STATUS_NAMES, TYPE_NUMBERS, VALID_STATUSES, Sensor, parse_params
from katcp.server import AsyncDeviceServer, DeviceServer
from katcp.snapshots import SensorSnapshot, Snapshot, SnapshotError, read_snapshot

log = logging.getLogger("katcp.apps.server")

_F = TypeVar("_F", bound=Callable[..., Any])

#: What the help of the command begins with.
SIMULATE_HELP = """Serve a copy of a device from a snapshot of it.

The copy has the sensors of the device, with values that move a little around those of the
snapshot, and its requests. Those that set a sensor set it; others answer ok, or fail with 'Not
simulated.' if their help tells of more in the answer than that. `katcp-cli snapshot` takes
snapshots.
"""

#: Names of the parameters that the options become.
SIMULATE_OPTIONS = ("rate", "seed", "still")

_OF_EVERY_DEVICE = frozenset(DeviceServer._request_handlers)  # noqa: SLF001  # a documented name
#: Those of them that a device may well do without.
_MAY_BE_MISSING = ("halt", "restart")


def simulate_options(function: _F) -> _F:
    """Add the argument and the options to a command."""
    options = (
        click.argument("snapshot", metavar="SNAPSHOT"),
        click.option(
            "--rate",
            type=click.FloatRange(0.001, 100),
            default=1.0,
            show_default=True,
            help="How often values move [1/s].",
        ),
        click.option("--seed", default="", help="Two runs with one seed move alike."),
        click.option("--still", is_flag=True, help="Let nothing move."),
    )
    for option in reversed(options):  # as decorators are applied
        function = option(function)
    return function


def simulation_class(
    snapshot: str, rate: float = 1.0, seed: str = "", still: bool = False
) -> type[SimulatedDevice]:
    """Return the class of the copy of a device.

    Parameters
    ----------
    snapshot : str
        Path of the file.
    rate : float
        How often values move [1/s].
    seed : str
    still : bool
        Whether nothing moves at all.

    Raises
    ------
    StartError
        If the file is no snapshot.
    """
    try:
        found = read_snapshot(snapshot)
    except OSError as error:
        raise StartError(f"{snapshot}: {one_line(error.strerror or str(error))}") from error
    except SnapshotError as error:
        raise StartError(f"{snapshot}: {error}") from error
    body = {
        "__doc__": f"The copy of a device that {os.path.basename(snapshot)!r} tells of.",
        "__module__": __name__,
        "snapshot": found,
        "rate": 0.0 if still else rate,
        "seed": seed,
    }
    made: type[SimulatedDevice] = type("Simulation", (SimulatedDevice,), body)
    return made


class SimulatedDevice(AsyncDeviceServer):
    """The copy of a device; subclasses say of which.

    Its parameters are those of `AsyncDeviceServer`.
    """

    snapshot: ClassVar[Snapshot]
    #: How often values move [1/s]; 0: never.
    rate: ClassVar[float] = 1.0
    seed: ClassVar[str] = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self._motions: dict[str, Motion] = {}
        super().__init__(*args, **kwargs)
        if self.rate:
            self.add_service_task(self._move, name="simulation")

    # -- what it is ---------------------------------------------------------------------

    def version(self) -> str:
        """Return the version of the device that it is a copy of."""
        return (*self.snapshot.device.versions.get("katcp-device", ()), "simulated-0.0")[0]

    def build_state(self) -> str:
        """Return the version of the software of the device that it is a copy of."""
        words = self.snapshot.device.versions.get("katcp-device", ())
        return words[1] if len(words) > 1 else self.version()

    def katcp_versions(self) -> Iterable[tuple[str, ...]]:
        """Return what the device said; of protocol and library, what is true here."""
        own = {entry[0]: entry for entry in super().katcp_versions()}
        yield from own.values()
        for name, words in self.snapshot.device.versions.items():
            if name not in own and words:
                yield (name, *words)

    def setup_sensors(self) -> None:
        """Make sensors and requests as the snapshot has them."""
        snapshot = self.snapshot
        taken = _moment(snapshot.taken)
        for item in snapshot.sensors:
            try:
                sensor = _sensor(item, taken)
                self.add_sensor(sensor)
            except (ValueError, TypeError, OverflowError) as error:
                log.warning("Sensor %r is left out: %s", item.name, error)
                continue
            text = item.value.decode("utf-8", "replace")
            motion = Motion(sensor, text, taken, random.Random(f"{self.seed}/{item.name}"))
            if motion.moves:
                self._motions[item.name] = motion
        self._make_requests()

    def _make_requests(self) -> None:
        asked = {request.name: request.description for request in self.snapshot.requests}
        names = [sensor.name for sensor in self.get_sensors()]
        setting: dict[str, str] = {}
        for name in names:
            own = (r for r in setting_requests(name, names) if r not in _OF_EVERY_DEVICE)
            request = next((r for r in own if r in asked), None)
            if request is not None:
                setting.setdefault(request, name)
                self._motions.pop(name, None)  # what somebody sets does not move by itself
        for name, text in asked.items():
            if name in _OF_EVERY_DEVICE:
                continue
            try:
                self.add_request(name, self._handler(name, text, setting.get(name)))
            except ValueError as error:
                log.warning("Request %r is left out: %s", name, error)
        for name in _MAY_BE_MISSING:
            if asked and name not in asked and self.has_request(name):
                self.remove_request(name)

    # -- requests -----------------------------------------------------------------------

    def _handler(self, name: str, text: str, sensor: str | None) -> Callable[..., Any]:
        tells_more = _tells_more(text)

        @concurrent_reply
        def answer(req: Any, msg: Message) -> Any:
            if sensor is not None and len(msg.arguments) <= 1:
                return req.make_reply("ok", self._set(sensor, msg.arguments))
            if tells_more:
                raise FailReply("Not simulated.")
            return req.make_reply("ok")

        answer.__doc__ = text or f"Request {name}."
        answer.__name__ = f"request_{name}"
        return answer

    def _set(self, name: str, arguments: list[bytes]) -> bytes:
        """Set a sensor, if there is an argument; return its value as it goes on the wire."""
        sensor = self.get_sensor(name)
        if arguments:
            try:
                sensor.set_value(sensor.parse_value(arguments[0]))
            except (ValueError, TypeError) as error:
                raise FailReply(str(error)) from error
        return sensor.read_formatted()[2]

    # -- values -------------------------------------------------------------------------

    async def _move(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + 1 / self.rate, loop.time())
            await asyncio.sleep(due - loop.time())
            now = time.time()
            for motion in list(self._motions.values()):
                motion.sensor.set(*motion.step(now))


def _sensor(item: SensorSnapshot, taken: float) -> Sensor:
    """Return a sensor with the reading of the snapshot.

    Raises
    ------
    ValueError
        If it cannot be made.
    """
    number = TYPE_NUMBERS.get(item.type, Sensor.STRING)
    params: list[Any] = []
    if number in (Sensor.INTEGER, Sensor.FLOAT, Sensor.DISCRETE):
        try:
            params = parse_params(number, item.params, 5)
        except ValueError:
            params = []
    if number == Sensor.DISCRETE and not params:
        number = Sensor.STRING
    units = "" if number == Sensor.TIMESTAMP else item.units
    sensor = Sensor(number, item.name, item.description, units, params)
    status = STATUS_NAMES.get(item.status, Sensor.UNKNOWN)
    first = sensor.value()
    moment = taken if item.timestamp is None else item.timestamp
    try:
        sensor.set(moment, status, sensor.parse_value(item.value))
        sensor.read_formatted()
    except (ValueError, TypeError, KeyError, OverflowError):
        if status in VALID_STATUSES:
            status = Sensor.FAILURE
        sensor.set(moment, status, first)
    return sensor


def _moment(text: str) -> float:
    """Return when a snapshot was taken [s since 1970]; now, if that cannot be read."""
    try:
        found = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
        return found.replace(tzinfo=found.tzinfo or datetime.timezone.utc).timestamp()
    except (ValueError, OverflowError):
        return time.time()


def _tells_more(text: str) -> bool:
    """Tell whether the help of a request says that there is more in the answer than 'ok'."""
    section = ""
    lines = [line.rstrip() for line in text.splitlines()]
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following and set(following.strip()) == {"-"} and line.strip():
            section = line.strip().lower()
        elif section in ("informs", "returns") and _names_a_value(line):
            return True
    return False


def _names_a_value(line: str) -> bool:
    return " : " in line and not line.strip().startswith("success")
