"""The dialogue with a device about what it offers, as generators: questions out, answers in.

A generator yields a tuple of questions, all of which may be asked at once, and is sent the list of
their answers. What carries them to the device and back is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import NamedTuple, TypeVar, cast

from katcp.client import arguments_in
from katcp.errors import SyncError
from katcp.inspecting_client._agenda import Plan
from katcp.inspecting_client._model import Findings, RequestInfo, SensorInfo


class Question(NamedTuple):
    """A request: name and argument, if any."""

    request: str
    argument: str | None = None

    def __str__(self) -> str:
        return f"?{self.request}" + (f" {self.argument}" if self.argument is not None else "")


#: Of a reply or an inform.
Arguments = tuple[bytes, ...]
#: Arguments, or what stood in their place on the wire; see `katcp.client.arguments_in`.
Inform = Arguments | bytes
#: The reply and its informs.
Answer = tuple[Arguments, Sequence[Inform]]
_T = TypeVar("_T")
Dialogue = Generator[tuple[Question, ...], list[Answer], _T]

#: How devices say that they have no such sensor or request: katcp-python, aiokatcp, boards.
_UNKNOWN = re.compile(rb"unknown|not known|no such|not[- _]found|does not exist", re.IGNORECASE)


def _is_ok(answer: Answer) -> bool:
    return answer[0][:1] == (b"ok",)


def _is_unknown(answer: Answer) -> bool:
    reply, _ = answer
    # `invalid` would mean that the device does not know the question.
    return reply[:1] == (b"fail",) and _UNKNOWN.search(b" ".join(reply[1:])) is not None


def _failure(question: Question, answer: Answer) -> SyncError:
    said = b" ".join(answer[0]).decode("utf-8", "backslashreplace") or "nothing"
    return SyncError(f"Cannot inspect the device: {question} was answered {said!r}")


def _arguments(inform: Inform) -> Arguments:
    return arguments_in(inform) if isinstance(inform, bytes) else inform


def _check(question: Question, answer: Answer) -> Sequence[Inform]:
    if not _is_ok(answer):
        raise _failure(question, answer)
    return answer[1]


class _Reader:
    """Reads lists, and collects what is wrong with them."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems

    def name(self, arguments: Arguments, what: str) -> str | None:
        """Return the name that an inform begins with; None if there is none to be read."""
        if not arguments or not arguments[0]:
            self.problems.append(f"{what} without a name")
            return None
        try:
            return arguments[0].decode("utf-8")
        except UnicodeDecodeError:
            self.problems.append(f"{what} with a name that is not UTF-8: {arguments[0]!r}")
            return None

    def sensors(self, informs: Sequence[Inform]) -> dict[str, SensorInfo]:
        """Read ``#sensor-list`` informs."""
        sensors: dict[str, SensorInfo] = _names_of(informs)
        bad = 0
        for arguments in () if sensors else map(_arguments, informs):
            try:
                name: str | None = arguments[0].decode("utf-8")
                arguments[3]
            except (IndexError, UnicodeDecodeError):
                name = ""
            if not name:  # something is wrong with it
                name = self.name(arguments, "a sensor")
                if name is None:
                    bad += 1
                    continue
                self.problems.append(f"sensor {name!r} without a type")
                description, units = (*arguments[1:3], b"", b"")[:2]
                sensors[name] = (arguments[0], description, units, b"string")
            else:
                sensors[name] = arguments
        twice = len(informs) - bad - len(sensors)
        if twice:
            self.problems.append(f"{twice} sensors are listed twice")
        return sensors

    def requests(self, informs: Sequence[Inform]) -> dict[str, bytes]:
        """Read ``#help`` informs."""
        requests = {}
        for arguments in map(_arguments, informs):
            name = self.name(arguments, "a request")
            if name is not None:
                requests[name] = arguments[1] if len(arguments) > 1 else b""
        return requests

    def hints(self, informs: Sequence[Inform]) -> dict[str, bytes]:
        """Read ``#request-timeout-hint`` informs; 0 means that there is no hint."""
        hints = {}
        for arguments in map(_arguments, informs):
            name = self.name(arguments, "a timeout hint")
            if name is None or len(arguments) < 2:
                continue
            try:
                if float(arguments[1]) > 0:
                    hints[name] = arguments[1]
            except ValueError:
                self.problems.append(f"bad timeout hint of {name!r}: {arguments[1]!r}")
        return hints


