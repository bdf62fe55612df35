from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from katcp.client._pending import Pending, PendingTable, mid_key, request_line
from katcp.protocol import MAX_MID, Message


def make(name: str = "ask", mid: int | None = None, now: float = 0.0, timeout: float | None = 5):
    pending = Pending(Message.request(name, mid=mid), None, now, timeout)
    pending.mid = mid
    return pending


@pytest.mark.parametrize(
    ("mid", "key"),
    [
        (b"1", 1),
        ("77", 77),
        (5, 5),
        (b"2147483647", MAX_MID),
        (b"2147483648", b"2147483648"),
        (2147483648, b"2147483648"),
        (0, b"0"),
        (b"0", b"0"),
        (b"007", b"007"),
        (b"9" * 20, b"9" * 20),
    ],
)
def test_keys_are_what_the_stream_parser_yields(mid: bytes | str | int, key: int | bytes) -> None:
    assert mid_key(mid) == key
    assert type(mid_key(mid)) is type(key)


@pytest.mark.parametrize(
    "message",
    [
        Message.request("help"),
        Message.request("help", mid=7),
        Message.request("add", 1, 2),
        Message.request("add", 1, 2, mid=7),
        Message.request("say", "a b", "", mid=7),
        Message.request("say", b"\xff\n", mid=7),
        Message.request("say", ""),
        Message.request("say", "\\"),
    ],
)
def test_the_line_of_a_request(message: Message) -> None:
    assert request_line(message.name.encode(), message) == bytes(message) + b"\n"


# -- with ids ----------------------------------------------------------------------------


def test_ids_count_from_one_and_are_not_used_twice() -> None:
    table = PendingTable()
    assert [table.next_mid() for _ in range(3)] == [1, 2, 3]
    table.add(make(mid=4))
    assert table.next_mid() == 5


def test_ids_wrap_and_skip_those_in_use() -> None:
    table = PendingTable(last_mid=MAX_MID - 1)
    table.add(make(mid=1))
    assert [table.next_mid() for _ in range(3)] == [MAX_MID, 2, 3]


def test_an_id_in_use_is_refused() -> None:
    table = PendingTable()
    table.add(make(mid=4))
    with pytest.raises(ValueError, match="Message id 4 is in use"):
        table.add(make(mid=4))
    assert len(table) == 1


def test_replies_in_reverse_order_are_matched_by_id() -> None:
    table = PendingTable()
    one, two = make(mid=1), make(mid=2)
    assert table.add(one)
    assert table.add(two)
    assert table.inform(b"ask", 2) is two
    assert table.reply(b"ask", 2) is two
    assert table.reply(b"ask", 2) is None
    assert table.reply(b"ask", 1) is one


def test_a_reply_with_another_name_is_not_taken() -> None:
    table = PendingTable()
    one = make(mid=1)
    table.add(one)
    assert table.reply(b"answer", 1) is None
    assert table.inform(b"log", 1) is None
    assert table.reply(b"ask", 1) is one


def test_a_reply_without_id_is_taken_if_it_can_be_only_one() -> None:
    table = PendingTable()
    one, two, other = make(mid=1), make(mid=2), make("other", mid=3)
    for pending in (one, two, other):
        table.add(pending)
    assert table.reply(b"ask", None) is None
    assert table.inform(b"other", None) is None
    assert table.reply(b"other", None) is other
    assert table.reply(b"ask", 1) is one
    assert table.reply(b"ask", None) is two
    assert table.reply(b"ask", None) is None


# -- without ids -------------------------------------------------------------------------


def test_without_ids_one_of_each_name_is_sent_at_a_time() -> None:
    table = PendingTable()
    one, two, other = make(), make(), make("other")
    assert table.add(one)
    assert not table.add(two)
    assert table.add(other)
    assert table.inform(b"ask", None) is one
    assert table.reply(b"ask", None) is one
    assert table.following(b"ask") is two
    assert table.following(b"other") is other
    assert table.reply(b"ask", None) is two
    assert table.following(b"ask") is None


def test_w48_a_late_reply_is_not_credited_to_the_next_request() -> None:
    table = PendingTable()
    one, two = make(now=0), make(now=1)
    table.add(one)
    table.add(two)
    expired, to_send = table.expire(5)
    assert (expired, to_send) == ([one], [two])
    assert table.inform(b"ask", None) is None  # precedes the late reply
    assert table.reply(b"ask", None) is None  # the late reply
    assert table.inform(b"ask", None) is two
    assert table.reply(b"ask", None) is two


def test_several_late_replies_are_skipped_one_by_one() -> None:
    table = PendingTable()
    requests = [make(now=number, timeout=5) for number in range(3)]
    for number, pending in enumerate(requests[:2]):
        table.add(pending)
        table.expire(number + 5)
    table.add(requests[2])
    assert [table.reply(b"ask", None) for _ in range(3)] == [None, None, requests[2]]


def test_one_that_was_never_sent_leaves_no_reply_to_skip() -> None:
    table = PendingTable()
    sent, waiting = make(timeout=10), make(timeout=5)
    table.add(sent)
    table.add(waiting)
    assert table.expire(5) == ([waiting], [])
    assert table.reply(b"ask", None) is sent


