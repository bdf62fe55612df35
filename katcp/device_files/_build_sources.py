"""Sources of sensors, as a file says them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from katcp.device_files._forms_of_many import Fields
from katcp.device_files._grammar_of_sources import NUMBER_SIGNALS, SIGNALS
from katcp.device_files._problems import Place, hint, quoted
from katcp.device_files._spec import (
    Command,
    CommandOutput,
    Extract,
    FileContent,
    OtherDevice,
    Phrase,
    Reading,
    SensorSpec,
    Signal,
)
from katcp.device_files._values import Kind

if TYPE_CHECKING:
    from katcp.device_files._build import Builder

#: Keys of a signal that are not its own.
_COMMON = ("every",)


def source(
    builder: Builder,
    name: str,
    kind: Kind,
    fields: Fields,
    nominal: tuple[float, float] | None,
) -> Signal | Reading | None:
    """Return the source of a sensor; None after a complaint."""
    ((word, options),) = fields.items()
    place = fields.places[word]
    if word in SIGNALS:
        return _signal(builder, name, kind, word, options, nominal, place)
    extract = _extract(builder, kind, options)
    if word == "sensor":
        host, _, port = options["device"].rpartition(":")
        if not 0 < int(port) < 65536:
            builder.problems.add(options.at("device"), f"{port} is no port; 1 to 65535 are")
            return None
        return Reading(OtherDevice(host.strip("[]"), int(port)), extract, options["name"])
    if word == "file":
        path = os.path.join(builder.directory, os.path.expanduser(options["path"]))
        every, on_change = float(options.get("every", 1.0)), options.get("on-change", False)
        return Reading(FileContent(path, every, on_change), extract)
    run = command(builder, options)
    if run is None:
        return None
    return Reading(CommandOutput(run, float(options.get("every", 10.0))), extract)


def command(builder: Builder, fields: Fields) -> Command | None:
    """Return a command; None after a complaint."""
    run, shell = fields["run"], fields.get("shell", False)
    if shell and not isinstance(run, str):
        builder.problems.add(fields.at("run"), "for a shell this has to be one text")
        return None
    if not shell and isinstance(run, str):
        builder.problems.add(
            fields.at("run"), "this has to be a list of words; a text is for 'shell: true'"
        )
        return None
    words = [run] if isinstance(run, str) else run
    if any("\0" in word for word in words) or not words or not words[0]:
        builder.problems.add(fields.at("run"), "a command begins with the name of a program")
        return None
    return Command(tuple(Phrase(w) for w in words), shell, float(fields.get("timeout", 10.0)))


def _extract(builder: Builder, kind: Kind, fields: Fields) -> Extract:
    for key in ("scale", "offset"):
        if key in fields and not kind.is_number:
            builder.problems.add(fields.at(key), f"a {kind.name} has no {key}; numbers have")
    if fields.get("line") == 0:
        builder.problems.add(fields.at("line"), "lines are counted from 1, or -1 from the end")
    return Extract(
        fields.get("line"),
        fields.get("regex"),
        float(fields.get("scale", 1.0)),
        float(fields.get("offset", 0.0)),
    )


def _signal(
    builder: Builder,
    name: str,
    kind: Kind,
    word: str,
    fields: Fields,
    nominal: tuple[float, float] | None,
    place: Place,
) -> Signal | None:
    if word in NUMBER_SIGNALS and not kind.is_number:
        builder.problems.add(place, f"a {word} is for numbers; for a {kind.name} there is 'steps'")
        return None
    own = {key: value for key, value in fields.items() if key not in _COMMON}
    options: dict[str, Any] = {"seed": name, **own}
    before = len(builder.problems.found)
    if word == "square":
        _square(builder, kind, fields, options, place)
    elif word == "steps":
        _steps(builder, kind, fields, options, place)
    elif word == "random-walk":
        low, high = fields.get("min"), fields.get("max")
        if low is not None and high is not None and low > high:
            builder.problems.add(fields.at("min"), "'min' is above 'max'")
        options.setdefault("start", _middle(low, high, nominal))
    if len(builder.problems.found) > before:
        return None
    return Signal(word, tuple(sorted(options.items())), float(fields.get("every", 1.0)))


def _middle(low: float | None, high: float | None, nominal: tuple[float, float] | None) -> float:
    if (low is None or high is None) and nominal is not None:
        low = nominal[0] if low is None else low
        high = nominal[1] if high is None else high
    if low is not None and high is not None:
        return (low + high) / 2
    return next((bound for bound in (low, high) if bound is not None), 0.0)


def _square(
    builder: Builder, kind: Kind, fields: Fields, options: dict[str, Any], place: Place
) -> None:
    defaults = (False, True) if kind.name == "boolean" else (0, 1) if kind.is_number else None
    for number, key in enumerate(("low", "high")):
        if key in fields:
            options[key] = builder.value(kind, fields[key])
        elif defaults is not None:
            options[key] = defaults[number]
        else:
            builder.problems.add(place, f"a square of a {kind.name} needs {quoted(key)}")


def _steps(
    builder: Builder, kind: Kind, fields: Fields, options: dict[str, Any], place: Place
) -> None:
    if "values" in fields:
        options["values"] = tuple(builder.value(kind, node) for node in fields["values"])
    elif kind.words:
        options["values"] = kind.words
    elif kind.name == "boolean":
        options["values"] = (False, True)
    else:
        builder.problems.add(place, f"steps of a {kind.name} need 'values'")


def check_follow(builder: Builder, sensor: SensorSpec, fields: Fields) -> None:
    """Check what a sensor follows, when all sensors are known."""
    if not isinstance(sensor.source, Signal) or sensor.source.name != "follow":
        return
    options: Fields = fields["source"]["follow"]
    target, place = options["sensor"], options.at("sensor")
    if target == sensor.name:
        builder.problems.add(place, "a sensor cannot follow itself")
    elif target not in builder.names:
        numbers = [name for name, kind in builder.kinds.items() if kind.is_number]
        builder.problems.add(place, f"no sensor {quoted(target)}{hint(target, numbers)}")
    elif target in builder.kinds and not builder.kinds[target].is_number:
        builder.problems.add(place, f"{quoted(target)} is no number that can be followed")
