"""Handlers of the requests that a device file describes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from katcp.device_files._commands import CommandError, run_command
from katcp.device_files._feeds import Surroundings
from katcp.device_files._spec import Argument, Condition, Phrase, Request, SensorSpec
from katcp.device_files._values import judge
from katcp.errors import FailReply
from katcp.kattypes import KatcpType, Parameter, concurrent_reply, request_timeout_hint
from katcp.protocol import Message
from katcp.sensors import Sensor

#: Time that is added to what a request is known to take, in its hint for clients [s].
_MARGIN = 5.0


class Owner(Protocol):
    """What handlers need of the device."""

    def spec_of(self, name: str) -> SensorSpec:
        """Return what the file says of a sensor."""

    def get_sensor(self, sensor_name: str) -> Sensor:
        """Return a sensor."""

    def renew(self, name: str) -> None:
        """Have the source of a sensor read now."""

    @property
    def around(self) -> Surroundings:
        """Where commands run."""


def make_handler(request: Request, device: Owner) -> Callable[..., Any]:
    """Return the handler of a request."""
    types = [_kattype(argument) for argument in request.arguments]

    if request.runs is None and not request.takes:

        def answer(req: Any, msg: Message) -> Any:
            texts = _read(request.arguments, types, msg.arguments)
            _refuse(request, device, texts)
            return req.make_reply("ok", *_finish(request, device, texts))

        handler: Callable[..., Any] = answer
    else:
        limit = request.takes + (request.runs.timeout if request.runs is not None else 0.0)

        @concurrent_reply
        @request_timeout_hint(limit + _MARGIN)
        async def answer_later(req: Any, msg: Message) -> Any:
            texts = _read(request.arguments, types, msg.arguments)
            _refuse(request, device, texts)
            if request.takes:
                await asyncio.sleep(request.takes)
            if request.runs is not None:
                texts["output"] = await _run(request, device, texts)
            return req.make_reply("ok", *_finish(request, device, texts))

        handler = answer_later
    handler.__doc__ = _help(request, types)
    handler.__name__ = f"request_{request.name.replace('-', '_')}"
    return handler


def _kattype(argument: Argument) -> KatcpType:
    options = {} if argument.default is None else {"default": argument.default}
    return argument.kind.kattype(argument.limits, **options)


def _help(request: Request, types: Sequence[KatcpType]) -> str:
    """Return the help text: as for requests that are typed by annotations."""
    text = request.description
    if any(argument.description for argument in request.arguments):
        text += "\n\nParameters\n----------"
        for argument in request.arguments:
            text += f"\n{argument.name} : {argument.kind.name}"
            if argument.description:
                text += f"\n    {argument.description}"
    if request.arguments:
        usages = []
        for argument, kattype in zip(request.arguments, types, strict=True):
            usage = f"{argument.name}: {kattype.describe()}"
            if argument.default is not None:
                usage += f" = {argument.kind.write(argument.default)}"
            usages.append(usage)
        text += f"\n\nParameters: {', '.join(usages)}"
    return text


def _read(
    arguments: Sequence[Argument], types: Sequence[KatcpType], given: Sequence[bytes]
) -> dict[str, str]:
    """Return the arguments as text, checked, by name."""
    if len(given) > len(arguments):
        raise FailReply("Too many parameters given.")
    texts = {}
    for position, (argument, kattype) in enumerate(zip(arguments, types, strict=True)):
        parameter = Parameter(position + 1, argument.name, kattype, 5)
        value = parameter.unpack(given[position] if position < len(given) else None)
        text = parameter.pack(value).decode("utf-8", "surrogateescape")
        if argument.pattern is not None and re.fullmatch(argument.pattern, text) is None:
            raise FailReply(
                f"Error in parameter {position + 1} ({argument.name}): the text does not match "
                f"{argument.pattern!r}."
            )
        texts[argument.name] = text
    return texts


def _refuse(request: Request, device: Owner, texts: dict[str, str]) -> None:
    for refusal in request.fails:
        if all(_holds(condition, device) for condition in refusal.when):
            raise FailReply(Phrase(refusal.text).filled(texts))


def _holds(condition: Condition, device: Owner) -> bool:
    reading = device.get_sensor(condition.sensor).read()
    wanted = condition.value
    if condition.relation == "status":
        return bool(reading.status == wanted)
    if condition.relation == "below":
        return bool(reading.value < wanted)
    if condition.relation == "above":
        return bool(reading.value > wanted)
    return bool((reading.value == wanted) == (condition.relation == "is"))


async def _run(request: Request, device: Owner, texts: dict[str, str]) -> str:
    assert request.runs is not None
    if any("\0" in text for text in texts.values()):
        raise FailReply("An argument holds a byte 0, which no command can be given.")
    around = device.around
    try:
        async with around.commands:
            return (await run_command(request.runs, around.directory, texts)).strip()
    except CommandError as error:
        raise FailReply(f"The command failed: {error}.") from error


def _finish(request: Request, device: Owner, texts: dict[str, str]) -> list[bytes]:
    """Set the sensors, all or none, and return the arguments of the reply."""
    values = []
    for name, phrase in request.sets:
        spec = device.spec_of(name)
        try:
            value = spec.kind.read(phrase.filled(texts))
        except ValueError as error:
            raise FailReply(f"The sensor {name} cannot be set: {error}.") from error
        values.append((spec, value))
    for spec, value in values:
        status = judge(value, spec.nominal, spec.warn, spec.statuses)
        device.get_sensor(spec.name).set_value(value, status)
    if request.renews is not None:
        device.renew(request.renews)
    return [phrase.filled(texts).encode("utf-8", "surrogateescape") for phrase in request.replies]
