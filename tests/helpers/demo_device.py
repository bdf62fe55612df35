"""The device of the recordings: its sensors, its requests, in every version and mode.

Rebuilt from what the recordings in ``tests/transcripts`` show of it. Requests are written the way
code for katcp-python writes them: decorated, with Tornado's generator coroutines.
"""

from __future__ import annotations

import threading
import time
from typing import Any, ClassVar

from tornado import gen

from katcp.kattypes import (
    Address,
    Bool,
    Discrete,
    DiscreteMulti,
    Float,
    Int,
    Regex,
    Str,
    Timestamp,
    TimestampOrNow,
    concurrent_reply,
    request,
    request_timeout_hint,
    return_reply,
)
from katcp.protocol import Message, ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, AsyncReply, DeviceServer, FailReply

#: Time of all readings before a sensor is set.
WHEN = 1600000000.25


def demo_sensors() -> list[Sensor]:
    """Make the fifteen sensors, with their first readings."""
    made: list[tuple[Sensor, int, Any]] = [
        (
            Sensor.address("demo.addr", "An IPv4 address with a port."),
            Sensor.NOMINAL,
            ("192.168.1.2", 7147),
        ),
        (
            Sensor.address("demo.addr-noport", "An IPv4 address without a port."),
            Sensor.NOMINAL,
            ("192.168.1.2", None),
        ),
        (
            Sensor.address("demo.addr6", "An IPv6 address with a port."),
            Sensor.UNREACHABLE,
            ("::1", 7147),
        ),
        (Sensor.boolean("demo.bool", "A boolean."), Sensor.NOMINAL, True),
        (
            Sensor.float("demo.float", "A float with a range.", "V", [-1.5, 2.5]),
            Sensor.NOMINAL,
            1.25,
        ),
        (
            Sensor.float("demo.float-free", "A float without a range.", "m/s"),
            Sensor.ERROR,
            1e-09,
        ),
        (Sensor.integer("demo.fresh", unit="kelvin"), Sensor.UNKNOWN, 0),
        (
            Sensor.integer("demo.int", "An integer with a range.", "counts", [-10, 10]),
            Sensor.NOMINAL,
            3,
        ),
        (Sensor.integer("demo.int-free", "An integer without a range."), Sensor.WARN, -7),
        (
            Sensor.lru("demo.lru", "A line replaceable unit."),
            Sensor.FAILURE,
            Sensor.LRU_ERROR,
        ),
        (
            Sensor.discrete(
                "demo.mode",
                "A discrete; one option has a space.",
                params=["idle", "busy now", "off"],
            ),
            Sensor.NOMINAL,
            "busy now",
        ),
        (
            Sensor.string("demo.text", "A string."),
            Sensor.NOMINAL,
            "tab\there, back\\slash",
        ),
        (Sensor.string("demo.text-empty", "An empty string."), Sensor.UNKNOWN, ""),
        (Sensor.string("demo.text-utf8", "Text beyond ASCII."), Sensor.NOMINAL, "café λ"),
        (Sensor.timestamp("demo.time", "A timestamp."), Sensor.INACTIVE, 1234567890.125),
    ]
    for sensor, status, value in made:
        sensor.set(WHEN, status, value)
    return [sensor for sensor, _, _ in made]


def added_sensor() -> Sensor:
    """Make the sensor that is added while the device runs."""
    sensor = Sensor.integer("demo.added", "Added later.")
    sensor.set(WHEN, Sensor.NOMINAL, 1)
    return sensor


