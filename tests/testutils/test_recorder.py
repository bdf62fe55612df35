from __future__ import annotations

import threading

from katcp import Message
from katcp.testutils import MessageRecorder


def test_all_filters_hold_at_once() -> None:
    recorder = MessageRecorder({Message.INFORM}, {"aa", "ab"}, r"#a. 1", {"ab"})
    for name in ("aa", "ab", "ac"):
        recorder.append_msg(Message.inform(name, 1))
        recorder.append_msg(Message.inform(name, 2))
        recorder.append_msg(Message.reply(name, 1))
    assert [str(msg) for msg in recorder()] == ["#aa 1"]


def test_arguments_need_not_be_text() -> None:
    recorder = MessageRecorder([Message.REPLY], (), r"!x .*z$", ())
    recorder.append_msg(Message.reply("x", b"\xff z"))
    recorder.append_msg(Message.reply("x", b"\xff\xfez"))
    assert len(recorder.get_msgs()) == 2


def test_none_is_lost_between_threads() -> None:
    recorder = MessageRecorder({Message.INFORM}, (), None, ())

    def fill() -> None:
        for number in range(500):
            recorder.append_msg(Message.inform("n", number))

    thread = threading.Thread(target=fill)
    thread.start()
    got: list[Message] = []
    while len(got) < 500:
        more = recorder.get_msgs(min_number=1, timeout=10)
        assert more
        got += more
    thread.join()
    assert [int(msg.arguments[0]) for msg in got] == list(range(500))


def test_waiting_for_a_number() -> None:
    recorder = MessageRecorder({Message.INFORM}, (), None, ())
    assert recorder.wait_number(0)
    assert recorder.wait_number(1, timeout=0) is None
    recorder.append_msg(Message.inform("n"))
    assert recorder.wait_number(1, timeout=0) is True
    assert recorder.msg_received.is_set() or recorder.msgs
