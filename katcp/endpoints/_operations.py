"""What can be asked of one endpoint: get, set, command, configure, send, ping.

Arguments are as they came over the wire, and so is what is returned: the arguments behind ``ok``.
Those that change something are let pass by the lock when they come, so that nobody waits for a
refusal, and again when it is their turn, since it may have been locked meanwhile.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any

from katcp.endpoints._codes import (
    BadPayloadError,
    InvalidMethodError,
    InvalidValueError,
    RoutingKeyError,
)
from katcp.endpoints._values import EndpointReading, from_argument, to_argument
from katcp.kattypes import Timestamp
from katcp.sensors import STATUSES_RAW

if TYPE_CHECKING:
    from katcp.endpoints._endpoint import Endpoint

#: An endpoint, arguments, the key for its lock; the arguments of the answer.
Operation = Callable[["Endpoint", Sequence[bytes], "str | None"], Awaitable[list[bytes]]]

#: Informs of one request that are sent in one go; others have their turns in between.
AT_ONCE = 100

_format_timestamp = Timestamp().pack


def count(arguments: Sequence[bytes], least: int, most: int | None, usage: str) -> None:
    """Complain of too few or too many arguments.

    Raises
    ------
    BadPayloadError
        With the usage in the text; the request is invalid (303).
    """
    if len(arguments) < least:
        raise BadPayloadError(f"too few arguments; usage: {usage}")
    if most is not None and len(arguments) > most:
        raise BadPayloadError(f"too many arguments; usage: {usage}")


def text_of(argument: bytes) -> str:
    """Return an argument that is a name."""
    return argument.decode("utf-8", "backslashreplace")


def arguments_of(result: Any) -> list[bytes]:
    """Return what a command or a device answered as arguments: none for None, or several."""
    if result is None:
        return []
    if isinstance(result, (tuple, list)):
        return [to_argument(one) for one in result]
    return [to_argument(result)]


def arguments_of_reading(reading: EndpointReading) -> list[bytes]:
    """Return a reading as arguments: raw value, calibrated value or nothing, time, status."""
    return [
        to_argument(reading.raw),
        to_argument(reading.cal),
        _format_timestamp(reading.timestamp),
        STATUSES_RAW[reading.status],
    ]


def _check_again(endpoint: Endpoint, host: object, key: str | None) -> None:
    """Let a change pass whose turn it is; while it waited, much may have happened.

    Raises
    ------
    RoutingKeyError
        If the endpoint has been removed.
    AccessDeniedError
        If it has been locked.
    """
    if endpoint.host is not host:
        raise RoutingKeyError(f"{endpoint.path} has been removed")
    endpoint.lockout.check(key)


async def _get(endpoint: Endpoint, arguments: Sequence[bytes], key: str | None) -> list[bytes]:
    count(arguments, 0, 1, "get target [property]")
    if not arguments:
        return arguments_of_reading(await endpoint.read())
    return [to_argument(await endpoint.configure(text_of(arguments[0])))]


async def _set(endpoint: Endpoint, arguments: Sequence[bytes], key: str | None) -> list[bytes]:
    count(arguments, 1, 2, "set target value [property] [lockout-key=KEY]")
    if len(arguments) == 2:
        return await _configure(endpoint, [arguments[1], arguments[0]], key)
    endpoint.lockout.check(key)
    try:
        value = endpoint.raw_value_type.parse(arguments[0])
    except ValueError as error:
        raise InvalidValueError(f"{endpoint.path}: {error}", invalid=True) from None
    host = endpoint.host
    async with endpoint.lane.turn():
        _check_again(endpoint, host, key)
        reading = await endpoint.write(value)
    if reading is None:
        return []
    answer = [to_argument(reading.raw)]
    if reading.cal is not None:
        answer.append(to_argument(reading.cal))
    return answer


async def _cmd(endpoint: Endpoint, arguments: Sequence[bytes], key: str | None) -> list[bytes]:
    count(arguments, 1, None, "cmd target method [argument ...] [lockout-key=KEY]")
    command = endpoint.command(text_of(arguments[0]))
    endpoint.lockout.check(key)
    args, kwargs = command.bind(arguments[1:])
    host = endpoint.host
    async with endpoint.lane.turn():
        _check_again(endpoint, host, key)
        return arguments_of(await endpoint.run_command(command.name, args, kwargs))


async def _configure(
    endpoint: Endpoint, arguments: Sequence[bytes], key: str | None
) -> list[bytes]:
    count(arguments, 1, 2, "configure target property [value] [lockout-key=KEY]")
    name = text_of(arguments[0])
    if len(arguments) == 1:
        return [to_argument(await endpoint.configure(name))]
    member = endpoint.declared_property(name)
    endpoint.lockout.check(key)
    endpoint.take_remark()
    host = endpoint.host
    value = await endpoint.configure(
        name, member.parse(arguments[1]), check=lambda: _check_again(endpoint, host, key)
    )
    remark = endpoint.take_remark()
    return [to_argument(value), to_argument(remark)] if remark else [to_argument(value)]


async def _send(endpoint: Endpoint, arguments: Sequence[bytes], key: str | None) -> list[bytes]:
    count(arguments, 1, None, "send target command ... [lockout-key=KEY]")
    endpoint.lockout.check(key)
    host = endpoint.host
    async with endpoint.lane.turn():
        _check_again(endpoint, host, key)
        answer = endpoint.on_send(*map(from_argument, arguments))
        return arguments_of(await endpoint.bounded(answer))


async def _ping(endpoint: Endpoint, arguments: Sequence[bytes], key: str | None) -> list[bytes]:
    await endpoint.bounded(endpoint.ping(*map(from_argument, arguments)))
    return []


#: Operations by name. Those that change nothing never look at the lock.
OPERATIONS: dict[str, Operation] = {
    "get": _get,
    "set": _set,
    "cmd": _cmd,
    "configure": _configure,
    "send": _send,
    "ping": _ping,
}


async def operate(
    endpoint: Endpoint, method: str, arguments: Sequence[bytes], key: str | None
) -> list[bytes]:
    """Do what is asked of an endpoint; return the arguments of the answer, behind ``ok``.

    Raises
    ------
    EndpointError
        If it fails, or there is no such operation (306).
    """
    operation = OPERATIONS.get(method)
    if operation is None:
        raise InvalidMethodError(f"there is no operation {method!r}")
    return await operation(endpoint, arguments, key)