class DemoRequests:
    """What the device answers, mixed into a server class."""

    VERSION_INFO: ClassVar[tuple[Any, ...]] = ("demo-api", 2, 1)
    BUILD_INFO: ClassVar[tuple[Any, ...]] = ("demo-build", 3, 4, "rc1")

    #: What `request_inform_after_reply` met.
    late: list[str]

    # Servers have these.
    add_sensor: Any
    get_sensor: Any
    ioloop: Any

    def setup_sensors(self) -> None:
        """Make the sensors."""
        self.late = []
        for sensor in demo_sensors():
            self.add_sensor(sensor)

    # -- ways to reply ------------------------------------------------------------------

    def request_echo(self, req: Any, msg: Message) -> Message:
        """Echo the arguments."""
        reply: Message = req.make_reply("ok", *msg.arguments)
        return reply

    def request_message_object(self, req: Any, msg: Message) -> Message:
        """Reply with a Message made by hand."""
        return Message.reply("message-object", "ok", 1, 2.5, True, None)

    def request_with_informs(self, req: Any, msg: Message) -> Message:
        """Three informs, then the reply."""
        for step in range(3):
            req.inform("step", step)
        reply: Message = req.make_reply("ok", 3)
        return reply

    @request(Float(), Float())
    @return_reply(Float())
    def request_add(self, req: Any, x: float, y: float) -> Any:
        """Add two floats."""
        return ("ok", x + y)

    @request(Int(min=1, max=5), Discrete(["on", "off"], default="off"), Bool(default=True))
    @return_reply(Int(), Str(), Bool())
    def request_typed(self, req: Any, number: int, switch: str, flag: bool) -> Any:
        """An integer 1..5, a switch and a flag."""
        return ("ok", number, switch, flag)

    @request(Str(), Float(multiple=True))
    @return_reply(Str(), Float(multiple=True))
    def request_many(self, req: Any, label: str, *numbers: float) -> Any:
        """A label and any number of floats."""
        return ("ok", label, *numbers)

    @request(Str(optional=True), include_msg=True)
    @return_reply(Str(), Int())
    def request_optional(self, req: Any, msg: Message, text: str | None) -> Any:
        """An optional string, with the message passed too."""
        return ("ok", repr(text), len(msg.arguments))

    @request(
        Timestamp(),
        TimestampOrNow(),
        Address(),
        DiscreteMulti(["a", "b", "c"]),
        Regex("[0-9]+:[0-9]+"),
    )
    @return_reply(
        Timestamp(), TimestampOrNow(), Address(), DiscreteMulti(["a", "b", "c"], None), Str()
    )
    def request_kinds(
        self, req: Any, ts: float, when: Any, addr: Any, multi: list[str], hhmm: str
    ) -> Any:
        """One of each rarer type."""
        return ("ok", ts, when, addr, multi, hhmm)

    @request(Str(), Str())
    @return_reply()
    def request_poke(self, req: Any, name: str, value: str) -> Any:
        """Set a sensor from text."""
        sensor = self.get_sensor(name)
        sensor.set_value(sensor.parse_value(value.encode()))
        return ("ok",)

    # -- failures -----------------------------------------------------------------------

    def request_fail_reply(self, req: Any, msg: Message) -> Message:
        """Raise FailReply."""
        raise FailReply("No can do: reason here.")

    @request()
    @return_reply()
    def request_fail_tuple(self, req: Any) -> Any:
        """Return a fail tuple."""
        return ("fail", "returned failure")

    @request()
    @return_reply()
    def request_fail_exception(self, req: Any) -> Any:
        """Return fail with an exception object."""
        return ("fail", ValueError("as text"))

    def request_boom(self, req: Any, msg: Message) -> Message:
        """Raise an unexpected exception."""
        raise RuntimeError("something broke")

    def request_returns_none(self, req: Any, msg: Message) -> None:
        """Return None (a handler bug)."""

    def request_wrong_name(self, req: Any, msg: Message) -> Message:
        """Return a reply of another name (a handler bug)."""
        return Message.reply("other-name", "ok")

    @request()
    @return_reply()
    def request_bad_status(self, req: Any) -> Any:
        """Return a first value that is neither ok nor fail."""
        return ("maybe",)

    @request()
    @return_reply(Int())
    def request_too_many(self, req: Any) -> Any:
        """Return more values than declared."""
        return ("ok", 1, 2)

    @request()
    @return_reply(Int(), Int())
    def request_too_few(self, req: Any) -> Any:
        """Return fewer values than declared."""
        return ("ok", 1)

    # -- later --------------------------------------------------------------------------

    @request(Float())
    @return_reply(Str())
    @gen.coroutine
    def request_nap(self, req: Any, seconds: float) -> Any:
        """Coroutine; later messages of this connection wait for it."""
        req.inform("napping")
        yield gen.sleep(seconds)
        raise gen.Return(("ok", "rested"))

    @request(Float())
    @return_reply(Str())
    @concurrent_reply
    @gen.coroutine
    def request_side_nap(self, req: Any, seconds: float) -> Any:
        """Coroutine marked concurrent; later messages do not wait."""
        req.inform("napping")
        yield gen.sleep(seconds)
        raise gen.Return(("ok", "rested"))

    @request(Float())
    @return_reply()
    @gen.coroutine
    def request_nap_fail(self, req: Any, seconds: float) -> Any:
        """Coroutine that raises FailReply after a while."""
        yield gen.sleep(seconds)
        raise FailReply("woke up badly")

    @request(Float())
    @return_reply()
    @gen.coroutine
    def request_nap_boom(self, req: Any, seconds: float) -> Any:
        """Coroutine that raises an unexpected exception after a while."""
        yield gen.sleep(seconds)
        raise KeyError("lost")

    @request(Float())
    @return_reply(Str())
    def request_later(self, req: Any, seconds: float) -> Any:
        """AsyncReply: a timer replies."""

        def finish() -> None:
            req.inform("almost")
            req.reply("ok", "later")

        self.ioloop.add_callback(lambda: self.ioloop.call_later(seconds, finish))
        raise AsyncReply

    @request(Float())
    @return_reply(Str())
    def request_threaded(self, req: Any, seconds: float) -> Any:
        """AsyncReply: a thread replies."""

        def work() -> None:
            time.sleep(seconds)
            if isinstance(self, AsyncDeviceServer):
                self.ioloop.add_callback(req.reply, "ok", "from thread")
            else:  # a thread-safe server
                req.reply("ok", "from thread")

        threading.Thread(target=work).start()
        raise AsyncReply

    @request()
    @return_reply(Str())
    def request_inform_after_reply(self, req: Any) -> Any:
        """Reply, then try to inform and to reply again."""
        req.reply("ok", "first")
        for attempt in (req.inform, req.reply):
            try:
                attempt("late")
            except RuntimeError as error:
                self.late.append(str(error))
        raise AsyncReply

    @request(Float())
    @return_reply(Str())
    def request_block(self, req: Any, seconds: float) -> Any:
        """Block the thread the handler runs in."""
        time.sleep(seconds)
        return ("ok", "unblocked")

    # -- timeout hints ------------------------------------------------------------------

    @request_timeout_hint(30)
    def request_slow_one(self, req: Any, msg: Message) -> Message:
        """Carries a timeout hint of 30 s."""
        reply: Message = req.make_reply("ok")
        return reply

    @request_timeout_hint(7.5)
    def request_slow_two(self, req: Any, msg: Message) -> Message:
        """Carries a timeout hint of 7.5 s."""
        reply: Message = req.make_reply("ok")
        return reply

    # -- what clients send besides ------------------------------------------------------

    def inform_hello(self, conn: Any, msg: Message) -> None:
        """Answer a greeting."""
        conn.inform(Message.inform("hello-back", *msg.arguments))

    def reply_weird(self, conn: Any, msg: Message) -> None:
        """Tell that a reply has been seen."""
        conn.inform(Message.inform("weird-seen", *msg.arguments))


