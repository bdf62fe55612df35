"""What can go wrong before a device is served, and what the program's end says about it."""

from __future__ import annotations

#: Exit statuses.
DONE = 0
CANNOT_SERVE = 1
MISUSE = 2
INTERRUPTED = 130


class StartError(Exception):
    """The device cannot be served; the text says why, in one line.

    Parameters
    ----------
    text : str
    status : int
        Exit status of the program.
    """

    def __init__(self, text: str, status: int = CANNOT_SERVE) -> None:
        super().__init__(one_line(text))
        self.status = status


def one_line(text: str) -> str:
    """Return `text` with its lines joined, for errors whose text comes from elsewhere."""
    return " ".join(text.split())


def describe(error: BaseException) -> str:
    """Return an exception as it is told to people: type and text."""
    text = one_line(str(error))
    name = type(error).__name__
    return f"{name}: {text}" if text else name
