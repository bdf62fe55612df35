"""The five states of an inspecting client, and which may follow which."""

from __future__ import annotations

from typing import NamedTuple


class InspectingClientStateType(NamedTuple):
    """How far an inspecting client is in step with its device.

    Attributes
    ----------
    connected : bool
        There is a TCP connection to the device.
    synced : bool
        Model and user are up to date; implies `connected` and `data_synced`.
    model_changed : bool
        The model has just changed, and the user is being told how.
    data_synced : bool
        The model is up to date, though the user may not be.
    """

    connected: bool
    synced: bool
    model_changed: bool
    data_synced: bool

    def __str__(self) -> str:
        words = (
            name if flag else f"!{name}" for name, flag in zip(self._fields, self, strict=True)
        )
        return f"[{' '.join(words)}]"


#: Not connected.
DISCONNECTED = InspectingClientStateType(False, False, False, False)
#: Connected, not (or no longer) inspected.
CONNECTED = InspectingClientStateType(True, False, False, False)
#: Inspected, and something has changed.
CHANGED = InspectingClientStateType(True, False, True, True)
#: Inspected, nothing has changed.
UNCHANGED = InspectingClientStateType(True, False, False, True)
#: In step: the user has dealt with what changed.
SYNCED = InspectingClientStateType(True, True, False, True)

#: State -> states that may follow. The connection may be lost at any moment; the device may change
#: at any moment; and a client told not to inspect at first goes straight from connected to synced.
STEPS: dict[InspectingClientStateType, frozenset[InspectingClientStateType]] = {
    DISCONNECTED: frozenset([DISCONNECTED, CONNECTED]),
    CONNECTED: frozenset([DISCONNECTED, CONNECTED, CHANGED, UNCHANGED, SYNCED]),
    CHANGED: frozenset([DISCONNECTED, CONNECTED, SYNCED]),
    UNCHANGED: frozenset([DISCONNECTED, CONNECTED, SYNCED]),
    SYNCED: frozenset([DISCONNECTED, CONNECTED]),
}

VALID_STATES: frozenset[InspectingClientStateType] = frozenset(STEPS)
#: States in which the model is up to date.
DATA_SYNCED = tuple(state for state in STEPS if state.data_synced)
#: States in which client and user are not in step with the device.
NOT_SYNCED = tuple(state for state in STEPS if not state.synced)


class IllegalStep(RuntimeError):
    """A state was to be entered that may not follow the present one."""


def check_step(before: InspectingClientStateType, after: InspectingClientStateType) -> None:
    """Raise `IllegalStep` if `after` may not follow `before`."""
    if after not in STEPS[before]:
        raise IllegalStep(f"{after} cannot follow {before}")