class StampRequest:
    """The request that only the device of version 4 has."""

    @request(Timestamp(), major=4)
    @return_reply(Timestamp(), major=4)
    def request_stamp(self, req: Any, when: float) -> Any:
        """A timestamp in and out, decorated for major 4."""
        return ("ok", when)


class EmptyRequests:
    """A device that adds nothing."""

    VERSION_INFO: ClassVar[tuple[Any, ...]] = ("empty-api", 0, 1)
    BUILD_INFO: ClassVar[tuple[Any, ...]] = ("empty-build", 0, 1, "")

    def setup_sensors(self) -> None:
        """Make no sensors."""


#: Where handlers run: in a thread of their own, or in the loop.
MODES = {"default": DeviceServer, "async": AsyncDeviceServer}


def device_class(
    protocol: ProtocolFlags, mode: str = "default", *, empty: bool = False
) -> type[DeviceServer]:
    """Make the class of the device in one version and one mode."""
    bases: list[type] = [EmptyRequests if empty else DemoRequests, MODES[mode]]
    if protocol.major < 5 and not empty:
        bases.insert(0, StampRequest)
    made: type[DeviceServer] = type(MODES[mode])(
        "Demo", tuple(bases), {"PROTOCOL_INFO": protocol, "__doc__": DemoRequests.__doc__}
    )
    return made


V4 = ProtocolFlags(4, 0, "")
V50 = ProtocolFlags(5, 0, "IM")
V50_NO_IDS = ProtocolFlags(5, 0, "M")
V51 = ProtocolFlags(5, 1, "BIMT")
