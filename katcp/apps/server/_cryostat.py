"""A cryostat that exists only here: two stages, a pump, a mode. No loop and no clock.

Temperatures go towards where the mode and the pump drive them, a fraction of the way in each
step, and faster than a real one would, so that one can watch. A little noise comes from a
generator with a fixed seed: two runs with the same steps show the same.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

#: Modes of the cryostat.
MODES = ("off", "cooling", "warm-up")

#: Temperature of the room [K].
ROOM = 293.0
#: Temperature that the first stage is cooled to [K].
STAGE1_COLD = 48.0
#: Range of the temperature that the second stage may be cooled to [K].
COLDEST, WARMEST = 3.5, 30.0
#: Pressure of the air, and that which the pump gets to [Pa].
AIR, VACUUM = 101_325.0, 0.001
#: Below this the vessel may not be opened [K].
SAFE_TO_VENT = 280.0
#: Speed of the pump [Hz].
PUMP_SPEED = 820

# Time that each thing takes to go most of its way [s].
_COOLING, _WARMING, _LEAKING, _PUMPING = 15.0, 60.0, 900.0, 8.0


class Refused(Exception):
    """The cryostat may not do that now; the text says why."""


@dataclass
class Cryostat:
    """The state of the cryostat: at first as it was found after a power cut.

    Attributes
    ----------
    stage1, stage2 : float
        Temperatures [K].
    setpoint : float
        Temperature that the second stage is to be cooled to [K].
    pressure : float
        [Pa].
    pump_on : bool
    pump_starts : int
        How often the pump has been started.
    mode : str
        One of `MODES`.
    packets : int
        Packets of data that its receiver has sent.
    """

    stage1: float = 82.0
    stage2: float = 41.0
    setpoint: float = 12.0
    pressure: float = 40.0
    pump_on: bool = False
    pump_starts: int = 0
    mode: str = "off"
    packets: int = 0
    random: random.Random = field(default_factory=lambda: random.Random(7147), repr=False)

    def step(self, elapsed: float) -> None:
        """Let time pass [s]."""
        if self.mode == "cooling":
            goals = (STAGE1_COLD, self.setpoint, _COOLING)
        else:
            goals = (ROOM, ROOM, _WARMING if self.mode == "warm-up" else _LEAKING)
        noise = self.random.gauss
        self.stage1 = _towards(self.stage1, goals[0], elapsed, goals[2]) + noise(0, 0.02)
        self.stage2 = _towards(self.stage2, goals[1], elapsed, goals[2]) + noise(0, 0.005)
        # Pressure changes by orders of magnitude.
        goal, pace = (VACUUM, _PUMPING) if self.pump_on else (AIR, _LEAKING)
        exponent = _towards(math.log(self.pressure), math.log(goal), elapsed, pace)
        self.pressure = math.exp(exponent)
        if self.mode == "cooling":
            self.packets += round(1000 * elapsed)

    def start_pump(self) -> None:
        """Start the pump."""
        if self.pump_on:
            raise Refused("The pump is running.")
        self.pump_on = True
        self.pump_starts += 1

    def stop_pump(self) -> None:
        """Stop the pump."""
        if not self.pump_on:
            raise Refused("The pump is not running.")
        if self.mode == "cooling":
            raise Refused("The pump is needed for cooling: set mode off or warm-up first.")
        self.pump_on = False

    def set_mode(self, mode: str) -> None:
        """Change the mode."""
        if mode == "cooling" and not self.pump_on:
            raise Refused("Cooling needs the pump: start it first.")
        self.mode = mode

    def vent(self) -> None:
        """Let air in."""
        coldest = min(self.stage1, self.stage2)
        if coldest < SAFE_TO_VENT:
            raise Refused(
                f"A stage is at {coldest:.1f} K: warm up to {SAFE_TO_VENT:g} K before venting."
            )
        if self.pump_on:
            raise Refused("The pump is running: stop it before venting.")
        self.pressure = AIR


def _towards(value: float, goal: float, elapsed: float, pace: float) -> float:
    return goal + (value - goal) * math.exp(-elapsed / pace)
