"""The demo: a simulated instrument with every type of sensor, every status, and values to set."""

from __future__ import annotations

import asyncio
import math
import re
import time
from typing import Annotated, Any, Literal

from katcp._version import __version__
from katcp.apps.server import _cryostat as cryostat
from katcp.apps.server._cryostat import Cryostat, Refused
from katcp.apps.server._items import judge
from katcp.kattypes import Float, Int, request_timeout_hint
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, FailReply

_MODULE_NAME = re.compile(r"[a-z][a-z0-9-]{0,15}", re.ASCII)

_MAJOR, _MINOR = (int(part) for part in __version__.split(".")[:2])

# Nominal range and that of a warning, of sensors that have any.
_STAGE1 = (30.0, 70.0, 20.0, 100.0)
_STAGE2 = (3.0, 20.0, 2.0, 30.0)
_PRESSURE = (0.0, 1.0, 0.0, 100.0)
_HOURS = (0, 10_000, 0, 12_000)


class DemoDevice(AsyncDeviceServer):
    """A cryostat with a receiver.

    Parameters
    ----------
    update_interval : float
        Time between two steps of the simulation [s].

    Others are those of `AsyncDeviceServer`.
    """

    VERSION_INFO = ("demo-api", 1, 0)
    BUILD_INFO = ("katcp-demo", _MAJOR, _MINOR, "")

    def __init__(self, *args: Any, update_interval: float = 0.5, **kwargs: Any) -> None:
        self._interval = update_interval
        self._cryostat = Cryostat()
        self._modules: dict[str, list[Sensor]] = {}
        self._task: asyncio.Task[None] | None = None
        super().__init__(*args, **kwargs)

    def setup_sensors(self) -> None:
        """Make the sensors, one or more of each type and each status."""
        s = Sensor
        for sensor in (
            s.discrete("device-status", "Overall health", params=["ok", "degraded", "fail"]),
            s.discrete("mode", "What the cryostat is to do", params=cryostat.MODES),
            s.float("stage1.temperature", "Temperature of the first stage", "K", _STAGE1),
            s.float("stage2.temperature", "Temperature of the second stage", "K", _STAGE2),
            s.float(
                "stage2.setpoint",
                "Temperature to cool the second stage to",
                "K",
                [cryostat.COLDEST, cryostat.WARMEST],
            ),
            s.float("vessel.pressure", "Pressure in the vessel", "Pa", _PRESSURE),
            s.boolean("pump.on", "Whether the pump runs"),
            s.integer("pump.speed", "Turns of the pump's rotor", "Hz"),
            s.integer("pump.starts", "Starts of the pump since the program began", "count"),
            s.lru("pump.controller", "Replaceable controller of the pump"),
            s.integer("compressor.hours", "Hours since the last service", "h", _HOURS),
            s.timestamp("compressor.last-service", "Time of the last service"),
            s.integer("receiver.packets", "Packets sent", "packets"),
            s.address("receiver.destination", "Where packets go"),
            s.string("label", "Note of the operator; see ?set-label"),
            s.float("calibration.offset", "Offset found by ?calibrate", "K"),
            s.float("stage1.heater-current", "Current of a heater whose sensor is broken", "A"),
            s.float("site.wind-speed", "Wind, from a station that cannot be reached", "m/s"),
        ):
            self.add_sensor(sensor)
        now = time.time()
        for name, value, status in (
            ("pump.controller", Sensor.LRU_NOMINAL, Sensor.NOMINAL),
            ("compressor.hours", 10_250, Sensor.WARN),
            ("compressor.last-service", now - 10_250 * 3600, Sensor.NOMINAL),
            ("receiver.destination", ("239.2.1.150", 7148), Sensor.NOMINAL),
            ("label", "as found after the power cut", Sensor.NOMINAL),
            ("stage1.heater-current", 0.0, Sensor.FAILURE),
            ("site.wind-speed", 3.2, Sensor.UNREACHABLE),
        ):
            self.get_sensor(name).set(now, status, value)
        self._show()

    # -- the simulation -----------------------------------------------------------------

    def loop_started(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let time pass in the cryostat, in the loop that serves."""
        super().loop_started(loop)
        self._task = loop.create_task(self._simulate())

    def loop_stopping(self) -> None:
        """Stop the simulation."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        super().loop_stopping()

    async def _simulate(self) -> None:
        before = time.monotonic()
        while True:
            await asyncio.sleep(self._interval)
            now = time.monotonic()
            self._cryostat.step(now - before)
            before = now
            self._show()

    def _show(self) -> None:
        """Set the sensors from the state of the cryostat."""
        state = self._cryostat
        on = state.pump_on
        for name, value, status in (
            ("mode", state.mode, Sensor.NOMINAL),
            ("stage1.temperature", round(state.stage1, 3), judge(state.stage1, _STAGE1)),
            ("stage2.temperature", round(state.stage2, 3), judge(state.stage2, _STAGE2)),
            ("stage2.setpoint", state.setpoint, Sensor.NOMINAL),
            ("vessel.pressure", float(f"{state.pressure:.4g}"), judge(state.pressure, _PRESSURE)),
            ("pump.on", on, Sensor.NOMINAL),
            ("pump.starts", state.pump_starts, Sensor.NOMINAL),
            ("receiver.packets", state.packets, Sensor.NOMINAL),
        ):
            self.get_sensor(name).set_value(value, status)
        speed = cryostat.PUMP_SPEED if on else 0
        self.get_sensor("pump.speed").set_value(speed, Sensor.NOMINAL if on else Sensor.INACTIVE)
        statuses = {s.status() for s in self.get_sensors() if s.name != "device-status"}
        if Sensor.ERROR in statuses:
            self.get_sensor("device-status").set_value("fail", Sensor.ERROR)
        elif statuses & {Sensor.WARN, Sensor.FAILURE}:
            self.get_sensor("device-status").set_value("degraded", Sensor.WARN)
        else:
            self.get_sensor("device-status").set_value("ok", Sensor.NOMINAL)

    def _do(self, action: Any, *args: Any) -> None:
        """Have the cryostat do something; what it refuses fails the request."""
        try:
            action(*args)
        except Refused as error:
            raise FailReply(str(error)) from None
        self._show()

    # -- requests -----------------------------------------------------------------------

    def request_set_setpoint(
        self,
        req: Any,
        kelvin: Annotated[float, Float(min=cryostat.COLDEST, max=cryostat.WARMEST)],
    ) -> float:
        """Set the temperature to cool the second stage to [K]; see stage2.setpoint."""
        if math.isnan(kelvin):  # which is neither below nor above anything
            raise FailReply("A temperature is a number.")
        self._cryostat.setpoint = kelvin
        self._show()
        return kelvin

    def request_pump_start(self, req: Any) -> None:
        """Start the pump. Fails if it is running."""
        self._do(self._cryostat.start_pump)
        self.log.info("The pump was started by %s", req.client_connection.address, name="pump")

    def request_pump_stop(self, req: Any) -> None:
        """Stop the pump. Fails if it is not running, or needed for cooling."""
        self._do(self._cryostat.stop_pump)
        self.log.info("The pump was stopped by %s", req.client_connection.address, name="pump")

    def request_mode(
        self, req: Any, mode: Literal["off", "cooling", "warm-up"] | None = None
    ) -> str:
        """Tell what the cryostat is to do, or change it. Cooling needs the pump."""
        if mode is not None:
            self._do(self._cryostat.set_mode, mode)
            self.log.info("The mode is %s", mode, name="cryostat")
        return self._cryostat.mode

    def request_set_label(self, req: Any, text: str) -> str:
        """Leave a note for others; see the sensor label."""
        self.get_sensor("label").set_value(text)
        return text

    def request_vent(self, req: Any) -> None:
        """Let air into the vessel. Fails while a stage is colder than 280 K or the pump runs."""
        self._do(self._cryostat.vent)

    @request_timeout_hint(60)
    async def request_calibrate(
        self, req: Any, points: Annotated[int, Int(min=1, max=100)] = 5
    ) -> float:
        r"""Measure the offset of the thermometers, half a second for each point.

        Parameters
        ----------
        points : int
            Number of measurements.

        Informs
        -------
        point : int
            Number of the measurement that was made, from 1.
        points : int
        offset : float
            [K].

        Returns
        -------
        success : {'ok', 'fail'}
        offset : float
            Mean of the measurements [K]; see calibration.offset.

        Examples
        --------
        ::

            ?calibrate 1
            #calibrate 1 1 0.0131
            !calibrate ok 0.0131
        """
        offsets = []
        for point in range(1, points + 1):
            await asyncio.sleep(0.5)
            offsets.append(round(self._cryostat.random.gauss(0.012, 0.002), 4))
            req.inform(point, points, offsets[-1])
        mean = round(sum(offsets) / points, 4)
        self.get_sensor("calibration.offset").set_value(mean)
        return mean

    def request_fault(self, req: Any) -> None:
        """Fail as a request does whose handler has a bug. It always fails."""
        raise RuntimeError("This is the simulated bug.")

    # -- modules come and go ------------------------------------------------------------

    def request_attach_module(self, req: Any, name: str) -> None:
        """Attach a module: its sensors module.NAME.* come up, and ?module-reset with the first.

        Clients are told by #interface-changed. NAME has up to 16 lower-case letters, digits and
        dashes, and begins with a letter.
        """
        if _MODULE_NAME.fullmatch(name) is None:
            raise FailReply("A module's name has up to 16 lower-case letters, digits and dashes.")
        if name in self._modules:
            raise FailReply(f"Module {name} is attached.")
        voltage = Sensor.float(f"module.{name}.voltage", f"Supply of module {name}", "V")
        voltage.set_value(12.0)
        attached = Sensor.timestamp(f"module.{name}.attached", f"When {name} was attached")
        attached.set_value(time.time())
        self._modules[name] = [voltage, attached]
        for sensor in self._modules[name]:
            self.add_sensor(sensor)
        if len(self._modules) == 1:
            self.add_request("module-reset", self._module_reset)

    def request_detach_module(self, req: Any, name: str) -> None:
        """Detach a module: its sensors go, and ?module-reset with the last."""
        for sensor in self._modules.pop(self._known(name)):
            self.remove_sensor(sensor)
        if not self._modules:
            self.remove_request("module-reset")

    def _module_reset(self, req: Any, name: str) -> None:
        """Reset a module that is attached."""
        voltage, _ = self._modules[self._known(name)]
        voltage.set_value(12.0)

    def _known(self, name: str) -> str:
        if name not in self._modules:
            raise FailReply("No such module is attached.")
        return name
