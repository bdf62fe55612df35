"""From what a file says of providers to their descriptions, each of which has been tried.

An endpoint is made of each description, and thrown away: so the file is checked by what will use
it, and all that is wrong is told at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from katcp.device_files._forms_of_many import Fields
from katcp.device_files._problems import Place, Problems, quoted
from katcp.device_files._spec import EndpointSpec
from katcp.device_files._tree import Scalar

if TYPE_CHECKING:
    from katcp.device_files._build import Builder

#: Keys that do not go to the class as they are.
_OWN = frozenset({"for", "name", "module", "endpoints", "range", "words"})

#: What the sensors of an endpoint are called behind its own name.
_SENSORS = ("", ".raw", ".locked", ".logging", ".last-alert")


def providers(
    builder: Builder, described: Iterable[Fields], requests: Mapping[str, Place]
) -> tuple[EndpointSpec, ...]:
    """Return the providers of a device; what is wrong goes to the problems.

    Parameters
    ----------
    builder : Builder
    described : iterable of Fields
    requests : mapping
        Names of the other requests of the device -> where they come from.
    """
    # Devices without endpoints do not load what endpoints need.
    from katcp.device_files._providers import Trial, make_endpoint, request_names

    problems = builder.problems
    trial = Trial(builder.names)
    found: list[EndpointSpec] = []
    names: dict[str, Place] = {}
    for fields in described:
        fresh = _is_new(names, fields, problems)
        inside: dict[str, Place] = {}
        good = []
        for key in fields.get("endpoints", ()):
            only = _is_new(inside, key, problems)
            spec = _endpoint(key, "kv_store_key", problems)
            if spec is not None and _can_be_made(make_endpoint, spec, key, problems) and only:
                good.append(spec)
        store = _endpoint(fields, "kv_store", problems, tuple(good))
        if store is None or not fresh:
            continue
        _check_sensors(builder, store, fields)
        if _can_be_made(trial.add, store, fields, problems):
            found.append(store)
    taken = request_names()
    for name, place in requests.items():
        if name in taken:
            problems.add(place, f"endpoints have a request ?{name}; it cannot be another one")
    return tuple(found)


def _is_new(names: dict[str, Place], fields: Fields, problems: Problems) -> bool:
    """Tell whether a name is not there yet, and take note of it; complain else."""
    name: str = fields["name"]
    mapped = name.replace("-", "_")
    place = fields.at("name")
    first = names.setdefault(mapped, place)
    if first is not place:
        text = f"{quoted(name)} is there already, by line {first.line} (to clients '-' is '_')"
        problems.add(place, text)
    return first is place


def _endpoint(
    fields: Fields, module: str, problems: Problems, inside: tuple[EndpointSpec, ...] = ()
) -> EndpointSpec | None:
    module = fields.get("module", module)
    bad = [key for key in fields.nodes if fields.is_bad(key)]
    options = {key: _plain(value) for key, value in fields.items() if key not in _OWN}
    if "conditions" in options:
        options["conditions"] = {int(n): value for n, value in options["conditions"].items()}
    if "initial_value" in options:
        options["initial_value"] = _initial(fields)
    params = [key for key in ("range", "words") if key in fields]
    if len(params) == 2:
        problems.add(fields.at("words"), "numbers have a range, discrete values have words")
        return None
    if params:
        options["params"] = list(fields[params[0]])
    if module == "derived":
        if "expression" not in fields and not bad:
            problems.add(fields.place, "a derived endpoint needs an 'expression'")
            bad.append("expression")
        for key in ("initial_value", "quantum"):
            if key in fields:
                problems.add(fields.places[key], f"a derived endpoint has no {quoted(key)}")
                bad.append(key)
    elif "expression" in fields:
        text = "only a derived endpoint (module: derived) has an expression"
        problems.add(fields.places["expression"], text)
        bad.append("expression")
    return None if bad else EndpointSpec(fields["name"], module, options, inside)


def _plain(value: Any) -> Any:
    """Return what a form has read as values of Python."""
    if isinstance(value, Scalar):
        return value.value
    if isinstance(value, Fields):
        return {name: _plain(item) for name, item in value.items()}
    return value


def _initial(fields: Fields) -> Any:
    """Return the first value: text as it stands in the file, unless it is of another type."""
    node: Scalar = fields["initial_value"]
    calibrated = "calibration" in fields.nodes
    kind = fields.get("raw_type", "string" if calibrated else fields.get("type", "string"))
    return node.value if kind == "boolean" and isinstance(node.value, bool) else node.text


def _can_be_made(make: Any, spec: EndpointSpec, fields: Fields, problems: Problems) -> bool:
    """Make an endpoint, and complain if that fails."""
    try:
        make(spec)
    except (TypeError, ValueError) as error:
        text = str(error).removeprefix(f"{spec.name}: ")
        problems.add(_where(spec, fields, text), text)
        return False
    return True


def _where(spec: EndpointSpec, fields: Fields, text: str) -> Place:
    """Return the place of the key that an error is about."""
    for key in ("calibration", "expression"):
        # An error of an expression tells of its text, not of the option.
        if isinstance(fields.get(key), str) and repr(fields[key])[1:-1][:40] in text:
            return fields.at(key)
    for inside in fields.get("endpoints", ()):
        if repr(inside["name"]) in text:
            place: Place = inside.at("name")
            return place
    for key in fields.nodes:
        if key in text.split(":")[0]:
            return fields.at(key)
    for key in ("calibration", "range", "words", "expression"):
        if key in fields.nodes:
            return fields.at(key)
    return fields.at("name")


def _check_sensors(builder: Builder, store: EndpointSpec, fields: Fields) -> None:
    """Complain of endpoints whose sensors would have the names of others."""
    others = {name.replace("-", "_").replace(".", "_"): name for name in builder.names}
    for path in (store.name, *(f"{store.name}.{key.name}" for key in store.endpoints)):
        for word in _SENSORS:
            name = path + word
            known = others.get(name.replace("-", "_").replace(".", "_"))
            if known is not None:
                text = f"the sensor {quoted(name)} of it would be {quoted(known)} of the section"
                builder.problems.add(fields.at("name"), f"{text} 'sensors' to clients")
