"""Which protocol the device speaks: a table, with time as an argument.

The rules are those of the KATCP guidelines 5.1, "versions and flags". A device of version 5 says
``#version-connect katcp-protocol 5.1-MIBT``; one of version 4 says ``#version`` and
``#build-state`` and nothing about the protocol. Devices send these in any order, some send both,
some nothing at all. What is learnt belongs to one connection: the device may have been upgraded
before the next.
"""

from __future__ import annotations

import enum

from katcp.protocol import ProtocolFlags


class Phase(enum.Enum):
    """How far it has come."""

    #: Nothing is known.
    WAITING = "waiting"
    #: A version 4 greeting came; a ``#version-connect`` may still follow and win.
    GRACE = "grace"
    #: Taken for version 4, for want of a better word.
    ASSUMED = "assumed"
    #: The device has said what it speaks.
    AGREED = "agreed"
    #: The user has said what it speaks.
    PRESET = "preset"


class Event(enum.Enum):
    """What can happen."""

    #: ``#version-connect katcp-protocol`` with a readable version.
    GREETED = "greeted"
    #: The same, unreadable.
    GARBLED = "garbled"
    #: ``#version`` or ``#build-state``.
    OLD = "old greeting"
    #: The time of the present phase is over.
    TIME = "time is over"


#: Phase and event -> next phase. What is not here cannot happen.
STEPS: dict[Phase, dict[Event, Phase]] = {
    Phase.WAITING: {
        Event.GREETED: Phase.AGREED,
        Event.GARBLED: Phase.WAITING,
        Event.OLD: Phase.GRACE,
        Event.TIME: Phase.ASSUMED,
    },
    Phase.GRACE: {
        Event.GREETED: Phase.AGREED,
        Event.GARBLED: Phase.GRACE,
        Event.OLD: Phase.GRACE,
        Event.TIME: Phase.ASSUMED,
    },
    Phase.ASSUMED: {
        Event.GREETED: Phase.AGREED,
        Event.GARBLED: Phase.ASSUMED,
        Event.OLD: Phase.ASSUMED,
    },
    Phase.AGREED: {
        Event.GREETED: Phase.AGREED,
        Event.GARBLED: Phase.AGREED,
        Event.OLD: Phase.AGREED,
    },
    Phase.PRESET: {
        Event.GREETED: Phase.PRESET,
        Event.GARBLED: Phase.PRESET,
        Event.OLD: Phase.PRESET,
    },
}


class Negotiation:
    """What one connection has learnt about the protocol.

    Parameters
    ----------
    now : float
        Time of the connection, on any monotonic clock [s].
    preset : ProtocolFlags, optional
        What the user says the device speaks; what the device says is then only compared.
    silence : float
        A device that has said nothing for this long is taken for version 4 [s].
    grace : float
        How long after a version 4 greeting a ``#version-connect`` may still come [s].

    Attributes
    ----------
    phase : Phase
    flags : ProtocolFlags or None
        What the device speaks; None as long as it is not known.
    """

    def __init__(
        self,
        now: float,
        preset: ProtocolFlags | None = None,
        silence: float = 2.0,
        grace: float = 0.1,
    ) -> None:
        self.phase = Phase.WAITING if preset is None else Phase.PRESET
        self.flags = preset
        self._grace = grace
        self._wake: float | None = now + silence if preset is None else None

    @property
    def wake_at(self) -> float | None:
        """When `tick` wants to be called; None for never."""
        return self._wake

    def _step(self, event: Event) -> tuple[Phase, Phase]:
        """Move; raise `KeyError` and stay if the event cannot happen here."""
        before = self.phase
        self.phase = STEPS[before][event]
        return before, self.phase

    def greeting(self, version: bytes) -> str:
        """Take the version in ``#version-connect katcp-protocol``.

        Returns
        -------
        str
            A remark for the log, or nothing.
        """
        announced = ProtocolFlags.parse_version(version)
        if not announced.major:
            self._step(Event.GARBLED)
            return f"cannot read the protocol version {version!r}"
        before, _ = self._step(Event.GREETED)
        if before in (Phase.AGREED, Phase.PRESET):
            if announced == self.flags:
                return ""
            kind = "announced before" if before is Phase.AGREED else "preset"
            return f"announces protocol {announced}, ignored in favour of {self.flags} as {kind}"
        self.flags = announced
        self._wake = None
        if before is Phase.ASSUMED:
            return f"announces protocol {announced} late; it was taken for version 4 until now"
        return ""

    def old_greeting(self, now: float) -> str:
        """Take ``#version`` or ``#build-state``; return a remark for the log, or nothing."""
        before, _ = self._step(Event.OLD)
        if before is Phase.WAITING:
            self._wake = now + self._grace
        elif self.flags is not None and self.flags.major >= 5:
            return f"sends a version 4 greeting, ignored in favour of {self.flags}"
        return ""

    def tick(self, now: float) -> str:
        """Let time pass; return a remark for the log, or nothing."""
        if self._wake is None or now < self._wake:
            return ""
        before, _ = self._step(Event.TIME)
        self._wake = None
        self.flags = ProtocolFlags(4, 0, "")
        if before is Phase.WAITING:
            return "has not said which protocol it speaks; it is taken for version 4"
        return ""
