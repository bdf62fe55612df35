"""From a request to its reply.

Everything that is the same for each call of a handler is worked out once, in an `Entry`. A handler
that is a plain function is called at once, and its reply appended to the connection's output: no
task, no future, no message object unless it asks for one.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import functools
import inspect
import logging
import traceback
import types
from collections.abc import Callable
from types import CoroutineType, NoneType
from typing import TYPE_CHECKING, Any, cast

from katcp.errors import AsyncReply, FailReply
from katcp.kattypes import TypedSignature
from katcp.protocol import Message, format_argument, format_arguments
from katcp.server._connection import ClientConnection
from katcp.server._eager import begin_task
from katcp.server._request import (
    ClientRequestConnection,
    RequestName,
    Sent,
    WireRequest,
)

if TYPE_CHECKING:
    from katcp.server._base import DeviceServerBase

log = logging.getLogger("katcp.server")

# Two tables, since text and bytes in one would be compared with each other.
_TEXT_STATUSES = {"ok": b"ok", "fail": b"fail", "invalid": b"invalid"}
_STATUSES = frozenset(_TEXT_STATUSES.values())


def blocking(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a request handler that blocks, so that it is run in a pool of threads.

    The loop goes on meanwhile, other clients are served, and the next message of this client
    waits for the reply. The handler may send informs and set sensors.
    """
    handler.katcp_blocking = True  # type: ignore[attr-defined]  # read back in Entry
    return handler


def is_coroutine_handler(handler: Callable[..., Any]) -> bool:
    """Tell whether `handler` is ``async def`` or a Tornado coroutine, decorated or not."""
    return inspect.iscoroutinefunction(handler) or bool(
        getattr(handler, "__tornado_coroutine__", False)
    )


def signature_of(
    handler: Callable[..., Any], device_class: type[DeviceServerBase]
) -> TypedSignature | None:
    """Return the types of a handler in a server's table, or None if it takes (req, msg).

    Annotations may name what is defined in the class, such as its enums.
    """
    bound = getattr(handler, "katcp_bound", None)  # from DeviceServer.add_request
    if bound is not None:
        return TypedSignature.of(bound, leading=1)
    names = collections.ChainMap(
        *[cast("dict[str, Any]", vars(base)) for base in device_class.__mro__]
    )
    return TypedSignature.of(handler, namespace=names)


