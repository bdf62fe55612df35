"""What a device file says, as frozen values without places: two of them can be compared."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from katcp.device_files._values import Kind

#: A reference to an argument of a request or a variable of a template; ``$$`` is a dollar.
REFERENCE = re.compile(
    r"\$(?:(?P<plain>[a-z][a-z0-9_]*)|\{(?P<braced>[a-z][a-z0-9_]*)\}|(?P<dollar>\$))", re.ASCII
)


@dataclass(frozen=True)
class Phrase:
    """Text in which ``$name`` stands for an argument."""

    text: str

    def references(self) -> set[str]:
        """Return the names that it refers to."""
        found = (m["plain"] or m["braced"] for m in REFERENCE.finditer(self.text))
        return {name for name in found if name}

    def filled(self, texts: Mapping[str, str]) -> str:
        """Return the text with what the names stand for."""
        return REFERENCE.sub(
            lambda m: "$" if m["dollar"] else texts[m["plain"] or m["braced"]], self.text
        )


@dataclass(frozen=True)
class Command:
    """A program to run.

    Attributes
    ----------
    words : tuple of Phrase
        Program and arguments; for a shell, the one text.
    shell : bool
        Whether a shell reads the text; arguments of a request are variables of it then.
    timeout : float
        After this it is killed, with all that it started [s].
    """

    words: tuple[Phrase, ...]
    shell: bool = False
    timeout: float = 10.0


@dataclass(frozen=True)
class Signal:
    """A simulated value.

    Attributes
    ----------
    name : str
        Such as ``sine``.
    options : tuple of (str, object)
    every : float
        Time between two values [s].
    """

    name: str
    options: tuple[tuple[str, Any], ...]
    every: float = 1.0


@dataclass(frozen=True)
class Extract:
    """How a value is got out of a text."""

    line: int | None = None
    regex: str | None = None
    scale: float = 1.0
    offset: float = 0.0


@dataclass(frozen=True)
class CommandOutput:
    """What a command writes."""

    command: Command
    every: float


@dataclass(frozen=True)
class FileContent:
    """What stands in a file."""

    path: str
    every: float
    on_change: bool = False


@dataclass(frozen=True)
class OtherDevice:
    """Sensors of another device."""

    host: str
    port: int


@dataclass(frozen=True)
class Reading:
    """A value that is read somewhere.

    Attributes
    ----------
    origin : CommandOutput, FileContent or OtherDevice
        Those of several sensors that are equal are read once.
    extract : Extract
    name : str
        Of the sensor of another device.
    """

    origin: CommandOutput | FileContent | OtherDevice
    extract: Extract = Extract()
    name: str = ""


@dataclass(frozen=True)
class Argument:
    """An argument of a request.

    Attributes
    ----------
    name : str
    kind : Kind
    description : str
    limits : (float, float), optional
    pattern : str, optional
    default : object
        None: it is needed.
    """

    name: str
    kind: Kind
    description: str = ""
    limits: tuple[float, float] | None = None
    pattern: str | None = None
    default: Any = None


@dataclass(frozen=True)
class Condition:
    """Something that a sensor may be.

    Attributes
    ----------
    sensor : str
    relation : str
        ``is``, ``not``, ``below``, ``above`` or ``status``.
    value : object
        Of the sensor's type; for ``status`` a status constant.
    """

    sensor: str
    relation: str
    value: Any


@dataclass(frozen=True)
class Refusal:
    """When a request fails, and with which text; always, without conditions."""

    when: tuple[Condition, ...]
    text: str


@dataclass(frozen=True)
class Request:
    """A request of a device.

    Attributes
    ----------
    name : str
    description : str
    arguments : tuple of Argument
    fails : tuple of Refusal
        The first whose conditions are met is the answer.
    takes : float
        How long it takes, besides `runs` [s].
    runs : Command, optional
    sets : tuple of (str, Phrase)
        Sensor, and the text of its new value.
    replies : tuple of Phrase
        Arguments of the reply, after ``ok``.
    renews : str, optional
        Sensor whose source is read at once when it is done.
    """

    name: str
    description: str
    arguments: tuple[Argument, ...] = ()
    fails: tuple[Refusal, ...] = ()
    takes: float = 0.0
    runs: Command | None = None
    sets: tuple[tuple[str, Phrase], ...] = ()
    replies: tuple[Phrase, ...] = ()
    renews: str | None = None


@dataclass(frozen=True)
class SensorSpec:
    """A sensor of a device.

    Attributes
    ----------
    name : str
    kind : Kind
    description : str
    units : str
    nominal, warn : (float, float), optional
        Ranges; outside the first the status is ``warn``, outside both ``error``.
    statuses : tuple of (object, int)
        Values that have a status of their own.
    initial : object
        First value; None: there is none.
    status : int, optional
        Status of the first value, if it does not go by the limits.
    source : Signal or Reading, optional
    """

    name: str
    kind: Kind
    description: str = ""
    units: str = ""
    nominal: tuple[float, float] | None = None
    warn: tuple[float, float] | None = None
    statuses: tuple[tuple[Any, int], ...] = ()
    initial: Any = None
    status: int | None = None
    source: Signal | Reading | None = None

    @property
    def params(self) -> tuple[Any, ...]:
        """What follows the type in ``#sensor-list``."""
        if self.kind.words:
            return self.kind.words
        return (*(self.nominal or ()), *(self.warn or ()))

    @property
    def interface(self) -> tuple[Any, ...]:
        """What clients are told of it; if that changes it is another sensor."""
        return (self.kind, self.description, self.units, self.params)


@dataclass(frozen=True)
class EndpointSpec:
    """An endpoint of a device, or a provider with what belongs to it.

    Attributes
    ----------
    name : str
    module : str
        What it is: ``kv_store``, ``kv_store_key`` or ``derived``.
    options : mapping
        Keyword arguments of its class.
    endpoints : tuple of EndpointSpec
        What belongs to it.
    """

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    endpoints: tuple[EndpointSpec, ...] = ()


@dataclass(frozen=True)
class DeviceSpec:
    """A device.

    Attributes
    ----------
    name : str
    version : (int, int)
        Of its interface.
    build : str
        Of its software.
    sensors : dict of str to SensorSpec
    requests : dict of str to Request
        With those that set sensors.
    directory : str
        Where its commands run, and where paths begin.
    providers : tuple of EndpointSpec
        Its outermost endpoints.
    node : str
        First name of their addresses.
    persist : str, optional
        File in which their values are kept.
    flush_interval : float
        Longest time for which a value is not in that file [s].
    """

    name: str
    version: tuple[int, int]
    build: str
    sensors: Mapping[str, SensorSpec]
    requests: Mapping[str, Request]
    directory: str
    providers: tuple[EndpointSpec, ...] = ()
    node: str = ""
    persist: str | None = None
    flush_interval: float = 1.0
