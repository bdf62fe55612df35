"""From a request to its reply: every kind of handler, in every place where handlers run."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from typing import Any

import pytest
from tornado import gen

from katcp.errors import AsyncReply, FailReply, InvalidReply
from katcp.kattypes import Float, Int, Str, concurrent_reply, request, return_reply
from katcp.protocol import Message
from katcp.server import AsyncDeviceServer, DeviceServer, blocking
from katcp.server._dispatch import Entry, exception_text, is_coroutine_handler
from tests.helpers.serving import Bare, BareThreaded, serving, talking, until

KINDS_OF_FUTURES = ("asyncio", "concurrent", "coroutine", "tornado")


class Stop(BaseException):
    """Not an `Exception`."""


class Handlers:
    """One handler of each kind."""

    announces_clients = False
    later: dict[str, Any]

    def setup_sensors(self) -> None:
        self.later = {}

    # -- what they return ----------------------------------------------------------------

    def request_message(self, req: Any, msg: Message) -> Any:
        """Return a message."""
        return req.make_reply("ok", *msg.arguments)

    def request_own_message(self, req: Any, msg: Message) -> Any:
        """Return a message that does not come from the request."""
        return Message.reply("own-message", "ok", 1, 2.5, True, "a b")

    def request_tuple(self, req: Any, msg: Message) -> Any:
        """Return a tuple."""
        return ("ok", 1, "two", b"three")

    def request_list(self, req: Any, msg: Message) -> Any:
        """Return a list, its status as bytes."""
        return [b"ok", 0.5]

    def request_fail_tuple(self, req: Any, msg: Message) -> Any:
        """Return a failure."""
        return ("fail", "not today")

    def request_invalid_tuple(self, req: Any, msg: Message) -> Any:
        """Return a failure of the other kind."""
        return ("invalid", "never")

    def request_fail_alone(self, req: Any, msg: Message) -> Any:
        """Return a failure without a text."""
        return ("fail",)

    @request(Int(), Str(optional=True))
    @return_reply(Int(), Str())
    def request_decorated(self, req: Any, number: int, text: str | None) -> Any:
        """Take and return values."""
        return ("ok", number + 1, text or "none")

    @request(Int())
    @return_reply(Int())
    async def request_decorated_async(self, req: Any, number: int) -> Any:
        """Take and return values, slowly."""
        await asyncio.sleep(0)
        return ("ok", number + 2)

    @request(Int())
    @return_reply(Int())
    @gen.coroutine
    def request_decorated_tornado(self, req: Any, number: int) -> Any:
        """Take and return values, slowly."""
        yield gen.sleep(0)
        raise gen.Return(("ok", number + 3))

    @gen.coroutine
    @request(Int())
    @return_reply(Int())
    def request_decorated_below(self, req: Any, number: int) -> Any:
        """Take and return values under a coroutine decorator."""
        return ("ok", number + 4)

    @return_reply(Int())
    @request(Int())
    def request_decorated_swapped(self, req: Any, number: int) -> Any:
        """Have the decorators the other way about."""
        return ("ok", number + 5)

    @request(Int())
    @return_reply()
    def request_decorated_message(self, req: Any, number: int) -> Any:
        """Return a ready message from a decorated handler."""
        return req.make_reply("ok", "ready")

    def request_typed(self, req: Any, x: int, y: float = 0.5) -> float:
        """Take and return typed values."""
        return x + y

    async def request_typed_async(self, req: Any, x: int) -> tuple[int, str]:
        """Take and return typed values, slowly."""
        await asyncio.sleep(0)
        return x, "async"

    async def request_never_waits(self, req: Any, x: int) -> int:
        """Be a coroutine that has nothing to wait for."""
        return x

    def request_typed_nothing(self, req: Any) -> None:
        """Return nothing."""

    def request_future(self, req: Any, kind: str) -> Any:
        """Return a future of a kind."""
        return self.future(kind, "ok", kind)

    def request_failing_future(self, req: Any, kind: str) -> Any:
        """Return a future that fails."""
        return self.future(kind, FailReply("in the future"))

    def request_future_of_failure(self, req: Any, kind: str) -> Any:
        """Return a future whose result is an exception."""

        async def result() -> Any:
            return FailReply("as a result")

        return result()

    def future(self, kind: str, *result: Any) -> Any:
        if kind == "coroutine":

            async def wait() -> Any:
                await asyncio.sleep(0.01)
                if isinstance(result[0], BaseException):
                    raise result[0]
                return result

            return wait()
        if kind == "tornado":

            @gen.coroutine
            def wait_for_tornado() -> Any:
                yield gen.sleep(0.01)
                if isinstance(result[0], BaseException):
                    raise result[0]
                return result

            return wait_for_tornado()
        loop = self.ioloop.asyncio_loop  # type: ignore[attr-defined]
        future: Any = loop.create_future() if kind == "asyncio" else concurrent.futures.Future()

        def resolve() -> None:
            if isinstance(result[0], BaseException):
                future.set_exception(result[0])
            else:
                future.set_result(result)

        loop.call_soon_threadsafe(loop.call_later, 0.01, resolve)
        return future

    # -- what they raise -----------------------------------------------------------------

    def request_raise(self, req: Any, what: str) -> Any:
        """Raise something."""
        raise self.exception(what)

    async def request_raise_async(self, req: Any, what: str) -> Any:
        """Raise something, slowly."""
        await asyncio.sleep(0)
        raise self.exception(what)

    @gen.coroutine
    def request_raise_tornado(self, req: Any, msg: Message) -> Any:
        """Raise something, slowly."""
        yield gen.sleep(0)
        raise self.exception(msg.arguments[0].decode())

    def exception(self, what: str) -> BaseException:
        return {
            "fail": FailReply("No can do."),
            "invalid": InvalidReply("What is that?"),
            "empty": FailReply(),
            "error": RuntimeError("broken"),
            "exit": SystemExit(3),
            "cancelled": asyncio.CancelledError("by hand"),
            "stop-iteration": StopIteration("no more"),
            "generator-exit": GeneratorExit("out"),
            "own": Stop("own kind"),
        }[what]

    # -- what is wrong with them ---------------------------------------------------------

    def request_none(self, req: Any, msg: Message) -> Any:
        """Return nothing."""

    def request_number(self, req: Any, msg: Message) -> Any:
        """Return a number, not typed."""
        return 7

    def request_wrong_name(self, req: Any, msg: Message) -> Any:
        """Return a reply to something else."""
        return Message.reply("right-name", "ok")

    def request_wrong_type(self, req: Any, msg: Message) -> Any:
        """Return an inform."""
        return Message.inform("wrong-type", "ok")

    def request_badly_typed(self, req: Any) -> int:
        """Return what the annotation does not say."""
        return "seven"  # type: ignore[return-value]

    def request_odd_status(self, req: Any, msg: Message) -> Any:
        """Return a tuple that does not begin with a status."""
        return ("okay", 1)

    # -- replies by hand -----------------------------------------------------------------

    def request_by_hand(self, req: Any, msg: Message) -> Any:
        """Reply, and return nothing."""
        req.inform("working", 1)
        req.reply("ok", "by hand")

    def request_by_hand_returned(self, req: Any, msg: Message) -> Any:
        """Reply, and return what that returned."""
        return req.reply("ok", "returned")

    def request_with_message(self, req: Any, msg: Message) -> Any:
        """Reply with a message."""
        req.reply_with_message(Message.reply_to_request(msg, "ok", "ready"))

    def request_twice(self, req: Any, msg: Message) -> Any:
        """Reply twice, then say more."""
        req.reply("ok", "first")
        for say in (req.reply, req.inform):
            try:
                say("ok", "second")
            except RuntimeError as error:
                self.later[say.__name__] = str(error)

    def request_twice_returned(self, req: Any, msg: Message) -> Any:
        """Reply, and return a reply."""
        req.reply("ok", "first")
        return req.make_reply("ok", "second")

    def request_reply_then_raise(self, req: Any, msg: Message) -> Any:
        """Reply, then fail."""
        req.reply("ok", "done")
        raise RuntimeError("after the reply")

    def request_reply_then_fail(self, req: Any, msg: Message) -> Any:
        """Reply, then fail in the way that is foreseen."""
        req.reply("ok", "done")
        raise FailReply("after the reply")

    def request_wrong_message(self, req: Any, msg: Message) -> Any:
        """Try to reply with a message to something else."""
        try:
            req.reply_with_message(Message.reply("other", "ok"))
        except AssertionError:
            return ("ok", "refused")
        return ("fail", "taken")

    def request_job(self, req: Any, msg: Message) -> Any:
        """Leave the answer for later."""
        self.later[msg.arguments[0].decode()] = req
        raise AsyncReply

    async def request_job_async(self, req: Any, name: str) -> Any:
        """Leave the answer for later, after a wait."""
        await asyncio.sleep(0)
        self.later[name] = req
        raise AsyncReply

    def request_job_future(self, req: Any, name: str) -> Any:
        """Leave the answer for later by a result."""
        self.later[name] = req

        async def result() -> Any:
            return AsyncReply()

        return result()

    def request_thread(self, req: Any, msg: Message) -> Any:
        """Have a thread reply."""

        def work() -> None:
            req.inform("from", "thread")
            req.reply("ok", "from thread")

        thread = threading.Thread(target=work)
        thread.start()
        raise AsyncReply


class InLoop(Handlers, AsyncDeviceServer):
    """Everything in the loop of the test."""


class InThreads(Handlers, DeviceServer):
    """A loop in a thread, plain handlers in another."""


class InLoopOfThread(Handlers, DeviceServer):
    """A loop in a thread, handlers in it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.set_concurrency_options(thread_safe=True, handler_thread=False)


