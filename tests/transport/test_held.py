from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from katcp.transport._held import Held


def subject(line: bytes) -> bytes | None:
    return line[:1] if line[:1].islower() else None


def drained(held: Held) -> list[bytes]:
    data = b""
    while held:
        data += held.take()
    return data.split(b"\n")[:-1]


def test_order_and_newest() -> None:
    held = Held(subject)
    assert not held
    assert held.take() == b""
    held.put(b"a1\nX\nb1\n")
    held.put(b"a2\n")
    held.put(b"X\n")
    assert (len(held), held.size, held.replaced) == (4, 10, 1)
    assert drained(held) == [b"X", b"b1", b"a2", b"X"]
    assert (len(held), held.size, held.replaced) == (0, 0, 1)


def test_it_is_handed_on_in_pieces_and_the_rest_may_be_renewed() -> None:
    held = Held(subject)
    for name in b"abcd":
        held.put(bytes([name]) + b"1" * 50_000 + b"\n")
    first = held.take()
    assert first.count(b"\n") == 2
    held.put(b"c2\n")
    assert drained(held) == [b"d" + b"1" * 50_000, b"c2"]


@given(st.lists(st.sampled_from([b"a", b"b", b"c", b"X", b"take"])))
def test_whatever_happens_nothing_is_lost_that_counts(steps: list[bytes]) -> None:
    held = Held(subject)
    said: list[bytes] = []
    got: list[bytes] = []
    for number, step in enumerate(steps):
        if step == b"take":
            got += held.take().split(b"\n")[:-1]
        else:
            line = step + b"%d" % number
            said.append(line)
            held.put(line + b"\n")
        assert held.size == sum(len(line) + 1 for line in held._lines.values())
    got += drained(held)
    # A part of what was said, in its order; all that is no reading; and the last of each.
    assert [line for line in said if line in set(got)] == got
    assert [line for line in said if line[:1] == b"X"] == [x for x in got if x[:1] == b"X"]
    for name in b"abc":
        of_it = [line for line in said if line[0] == name]
        assert not of_it or of_it[-1] in got
    assert held.replaced == len(said) - len(got)
