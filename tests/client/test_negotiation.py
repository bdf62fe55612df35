import pytest
from hypothesis import given
from hypothesis import strategies as st

from katcp.client._negotiation import STEPS, Event, Negotiation, Phase
from katcp.protocol import ProtocolFlags


def flags(text: str) -> ProtocolFlags:
    return ProtocolFlags.parse_version(text.encode())


def test_every_phase_is_in_the_table_and_every_greeting_is_taken_in_every_phase() -> None:
    assert set(STEPS) == set(Phase)
    for steps in STEPS.values():
        assert {Event.GREETED, Event.GARBLED, Event.OLD} <= set(steps)


@pytest.mark.parametrize(
    "text", ["5.1-MIBT", "5.0-IM", "5.0-M", "5.0", "5.0-", "6.0-MIZ", "4.0", "5.10-TIB"]
)
def test_a_greeting_is_adopted_at_once(text: str) -> None:
    negotiation = Negotiation(100.0)
    assert negotiation.greeting(text.encode()) == ""
    assert negotiation.flags == flags(text)
    assert negotiation.phase is Phase.AGREED
    assert negotiation.wake_at is None


@pytest.mark.parametrize("text", ["", "five", "5", "5.1.2-M", "0.0", "-5.0", "5.1 M"])
def test_a_garbled_greeting_is_treated_like_silence(text: str) -> None:
    negotiation = Negotiation(100.0, silence=2.0)
    assert "cannot read" in negotiation.greeting(text.encode())
    assert negotiation.flags is None
    assert negotiation.wake_at == 102.0
    assert "taken for version 4" in negotiation.tick(102.0)
    assert negotiation.flags == flags("4.0")


def test_flags_that_the_version_cannot_have_are_dropped() -> None:
    negotiation = Negotiation(0.0)
    negotiation.greeting(b"5.0-MIT")
    assert negotiation.flags == flags("5.0-MI")


def test_silence() -> None:
    negotiation = Negotiation(100.0, silence=2.0)
    assert negotiation.tick(101.9) == ""
    assert negotiation.flags is None
    assert "has not said" in negotiation.tick(102.0)
    assert negotiation.flags == ProtocolFlags(4, 0, "")
    assert negotiation.phase is Phase.ASSUMED
    assert negotiation.wake_at is None
    assert negotiation.tick(200.0) == ""


def test_the_old_pair_is_version_4_after_a_moment_without_a_remark() -> None:
    negotiation = Negotiation(100.0, grace=0.1)
    assert negotiation.old_greeting(100.5) == ""
    assert negotiation.wake_at == 100.6
    assert negotiation.old_greeting(100.55) == ""
    assert negotiation.wake_at == 100.6
    assert negotiation.tick(100.6) == ""
    assert negotiation.flags == flags("4.0")


def test_version_connect_wins_over_the_old_pair_in_either_order() -> None:
    first = Negotiation(0.0)
    first.old_greeting(0.0)
    assert first.greeting(b"5.0-IM") == ""
    assert first.flags == flags("5.0-IM")

    last = Negotiation(0.0)
    last.greeting(b"5.0-IM")
    assert "ignored in favour of 5.0-IM" in last.old_greeting(0.0)
    assert last.flags == flags("5.0-IM")


def test_version_connect_wins_even_late() -> None:
    negotiation = Negotiation(0.0)
    negotiation.tick(5.0)
    assert negotiation.old_greeting(6.0) == ""
    assert "late" in negotiation.greeting(b"5.1-MIB")
    assert negotiation.flags == flags("5.1-MIB")


def test_a_second_greeting_is_ignored() -> None:
    negotiation = Negotiation(0.0)
    negotiation.greeting(b"5.1-MIB")
    assert negotiation.greeting(b"5.1-MIB") == ""
    assert "ignored in favour of 5.1-BIM as announced" in negotiation.greeting(b"5.0-M")
    assert negotiation.flags == flags("5.1-MIB")


def test_what_is_preset_stays() -> None:
    preset = ProtocolFlags(5, 0, "M")
    negotiation = Negotiation(0.0, preset)
    assert negotiation.flags is preset
    assert negotiation.wake_at is None
    assert negotiation.tick(1000.0) == ""
    assert negotiation.greeting(b"5.0-M") == ""
    assert "as preset" in negotiation.greeting(b"5.1-MIB")
    assert "version 4 greeting" in negotiation.old_greeting(1.0)
    assert negotiation.flags is preset


def test_a_step_that_cannot_be_raises_and_changes_nothing() -> None:
    negotiation = Negotiation(0.0)
    negotiation.greeting(b"5.0-M")
    with pytest.raises(KeyError):
        negotiation._step(Event.TIME)
    assert negotiation.phase is Phase.AGREED


@given(
    st.lists(
        st.one_of(
            st.sampled_from([b"5.1-MIBT", b"5.0", b"4.0", b"junk", b"", b"6.2-IX"]),
            st.just("old"),
            st.floats(0.01, 3),
        )
    )
)
def test_whatever_comes_it_is_known_in_the_end_and_never_unlearnt(story: list[object]) -> None:
    now = 0.0
    negotiation = Negotiation(now)
    known: ProtocolFlags | None = None
    for event in story:
        if isinstance(event, bytes):
            negotiation.greeting(event)
        elif event == "old":
            negotiation.old_greeting(now)
        else:
            assert isinstance(event, float)
            now += event
            negotiation.tick(now)
        if known is not None:
            assert negotiation.flags is not None
            assert negotiation.flags.major >= known.major or known.major == 4
        known = negotiation.flags or known
    while negotiation.wake_at is not None:
        negotiation.tick(negotiation.wake_at)
    assert negotiation.flags is not None
