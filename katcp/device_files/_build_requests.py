"""Requests, as a file says them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from katcp.device_files._build_sources import command
from katcp.device_files._forms_of_many import Fields
from katcp.device_files._problems import Place, quoted
from katcp.device_files._spec import (
    Argument,
    Command,
    Condition,
    Phrase,
    Refusal,
    Request,
    SensorSpec,
)
from katcp.device_files._tree import Scalar
from katcp.device_files._values import Kind
from katcp.sensors import STATUS_NAMES

if TYPE_CHECKING:
    from katcp.device_files._build import Builder

#: What a command wrote, among the arguments.
OUTPUT = "output"
#: The argument of requests that set a sensor.
VALUE = "value"

_NOT_IN_REQUESTS = re.compile(r"[^A-Za-z0-9-]", re.ASCII)


def setting_name(sensor: str) -> str:
    """Return the name of the request that sets a sensor: ``set-NAME``, with dashes for dots."""
    return f"set-{_NOT_IN_REQUESTS.sub('-', sensor)}"


def request(builder: Builder, name: str, fields: Fields) -> Request | None:
    """Return a request; None after a complaint."""
    before = len(builder.problems.found)
    arguments = _arguments(builder, fields)
    kinds = {argument.name: argument.kind for argument in arguments}
    described = fields.nodes.get("arguments")
    # Nothing follows from what is not known because something is wrong with it.
    sure = described is None or len(arguments) == len(getattr(described, "items", "?"))
    names = list(kinds) if sure else None
    runs = _runs(builder, fields, names)
    known = names
    if names is not None and "runs" in fields.nodes:
        known = [*names, OUTPUT]
    replies = fields.get("replies", [])
    phrases = tuple(map(Phrase, [replies] if isinstance(replies, str) else replies))
    for phrase in phrases:
        builder.references(phrase.references(), known, fields.at("replies"))
    made = Request(
        name,
        fields["description"],
        arguments,
        _fails(builder, fields, names),
        float(fields.get("takes", 0)),
        runs,
        _sets(builder, fields, kinds, known) if sure else (),
        phrases,
    )
    return made if len(builder.problems.found) == before else None


def setting_request(
    builder: Builder, sensor: SensorSpec, described: Any, place: Place
) -> Request | None:
    """Return the request that sets a sensor; None after a complaint."""
    before = len(builder.problems.found)
    fields = described if isinstance(described, Fields) else None
    runs = None if fields is None else _runs(builder, fields, [VALUE])
    driven = sensor.source is not None
    if driven and (fields is None or "runs" not in fields.nodes):
        builder.problems.add(
            place, "its source would overwrite what is set; with 'runs' a command can set it"
        )
    limits = pattern = None
    fails: tuple[Refusal, ...] = ()
    if fields is not None:
        limits = builder.range(sensor.kind, fields, "range")
        pattern = _pattern(builder, sensor.kind, fields)
        fails = _fails(builder, fields, [VALUE])
    if len(builder.problems.found) > before:
        return None
    what = f" [{sensor.units}]" if sensor.units else ""
    about = f": {sensor.description}" if sensor.description else ""
    return Request(
        setting_name(sensor.name),
        f"Set the sensor {sensor.name}{what}{about}",
        (Argument(VALUE, sensor.kind, limits=limits, pattern=pattern),),
        fails,
        0.0 if fields is None else float(fields.get("takes", 0)),
        runs,
        () if driven else ((sensor.name, Phrase(f"${VALUE}")),),
        (Phrase(f"${VALUE}"),),
        sensor.name if driven else None,
    )


def _arguments(builder: Builder, fields: Fields) -> tuple[Argument, ...]:
    arguments: list[Argument] = []
    for described in fields.get("arguments", []):
        name, place = described["name"], described.at("name")
        if name == OUTPUT or name in [argument.name for argument in arguments]:
            what = "is what a command wrote" if name == OUTPUT else "is the name of another one"
            builder.problems.add(place, f"{quoted(name)} {what}")
            continue
        kind = builder.kind(described, "string")
        if kind is None:
            continue
        limits = builder.range(kind, described, "range")
        pattern = _pattern(builder, kind, described)
        default = builder.value(kind, described["default"]) if "default" in described else None
        if default is None and arguments and arguments[-1].default is not None:
            builder.problems.add(place, "it needs a default, since the one before it has one")
        if default is not None and limits and not limits[0] <= default <= limits[1]:
            builder.problems.add(described.at("default"), "the default is outside the range")
        arguments.append(
            Argument(name, kind, described.get("description", ""), limits, pattern, default)
        )
    return tuple(arguments)


def _pattern(builder: Builder, kind: Kind, fields: Fields) -> str | None:
    pattern: str | None = fields.get("pattern")
    if pattern is not None and kind.name != "string":
        builder.problems.add(fields.at("pattern"), f"a {kind.name} has no pattern; strings have")
    return pattern


def _runs(builder: Builder, fields: Fields, known: list[str] | None) -> Command | None:
    described = fields.get("runs")
    if described is None:
        return None
    if isinstance(described, list):
        made: Command | None = Command(tuple(map(Phrase, described)))
        if not described[0]:
            builder.problems.add(fields.at("runs"), "a command begins with the name of a program")
    else:
        made = command(builder, described)
    if made is not None and not made.shell:  # a shell has variables of its own
        for word in made.words:
            builder.references(word.references(), known, fields.at("runs"))
    return made


def _fails(builder: Builder, fields: Fields, known: list[str] | None) -> tuple[Refusal, ...]:
    refusals = []
    for described in fields.get("fails", []):
        builder.references(Phrase(described["text"]).references(), known, described.at("text"))
        conditions = []
        when: Fields | None = described.get("when")
        for name, value in (when or {}).items():
            place = when.places[name]  # type: ignore[union-attr]  # it has items
            if not builder.known_sensor(name, place):
                continue
            condition = _condition(builder, name, value, place)
            if condition is not None:
                conditions.append(condition)
        refusals.append(Refusal(tuple(conditions), described["text"]))
    return tuple(refusals)


def _condition(builder: Builder, name: str, value: Any, place: Place) -> Condition | None:
    kind = builder.kinds.get(name)
    if kind is None:
        return None  # the sensor has been complained of
    if isinstance(value, Scalar):
        return Condition(name, "is", builder.value(kind, value))
    ((relation, wanted),) = value.items()
    if relation == "status":
        return Condition(name, relation, STATUS_NAMES[wanted])
    if relation in ("below", "above") and not (kind.is_number or kind.name == "timestamp"):
        builder.problems.add(place, f"a {kind.name} is neither below nor above anything")
        return None
    return Condition(name, relation, builder.value(kind, wanted))


def _sets(
    builder: Builder, fields: Fields, kinds: dict[str, Kind], known: list[str] | None
) -> tuple[tuple[str, Phrase], ...]:
    described = fields.get("sets")
    if described is None:
        return ()
    if isinstance(described, str):
        if len(kinds) != 1:
            builder.problems.add(
                fields.at("sets"),
                "one sensor gets the only argument; with more or fewer, write SENSOR: $NAME",
            )
            return ()
        targets = {described: (Phrase(f"${next(iter(kinds))}"), fields.at("sets"))}
        places = {described: fields.at("sets")}
    else:
        targets = {n: (Phrase(node.text), node.place) for n, node in described.items()}
        places = described.places
    for sensor, (phrase, place) in targets.items():
        if not builder.known_sensor(sensor, places[sensor]):
            continue
        if sensor in builder.driven:
            builder.problems.add(
                places[sensor], f"{quoted(sensor)} has a source that would overwrite what is set"
            )
        builder.references(phrase.references(), known, place)
        _check_set(builder, sensor, phrase, kinds, place)
    return tuple((sensor, phrase) for sensor, (phrase, _) in targets.items())


def _check_set(
    builder: Builder, sensor: str, phrase: Phrase, kinds: dict[str, Kind], place: Place
) -> None:
    """Complain of what can never be a value of a sensor."""
    kind = builder.kinds.get(sensor)
    if kind is None:
        return
    used = phrase.references()
    if not used:
        builder.text_value(kind, phrase.filled({}), place)
        return
    (name,) = used if len(used) == 1 else (None,)
    given = kinds.get(name) if name is not None else None
    whole = name is not None and phrase.text in (f"${name}", f"${{{name}}}")
    if given is None or not whole or given.name in ("string", kind.name) or kind.name == "string":
        return
    if (given.name, kind.name) not in (("integer", "float"), ("float", "integer")):
        builder.problems.add(place, f"{quoted(sensor)} is a {kind.name}, ${name} a {given.name}")
