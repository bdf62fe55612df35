"""Return codes: numbers that say what became of a request, so that nobody has to parse texts.

On the wire a failure is ``!name fail message code [payload ...]``, the message first since that is
what any KATCP client shows; ``invalid`` in place of ``fail`` means that the request itself could
not be understood. A request that was done with a caveat is answered ``ok``, with
``#warning code text`` before that. The numbers are those of dripline's wire standard:

===========  ====================================================
0            done
1 to 99      done, with a caveat
100 to 199   not delivered
200 to 299   the hardware, or what stands for it
300 to 399   refused, or failed, by the service
400 to 499   on the client's side
999          an error that nobody foresaw
1000 on      of the application (`register_return_code`)
===========  ====================================================

The exceptions that carry them::

    EndpointError (FailReply)
    ├── BrokerError 100
    │   ├── BrokerConnectionError 101
    │   └── RoutingKeyError 102 (KeyError)
    ├── ResourceError 200
    │   ├── ResourceConnectionError 201
    │   ├── NoResponseError 202
    │   └── SubServiceError 203
    ├── ServiceError 300
    │   ├── NoEncodingError 301
    │   ├── DecodingFailedError 302
    │   ├── BadPayloadError 303 (ValueError)
    │   ├── InvalidValueError 304 (ValueError)
    │   ├── RequestTimeoutError 305
    │   ├── InvalidMethodError 306
    │   ├── AccessDeniedError 307
    │   ├── InvalidKeyError 308 (ValueError)
    │   ├── DeprecatedError 309
    │   └── InvalidSpecifierError 310 (LookupError)
    ├── ClientSideError 400
    │   ├── InvalidRequestError 401
    │   ├── ReplyError 402
    │   ├── UnableToSendError 403
    │   └── ClientTimeoutError 404 (RequestTimeoutError)
    ├── UnhandledError 999
    └── ApplicationError 1000 and above, a class of its own for each that is registered
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Any

from katcp.endpoints._seldom import Seldom, kind_of
from katcp.endpoints._values import to_argument
from katcp.errors import FailReply, InvalidReply
from katcp.protocol import Message

log = logging.getLogger("katcp.endpoints")

#: The first number that applications may register.
FIRST_APPLICATION_CODE = 1000

#: What a reply has of a text [characters]; names that clients make up are part of some.
_LONGEST_TEXT = 1000

_seldom = Seldom()
_MOST_MARKS = 200
#: Kinds of errors that nobody foresaw -> the id of the last that was logged.
_marks: dict[Hashable, str] = {}


class EndpointError(FailReply):
    """A request of an endpoint that was not carried out, and why, as a number and a text.

    Raised by endpoints it becomes the reply ``!name fail text code payload ...``; the client raises
    it again. Catch the classes: what matters is often whether a lock was in the way
    (`AccessDeniedError`), or the hardware (`ResourceError`).

    Parameters
    ----------
    text : str
        What happened, for people.
    payload : sequence, optional
        What is known all the same, as the further arguments of the reply; such as the raw value
        that could not be calibrated.
    code : int, optional
        In place of that of the class.
    invalid : bool, optional
        Whether the request could not be understood: it is answered ``invalid``. By default what
        the class says.

    Attributes
    ----------
    code : int
    text : str
    payload : tuple
    invalid : bool
    """

    code: int = 300
    invalid: bool = False

    def __init__(
        self,
        text: str = "",
        payload: Iterable[Any] | None = None,
        *,
        code: int | None = None,
        invalid: bool | None = None,
    ) -> None:
        super().__init__(text)
        self.text = text
        self.payload: tuple[Any, ...] = () if payload is None else tuple(payload)
        if code is not None:
            self.code = code
        if invalid is not None:
            self.invalid = invalid

    @property
    def katcp_reply(self) -> Sequence[object]:
        """All arguments of the reply: ``fail``, or ``invalid``, text, code and payload."""
        status = "invalid" if self.invalid else "fail"
        text = self.text or type(self).__name__
        if len(text) > _LONGEST_TEXT:
            text = f"{text[:_LONGEST_TEXT]}..."
        return (status, to_argument(text), self.code, *map(to_argument, self.payload))

    def __str__(self) -> str:
        return self.text  # whatever KeyError and the like would make of it

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text!r}, code={self.code})"


class BrokerError(EndpointError):
    """The request did not come to where it should (100)."""

    code = 100


class BrokerConnectionError(BrokerError):
    """There is no connection to the device (101)."""

    code = 101


class RoutingKeyError(BrokerError, KeyError):
    """There is no endpoint of that name, or more than one (102)."""

    code = 102


class ResourceError(EndpointError):
    """The hardware, or what stands for it, failed (200)."""

    code = 200


class ResourceConnectionError(ResourceError):
    """The hardware cannot be reached (201)."""

    code = 201


class NoResponseError(ResourceError):
    """The hardware does not answer (202)."""

    code = 202


class SubServiceError(ResourceError):
    """Something that the endpoint depends on failed (203)."""

    code = 203


class ServiceError(EndpointError):
    """The service refused or failed (300)."""

    code = 300


class NoEncodingError(ServiceError):
    """The request does not say how it is encoded (301); KATCP never needs that."""

    code = 301


class DecodingFailedError(ServiceError):
    """The request could not be decoded (302)."""

    code = 302
    invalid = True


class BadPayloadError(ServiceError, ValueError):
    """The request lacks arguments, or has too many (303)."""

    code = 303
    invalid = True


class InvalidValueError(ServiceError, ValueError):
    """A value that cannot be had (304)."""

    code = 304


class RequestTimeoutError(ServiceError):
    """The request took too long (305)."""

    code = 305


class InvalidMethodError(ServiceError):
    """The endpoint does not do that (306)."""

    code = 306


class AccessDeniedError(ServiceError):
    """The endpoint is locked by somebody else (307)."""

    code = 307


class InvalidKeyError(ServiceError, ValueError):
    """A text that cannot be the key of a lock (308)."""

    code = 308


class DeprecatedError(ServiceError):
    """A way to ask that is not supported any longer (309)."""

    code = 309


class InvalidSpecifierError(ServiceError, LookupError):
    """The endpoint has no such property (310)."""

    code = 310


class ClientSideError(EndpointError):
    """Something went wrong on the side of who asked (400)."""

    code = 400


class InvalidRequestError(ClientSideError):
    """The request could not be made (401)."""

    code = 401
    invalid = True


class ReplyError(ClientSideError):
    """The reply could not be understood (402)."""

    code = 402


class UnableToSendError(ClientSideError):
    """The request could not be sent (403)."""

    code = 403


class ClientTimeoutError(ClientSideError, RequestTimeoutError):
    """No reply came in the time that the client gave (404)."""

    code = 404


class UnhandledError(EndpointError):
    """An error that nobody foresaw (999); its id stands in the log of the device too."""

    code = 999


class ApplicationError(EndpointError):
    """A failure with a number of the application (1000 and above)."""

    code = FIRST_APPLICATION_CODE


# -- answering --------------------------------------------------------------------------


def foreseen(error: BaseException, what: str = "an endpoint") -> EndpointError:
    """Return what an exception of an endpoint means to a client; `what` is for the log.

    `EndpointError` as it is; `FailReply` (300) and `InvalidReply` (304) by their text;
    ``ConnectionError`` (201) and timeouts (305), as hardware raises them. Anything else is 999
    with an id; the log has the same, with the traceback. Of one kind of error, raised in one
    place, that is logged once in 10 s at most; those in between have the id of the logged one.
    """
    if isinstance(error, EndpointError):
        return error
    if isinstance(error, InvalidReply):
        return InvalidValueError(str(error), invalid=True)
    if isinstance(error, FailReply):
        return ServiceError(str(error))
    if isinstance(error, ConnectionError):
        return ResourceConnectionError(_described(error))
    if isinstance(error, (asyncio.TimeoutError, TimeoutError)):  # two classes in 3.10
        return RequestTimeoutError(_described(error))
    return UnhandledError(f"{_described(error)} (error {_logged(error, what)})")


def _logged(error: BaseException, what: str) -> str:
    """Log an error that nobody foresaw, unless one like it has just been; return its id."""
    kind = kind_of(error)
    count = _seldom.left_out(kind)
    if count is None and kind in _marks:
        return _marks[kind]
    _marks.pop(kind, None)
    if len(_marks) >= _MOST_MARKS:
        del _marks[next(iter(_marks))]
    mark = _marks[kind] = secrets.token_hex(4)
    told = Seldom.told(count or 0)
    log.error("Error %s: %s failed%s", mark, what, told, exc_info=error)
    return mark


def being_cancelled() -> bool:
    """Tell whether it is the present task that is cancelled, rather than what it waited for.

    Python 3.10 does not know; it is taken to be the task then.
    """
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)
    return cancelling is None or cancelling() > 0


def cancelled(what: str, error: BaseException) -> ServiceError:
    """Return what to raise when something that a method waited for was cancelled (300)."""
    failure = ServiceError(f"{what}: what it waited for was cancelled")
    failure.__cause__ = error
    return failure


def _described(error: BaseException) -> str:
    try:
        text = str(error)
    except Exception:
        text = ""
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def warn(req: Any, code: int, text: str) -> None:
    """Send ``#warning code text`` for a request, before its reply, which is to be ``ok``.

    Parameters
    ----------
    req : ClientRequestConnection
    code : int
        1 to 99.
    text : str
    """
    req.client_connection.inform(
        Message(Message.INFORM, "warning", [str(code), to_argument(text)], mid=req.msg.mid)
    )


def coded(handler: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make a coroutine handler ``(req, msg)`` fail with codes, whatever happens in it.

    What it returns is the reply, such as ``("ok", value)``; what it raises becomes the reply that
    `foreseen` tells.
    """

    @functools.wraps(handler)
    async def answer(req: Any, msg: Message) -> Any:
        try:
            return await handler(req, msg)
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            return cancelled(msg.name, error).katcp_reply
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:
            return foreseen(error, f"?{msg.name}").katcp_reply

    return answer