class Entry:
    """A request handler, made ready to be called.

    Attributes
    ----------
    name : RequestName
        Of the request.
    handler : function
        As it stands in the server's table; called with the server first.
    unpack : function or None
        Reads its arguments, if it is typed by annotations; None: it takes (req, msg).
    call : function or None
        Does that and calls it, if it is typed.
    reply_arguments : function or None
        Makes the reply's arguments of what it returns, if it is typed.
    line_ends : mapping
        Does that, and writes them, for some classes of what it returns.
    executor : function or None
        Returns where to run it, if not in the loop.
    serial : bool
        Whether the next message of its connection waits for it.
    """

    __slots__ = (
        "call",
        "executor",
        "handler",
        "line_ends",
        "name",
        "reply_arguments",
        "serial",
        "unpack",
    )

    def __init__(self, server: DeviceServerBase, name: str, handler: Callable[..., Any]) -> None:
        self.name = RequestName(name)
        self.handler = handler
        signature = signature_of(handler, type(server))
        self.unpack = None if signature is None else signature.unpacker(server.katcp_major)
        self.call = None if signature is None else signature.caller(handler, server.katcp_major)
        self.reply_arguments = None if signature is None else signature.replier(server.katcp_major)
        self.line_ends = {} if signature is None else signature.line_ends(server.katcp_major)
        self.serial = not getattr(handler, "_concurrent_reply", False)
        self.executor: Callable[[], Any] | None = None
        if getattr(handler, "katcp_blocking", False):
            self.executor = server.katcp_handler_pool
        elif (
            server.katcp_has_handler_thread
            and not is_coroutine_handler(getattr(handler, "katcp_bound", handler))
            and not server.katcp_is_own_handler(handler)
        ):
            self.executor = server.katcp_handler_thread

    def start(
        self,
        server: DeviceServerBase,
        connection: ClientConnection,
        mid: bytes | None,
        arguments: list[bytes],
    ) -> ClientRequestConnection | None:
        """Call the handler, with a new request of `connection`.

        Returns
        -------
        ClientRequestConnection or None
            The request if its handler is under way, None if it has been dealt with (or will be
            answered later by an `AsyncReply`; also the request then, if the client is `full`).
        """
        req = WireRequest(connection, self.name, mid, arguments)
        try:
            if self.executor is not None:
                values = (req.msg,) if self.unpack is None else self.unpack(arguments)
                call = functools.partial(self.handler, server, req, *values)
                return self._follow(server, req, run_elsewhere(server, self.executor(), call))
            if self.call is None:
                result = self.handler(server, req, req.make_msg())
            else:
                result = self.call(server, req, arguments)
            # Those of these classes need not be looked at more closely, which takes 0.5 µs.
            kind = type(result)
            if kind in _READY or (kind is not CoroutineType and not is_pending(result)):
                self._settle(req, result)
            else:
                return self._follow(server, req, result)
        except AsyncReply:
            self._defer(req)
            return req if connection.full else None
        except BaseException as error:
            self._fail(server, req, error)
        return None

    def start_given(
        self, server: DeviceServerBase, req: ClientRequestConnection
    ) -> ClientRequestConnection | None:
        """Do the same with a request that there is already, and always in this thread."""
        try:
            values = (req.msg,) if self.unpack is None else self.unpack(req.msg.arguments)
            result = self.handler(server, req, *values)
            if is_pending(result):
                return self._follow(server, req, result)
            self._settle(req, result)
        except AsyncReply:
            self._defer(req)
        except BaseException as error:
            self._fail(server, req, error)
        return None

    def _follow(
        self, server: DeviceServerBase, req: ClientRequestConnection, pending: Any
    ) -> ClientRequestConnection | None:
        """Wait for a handler's result. Returns the request, or None if it has been dealt with."""
        future = server.katcp_follow(pending)
        if future.done():  # a coroutine that never had to wait
            outcome = self._finished(server, req, future)
            if outcome == _DEFERRED:
                return req if req.books.full else None
            return None if outcome else req
        books = req.books
        books.begin(req)
        if not req.has_mid:
            books.midless[self.name.wire] = req
        server.katcp_under_way[req] = future

        def finished(future: asyncio.Future[Any]) -> None:
            server.katcp_under_way.pop(req, None)
            books.requests.discard(req)
            if not req.has_mid:
                books.midless.pop(self.name.wire, None)
            books.finish(req, functools.partial(self._finished, server, req, future))

        future.add_done_callback(finished)
        return req

    def _finished(
        self, server: DeviceServerBase, req: ClientRequestConnection, future: asyncio.Future[Any]
    ) -> int:
        """Send the reply that a future has; return 0 if the handler is still under way."""
        try:
            result = future.result()
            if type(result) in _READY or not is_pending(result):
                self._settle(req, result)
            else:  # a handler in a thread may return a future
                return self._follow(server, req, result) is None
        except AsyncReply:
            self._defer(req)
            return _DEFERRED
        except asyncio.CancelledError:
            req.abandon()
        except BaseException as error:
            self._fail(server, req, error)
        return True

    def _defer(self, req: ClientRequestConnection) -> None:
        """Remember a request that is answered later, to answer it if the server is stopped."""
        books = req.books
        req.on_done = _nothing  # so that `send_reply` tells the connection
        books.defer(req)
        if not req.has_mid:
            books.midless[self.name.wire] = req
        if req.answered:  # by another thread, meanwhile
            books.answered(req)

    def _settle(self, req: ClientRequestConnection, result: Any) -> None:
        """Send the reply that a handler returned.

        Raises
        ------
        TypeError, ValueError, AssertionError
            If it returned something else; the caller makes a failure of it.
        """
        # Values of the usual class and ready replies are nearly all results; they come first.
        kind = type(result)
        if kind in self.line_ends and type(req) is WireRequest and not req.answered:
            req.send_line_end(self.line_ends[kind](result))
            return
        if kind is Message and result.name == self.name.text and result.mtype == _REPLY:
            arguments = result.arguments
        elif kind in _PLAIN and self.reply_arguments is not None:
            arguments = self.reply_arguments(result)
        elif (result is None or isinstance(result, Sent)) and req.answered:
            return
        else:
            arguments = self._arguments_of(result)
        if req.answered is True:
            log.error("The handler of %r returned a second reply, which is dropped", req.msg)
        else:
            req.send_reply(arguments)

    def _arguments_of(self, result: Any) -> list[bytes]:
        """Return the arguments of the reply for anything that a handler may return."""
        if isinstance(result, Message):
            if result.mtype != Message.REPLY or result.name != self.name.text:
                raise AssertionError(f"The handler of ?{self.name.text} returned {result!r}.")
            return result.arguments
        if isinstance(result, BaseException):
            # Futures of handlers may resolve with an exception instead of raising it.
            raise result
        if self.reply_arguments is not None:
            return self.reply_arguments(result)
        if isinstance(result, (tuple, list)) and result and _status(result[0]) is not None:
            return format_arguments(result)
        if result is AsyncReply:
            raise AsyncReply
        raise TypeError(
            f"The handler of ?{self.name.text} returned {result!r}; "
            "it has to return a reply message or a tuple that begins with 'ok' or 'fail'."
        )

    def _fail(
        self, server: DeviceServerBase, req: ClientRequestConnection, error: BaseException
    ) -> None:
        """Answer a request whose handler raised."""
        if isinstance(error, KeyboardInterrupt):
            raise error  # the operator's, wherever it happened to strike
        if not isinstance(error, FailReply):
            server.katcp_counters.handler_errors += 1
            log.error("The handler of %r failed", req.msg, exc_info=error)
        elif req.answered:
            log.error("The handler of %r failed after its reply: %s", req.msg, error)
        if not req.answered:
            req.send_reply(failure(error, server.tb_limit))


