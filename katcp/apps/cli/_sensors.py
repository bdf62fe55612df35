"""Finding sensors of a device by name or pattern, and their readings."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from katcp.apps.cli._asking import Asker
from katcp.apps.cli._errors import CommandError, Refused
from katcp.apps.cli._escape import quoted, visible
from katcp.apps.cli._format import refusal_text
from katcp.apps.cli._grammar import Pattern
from katcp.apps.cli._model import Reading, SensorInfo, parse_readings
from katcp.apps.cli._progress import Step

_T = TypeVar("_T")

#: Requests under way at once.
_AT_ONCE = 64
#: From so many readings on, all are asked for at once.
_MANY = 200
#: Longest list of names in one request [bytes]: devices take lines of 2 MiB, some fewer.
_LONGEST_LIST = 64 * 1024


@dataclass(frozen=True)
class Found:
    """Sensors that were asked for.

    Attributes
    ----------
    sensors : dict of str to SensorInfo
    errors : list of CommandError
        What was not found.
    """

    sensors: dict[str, SensorInfo]
    errors: list[CommandError]


async def all_sensors(asker: Asker) -> dict[str, SensorInfo]:
    """Return all sensors of the device, sorted by name."""
    informs = await asker.ask_ok("sensor-list")
    infos = [SensorInfo.of(inform.arguments) for inform in informs]
    named = [info for info in infos if info.name]
    return {info.name: info for info in sorted(named, key=lambda info: info.name)}


async def find_sensors(asker: Asker, patterns: Sequence[Pattern]) -> Found:
    """Return the sensors that match any of the patterns, in the order of these."""
    found: dict[str, SensorInfo] = {}
    errors: list[CommandError] = []
    everything: dict[str, SensorInfo] | None = None
    if not all(pattern.exact for pattern in patterns):
        # Patterns are matched here: not every device knows them.
        everything = await all_sensors(asker)
    exact = [pattern.text for pattern in patterns if pattern.exact]
    described: dict[str, SensorInfo | CommandError] = {}
    if everything is None:
        with asker.progress.step("sensors", len(exact)) as step:
            results = await in_turns([_describe(asker, name) for name in exact], step)
        described = dict(zip(exact, results, strict=True))
    for pattern in patterns:
        if everything is not None:
            matches = {name: i for name, i in everything.items() if pattern.matches(name)}
            if not matches:
                what = f"no sensor {quoted(pattern.text)}"
                if not pattern.exact:
                    what = f"no sensor matches {visible(pattern.text)}"
                errors.append(Refused(what))
            found.update(matches)
            continue
        result = described[pattern.text]
        if isinstance(result, SensorInfo):
            found[result.name] = result
        else:
            errors.append(result)
    return Found(found, errors)


async def _describe(asker: Asker, name: str) -> SensorInfo | CommandError:
    reply, informs = await asker.ask("sensor-list", name)
    if reply.reply_ok() and informs:
        return SensorInfo.of(informs[0].arguments)
    text = f"no sensor {quoted(name)}"
    if reply.reply_ok() or b"nknown sensor" in b" ".join(reply.arguments):
        return Refused(text)
    return Refused(f"{text}: {refusal_text('sensor-list', reply.arguments)}")


async def read_sensors(
    asker: Asker, names: Sequence[str]
) -> tuple[list[Reading], list[CommandError]]:
    """Return the present readings of sensors, in their order, and what went wrong."""
    errors: list[CommandError] = []
    if len(names) > _MANY:
        informs = await asker.ask_ok("sensor-value")
        known = {
            reading.name: reading
            for inform in informs
            for reading in parse_readings(inform.arguments, asker.major)
        }
        return [known[name] for name in names if name in known], errors
    readings = []
    with asker.progress.step("readings", len(names)) as step:
        results = await in_turns([_read(asker, name) for name in names], step)
    for result in results:
        if isinstance(result, Reading):
            readings.append(result)
        else:
            errors.append(result)
    return readings, errors


async def _read(asker: Asker, name: str) -> Reading | CommandError:
    reply, informs = await asker.ask("sensor-value", name)
    for inform in informs if reply.reply_ok() else ():
        for reading in parse_readings(inform.arguments, asker.major):
            if reading.name == name:
                return reading
    if reply.reply_ok():
        return Refused(f"the device sent no reading of {quoted(name)}")
    return Refused(refusal_text("sensor-value", reply.arguments))


async def set_strategy(
    asker: Asker, names: Sequence[str], strategy: Sequence[str]
) -> list[CommandError]:
    """Have readings of sensors sent; return what went wrong.

    Where the device can take many names at once they go in few requests. A list that is refused
    is tried name by name, since one of them may be gone by now.
    """
    flags = asker.client.protocol_flags
    bulk = flags is not None and flags.bulk_set_sensor_sampling
    groups = _groups(names) if bulk else _each(names)
    with asker.progress.step("strategies", len(groups)) as step:
        results = await in_turns([_set(asker, group, strategy) for group in groups], step)
    return [error for errors in results for error in errors]


def _each(names: Sequence[str]) -> list[list[str]]:
    return [[name] for name in names]


def _groups(names: Sequence[str]) -> list[list[str]]:
    """Return the names in groups whose list is not too long for a line."""
    groups: list[list[str]] = []
    size = _LONGEST_LIST
    for name in names:
        length = len(name.encode("utf-8", "replace")) + 1
        # A comma would be taken for the end of a name; such a sensor goes alone.
        if "," in name or size + length > _LONGEST_LIST:
            groups.append([])
            size = _LONGEST_LIST if "," in name else 0
        groups[-1].append(name)
        size += length
    return groups


async def _set(asker: Asker, names: Sequence[str], strategy: Sequence[str]) -> list[CommandError]:
    reply, _ = await asker.ask("sensor-sampling", ",".join(names), *strategy)
    if reply.reply_ok():
        return []
    if len(names) == 1:
        reason = refusal_text("sensor-sampling", reply.arguments)
        return [Refused(f"{visible(names[0])}: {reason}")]
    results = await in_turns([_set(asker, [name], strategy) for name in names])
    return [error for errors in results for error in errors]


async def without_strategy(asker: Asker, names: Sequence[str]) -> set[str]:
    """Return those of the sensors whose readings are not sent (any more)."""

    async def is_lost(name: str) -> bool:
        reply, _ = await asker.ask("sensor-sampling", name)
        return reply.reply_ok() and reply.arguments[2:3] in ([b"none"], [])

    lost = await in_turns([is_lost(name) for name in names])
    return {name for name, is_so in zip(names, lost, strict=True) if is_so}


async def in_turns(
    coroutines: Sequence[Coroutine[Any, Any, _T]], step: Step | None = None
) -> list[_T]:
    """Return the results of coroutines of which not too many are under way at once."""
    allowed = asyncio.Semaphore(_AT_ONCE)

    async def one(coroutine: Coroutine[Any, Any, _T]) -> _T:
        async with allowed:
            result = await coroutine
        if step is not None:
            step.advance()
        return result

    tasks = [asyncio.ensure_future(one(coroutine)) for coroutine in coroutines]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