def _names_of(informs: Sequence[Inform]) -> dict[str, SensorInfo]:
    """Return thousands of sensors as they came, by name, of which no more is read (0.3 µs each).

    Nothing if there is something about one of them that needs a closer look.
    """
    if set(map(type, informs)) != {bytes}:
        return {}
    tails = cast("Sequence[bytes]", informs)
    names = b" ".join([tail.split(b" ", 1)[0] for tail in tails])
    if min([tail.count(b" ") for tail in tails]) < 3 or not names.isascii() or b"\\" in names:
        return {}
    return dict(zip(names.decode().split(" "), tails, strict=True))


def list_sensors(problems: list[str]) -> Dialogue[dict[str, SensorInfo]]:
    """Ask for all sensors."""
    question = Question("sensor-list")
    (answer,) = yield (question,)
    return _Reader(problems).sensors(_check(question, answer))


def list_requests(hints: bool, problems: list[str]) -> Dialogue[dict[str, RequestInfo]]:
    """Ask for all requests, and for their timeout hints if the device has any."""
    reader = _Reader(problems)
    question = Question("help")
    (answer,) = yield (question,)
    texts = reader.requests(_check(question, answer))
    known: dict[str, bytes] = {}
    if hints:
        question = Question("request-timeout-hint")
        (answer,) = yield (question,)
        if _is_ok(answer):
            known = reader.hints(answer[1])
        else:
            problems.append(str(_failure(question, answer)))
    return {name: (text, known.get(name)) for name, text in texts.items()}


def look_up_sensors(
    names: Sequence[str], problems: list[str]
) -> Dialogue[dict[str, SensorInfo | None]]:
    """Ask for some sensors by name; None for one that the device does not have."""
    questions = tuple(Question("sensor-list", name) for name in names)
    answers = yield questions
    found: dict[str, SensorInfo | None] = {}
    for question, answer in zip(questions, answers, strict=True):
        name = str(question.argument)
        if _is_unknown(answer):
            found[name] = None
        else:
            found[name] = _Reader(problems).sensors(_check(question, answer)).get(name)
    return found


def look_up_requests(
    names: Sequence[str], hints: bool, problems: list[str]
) -> Dialogue[dict[str, RequestInfo | None]]:
    """Ask for some requests by name; None for one that the device does not have."""
    reader = _Reader(problems)
    questions = tuple(Question("help", name) for name in names)
    answers = yield questions
    texts: dict[str, bytes | None] = {}
    for question, answer in zip(questions, answers, strict=True):
        name = str(question.argument)
        if _is_unknown(answer):
            texts[name] = None
        else:
            texts[name] = reader.requests(_check(question, answer)).get(name)
    known: dict[str, bytes] = {}
    there = [name for name, text in texts.items() if text is not None]
    if hints and there:  # a device may refuse to give hints for what it does not have
        for answer in (yield tuple(Question("request-timeout-hint", name) for name in there)):
            if _is_ok(answer):
                known.update(reader.hints(answer[1]))
    return {name: None if text is None else (text, known.get(name)) for name, text in texts.items()}


def inspect(plan: Plan, hints: bool, problems: list[str]) -> Dialogue[Findings]:
    """Ask what is planned: requests first, then sensors.

    Parameters
    ----------
    plan : Plan
    hints : bool
        Whether the device has ``?request-timeout-hint``.
    problems : list of str
        Gets a line for each thing that was not as it should be.

    Raises
    ------
    SyncError
        If the device refuses to answer.
    """
    requests = sensors = None
    some_requests: dict[str, RequestInfo | None] = {}
    some_sensors: dict[str, SensorInfo | None] = {}
    if plan.all_requests:
        requests = yield from list_requests(hints, problems)
    elif plan.requests:
        some_requests = yield from look_up_requests(plan.requests, hints, problems)
    if plan.all_sensors:
        sensors = yield from list_sensors(problems)
    elif plan.sensors:
        some_sensors = yield from look_up_sensors(plan.sensors, problems)
    return Findings(sensors, requests, some_sensors, some_requests)