#: What `_finished` returns for an `AsyncReply`; True is any other end.
_DEFERRED = 2


def _nothing() -> None:
    pass


def _status(value: Any) -> bytes | None:
    if isinstance(value, str):
        return _TEXT_STATUSES.get(value)
    return value if isinstance(value, bytes) and value in _STATUSES else None


_REPLY = Message.REPLY

#: Results of typed handlers that are values for sure.
_PLAIN = frozenset([bool, int, float, str, bytes])
#: Classes of results that are no futures or the like for sure.
_READY = frozenset([Message, NoneType, tuple, list, *_PLAIN])


def is_pending(result: Any) -> bool:
    """Tell whether what a handler returned has to be waited for."""
    if isinstance(result, Sent):
        return False
    return (
        isinstance(result, asyncio.Future)
        or inspect.isawaitable(result)
        or (hasattr(result, "add_done_callback") and hasattr(result, "result"))
    )


def run_elsewhere(
    server: DeviceServerBase, executor: Any, call: Callable[[], Any]
) -> asyncio.Future[Any]:
    """Run `call` in an executor. What it raises becomes its result."""

    def guarded() -> Any:
        try:
            return call()
        # A future cannot hold every exception: not StopIteration, and SystemExit or
        # CancelledError would mean something else to whoever waits for it.
        except BaseException as error:
            return error

    return asyncio.wrap_future(executor.submit(guarded), loop=server.asyncio_loop)


def follow(loop: asyncio.AbstractEventLoop, pending: Any) -> asyncio.Future[Any]:
    """Return a future of `loop` for whatever a handler returned that is not ready."""
    if inspect.iscoroutine(pending):
        return begin_task(loop, caught(pending))
    if isinstance(pending, asyncio.Future):
        return pending
    if isinstance(pending, concurrent.futures.Future):
        return asyncio.wrap_future(pending, loop=loop)
    future: asyncio.Future[Any] = asyncio.ensure_future(pending, loop=loop)
    return future


async def caught(coroutine: Any) -> Any:
    """Return what a handler raises to end the interpreter, which a task would let do so."""
    try:
        return await coroutine
    except SystemExit as error:
        return error


def error_of(future: asyncio.Future[Any]) -> BaseException | None:
    """Return what a future of `DeviceServerBase.katcp_follow` ended with, if it was an error."""
    if future.cancelled():
        return None
    error = future.exception()
    if error is None and isinstance(future.result(), SystemExit):
        return future.result()  # type: ignore[no-any-return]  # see `caught`
    return error


def failure(error: BaseException, tb_limit: int | None) -> list[bytes]:
    """Return the arguments of the reply for what a handler raised."""
    if isinstance(error, FailReply):
        return format_arguments(error.katcp_reply)
    return [b"fail", format_argument(exception_text(error, tb_limit))]


def _is_caller(frames: types.TracebackType) -> bool:
    """Tell whether a frame is of what stands between a request and its handler."""
    module = str(frames.tb_frame.f_globals.get("__name__"))
    return module in _CALLERS or module.startswith("katcp.kattypes.")


_CALLERS = (__name__, "katcp.server._base")


def exception_text(error: BaseException, tb_limit: int | None) -> str:
    """Return what a client is told of an unexpected exception.

    With a `tb_limit` of 0 that is one line; otherwise the traceback, of at most that many frames,
    with the frames that called the handler left out.
    """
    last = traceback.format_exception_only(type(error), error)
    if tb_limit == 0:
        return "".join(last).strip()
    frames = error.__traceback__
    while frames is not None and frames.tb_next is not None and _is_caller(frames):
        frames = frames.tb_next
    lines = traceback.format_exception(type(error), error, frames, limit=tb_limit)
    return "\n".join(lines)
