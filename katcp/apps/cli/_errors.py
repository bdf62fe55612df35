"""What a command can end with, and the exit status that says so."""

from __future__ import annotations

DONE, REFUSED, MISUSE, NO_CONNECTION, TIMED_OUT, INTERRUPTED = 0, 1, 2, 3, 4, 130


class CommandError(Exception):
    """A command could not be done; the text says why, safe to print, in one line."""

    status = REFUSED


class Refused(CommandError):
    """The device said no, or does not have what was asked for."""

    status = REFUSED


class Misuse(CommandError):
    """The command makes no sense."""

    status = MISUSE


class NoConnection(CommandError):
    """There is no connection to the device, or no longer."""

    status = NO_CONNECTION


class TimedOut(CommandError):
    """The device did not answer in time."""

    status = TIMED_OUT