PLACES = [InLoop, InThreads, InLoopOfThread]
anywhere = pytest.mark.parametrize("place", PLACES)


@anywhere
async def test_what_handlers_return(place: Any) -> None:
    expected: dict[bytes, list[bytes]] = {
        b"?message[1] a \\@ b\\_c": [b"!message[1] ok a \\@ b\\_c"],
        b"?message": [b"!message ok"],
        b"?own-message[2]": [b"!own-message[2] ok 1 2.5 1 a\\_b"],
        b"?tuple[3]": [b"!tuple[3] ok 1 two three"],
        b"?list": [b"!list ok 0.5"],
        b"?fail-tuple": [b"!fail-tuple fail not\\_today"],
        b"?invalid-tuple": [b"!invalid-tuple invalid never"],
        b"?fail-alone": [b"!fail-alone fail"],
        b"?decorated 4": [b"!decorated ok 5 none"],
        b"?decorated 4 text": [b"!decorated ok 5 text"],
        b"?decorated four": [
            b"!decorated fail Error\\_in\\_parameter\\_1\\_(number):\\_"
            b"Could\\_not\\_parse\\_value\\_'b'four''\\_as\\_integer."
        ],
        b"?decorated": [
            b"!decorated fail Error\\_in\\_parameter\\_1\\_(number):\\_"
            b"No\\_value\\_or\\_default\\_given"
        ],
        b"?decorated 1 2 3": [b"!decorated fail Too\\_many\\_parameters\\_given."],
        b"?decorated-async[5] 1": [b"!decorated-async[5] ok 3"],
        b"?decorated-tornado[6] 1": [b"!decorated-tornado[6] ok 4"],
        b"?decorated-below[7] 1": [b"!decorated-below[7] ok 5"],
        b"?decorated-swapped[8] 1": [b"!decorated-swapped[8] ok 6"],
        b"?decorated-message 1": [b"!decorated-message ok ready"],
        b"?typed[9] 1": [b"!typed[9] ok 1.5"],
        b"?typed 1 2": [b"!typed ok 3.0"],
        b"?typed-async[10] 7": [b"!typed-async[10] ok 7 async"],
        b"?never-waits[11] 7": [b"!never-waits[11] ok 7"],
        b"?typed-nothing": [b"!typed-nothing ok"],
        b"?typed 1 2 3": [b"!typed fail Too\\_many\\_parameters\\_given."],
        b"?future-of-failure x": [b"!future-of-failure fail as\\_a\\_result"],
        b"?by-hand[12]": [b"#by-hand[12] working 1", b"!by-hand[12] ok by\\_hand"],
        b"?by-hand-returned[13]": [b"!by-hand-returned[13] ok returned"],
        b"?with-message[14]": [b"!with-message[14] ok ready"],
        b"?wrong-message": [b"!wrong-message ok refused"],
        b"?thread[15]": [b"#thread[15] from thread", b"!thread[15] ok from\\_thread"],
        b"?unknown[16] x": [b"!unknown[16] invalid Unknown\\_request."],
        b"?unknown": [b"!unknown invalid Unknown\\_request."],
    }
    for kind in KINDS_OF_FUTURES:
        name = kind.encode()
        expected[b"?future[17] " + name] = [b"!future[17] ok " + name]
        expected[b"?failing-future " + name] = [b"!failing-future fail in\\_the\\_future"]
    if place is InLoop:
        del expected[b"?thread[15]"]  # not thread-safe, and so documented
    async with serving(place("127.0.0.1", 0)) as server, talking(server) as client:
        for line, answer in expected.items():
            assert await client.ask(line) == answer, line
        # And all at once, which is another way through the server. Only what is left for later
        # may be answered out of turn.
        expected.pop(b"?thread[15]", None)
        await client.send(*expected)
        for answer in expected.values():
            assert await client.until_reply() == answer


