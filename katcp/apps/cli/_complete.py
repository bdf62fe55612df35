"""What may come next on a line of the shell.

Names come from the inspected device. What a request takes is known for the standard ones; others
tell it in the line ``Parameters: ...`` that servers of this package add to the help of requests
that are typed by annotations; and for a request called like a discrete sensor, or like one with
``set-`` before it, the words of that sensor are a good guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import first_line
from katcp.apps.cli._grammar import STRATEGIES
from katcp.apps.cli._model import SensorInfo

_LEVELS = ("all", "trace", "debug", "info", "warn", "error", "fatal", "off")

#: Words of the shell, with what they do.
LOCAL = {
    "help": "help on the shell, or on a request of the device",
    "list": "sensors: list [FILTER]",
    "requests": "requests of the device: requests [FILTER]",
    "get": "present readings: get NAME...",
    "watch": "readings as they come: watch NAME... [STRATEGY [PARAMETERS]]",
    "unwatch": "no more readings: unwatch [NAME...]",
    "info": "versions, interface, clients, latency",
    "set": "give a sensor a value: set NAME VALUE",
    "snapshot": "the whole interface and all readings to a file: snapshot FILE",
    "connect": "another device: connect HOST:PORT [as NAME]; then NAME:get ..., or use NAME",
    "use": "have lines go to another device: use NAME",
    "disconnect": "leave a device: disconnect [NAME]",
    "devices": "devices that are connected, and those of devices.toml",
    "call": "send a request whose name is a word of the shell: call NAME [ARGUMENTS]",
    "sleep": "wait: sleep SECONDS",
    "quit": "leave (also: exit, Ctrl-D)",
    "exit": "leave",
}


@dataclass(frozen=True)
class Vocabulary:
    """What is known of the device.

    Attributes
    ----------
    requests : mapping of str to str
        Name -> help text.
    sensors : mapping of str to SensorInfo
    devices : tuple of str
        Names that can be connected to.
    places : tuple of str
        Devices that are connected, if these are several.
    """

    requests: Mapping[str, str] = field(default_factory=dict)
    sensors: Mapping[str, SensorInfo] = field(default_factory=dict)
    devices: tuple[str, ...] = ()
    places: tuple[str, ...] = ()


@dataclass(frozen=True)
class Candidate:
    """One way to go on.

    Attributes
    ----------
    text : str
        What to put in.
    start : int
        Where, counted from the cursor: not positive.
    meta : str
        What it is, safe to print.
    """

    text: str
    start: int
    meta: str = ""


def complete(before: str, vocabulary: Vocabulary) -> list[Candidate]:
    """Return the ways to go on with a line, of which `before` stands before the cursor."""
    words, current = split_at_cursor(before)
    start = -len(current)
    if not words:
        if current.startswith("?"):
            options = {"?" + name: meta for name, meta in _requests(vocabulary).items()}
        else:
            prefixes = {f"{name}:": "to that device" for name in vocabulary.places}
            options = {**_requests(vocabulary), **LOCAL, **prefixes}
    else:
        options, part = _arguments(words, current, vocabulary)
        current, start = part, -len(part)
    return [
        Candidate(_quoted(text), start, meta)
        for text, meta in options.items()
        if text.startswith(current) and _typable(text)
    ]


def split_at_cursor(before: str) -> tuple[list[str], str]:
    """Return the whole words of a line, and the one that the cursor is at the end of."""
    words = re.findall(r"\"[^\"]*\"?|'[^']*'?|\S+", before)
    if not before or before[-1].isspace():
        return [word.strip("\"'") for word in words], ""
    current = words.pop() if words else ""
    return [word.strip("\"'") for word in words], current


def _typable(text: str) -> bool:
    return bool(text) and text.isprintable()


def _quoted(text: str) -> str:
    return f'"{text}"' if " " in text else text


def _requests(vocabulary: Vocabulary) -> dict[str, str]:
    return {name: first_line(text) for name, text in sorted(vocabulary.requests.items())}


def _sensors(vocabulary: Vocabulary) -> dict[str, str]:
    return {name: visible(info.description) for name, info in sorted(vocabulary.sensors.items())}


def _plain(words: Iterable[str]) -> dict[str, str]:
    return dict.fromkeys(words, "")


def _arguments(
    words: list[str], current: str, vocabulary: Vocabulary
) -> tuple[dict[str, str], str]:
    """Return what the argument at the cursor may be, and the part of it that is typed."""
    name, given = words[0], words[1:]
    if name == "call" and given:
        name, given = given[0], given[1:]
    elif name in LOCAL:
        return _local_arguments(name, given, vocabulary), current
    request = name.removeprefix("?")
    if request == "sensor-sampling" and not given:
        return _sensors(vocabulary), current.rpartition(",")[2]
    return _request_arguments(request, len(given), vocabulary), current


def _local_arguments(name: str, given: list[str], vocabulary: Vocabulary) -> dict[str, str]:
    if name in ("call", "requests") and not given:
        return _requests(vocabulary)
    if name == "help" and not given:
        return {**LOCAL, **_requests(vocabulary)}
    if name == "connect" and not given:
        return _plain(vocabulary.devices)
    if name in ("use", "disconnect") and not given:
        return _plain(vocabulary.places)
    if name in ("get", "unwatch") or (name in ("set", "list") and not given):
        return _sensors(vocabulary)
    if name == "set":
        return _plain(_words_of(given[0], vocabulary)) if len(given) == 1 else {}
    if name == "watch" and not any(word in STRATEGIES for word in given):
        return {**(_plain(STRATEGIES) if given else {}), **_sensors(vocabulary)}
    return {}


def _request_arguments(request: str, index: int, vocabulary: Vocabulary) -> dict[str, str]:
    standard: dict[tuple[str, int], dict[str, str]] = {
        ("sensor-list", 0): _sensors(vocabulary),
        ("sensor-value", 0): _sensors(vocabulary),
        ("sensor-sampling", 1): _plain(STRATEGIES),
        ("help", 0): _requests(vocabulary),
        ("request-timeout-hint", 0): _requests(vocabulary),
        ("log-level", 0): _plain(_LEVELS),
    }
    if (request, index) in standard:
        return standard[request, index]
    parameters = parse_parameters(vocabulary.requests.get(request, ""))
    if index < len(parameters):
        words = _words_of_type(parameters[index])
        if words:
            return _plain(words)
    if index == 0:
        return _plain(_words_of_namesake(request.removeprefix("set-"), vocabulary))
    return {}


def parse_parameters(text: str) -> list[str]:
    """Return the parameters that a help text lists: ``["x: integer", "[y: discrete(a|b)]"]``."""
    match = re.search(r"^Parameters: (.+)$", text, re.MULTILINE)
    if match is None:
        return []
    parts, depth, part = [], 0, ""
    for character in match[1]:
        if character == "," and depth == 0:
            parts.append(part.strip())
            part = ""
            continue
        depth += (character in "([") - (character in ")]")
        part += character
    return [*parts, part.strip()]


def _words_of_type(parameter: str) -> list[str]:
    """Return the words that a parameter can be, if these are few."""
    match = re.search(r": discrete\(([^)]*)\)", parameter)
    if match is not None:
        return match[1].split("|")
    return ["0", "1"] if re.search(r": boolean\b", parameter) else []


def _words_of(sensor: str, vocabulary: Vocabulary) -> list[str]:
    info = vocabulary.sensors.get(sensor)
    if info is None:
        return []
    return ["0", "1"] if info.type == "boolean" else info.words


def _words_of_namesake(name: str, vocabulary: Vocabulary) -> list[str]:
    sensors = vocabulary.sensors
    if name in sensors:
        return sensors[name].words
    namesakes = [info for other, info in sensors.items() if other.endswith("." + name)]
    return namesakes[0].words if len(namesakes) == 1 else []


def usage(before: str, vocabulary: Vocabulary) -> str:
    """Return how the request that is being typed is called, or an empty text; safe to print."""
    words, current = split_at_cursor(before)
    if words[:1] == ["call"]:
        words = words[1:]
    name = (words[0] if words else current).removeprefix("?")
    if name in LOCAL and not before.lstrip().startswith(("?", "call ")):
        return f"{name}: {LOCAL[name]}"
    text = vocabulary.requests.get(name)
    if text is None:
        return ""
    parameters = parse_parameters(text)
    called = " ".join([f"?{name}", *[_slot(parameter) for parameter in parameters]])
    return f"{visible(called)}   {first_line(text)}"


def _slot(parameter: str) -> str:
    return parameter if parameter.startswith("[") else f"<{parameter}>"
