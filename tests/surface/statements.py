"""Expressions that users of katcp-python write, to be evaluated with `NAMES`.

`answers` evaluates them; what katcp-python 0.9.3 answers is kept in ``answers-0.9.3.json``.
"""

import importlib
import re

STATEMENTS = r"""
# -- sensors
Sensor.integer("x").params
Sensor.integer("x").formatted_params
Sensor.integer("x", params=[1, 5]).params
Sensor.integer("x", params=(1, 5)).params
Sensor.integer("x", params=[1, 5]).formatted_params
Sensor.integer("x", "d", "u", [1, 5], 3, Sensor.NOMINAL).read()[1:]
Sensor.integer("x", "d", "u", [1, 5]).value()
Sensor.integer("x", "d", "u", [-1, 5]).value()
Sensor.integer("x", params=[3]).value()
Sensor.float("x", params=[3, 5]).value()
Sensor.float("x", params=[3.5, 5.5]).formatted_params
Sensor.float("x")._formatter(3)
Sensor.float("x")._parser(b"3")
Sensor.boolean("x").params
Sensor.boolean("x").value()
Sensor.lru("x").value()
Sensor.lru("x").read_formatted()[1:]
Sensor.string("x").value()
Sensor.string("x").units
Sensor.timestamp("x").value()
Sensor.timestamp("x").units
Sensor.timestamp("x", unit="s")
Sensor.address("x").value()
Sensor.address("x").read_formatted()[2]
Sensor.discrete("x", params=["a", b"b"]).params
Sensor.discrete("x", params=["a", b"b"]).formatted_params
Sensor.discrete("x", params=["a", "b"]).value()
Sensor.discrete("x", params=["a", "b"], default="b").value()
Sensor.discrete("x", params=("a", "b")).params
Sensor.discrete("x", params=[1, 2])
Sensor.discrete("x", params=["a"]).set_value("y")
Sensor.discrete("x", params=["a"])._kattype._values
sorted(Sensor.discrete("x", params=["a"])._kattype._valid_values)
Sensor(Sensor.INTEGER, "x").units
Sensor(Sensor.INTEGER, "x").description
Sensor(Sensor.INTEGER, "x", units="kelvin").description
Sensor(Sensor.FLOAT, "x", "", "m").description
Sensor(int, "x").type
Sensor(float, "x").stype
Sensor(str, "x").type
Sensor(bool, "x").type
Sensor(sensor_type=Sensor.FLOAT, name="x", description="d", units="u", params=[1, 2]).type
Sensor(Sensor.FLOAT, b"x", b"d", b"u").name
Sensor(Sensor.FLOAT, b"x", b"d", b"u").units
Sensor(Sensor.FLOAT, "x", initial_status=Sensor.WARN).status()
Sensor.integer("x")._sensor_type
Sensor.integer("x")._observers == set()
Sensor.integer("x").parse_value(b"12")
Sensor.integer("x").parse_value("12")
Sensor.integer("x").parse_value(b"x")
Sensor.timestamp("x").parse_value(b"1500", 4)
Sensor.timestamp("x").parse_value(b"1500", katcp_major=5)
Sensor.address("x").parse_value(b"host:80")
Sensor.boolean("x").parse_value(b"1")
Sensor.parse_type("integer")
Sensor.parse_type("nope")
sorted(Sensor.SENSOR_TYPE_LOOKUP.keys())
Sensor.parse_params(Sensor.INTEGER, [b"1", b"2"])
Sensor.parse_params(Sensor.FLOAT, [b"1", b"2.5"])
Sensor.parse_params(Sensor.DISCRETE, [b"a", b"b"])
Sensor.parse_params(Sensor.INTEGER, [b"x"])
did(Sensor.integer("x"), "set", 1.25, Sensor.WARN, 7).read()
did(Sensor.integer("x"), "set", 1.25, Sensor.WARN, 7).read() == (1.25, Sensor.WARN, 7)
did(Sensor.integer("x"), "set", 1.25, Sensor.WARN, 7).read_formatted()
did(Sensor.integer("x"), "set", 1.25, Sensor.WARN, 7).read_formatted(major=4)
did(Sensor.integer("x"), "set", 1.25, Sensor.WARN, 7).format_reading((2, Sensor.ERROR, 8))
did(Sensor.integer("x"), "set_value", 7, Sensor.WARN, 2.5).read()
did(Sensor.integer("x"), "set_value", 7, timestamp=2.5).read()
did(Sensor.integer("x"), "set_value", 7, status=Sensor.FAILURE, timestamp=2.5).read()
did(Sensor.integer("x"), "set_formatted", b"1.5", b"warn", b"7").read()
did(Sensor.integer("x"), "set_formatted", b"1500", b"warn", b"7", 4).read()
did(Sensor.integer("x"), "set_formatted", b"1.5", b"nope", b"7")
did(Sensor.integer("x"), "set_formatted", b"x", b"warn", b"7")
did(Sensor.discrete("x", params=["a", "b"]), "set_value", b"b").value()
did(Sensor.discrete("x", params=["a", "b"]), "set", 1, 1, "zzz").value()
did(Sensor.string("x"), "set_value", "caf\u00e9 x", timestamp=1).read_formatted()
did(Sensor.float("x"), "set_value", 1e-9, timestamp=1).read_formatted()
did(Sensor.float("x"), "set_value", 3, timestamp=1).read_formatted()
did(Sensor.timestamp("x"), "set_value", 3.25, timestamp=1).read_formatted()
did(Sensor.timestamp("x"), "set_value", 3.25, timestamp=1).read_formatted(4)
Reading(1, 2, 3)
Reading(timestamp=1, status=2, value=3).value
# -- messages
Message.request("a", "b").arguments
Message.request("a", mid=1, foo=2)
Message.request("a", mid=1).mid
Message.reply("a", "ok", 1, 2.5, True, None).arguments
Message.inform("a", b"\xff", "\u00e9").arguments
Message(7, "x")
Message(0, "")
Message(0, "1a")
Message(0, "a", [1, 2.5, True, None, "x", b"y"])
Message(0, "a", "xyz").arguments
Message(0, "a", 5)
Message(0, "a", mid="x")
Message(0, "a", mid=-1)
Message(0, "a", mid="")
Message(0, "a", mid=0).mid
Message(0, "a", mid=b"7").mid
bytes(Message(0, "a", mid=0))
hash(Message(0, "a"))
Message(0, "a") == Message(0, "a", [])
Message(0, "a") != Message(0, "a", [])
Message(0, "a") == 1
Message.reply("a") == Message.request("a")
Message.reply("a", "ok").reply_ok()
Message.reply("a", "fail").reply_ok()
Message.inform("a", "ok").reply_ok()
bytes(Message.request("hello", "a b", "@", "", mid=7))
bytes(Message.request("hello", b"\\ \0\n\r\x1b\t"))
str(Message.reply("a", "ok \n"))
str(Message.reply("a", b"\xff"))
repr(Message.reply("a", "ok \n", mid=5))
repr(Message.request("a"))
len(repr(Message.request("a", "x" * 2000)))
Message.reply("a").format_argument(1.5)
Message.request("a", "b", mid=5).copy().mid
Message.request("a", "b", mid=5).copy().arguments
Message.reply_to_request(Message.request("a", mid=3), "ok", 1).mid
bytes(Message.reply_inform(Message.request("a", mid=3), "x"))
Message.TYPE_SYMBOL_LOOKUP[b"?"]
setattr(Message.request("a"), "foo", 1)
MessageParser().parse(b"")
MessageParser().parse("?x")
MessageParser().parse(b"bx")
MessageParser().parse(b"?foo[abc]")
MessageParser().parse(b"?foo a\x00")
MessageParser().parse(b"?foo a\\z")
MessageParser().parse(b"?foo a\\")
MessageParser().parse(b"?foo a  b\tc  ").arguments
MessageParser().parse(b"?foo \\@ x\\@y").arguments
MessageParser().parse(b"?foo[12]").mid
MessageParser().parse(b"!foo ok").mtype
# -- flags
ProtocolFlags(5, 0, [b"I", b"M"]).flags == {b"I", b"M"}
str(ProtocolFlags(5, 1, [b"I", b"M", b"T"]))
str(ProtocolFlags(4, 0, []))
ProtocolFlags(4, 0, [b"I"])
ProtocolFlags(5, 0, [b"T"])
ProtocolFlags(5, 0, [b"B"])
ProtocolFlags(5, 1, [b"B"]).bulk_set_sensor_sampling
ProtocolFlags(5, 0, [b"I"]).message_ids
ProtocolFlags(5, 0, [b"I"]).multi_client
ProtocolFlags(5, 0, [b"I"]).supports(b"I")
ProtocolFlags(5, 0, [b"I"]).supports(ProtocolFlags.MESSAGE_IDS)
ProtocolFlags(5, 0, [b"Z"]).flags
str(ProtocolFlags.parse_version(b"5.1-IMT"))
str(ProtocolFlags.parse_version(b"xx"))
ProtocolFlags.parse_version("5.0")
ProtocolFlags(5, 0, []).strategy_allowed(b"event-rate")
ProtocolFlags(4, 0, []).strategy_allowed(b"event-rate")
ProtocolFlags(3, 0, []).strategy_allowed(b"event-rate")
ProtocolFlags(None, None, []).major
ProtocolFlags(5, 0, []) == 5
ProtocolFlags(5, 0, [b"I"]) == ProtocolFlags(5, 0, [b"I"])
hash(ProtocolFlags(5, 0, []))
# -- odds and ends of core and compat
convert_method_name("request_", "request_a_b")
hashable_identity("a")
hashable_identity(LIST.append) == hashable_identity(LIST.append)
hashable_identity(LIST.append) == hashable_identity([].append)
ensure_native_str(b"ab")
ensure_native_str(u"ab")
ensure_native_str(5)
ensure_native_str(None)
byte_chars(b"ab")
is_bytes(b"a"), is_bytes("a"), is_text("a"), is_text(b"a")
encode_utf8_with_error_log("\u00e9")
encode_utf8_with_error_log("\ud800")
AttrDict(a=1).a
AttrDict(a=1)["a"]
AttrDict().b
did(AttrDict(), "__setattr__", "b", 2)
DefaultAttrDict(list).x
DefaultAttrDict(int)["y"]
AsyncState(["a", "b"]).state
AsyncState(["a", "b"], "b").state
AsyncState(["a", "b"]).valid_states == frozenset("ab")
AsyncState(["a", "b"], "c")
AsyncState(["a", "b"]).set_state("c")
AsyncEvent().is_set(), AsyncEvent().isSet()
did(AsyncEvent(), "set").is_set()
str(FailReply("x")), isinstance(AsyncReply(), Exception)
issubclass(KatcpSyntaxError, ValueError), issubclass(KatcpTypeError, TypeError)
issubclass(KatcpVersionError, KatcpClientError), issubclass(KatcpDeviceError, Exception)
# -- kattypes
Int().pack(5)
Int().pack(3.9)
Int().pack("x")
Int().pack("5")
Int().unpack(b"5")
Int().unpack(b"-7")
Int().unpack(b"x")
Int().unpack(b"")
Int().unpack(b"1.5")
Int(min=1, max=5).unpack(b"6")
Int(min=1, max=5).unpack(b"0")
Int(1, 5).pack(6)
Int(1, 5).pack(6, nocheck=True)
Int(1, 5).pack(3, False, 4)
Int(default=3).unpack(None)
Int(optional=True).unpack(None)
Int().unpack(None)
Int().pack(None)
Int(default=3).pack(None)
Int(optional=True).pack(None)
Int().get_default()
Int(default=4).get_default()
Int(optional=True).get_default()
Int().name, Float().name, Str().name, Bool().name, Discrete(["a"]).name
Int().check(5, 5)
Int(max=3).check(5, 5)
Int().encode(5, 5)
Int().decode(b"5", 5)
Float().pack(5)
Float().pack(1e-9)
Float().pack("x")
Float().pack("1.5")
Float().unpack(b"1.5")
Float().unpack(b"1e3")
Float().unpack(b"nan") != Float().unpack(b"nan")
Float().unpack(b"inf")
Float().unpack(b"x")
Float(0, 1).unpack(b"1.5")
Float(min=0).unpack(b"-1")
Bool().pack(5)
Bool().pack("")
Bool().unpack(b"1"), Bool().unpack(b"0")
Bool().unpack(b"yes")
Bool().unpack(b"True")
Str().pack("x y")
Str().pack(b"x\xff")
Str().pack(5)
Str().pack("\u00e9")
Str().unpack(b"\xc3\xa9")
Str().unpack(b"\xff")
Str().unpack("x")
Str(default="z").unpack(None)
Discrete(["on", "off"]).pack("on")
Discrete(["on", "off"]).pack(b"on")
Discrete(["on", "off"]).pack("up")
Discrete(["on", "off"]).unpack(b"up")
Discrete(("on", "off")).unpack(b"off")
Discrete(c for c in "ab").unpack(b"a")
Discrete(["on", "off"], case_insensitive=True).unpack(b"ON")
Discrete(["on", "off"], case_insensitive=True).unpack(b"up")
Discrete(["On", "off"], True).pack("oN")
DiscreteMulti(["a", "b", "C"]).unpack(b"C,a")
DiscreteMulti(["a", "b"]).unpack(b"all")
DiscreteMulti(["a", "b"]).unpack(b"x,a")
DiscreteMulti(["a", "b"]).pack(["a", "b"])
DiscreteMulti(["a", "b"]).pack(["x"])
DiscreteMulti(["a", "b"], all_keyword="*", separator=";").unpack(b"*")
DiscreteMulti(["a", "b"], all_keyword=None).unpack(b"a,b")
DiscreteMulti(["a", "b"], case_insensitive=True).unpack(b"A,B")
Regex("[0-9]+").unpack(b"12")
Regex("[0-9]+").unpack(b"noon")
Regex("[0-9]+").pack("7")
Regex("[0-9]+").pack("x")
Regex(re.compile("[a-z]", re.I)).unpack(b"X")
Regex(re.compile("[a-z]", re.I)).unpack(b"1")
Lru().pack(Lru.LRU_ERROR)
Lru().pack(5)
Lru().unpack(b"nominal")
Lru().unpack(b"x")
Timestamp().pack(1.5)
Timestamp().pack(1.5, major=4)
Timestamp().pack(1)
Timestamp().pack("x")
Timestamp().unpack(b"1.5")
Timestamp().unpack(b"1500", 4)
Timestamp().unpack(b"x")
TimestampOrNow().unpack(b"now") is TimestampOrNow.NOW
TimestampOrNow().pack(TimestampOrNow.NOW)
TimestampOrNow().unpack(b"2.5")
TimestampOrNow().pack(2.5)
TimestampOrNow().unpack(b"later")
StrictTimestamp().pack(1.5)
StrictTimestamp().pack(-1)
StrictTimestamp().unpack(b"1.5")
StrictTimestamp().unpack(b"1e3")
StrictTimestamp().unpack(b"-1")
StrictTimestamp().unpack(b"x")
Address().pack(("host", 80))
Address().pack(("host", None))
Address().pack(("::1", 80))
Address().pack(("::1", None))
Address().unpack(b"host:80")
Address().unpack(b"host")
Address().unpack(b"[::1]:80")
Address().unpack(b"[::1]")
Address().unpack(b"::1")
Address().unpack(b"host:x")
Address.NULL
Struct(">HH").pack((1, 2))
Struct(">HH").unpack(b"\0\1\0\2")
Struct(">HH").unpack(b"x")
Struct(">HH").pack((1,))
Parameter(2, "y", Int(), 5).unpack(b"x")
Parameter(2, "y", Int(), 5).unpack(b"7")
Parameter(2, "y", Int(), 5).unpack(None)
Parameter(2, "y", Int(), 5).pack(7)
Parameter(2, "y", Int(), 5).name, Parameter(2, "y", Int(), 5).position
pack_types([Int(), Str()], [1, "a"], 5)
pack_types([Int(), Str()], [1, "a", 2], 5)
pack_types([Int(), Str(optional=True)], [1], 5)
pack_types([Int(), Str()], [1], 5)
pack_types([Int(), Str(multiple=True)], [1, "a", "b"], 5)
pack_types([Int(multiple=True), Str()], [1, "a", "b"], 5)
unpack_types([Int(), Str()], [b"1", b"a"], ["n", "s"], 5)
unpack_types([Int(), Str()], [b"1", b"a", b"b"], ["n", "s"], 5)
unpack_types([Int(), Str()], [b"1"], ["n", "s"], 5)
unpack_types([Int(), Str()], [b"x", b"a"], ["n", "s"], 5)
unpack_types([Int(), Str(default="d")], [b"1"], ["n", "s"], 5)
unpack_types([Int(), Str(optional=True)], [b"1"], ["n", "s"], 5)
unpack_types([Int(multiple=True)], [b"1", b"2"], ["n"], 5)
unpack_types([Int(multiple=True)], [], ["n"], 5)
unpack_types([Int(multiple=True, optional=True)], [], ["n"], 5)
unpack_types([Int(multiple=True), Str()], [b"1", b"2"], ["n"], 5)
bytes(make_reply("x", [Int()], ("ok", 1), 5))
bytes(make_reply("x", [Int()], ("fail", "no"), 5))
bytes(make_reply("x", [Int()], ["ok", 1], 5))
make_reply("x", [Int()], ("ok",), 5)
make_reply("x", [Int()], ("ok", 1, 2), 5)
make_reply("x", [Int()], ("maybe", 1), 5)
make_reply("x", [Int()], ("fail", "a", "b"), 5)
# -- decorators
bytes(DEVICE.request_scale(None, Message.request("scale", 7, "m")))
bytes(DEVICE.request_scale(None, Message.request("scale", 7)))
bytes(DEVICE.request_scale(None, Message.request("scale", 700)))
DEVICE.request_scale(None, Message.request("scale", "x"))
DEVICE.request_scale(None, Message.request("scale", -1))
DEVICE.request_scale(None, Message.request("scale", 1, "m", 2))
DEVICE.request_scale(None, Message.request("scale"))
bytes(DEVICE.request_sum(None, Message.request("sum", 1, 2, 3)))
DEVICE.request_with_msg("req", Message.request("with-msg", 3))
DEVICE.inform_plain(Message.inform("plain", 3))
DEVICE.inform_beside(Message.inform("beside", 3))
DEVICE.request_scale.__name__, DEVICE.request_scale.__doc__
DEVICE.request_hinted.request_timeout_hint
getattr(DEVICE.request_hinted, "_concurrent_reply", None)
return_reply(Int())(lambda self, req: None)
request(Int(), foo=1)
request(Int(multiple=True), Str())
"""


