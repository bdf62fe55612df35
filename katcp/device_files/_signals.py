"""Simulated signals: values as a function of time and of chance that can be repeated.

No loop and no clock: time is an argument.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

from katcp.device_files._spec import Signal
from katcp.device_files._values import Kind

#: Significant digits of a float that nothing is said of.
_DIGITS = 6

#: Returns the value of another sensor.
Others = Callable[[str], float]
#: Returns the value at a time [s], which never goes back.
Step = Callable[[float], Any]


def make_signal(signal: Signal, kind: Kind, others: Others) -> Step:
    """Return what makes the values of a signal.

    Parameters
    ----------
    signal : Signal
    kind : Kind
        Of its values.
    others : function
        Returns the value of another sensor of the device, by name.
    """
    options = dict(signal.options)
    chance = random.Random(str(options["seed"]))
    step = _MAKERS[signal.name](options, chance, others)
    if signal.name in ("square", "steps"):
        return step
    noise = options.get("noise", 0) if signal.name != "noise" else 0
    decimals = options.get("decimals")

    def value(time: float) -> Any:
        made = step(time)
        if noise:
            made += chance.gauss(0.0, noise)
        if kind.name == "integer":
            return round(made if decimals is None else round(made, min(0, decimals)))
        return float(f"{made:.{_DIGITS}g}") if decimals is None else round(made, decimals)

    return value


def _sine(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    mean, amplitude = options.get("mean", 0.0), options.get("amplitude", 1.0)
    period, phase = options.get("period", 60.0), options.get("phase", 0.0)
    return lambda time: mean + amplitude * math.sin(math.tau * ((time / period + phase) % 1.0))


def _ramp(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    begin, end = options.get("from", 0.0), options.get("to", 1.0)
    period = options.get("period", 60.0)
    return lambda time: begin + (end - begin) * (time / period % 1.0)


def _square(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    low, high = options["low"], options["high"]
    period, duty = options.get("period", 60.0), options.get("duty", 0.5)
    return lambda time: high if time / period % 1.0 < duty else low


def _random_walk(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    low, high = options.get("min", -math.inf), options.get("max", math.inf)
    size = options.get("step", 1.0)
    present: float = min(max(options["start"], low), high)
    begun = False

    def step(time: float) -> float:
        nonlocal present, begun
        if not begun:
            begun = True
            return present
        present += chance.gauss(0.0, size)
        # What goes out at a bound comes in again, unless it is too far out for that.
        if present < low:
            present = min(2 * low - present, high)
        elif present > high:
            present = max(2 * high - present, low)
        return present

    return step


def _noise(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    mean, sigma = options.get("mean", 0.0), options.get("sigma", 1.0)
    return lambda time: chance.gauss(mean, sigma)


def _steps(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    values, period = options["values"], options.get("period", 60.0)
    if options.get("order", "cycle") == "cycle":
        return lambda time: values[int(time / period) % len(values)]
    turn = -1
    present = values[0]

    def step(time: float) -> Any:
        nonlocal turn, present
        now = int(time / period)
        if now != turn:
            turn = now
            present = chance.choice(values)
        return present

    return step


def _follow(options: dict[str, Any], chance: random.Random, others: Others) -> Step:
    name, pace = options["sensor"], options.get("time", 10.0)
    present: float | None = None
    before = 0.0

    def step(time: float) -> float:
        nonlocal present, before
        goal = others(name)
        if present is None:
            present = goal
        else:
            present = goal + (present - goal) * math.exp(-max(0.0, time - before) / pace)
        before = time
        return present

    return step


_MAKERS: dict[str, Callable[[dict[str, Any], random.Random, Others], Step]] = {
    "sine": _sine,
    "ramp": _ramp,
    "square": _square,
    "random-walk": _random_walk,
    "noise": _noise,
    "steps": _steps,
    "follow": _follow,
}
