import asyncio
import functools
import inspect

import pytest
from tornado import gen

from katcp.errors import AsyncReply, FailReply
from katcp.kattypes import (
    Float,
    Int,
    Message,
    Str,
    Timestamp,
    concurrent_reply,
    convert_method_name,
    inform,
    request,
    return_reply,
    send_reply,
    unpack_message,
)


class Request:
    """What a handler gets as `req`."""

    def __init__(self, msg=None):
        self.msg = msg
        self.sent = []

    def make_reply(self, *args):
        return Message.reply(self.msg.name, *args)

    def reply_with_message(self, message):
        self.sent.append(message)


def ask(name, *args):
    return Message.request(name, *args)


def text(message):
    return bytes(message).decode()


class Device:
    @request(Int(min=0), Str(default="m"))
    @return_reply(Float(), Str())
    def request_scale(self, req, n, unit):
        """Scale N units."""
        if n > 100:
            return ("fail", "too large")
        return ("ok", n / 3, unit)

    @return_reply(Float(), Str())
    @request(Int(min=0), Str(default="m"))
    def request_other_order(self, req, n, unit):
        """Scale N units."""
        return ("ok", n / 3, unit)

    @request(Int(), Int(multiple=True))
    @return_reply(Int())
    def request_sum(self, req, first, *rest):
        """Add integers."""
        if len(rest) > 2:
            raise FailReply("too many terms")
        return ("ok", first + sum(rest))

    @request(Str(optional=True), include_msg=True)
    @return_reply(Str(), Int())
    def request_with_message(self, req, msg, text):
        """Tell how many arguments there were."""
        return ("ok", repr(text), len(msg.arguments))

    @request(Int())
    @return_reply(Int())
    async def request_async(self, req, n):
        """Add one, later."""
        await asyncio.sleep(0)
        if n < 0:
            raise FailReply("negative")
        return ("ok", n + 1)

    @request(Int(), include_msg=True)
    @return_reply(Str())
    async def request_async_message(self, req, msg, n):
        """Tell the name of the request."""
        return ("ok", msg.name)

    @request(Int())
    @return_reply(Int())
    @concurrent_reply
    @gen.coroutine
    def request_coroutine(self, req, n):
        """Add one, later."""
        yield gen.moment
        if n < 0:
            raise FailReply("negative")
        raise gen.Return(("ok", n + 1))

    @request()
    @return_reply()
    def request_later(self, req):
        """Answer later."""
        raise AsyncReply

    @request()
    @return_reply(Int())
    def request_awaitable(self, req):
        """Return a coroutine without being one."""

        async def work():
            return ("ok", 5)

        return work()

    @request(Int())
    @return_reply(Int())
    def request_ready(self, req, n):
        """Return a ready message."""
        return Message.reply("ready", "ok", n, "and more")


@pytest.fixture
def device():
    return Device()


def test_request_and_reply(device):
    reply = device.request_scale(Request(), ask("scale", 7))
    assert text(reply) == "!scale ok 2.3333333333333335 m"
    assert text(device.request_scale(Request(), ask("scale", 101, "km"))) == (
        r"!scale fail too\_large"
    )


def test_bad_arguments_are_named_as_the_handler_does(device):
    with pytest.raises(FailReply, match=r"^Error in parameter 1 \(n\): Integer -1 is lower"):
        device.request_scale(Request(), ask("scale", -1))
    with pytest.raises(FailReply, match=r"^Too many parameters given\.$"):
        device.request_scale(Request(), ask("scale", 1, "m", 3))


def test_either_order(device):
    assert text(device.request_other_order(Request(), ask("other-order", 3))) == (
        "!other-order ok 1.0 m"
    )
    with pytest.raises(FailReply, match=r"parameter 1 \(n\)"):
        device.request_other_order(Request(), ask("other-order"))


def test_several_values(device):
    assert text(device.request_sum(Request(), ask("sum", 1, 2, 3))) == "!sum ok 6"
    with pytest.raises(FailReply, match="too many terms"):
        device.request_sum(Request(), ask("sum", 1, 2, 3, 4))


def test_w19_names_of_several_values(device):
    with pytest.raises(FailReply, match=r"^Error in parameter 2 \(rest\): No value"):
        device.request_sum(Request(), ask("sum", 1))
    with pytest.raises(FailReply, match=r"^Error in parameter 3 \(rest\): Could not parse"):
        device.request_sum(Request(), ask("sum", 1, 2, "x"))


def test_include_msg(device):
    assert text(device.request_with_message(Request(), ask("with-message"))) == (
        "!with-message ok None 0"
    )
    assert text(device.request_with_message(Request(), ask("with-message", ""))) == (
        "!with-message ok '' 1"
    )


async def test_async_functions_stay_so(device):
    assert inspect.iscoroutinefunction(Device.request_async)
    assert text(await device.request_async(Request(), ask("async", 1))) == "!async ok 2"
    assert text(await device.request_async_message(Request(), ask("async-message", 1))) == (
        "!async-message ok async-message"
    )
    with pytest.raises(FailReply, match="negative"):
        await device.request_async(Request(), ask("async", -1))
    with pytest.raises(FailReply, match=r"parameter 1 \(n\)"):
        await device.request_async(Request(), ask("async", "x"))