def statements():
    """Return the expressions."""
    return [line for line in STATEMENTS.strip().splitlines() if not line.startswith("#")]


def names():
    """Return what the expressions may name."""
    space = {"re": re, "LIST": [], "did": did}
    for module in ("core", "kattypes"):
        space.update(vars(importlib.import_module("katcp." + module)))
    k = importlib.import_module("katcp.kattypes")

    class Device:
        @k.request(k.Int(min=0), k.Str(default="m"))
        @k.return_reply(k.Float(), k.Str())
        def request_scale(self, req, n, unit):
            """Scale N units."""
            if n > 100:
                return ("fail", "too large")
            return ("ok", n / 4, unit)

        @k.request(k.Int(), k.Int(multiple=True))
        @k.return_reply(k.Int())
        def request_sum(self, req, first, *rest):
            """Add."""
            return ("ok", first + sum(rest))

        @k.request(k.Int(), include_msg=True)
        def request_with_msg(self, req, msg, n):
            """Show."""
            return (req, msg.name, n)

        @k.inform(k.Int())
        def inform_plain(self, n):
            """Show."""
            return n

        @k.unpack_message(k.Int(), include_msg=True)
        def inform_beside(self, msg, n):
            """Show."""
            return (msg.name, n)

        @k.request_timeout_hint(12)
        @k.concurrent_reply
        @k.request()
        @k.return_reply()
        def request_hinted(self, req):
            """Take time."""
            return ("ok",)

    space["DEVICE"] = Device()
    return space


def did(thing, method, *args, **kwargs):
    """Call a method and return the object."""
    getattr(thing, method)(*args, **kwargs)
    return thing


def answers():
    """Return {expression: [repr of the value]} or {expression: [class of the error, its text]}."""
    space = names()
    result = {}
    for statement in statements():
        try:
            answer = [re.sub(r" at 0x[0-9a-f]+", "", repr(eval(statement, dict(space))))]
        except Exception as error:
            answer = [type(error).__name__, str(error)]
        result[statement] = answer
    return result