def test_a_reply_that_was_skipped_is_the_answer_if_no_other_comes() -> None:
    table = PendingTable()
    lost, repeated = make(now=0), make(now=10)
    table.add(lost)
    table.expire(5)
    table.add(repeated)
    assert not table.doubt(b"other", "#other", False)
    assert table.doubt(b"ask", "#ask", False)
    assert table.doubt(b"ask", "!ask ok", True)
    assert table.reply(b"ask", None) is None
    expired, _ = table.expire(15)
    assert expired == [repeated]
    assert (repeated.answer.informs, repeated.answer.reply) == (["#ask"], "!ask ok")
    # The device is not behind any more.
    table.add(make(now=20))
    assert not table.doubt(b"ask", "!ask ok", True)
    assert table.reply(b"ask", None) is not None


def test_a_late_reply_is_forgotten_when_the_right_one_comes() -> None:
    table = PendingTable()
    for number in range(2):
        table.add(make(now=number))
        table.expire(number + 5)
    third = make(now=10)
    table.add(third)
    for number in range(2):
        assert table.doubt(b"ask", number, True)
        assert table.reply(b"ask", None) is None
    assert table.reply(b"ask", None) is third
    fourth = make(now=20)
    table.add(fourth)
    assert table.expire(25) == ([fourth], [])
    assert not hasattr(fourth, "answer")


def test_withdrawing_what_could_not_be_written() -> None:
    table = PendingTable()
    one, two, three = make(), make(), make(mid=3)
    for pending in (one, two, three):
        table.add(pending)
    for pending in (one, two, three, one):
        table.withdraw(pending)
    assert len(table) == 0
    assert table.reply(b"ask", None) is None


# -- time --------------------------------------------------------------------------------


def test_deadlines() -> None:
    table = PendingTable()
    assert table.earliest() == float("inf")
    table.add(make(mid=1, now=0, timeout=None))
    assert table.earliest() == float("inf")
    late, early = make(mid=2, now=0, timeout=5), make(mid=3, now=1, timeout=2)
    held = make(now=0, timeout=4)
    queued = make("other", now=0, timeout=6)
    table.add(late)
    table.add(early)
    table.hold(held)
    table.add(queued)
    assert table.earliest() == 3
    assert table.expire(2.9) == ([], [])
    assert table.expire(5) == ([early, held, late], [])
    assert table.earliest() == 6
    assert len(table) == 2


def test_held_requests_are_released_in_order() -> None:
    table = PendingTable()
    one, two = make(), make()
    table.hold(one)
    table.hold(two)
    assert table.release() == [one, two]
    assert table.release() == []


def test_clearing_takes_out_everything_and_ids_go_on() -> None:
    table = PendingTable()
    table.next_mid()
    pendings = [make(mid=1), make(), make(), make("other")]
    for pending in pendings:
        table.add(pending)
    held = make()
    table.hold(held)
    assert set(map(id, table.clear())) == set(map(id, [*pendings, held]))
    assert len(table) == 0
    assert table.next_mid() == 2


# -- as a model --------------------------------------------------------------------------


class DeviceAndTable(RuleBasedStateMachine):
    """A device that answers everything once, late or not: no reply may go to the wrong request.

    Requests without id are answered in order for each name; those with an id in any order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table = PendingTable()
        self.now = 0.0
        self.lines: dict[bytes, deque[Pending]] = {b"a": deque(), b"b": deque()}
        self.by_id: list[Pending] = []
        self.over: set[Pending] = set()

    def _write(self, pending: Pending) -> None:
        assert pending not in self.over
        if pending.mid is None:
            self.lines[pending.name].append(pending)
        else:
            self.by_id.append(pending)

    @rule(
        name=st.sampled_from(["a", "b"]),
        with_id=st.booleans(),
        timeout=st.sampled_from([1.0, 2.0, 5.0, None]),
    )
    def ask(self, name: str, with_id: bool, timeout: float | None) -> None:
        pending = make(name, None, self.now, timeout)
        if with_id:
            pending.mid = self.table.next_mid()
        if self.table.add(pending):
            self._write(pending)

    @rule(seconds=st.sampled_from([0.5, 1.0, 3.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds
        expired, to_send = self.table.expire(self.now)
        for pending in expired:
            assert pending.deadline <= self.now
            assert pending not in self.over
            self.over.add(pending)
        for pending in to_send:
            self._write(pending)
        assert self.table.earliest() > self.now

    @precondition(lambda self: self.by_id)
    @rule(data=st.data())
    def answer_by_id(self, data: st.DataObject) -> None:
        asked = self.by_id.pop(data.draw(st.integers(0, len(self.by_id) - 1)))
        self._answered(asked, self.table.reply(asked.name, asked.mid))

    @rule(name=st.sampled_from([b"a", b"b"]))
    def answer_in_order(self, name: bytes) -> None:
        if not self.lines[name]:
            return
        asked = self.lines[name].popleft()
        informed = self.table.inform(name, None)
        assert informed is (None if asked in self.over else asked)
        taken = self.table.reply(name, None)
        self._answered(asked, taken)
        following = self.table.following(name)
        if taken is not None and following is not None:
            self._write(following)

    def _answered(self, asked: Pending, taken: Pending | None) -> None:
        if asked in self.over:
            assert taken is None
        else:
            assert taken is asked
            self.over.add(asked)

    @invariant()
    def nothing_that_is_over_is_pending(self) -> None:
        assert not self.over & set(self.table.by_mid.values())


DeviceAndTable.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestDeviceAndTable = DeviceAndTable.TestCase