async def test_coroutines_of_tornado(device):
    assert Device.request_coroutine.__tornado_coroutine__ is True
    assert Device.request_coroutine._concurrent_reply is True
    future = device.request_coroutine(Request(), ask("coroutine", 1))
    assert asyncio.isfuture(future)
    assert text(await future) == "!coroutine ok 2"
    with pytest.raises(FailReply, match="negative"):
        await device.request_coroutine(Request(), ask("coroutine", -1))
    with pytest.raises(FailReply, match=r"parameter 1 \(n\)"):
        device.request_coroutine(Request(), ask("coroutine", "x"))


async def test_plain_function_may_return_an_awaitable(device):
    assert text(await device.request_awaitable(Request(), ask("awaitable"))) == "!awaitable ok 5"


def test_async_reply_passes(device):
    with pytest.raises(AsyncReply):
        device.request_later(Request(), ask("later"))


def test_w21_decorated_handlers_may_return_a_message(device):
    assert text(device.request_ready(Request(), ask("ready", 1))) == r"!ready ok 1 and\_more"


def test_what_handlers_say_of_themselves_is_kept():
    assert Device.request_scale.__doc__ == "Scale N units."
    assert Device.request_scale.__name__ == "request_scale"
    assert list(inspect.signature(Device.request_scale).parameters) == ["self", "req", "n", "unit"]


def test_functions_without_self():
    @request(Int())
    def double(req, n):
        return 2 * n

    assert double(Request(), ask("double", 4)) == 8
    with pytest.raises(FailReply, match=r"parameter 1 \(n\)"):
        double(Request(), ask("double", "x"))


def test_callables_that_tell_nothing_of_their_parameters():
    assert request(Str(), Str())(max)("a", ask("x", "a", "b")) == "b"

    class Opaque:
        __signature__ = "none"

        def __call__(self, req, n):
            return n

    with pytest.raises(FailReply, match=r"parameter 1 \(\)"):
        request(Int())(Opaque())(Request(), ask("x", "y"))


def test_version_4():
    request_v4 = functools.partial(request, major=4)
    reply_v4 = functools.partial(return_reply, major=4)

    @request_v4(Timestamp())
    @reply_v4(Timestamp())
    def request_stamp(self, req, seconds):
        assert seconds == 1234.5
        return ("ok", seconds)

    assert text(request_stamp(None, Request(), ask("stamp", "1234500"))) == "!stamp ok 1234500"


def test_unknown_options_are_refused():
    for decorator in (request, inform, unpack_message, return_reply, send_reply):
        with pytest.raises(TypeError, match="unexpected keyword"):
            decorator(Int(), colour="red")


def test_forgotten_parentheses_are_noticed():
    for decorator in (request, inform, return_reply, send_reply):
        with pytest.raises(TypeError, match="is not a KATCP type"):
            decorator(lambda self, req: None)


def test_only_requests_return_replies():
    with pytest.raises(ValueError, match="called request_"):
        return_reply()(lambda self, req, msg: ("ok",))
    with pytest.raises(ValueError, match="called request_"):
        return_reply()(functools.partial(Device.request_sum))


class Client:
    @inform(Str(), Int(default=3))
    def inform_hello(self, name, count):
        """Take values."""
        return name, count

    @unpack_message(Str(), include_msg=True)
    def reply_hello(self, msg, name):
        """Take the message too."""
        return msg.name, name

    @request(Str(), has_req=False)
    def inform_old(self, name):
        """Spell inform the long way."""
        return name

    def on_reply(self, status):
        return status


@pytest.mark.parametrize("decorator", [inform, unpack_message])
def test_handlers_without_req(decorator):
    client = Client()
    assert client.inform_hello(Message.inform("hello", "a")) == ("a", 3)
    assert client.reply_hello(Message.reply("hello", "b")) == ("hello", "b")
    assert client.inform_old(Message.inform("old", "c")) == "c"
    assert decorator(Int())(client.on_reply)(Message.reply("x", "4")) == 4
    with pytest.raises(FailReply, match=r"parameter 1 \(status\)"):
        decorator(Int())(client.on_reply)(Message.reply("x", "y"))


def test_w15_names_are_left_alone():
    assert functools.update_wrapper.__name__ == "update_wrapper"
    assert unpack_message.__name__ == "unpack_message"
    assert inform.__name__ == "inform"


def test_send_reply():
    @send_reply(Int(), Str())
    def callback(req, *values):
        return (req, *values)

    req = Request(ask("calculate"))
    callback(req, "ok", 1, "x")
    callback(req, "fail", "no good")
    callback(req, Message.reply("calculate", "ok", "ready"))
    assert list(map(text, req.sent)) == [
        "!calculate ok 1 x",
        r"!calculate fail no\_good",
        "!calculate ok ready",
    ]


async def test_send_reply_later():
    @send_reply(Int())
    async def callback(req):
        return (req, "ok", 1)

    @send_reply(Int(), major=4)
    @gen.coroutine
    def old_callback(req):
        yield gen.moment
        return (req, "ok", 2)

    req = Request(ask("calculate"))
    await callback(req)
    await old_callback(req)
    assert list(map(text, req.sent)) == ["!calculate ok 1", "!calculate ok 2"]


def test_convert_method_name():
    assert convert_method_name("request_", "request_raw_reverse") == "raw-reverse"
    assert convert_method_name("inform_", "inform_x") == "x"
