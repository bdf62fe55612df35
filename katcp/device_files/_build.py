"""From what the sections of a file say to a `DeviceSpec`: what no form can check by itself."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from katcp.device_files import _build_requests as requests
from katcp.device_files import _build_sources as sources
from katcp.device_files._build_providers import providers
from katcp.device_files._forms_of_many import Fields
from katcp.device_files._grammar_of_providers import ENDPOINT_NAME
from katcp.device_files._problems import Place, Problems, hint, quoted
from katcp.device_files._spec import DeviceSpec, EndpointSpec, Request, SensorSpec
from katcp.device_files._tree import Scalar
from katcp.device_files._values import Kind
from katcp.sensors import STATUS_NAMES

_Range = tuple[float, float]


class Builder:
    """Makes the parts of a device; what is wrong goes to the problems, and the part is left out.

    Parameters
    ----------
    problems : Problems
    names : set of str
        Of all sensors, with those that have been complained of.
    path : Path
        Of the file.
    """

    def __init__(self, problems: Problems, names: set[str], path: Path) -> None:
        self.problems = problems
        self.names = names
        self.directory = str(path.absolute().parent)
        #: Kinds of the sensors that are all right.
        self.kinds: dict[str, Kind] = {}
        #: Sensors whose source would overwrite what is set.
        self.driven: set[str] = set()

    def device(self, sections: Mapping[str, Fields]) -> DeviceSpec | None:
        """Return the device; None if that makes no sense for what is wrong."""
        described: Mapping[str, Fields] = sections.get("sensors", {})
        sensors = {}
        for name, fields in described.items():
            sensor = self._sensor(name, fields)
            if sensor is not None:
                sensors[name] = sensor
        for sensor in sensors.values():
            sources.check_follow(self, sensor, described[sensor.name])
        found: dict[str, Request] = {}
        asked: Mapping[str, Fields] = sections.get("requests", {})
        for name, fields in asked.items():
            request = requests.request(self, name, fields)
            if request is not None:
                found[name] = request
        self._setting_requests(sensors, described, asked, found)
        stores: tuple[EndpointSpec, ...] = ()
        if "providers" in sections:
            places = {name: fields.place for name, fields in asked.items()}
            for name, fields in described.items():
                if fields.get("settable", False) is not False:
                    places.setdefault(requests.setting_name(name), fields.at("settable"))
            described_providers: Any = sections["providers"]  # a list
            stores = providers(self, described_providers, places)
        device = sections.get("device")
        if device is None:
            return None
        version = device.get("version", "0.1")
        major, minor = (int(part) for part in version.split("."))
        build = device.get("build", f"{device['name']}-{version}")
        device_name: str = device["name"]
        file = device.get("persist")
        return DeviceSpec(
            device_name,
            (major, minor),
            build,
            sensors,
            found,
            self.directory,
            stores,
            device.get("node", device_name if re.fullmatch(ENDPOINT_NAME, device_name) else ""),
            None if file is None else os.path.join(self.directory, file),
            float(device.get("flush-interval", 1.0)),
        )

    def _setting_requests(
        self,
        sensors: Mapping[str, SensorSpec],
        described: Mapping[str, Fields],
        asked: Mapping[str, Fields],
        found: dict[str, Request],
    ) -> None:
        """Add the requests that set the sensors that clients may set."""
        owners: dict[str, str] = {}
        for name, sensor in sensors.items():
            fields = described[name]
            if fields.get("settable", False) is False:
                continue
            place = fields.at("settable")
            request = requests.setting_request(self, sensor, fields["settable"], place)
            if request is None:
                continue
            if request.name in asked:
                text = f"?{request.name}, which would set it, is one of the requests below"
                self.problems.add(place, text)
            elif request.name in owners:
                other = quoted(owners[request.name])
                self.problems.add(place, f"?{request.name} would set {other} as well")
            else:
                owners[request.name] = name
                found[request.name] = request

    # -- sensors ------------------------------------------------------------------------

    def _sensor(self, name: str, fields: Fields) -> SensorSpec | None:
        before = len(self.problems.found)
        kind = self.kind(fields)
        if kind is None:
            return None
        if kind.name == "timestamp" and fields.get("units"):
            self.problems.add(fields.at("units"), "a timestamp has no units: it is in seconds")
        nominal, warn = self._limits(kind, fields)
        statuses = self._statuses(kind, fields)
        source_fields = fields.get("source")
        initial = self.value(kind, fields["initial"]) if "initial" in fields else None
        source = None
        if source_fields is not None:
            if "constant" in source_fields:
                if "initial" in fields:
                    self.problems.add(
                        fields.at("initial"), "a constant is the first value too: leave this out"
                    )
                initial = self.value(kind, source_fields["constant"])
            else:
                source = sources.source(self, name, kind, source_fields, nominal)
                self.driven.add(name)
        status = STATUS_NAMES[fields["status"]] if "status" in fields else None
        if len(self.problems.found) > before:
            return None
        self.kinds[name] = kind
        return SensorSpec(
            name,
            kind,
            fields.get("description", ""),
            fields.get("units", ""),
            nominal,
            warn,
            statuses,
            initial,
            status,
            source,
        )

    def kind(self, fields: Fields, default: str | None = None) -> Kind | None:
        """Return the type that a sensor or argument has."""
        if fields.is_bad("type") or fields.is_bad("words"):
            return None
        name: str = fields.get("type", default or "string")
        words = tuple(fields.get("words", ()))
        if name == "discrete" and not words:
            self.problems.add(fields.at("type"), "a discrete type needs 'words', a list of them")
            return None
        if name != "discrete" and words:
            self.problems.add(fields.at("words"), f"only a discrete type has words, not {name}")
            return None
        if len(set(words)) < len(words):
            self.problems.add(fields.at("words"), "a word is here twice")
            return None
        return Kind(name, words)

    def _limits(self, kind: Kind, fields: Fields) -> tuple[_Range | None, _Range | None]:
        nominal = self.range(kind, fields, "nominal")
        warn = self.range(kind, fields, "warn")
        if warn is not None and "nominal" not in fields.nodes:
            self.problems.add(fields.at("warn"), "'warn' needs 'nominal', the range inside it")
        elif warn and nominal and not (warn[0] <= nominal[0] and nominal[1] <= warn[1]):
            self.problems.add(fields.at("warn"), "the range 'warn' has to contain 'nominal'")
        return nominal, warn

    def range(self, kind: Kind, fields: Fields, key: str) -> _Range | None:
        """Return a range of values."""
        pair = fields.get(key)
        if pair is None:
            return None
        if not kind.is_number:
            self.problems.add(fields.at(key), f"a {kind.name} has no range; numbers have")
            return None
        low, high = pair
        if kind.name == "integer":
            if not (float(low).is_integer() and float(high).is_integer()):
                self.problems.add(fields.at(key), "the range of an integer has whole numbers")
                return None
            return int(low), int(high)
        return float(low), float(high)

    def _statuses(self, kind: Kind, fields: Fields) -> tuple[tuple[Any, int], ...]:
        described: Fields | None = fields.get("statuses")
        found = []
        for text, word in (described or {}).items():
            place = described.places[text]  # type: ignore[union-attr]  # it has items
            value = self.text_value(kind, text, place)
            if value is not None:
                found.append((value, STATUS_NAMES[word]))
        return tuple(found)

    # -- helps for all parts ------------------------------------------------------------

    def value(self, kind: Kind, node: Scalar) -> Any:
        """Return the value of a node; None after a complaint."""
        return self.text_value(kind, node.text, node.place)

    def text_value(self, kind: Kind, text: str, place: Place) -> Any:
        """Return the value of a text; None after a complaint."""
        try:
            value = kind.read(text)
            kind.write(value)
        except (ValueError, TypeError, OverflowError) as error:
            guess = hint(text, kind.words) if kind.words else ""
            self.problems.add(place, f"{error}{guess}")
            return None
        return value

    def known_sensor(self, name: str, place: Place) -> bool:
        """Tell whether there is a sensor of that name in the file; complain if not."""
        if name in self.names:
            return True
        self.problems.add(place, f"no sensor {quoted(name)}{hint(name, self.names)}")
        return False

    def references(self, used: Iterable[str], known: Iterable[str] | None, place: Place) -> None:
        """Complain of names after ``$`` that stand for nothing; not if it is not known what may."""
        if known is None:
            return
        names = list(known)
        for name in sorted(set(used) - set(names)):
            there = hint(name, names, sigil="$") or (
                f"; there are {', '.join('$' + n for n in names)}" if names else ""
            )
            self.problems.add(place, f"no argument {quoted('$' + name)}{there}")
