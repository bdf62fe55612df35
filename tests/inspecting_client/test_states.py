import itertools

import pytest

from katcp.inspecting_client import IllegalStep, InspectingClientStateType
from katcp.inspecting_client._states import (
    CHANGED,
    CONNECTED,
    DATA_SYNCED,
    DISCONNECTED,
    NOT_SYNCED,
    STEPS,
    SYNCED,
    UNCHANGED,
    VALID_STATES,
    check_step,
)


def test_the_five_states() -> None:
    assert [tuple(map(int, state)) for state in STEPS] == [
        (0, 0, 0, 0),
        (1, 0, 0, 0),
        (1, 0, 1, 1),
        (1, 0, 0, 1),
        (1, 1, 0, 1),
    ]
    assert len(VALID_STATES) == 5


def test_text() -> None:
    assert str(CHANGED) == "[connected !synced model_changed data_synced]"
    assert str(DISCONNECTED) == "[!connected !synced !model_changed !data_synced]"


def test_a_state_is_a_named_tuple() -> None:
    state = InspectingClientStateType(
        connected=True, synced=False, model_changed=False, data_synced=True
    )
    assert state == UNCHANGED == (True, False, False, True)
    assert state.data_synced


def test_groups() -> None:
    assert set(DATA_SYNCED) == {CHANGED, UNCHANGED, SYNCED}
    assert set(NOT_SYNCED) == VALID_STATES - {SYNCED}


@pytest.mark.parametrize(("before", "after"), list(itertools.product(STEPS, STEPS)))
def test_which_may_follow_which(
    before: InspectingClientStateType, after: InspectingClientStateType
) -> None:
    legal = {
        DISCONNECTED: {DISCONNECTED, CONNECTED},
        CONNECTED: set(STEPS),
        CHANGED: {DISCONNECTED, CONNECTED, SYNCED},
        UNCHANGED: {DISCONNECTED, CONNECTED, SYNCED},
        SYNCED: {DISCONNECTED, CONNECTED},
    }
    if after in legal[before]:
        check_step(before, after)
    else:
        with pytest.raises(IllegalStep, match="cannot follow"):
            check_step(before, after)


def test_the_connection_may_be_lost_in_every_state_and_synced_is_reached_from_every_state() -> None:
    for state, following in STEPS.items():
        assert DISCONNECTED in following
        reached = {state}
        while True:
            further = reached.union(*(STEPS[r] for r in reached))
            if further == reached:
                break
            reached = further
        assert SYNCED in reached
