"""Replies of a device with kattypes, byte for byte as katcp-python 0.9.3 gave them.

Differences made on purpose: values of a `multiple` parameter bear its name in error texts (0.9.3
left the brackets empty).
"""

import pytest

from katcp.errors import FailReply
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
    request,
    return_reply,
)
from katcp.protocol import Message, MessageParser


class Device:
    @request(Float(), Float())
    @return_reply(Float())
    def request_add(self, req, x, y):
        return ("ok", x + y)

    @request(Int(min=1, max=5), Discrete(["on", "off"], default="off"), Bool(default=True))
    @return_reply(Int(), Discrete(["on", "off"]), Bool())
    def request_typed(self, req, number, switch, flag):
        return ("ok", number, switch, flag)

    @request(Str(), Float(multiple=True))
    @return_reply(Str(), Float(multiple=True))
    def request_many(self, req, label, *values):
        return ("ok", label, *values)

    @request(Str(optional=True), include_msg=True)
    @return_reply(Str(), Int())
    def request_optional(self, req, msg, text):
        return ("ok", repr(text), len(msg.arguments))

    @request(
        Timestamp(),
        TimestampOrNow(),
        Address(),
        DiscreteMulti(["a", "b", "c"]),
        Regex("[0-9]+:[0-9]+"),
    )
    @return_reply(Timestamp(), TimestampOrNow(), Address(), DiscreteMulti(["a", "b", "c"]), Str())
    def request_kinds(self, req, ts, when, addr, multi, hhmm):
        return ("ok", ts, when, addr, multi, hhmm)

    @request()
    @return_reply()
    def request_fail_reply(self, req):
        raise FailReply("No can do: reason here.")

    @request()
    @return_reply()
    def request_fail_tuple(self, req):
        return ("fail", "returned failure")

    @request()
    @return_reply()
    def request_fail_exception(self, req):
        return ("fail", RuntimeError("as text"))

    @request()
    @return_reply(Int())
    def request_bad_status(self, req):
        return ("okay", 1)

    @request()
    @return_reply(Int())
    def request_too_many(self, req):
        return ("ok", 1, 2)

    @request()
    @return_reply(Int(), Int())
    def request_too_few(self, req):
        return ("ok", 1)


EXCHANGES = r"""
?add 1                            !add fail Error\_in\_parameter\_2\_(y):\_No\_value\_or\_default\_given
?add 1 two                        !add fail Error\_in\_parameter\_2\_(y):\_Could\_not\_parse\_value\_'b'two''\_as\_float.
?add 1 2 3                        !add fail Too\_many\_parameters\_given.
?add 1 2                          !add ok 3.0
?add 1e3 -2.5                     !add ok 997.5
?add nan inf                      !add ok nan
?typed 0                          !typed fail Error\_in\_parameter\_1\_(number):\_Integer\_0\_is\_lower\_than\_minimum\_1.
?typed 6                          !typed fail Error\_in\_parameter\_1\_(number):\_Integer\_6\_is\_higher\_than\_maximum\_5.
?typed 3                          !typed ok 3 off 1
?typed 3 on 0                     !typed ok 3 on 0
?typed 3 up                       !typed fail Error\_in\_parameter\_2\_(switch):\_Discrete\_value\_'up'\_is\_not\_one\_of\_['on',\_'off'].
?typed 3 on yes                   !typed fail Error\_in\_parameter\_3\_(flag):\_Boolean\_value\_must\_be\_b'0'\_or\_b'1'\_but\_is\_'b'yes''.
?typed                            !typed fail Error\_in\_parameter\_1\_(number):\_No\_value\_or\_default\_given
?typed \@                         !typed fail Error\_in\_parameter\_1\_(number):\_Could\_not\_parse\_value\_'b'''\_as\_integer.
?typed 3.0                        !typed fail Error\_in\_parameter\_1\_(number):\_Could\_not\_parse\_value\_'b'3.0''\_as\_integer.
?many                             !many fail Error\_in\_parameter\_1\_(label):\_No\_value\_or\_default\_given
?many label                       !many fail Error\_in\_parameter\_2\_(values):\_No\_value\_or\_default\_given
?many label 1 2 3                 !many ok label 1.0 2.0 3.0
?many label 1 x                   !many fail Error\_in\_parameter\_3\_(values):\_Could\_not\_parse\_value\_'b'x''\_as\_float.
?optional                         !optional ok None 0
?optional \@                      !optional ok '' 1
?optional text                    !optional ok 'text' 1
?optional a b                     !optional fail Too\_many\_parameters\_given.
?kinds 12.5 now 10.0.0.1:80 b,a 12:30  !kinds ok 12.500000 now 10.0.0.1:80 a,b 12:30
?kinds 12.5 99 [::1] all 12:30    !kinds ok 12.500000 99.000000 [::1] a,b,c 12:30
?kinds 12.5 99 [::1]:x all 12:30  !kinds fail Error\_in\_parameter\_3\_(addr):\_Could\_not\_parse\_'b'[::1]:x''\_as\_an\_address.
?kinds x now 10.0.0.1 a 12:30     !kinds fail Error\_in\_parameter\_1\_(ts):\_Could\_not\_parse\_value\_'x'\_as\_timestamp.
?kinds 12.5 now 10.0.0.1 a,d 12:30  !kinds fail Error\_in\_parameter\_4\_(multi):\_Discrete\_value\_'d'\_is\_not\_one\_of\_['a',\_'b',\_'c'].
?kinds 12.5 now 10.0.0.1 a noon   !kinds fail Error\_in\_parameter\_5\_(hhmm):\_Value\_'noon'\_does\_not\_match\_regex\_'[0-9]+:[0-9]+'\_with\_flags\_'U'.
?fail-reply                       !fail-reply fail No\_can\_do:\_reason\_here.
?fail-tuple                       !fail-tuple fail returned\_failure
?fail-exception                   !fail-exception fail as\_text
"""  # noqa: E501  # an exchange is one line

PAIRS = [tuple(line.split("  ", 1)) for line in EXCHANGES.strip().splitlines()]


@pytest.mark.parametrize(("asked", "answered"), PAIRS, ids=[asked for asked, _ in PAIRS])
def test_exchange(asked, answered):
    msg = MessageParser().parse(asked.encode())
    handler = getattr(Device(), "request_" + msg.name.replace("-", "_"))
    try:
        reply = handler(None, msg)
    except FailReply as error:
        reply = Message.reply_to_request(msg, "fail", str(error))
    assert bytes(reply).decode() == answered.strip()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("bad_status", "First returned value must be 'ok' or 'fail'."),
        ("too_many", "Too many arguments to pack."),
        ("too_few", "No value or default given"),
    ],
)
def test_mistakes_of_handlers(name, text):
    with pytest.raises(ValueError) as error:
        getattr(Device(), f"request_{name}")(None, Message.request(name.replace("_", "-")))
    assert str(error.value) == text