RAISED = {
    "fail": b"fail No\\_can\\_do.",
    "invalid": b"invalid What\\_is\\_that?",
    "empty": b"fail \\@",
    "error": b"fail RuntimeError:\\_broken",
    "exit": b"fail SystemExit:\\_3",
    "cancelled": b"fail asyncio.exceptions.CancelledError:\\_by\\_hand",
    "stop-iteration": b"fail StopIteration:\\_no\\_more",
    "generator-exit": b"fail GeneratorExit:\\_out",
    "own": f"fail {__name__}.Stop:\\_own\\_kind".encode(),
}


@anywhere
async def test_what_handlers_raise(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(place("127.0.0.1", 0, tb_limit=0)) as server, talking(server) as client:
        for what, answer in RAISED.items():
            (reply,) = await client.ask(b"?raise[1] " + what.encode())
            if what == "cancelled" and place is InThreads:
                answer = b"fail request_cancelled"
            assert reply == b"!raise[1] " + answer
            (reply,) = await client.ask(b"?raise-async[2] " + what.encode())
            if what == "cancelled":
                answer = b"fail request_cancelled"
            if what == "stop-iteration":
                answer = b"fail RuntimeError:\\_coroutine\\_raised\\_StopIteration"
            assert reply == b"!raise-async[2] " + answer
            if what in ("fail", "invalid", "empty", "error"):
                (reply,) = await client.ask(b"?raise-tornado[3] " + what.encode())
                assert reply == b"!raise-tornado[3] " + answer
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
    logged = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert all(record.exc_info for record in logged)
    assert any("broken" in str(record.exc_info[1]) for record in logged if record.exc_info)


@anywhere
async def test_what_is_no_reply_becomes_a_failure(place: Any) -> None:
    async with serving(place("127.0.0.1", 0, tb_limit=0)) as server, talking(server) as client:
        for name in (
            b"none",
            b"number",
            b"wrong-name",
            b"wrong-type",
            b"badly-typed",
            b"odd-status",
        ):
            (reply,) = await client.ask(b"?" + name + b"[4]")
            assert reply.startswith(b"!" + name + b"[4] fail "), reply
            assert len(reply) < 300
        assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


@anywhere
async def test_a_request_is_answered_once(place: Any, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(place("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?twice[1]", b"?twice-returned[2]", b"?reply-then-raise[3]")
        await client.send(b"?reply-then-fail[4]", b"?watchdog[5]")
        assert await client.lines(5) == [
            b"!twice[1] ok first",
            b"!twice-returned[2] ok first",
            b"!reply-then-raise[3] ok done",
            b"!reply-then-fail[4] ok done",
            b"!watchdog[5] ok",
        ]
        assert server.later == {
            "reply": "Reply to request <Message request twice > already sent.",
            "inform": (
                "Cannot send inform for request <Message request twice > after sending reply."
            ),
        }
    errors = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert len(errors) == 3


@anywhere
async def test_an_answer_may_come_later(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, talking(server) as client:
        for line in (b"?job[1] plain", b"?job-async[2] async", b"?job-future[3] future"):
            await client.send(line)
        # It does not hold the next message back.
        assert await client.ask(b"?watchdog[4]") == [b"!watchdog[4] ok"]
        await until(lambda: len(server.later) == 3)
        (connection,) = server._server.connections

        def reply(name: str) -> None:
            req = server.later[name]
            req.inform("soon")
            req.reply("ok", name)

        # From the loop in any case; from another thread if the server is made for it.
        for name, mid in (("future", b"3"), ("plain", b"1"), ("async", b"2")):
            if place is InLoop:
                reply(name)
            else:
                await asyncio.get_running_loop().run_in_executor(None, reply, name)
            request_name = b"job" if name == "plain" else b"job-" + name.encode()
            assert await client.until_reply() == [
                b"#" + request_name + b"[" + mid + b"] soon",
                b"!" + request_name + b"[" + mid + b"] ok " + name.encode(),
            ]
        await until(lambda: not connection.deferred)
        with pytest.raises(RuntimeError, match="already sent"):
            server.later["plain"].reply("ok")


@anywhere
async def test_a_late_answer_to_a_client_that_is_gone_is_dropped(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server:
        async with talking(server) as client:
            await client.send(b"?job a", b"?job-async b")
            await until(lambda: len(server.later) == 2)
            await client.send(b"?watchdog")
            assert await client.until_reply() == [b"!watchdog ok"]
        await until(lambda: not server._server.connections)
        server.later["a"].inform("still there?")
        server.later["a"].reply("ok")
        async with talking(server) as client:
            assert await client.ask(b"?watchdog") == [b"!watchdog ok"]


# -- order and concurrency ----------------------------------------------------------------


class Orders(AsyncDeviceServer):
    """Handlers that wait until they are told to go on."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.gates: dict[str, asyncio.Event] = {}
        self.running_now: list[str] = []
        self.most: int = 0

    async def wait(self, name: str) -> str:
        self.running_now.append(name)
        self.most = max(self.most, len(self.running_now))
        try:
            await self.gates.setdefault(name, asyncio.Event()).wait()
        finally:
            self.running_now.remove(name)
        return name

    async def request_serial(self, req: Any, name: str) -> str:
        """Hold back what follows."""
        req.inform("begun", name)
        return await self.wait(name)

    @concurrent_reply
    async def request_side(self, req: Any, name: str) -> str:
        """Let others pass."""
        req.inform("begun", name)
        return await self.wait(name)

    @request(Str())
    @return_reply(Str())
    @concurrent_reply
    @gen.coroutine
    def request_side_tornado(self, req: Any, name: str) -> Any:
        """Let others pass, in the old style."""
        yield self.wait(name)
        raise gen.Return(("ok", name))

    def request_job(self, req: Any, msg: Message) -> Any:
        """Answer later."""
        self.jobs = [*getattr(self, "jobs", []), req]
        raise AsyncReply


async def test_messages_of_a_connection_are_handled_one_after_the_other() -> None:
    async with (
        serving(Orders("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        await client.send(b"?serial[1] a", b"?serial[2] b", b"?watchdog[3]", b"?bad_name", b"#x")
        assert await client.line() == b"#serial[1] begun a"
        assert await other.ask(b"?watchdog[4]") == [b"!watchdog[4] ok"]
        assert server.running_now == ["a"]
        server.gates["a"].set()
        assert await client.lines(2) == [b"!serial[1] ok a", b"#serial[2] begun b"]
        assert server.running_now == ["b"]
        server.gates["b"].set()
        assert await client.lines(2) == [b"!serial[2] ok b", b"!watchdog[3] ok"]
        assert (await client.line()).startswith(b"#log error ")
        assert server.most == 1


@pytest.mark.parametrize("name", [b"side", b"side-tornado"])
async def test_concurrent_handlers_let_others_pass(name: bytes) -> None:
    async with serving(Orders("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(
            b"?" + name + b"[1] a", b"?" + name + b"[2] b", b"?watchdog[3]", b"?serial[4] c"
        )
        await until(lambda: sorted(server.running_now) == ["a", "b", "c"])
        for gate in "cba":
            server.gates[gate].set()
            await until(lambda gate=gate: gate not in server.running_now)
        lines = [await client.line() for _ in range(5 if name == b"side-tornado" else 7)]
        replies = [line for line in lines if line.startswith(b"!")]
        assert replies == [
            b"!watchdog[3] ok",
            b"!serial[4] ok c",
            b"!" + name + b"[2] ok b",
            b"!" + name + b"[1] ok a",
        ]


async def test_two_requests_of_a_name_without_ids_never_run_at_once() -> None:
    async with (
        serving(Orders("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        await client.send(b"?side a", b"?side b", b"?watchdog")
        await other.send(b"?side c", b"?side-tornado d", b"?side[7] e")
        # Those of another connection, of another name or with an id are free to run.
        await until(lambda: sorted(server.running_now) == ["a", "c", "d", "e"])
        server.gates["a"].set()
        assert await client.lines(2) == [b"#side begun a", b"!side ok a"]
        assert sorted(await client.lines(2)) == [b"!watchdog ok", b"#side begun b"]
        server.gates["b"].set()
        assert await client.line() == b"!side ok b"
        for gate in "cde":
            server.gates[gate].set()
        assert len(await other.lines(5)) == 5


async def test_a_name_without_id_is_free_again_when_it_is_answered_later() -> None:
    async with serving(Orders("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?job", b"?job", b"?watchdog")
        await until(lambda: getattr(server, "jobs", None))
        await asyncio.sleep(0.02)
        assert len(server.jobs) == 1
        server.jobs[0].reply("ok", 1)
        assert await client.lines(2) == [b"!job ok 1", b"!watchdog ok"]
        assert len(server.jobs) == 2
        server.jobs[1].reply("ok", 2)
        assert await client.line() == b"!job ok 2"
        # With ids they are told apart.
        await client.send(b"?job[1]", b"?job[2]", b"?watchdog")
        assert await client.line() == b"!watchdog ok"
        assert len(server.jobs) == 4


async def test_a_request_that_was_removed_while_it_waited_is_unknown() -> None:
    async with serving(Orders("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?side a", b"?side b")
        await until(lambda: server.running_now == ["a"])
        server.remove_request("side")
        server.gates["a"].set()
        lines = [await client.line() for _ in range(4)]
        assert lines[-2:] == [b"!side ok a", b"!side invalid Unknown\\_request."]


async def test_many_requests_behind_a_slow_one_keep_their_order() -> None:
    async with serving(Orders("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?serial[1] a", *[b"?watchdog[%d]" % i for i in range(2, 3000)])
        assert await client.line() == b"#serial[1] begun a"
        server.gates["a"].set()
        assert await client.line() == b"!serial[1] ok a"
        assert await client.lines(2998) == [b"!watchdog[%d] ok" % i for i in range(2, 3000)]


async def test_many_slow_requests_in_one_go_take_time_in_proportion() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, talking(server) as client:
        # All in one chunk: were the rest copied for each of them, this would take minutes.
        await client.send(*[b"?typed-async %d" % i for i in range(4000)])
        for i in range(4000):
            assert await client.line() == b"!typed-async ok %d async" % i


# -- where handlers run -------------------------------------------------------------------


class Threads(DeviceServer):
    """Tells where its handlers run."""

    announces_clients = False

    def setup_sensors(self) -> None:
        self.release = threading.Event()

    def request_plain(self, req: Any, msg: Message) -> Any:
        """Tell the thread of a plain handler."""
        return ("ok", threading.current_thread().name)

    async def request_async(self, req: Any) -> str:
        """Tell the thread of a coroutine."""
        return threading.current_thread().name

    @blocking
    def request_pool(self, req: Any, msg: Message) -> Any:
        """Tell the thread of a handler that blocks."""
        return ("ok", threading.current_thread().name)

    @blocking
    @request(Float())
    @return_reply(Str())
    def request_pool_decorated(self, req: Any, seconds: float) -> Any:
        """Block, decorated."""
        time.sleep(seconds)
        return ("ok", threading.current_thread().name)

    @blocking
    def request_wait(self, req: Any, name: str) -> str:
        """Block until the test says so."""
        req.inform("waiting", name)
        assert self.release.wait(10)
        return name

    def request_block(self, req: Any, msg: Message) -> Any:
        """Block the thread of all plain handlers."""
        req.inform("waiting")
        assert self.release.wait(10)
        return ("ok",)

    def inform_hello(self, conn: Any, msg: Message) -> Any:
        """Tell the thread of an inform's handler."""
        conn.inform(Message.inform("thread", threading.current_thread().name))


async def test_the_thread_of_each_kind_of_handler() -> None:
    async with serving(Threads("127.0.0.1", 0)) as server, talking(server) as client:
        assert (await client.ask(b"?plain"))[0].startswith(b"!plain ok katcp-handlers")
        assert (await client.ask(b"?async"))[0].startswith(b"!async ok ioloop-")
        assert (await client.ask(b"?pool"))[0].startswith(b"!pool ok katcp-blocking")
        (reply,) = await client.ask(b"?pool-decorated 0")
        assert reply.startswith(b"!pool-decorated ok katcp-blocking")
        await client.send(b"#hello")
        assert (await client.line()).startswith(b"#thread katcp-handlers")


async def test_a_blocking_handler_holds_up_nobody_else() -> None:
    async with (
        serving(Threads("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        await client.send(b"?wait[1] a", b"?watchdog[2]")
        assert await client.line() == b"#wait[1] waiting a"
        assert await other.ask(b"?watchdog[3]") == [b"!watchdog[3] ok"]
        assert (await other.ask(b"?plain[4]"))[0].startswith(b"!plain[4] ok ")
        await other.send(b"?wait[5] b")
        assert await other.line() == b"#wait[5] waiting b"
        server.release.set()
        assert await client.lines(2) == [b"!wait[1] ok a", b"!watchdog[2] ok"]
        assert await other.line() == b"!wait[5] ok b"


async def test_the_handler_thread_runs_one_handler_at_a_time() -> None:
    async with (
        serving(Threads("127.0.0.1", 0)) as server,
        talking(server) as client,
        talking(server) as other,
    ):
        await client.send(b"?block[1]")
        assert await client.line() == b"#block[1] waiting"
        # The library's own handlers are known not to block and need no thread.
        assert await other.ask(b"?watchdog[2]") == [b"!watchdog[2] ok"]
        await other.send(b"?plain[3]", b"?watchdog[4]")
        await asyncio.sleep(0.02)
        server.release.set()
        assert await client.line() == b"!block[1] ok"
        lines = await other.lines(2)
        assert lines[0].startswith(b"!plain[3] ok katcp-handlers")
        assert lines[1] == b"!watchdog[4] ok"


async def test_blocking_handlers_run_in_threads_of_an_async_server_too() -> None:
    class Device(Bare):
        @blocking
        def request_pool(self, req: Any) -> str:
            """Tell the thread."""
            return threading.current_thread().name

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert (await client.ask(b"?pool"))[0].startswith(b"!pool ok katcp-blocking")


async def test_handler_threads_limits_the_pool() -> None:
    class Device(Threads):
        pass

    server = Device("127.0.0.1", 0, handler_threads=2)
    async with serving(server), talking(server) as a, talking(server) as b, talking(server) as c:
        for client in (a, b):
            await client.send(b"?wait x")
            assert await client.line() == b"#wait waiting x"
        await c.send(b"?wait y")
        await asyncio.sleep(0.05)
        assert server.katcp_handler_pool()._calls.qsize() == 1
        server.release.set()
        assert await c.lines(2) == [b"#wait waiting y", b"!wait ok y"]
        for client in (a, b):
            assert await client.line() == b"!wait ok x"


# -- what the client is told of a bug -----------------------------------------------------


@anywhere
async def test_a_traceback_begins_with_the_handler(place: Any) -> None:
    async with serving(place("127.0.0.1", 0)) as server, talking(server) as client:
        for line in (b"?raise error", b"?raise-async error"):
            (reply,) = await client.ask(line)
            text = reply.replace(b"\\_", b" ").replace(b"\\n", b"\n")
            assert b"Traceback (most recent call last):" in text
            assert b"RuntimeError: broken" in text
            assert b"katcp/server" not in text
            assert b"in request_raise" in text


@pytest.mark.parametrize(("limit", "frames"), [(1, 1), (2, 2), (20, 3), (None, 3)])
def test_exception_text_has_so_many_frames(limit: int | None, frames: int) -> None:
    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        raise ValueError("bottom")

    try:
        deep(1)
    except ValueError as error:
        text = exception_text(error, limit)
    assert text.count("  File ") == frames
    assert text.rstrip().endswith("ValueError: bottom")


def test_exception_text_can_be_one_line() -> None:
    assert exception_text(KeyError("lost"), 0) == "KeyError: 'lost'"
    assert exception_text(ValueError(), 0) == "ValueError"


def test_is_coroutine_handler_sees_through_decorators() -> None:
    assert is_coroutine_handler(Handlers.request_typed_async)
    assert is_coroutine_handler(Handlers.request_decorated_async)
    assert is_coroutine_handler(Handlers.request_decorated_tornado)
    assert is_coroutine_handler(Handlers.request_raise_tornado)
    assert not is_coroutine_handler(Handlers.request_decorated)
    assert not is_coroutine_handler(Handlers.request_typed)


def test_an_entry_knows_its_handler_beforehand() -> None:
    server = Threads("127.0.0.1", 0)
    entry = Entry(server, "plain", Threads.request_plain)
    assert entry.executor == server.katcp_handler_thread
    assert entry.unpack is None
    assert entry.serial
    entry = Entry(server, "async", Threads.request_async)
    assert entry.executor is None
    assert entry.unpack is not None
    entry = Entry(server, "pool", Threads.request_pool)
    assert entry.executor == server.katcp_handler_pool
    entry = Entry(Orders("127.0.0.1", 0), "side", Orders.request_side)
    assert not entry.serial


def test_a_badly_annotated_handler_is_an_error_before_any_request() -> None:
    class Device(BareThreaded):
        def request_odd(self, req: Any, x: int, y) -> int:  # type: ignore[no-untyped-def]
            """Leave one parameter without a type."""
            return x

    with pytest.raises(TypeError, match="'y'"):
        Device("127.0.0.1", 0)


async def test_a_coroutine_that_never_waits_spends_no_turn() -> None:
    async with serving(InLoop("127.0.0.1", 0)) as server, talking(server) as client:
        await client.send(b"?never-waits[1] 1", b"?watchdog[2]")
        assert await client.lines(2) == [b"!never-waits[1] ok 1", b"!watchdog[2] ok"]
        assert not server.katcp_under_way


async def test_other_awaitables_and_a_class_for_an_answer() -> None:
    class Awaitable:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0.001).__await__()
            return ("ok", "awaited")

    class Device(Bare):
        def request_awaitable(self, req: Any, msg: Message) -> Any:
            """Return something that can be awaited and is nothing else."""
            return Awaitable()

        async def request_class(self, req: Any, msg: Message) -> Any:
            """Return the class that others raise."""
            self.req = req
            return AsyncReply

    async with serving(Device("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?awaitable") == [b"!awaitable ok awaited"]
        await client.send(b"?class[1]", b"?watchdog[2]")
        assert await client.line() == b"!watchdog[2] ok"
        server.req.reply("ok")
        assert await client.line() == b"!class[1] ok"
