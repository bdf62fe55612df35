"""What is wrong with a formula, and what went wrong in computing it."""

from __future__ import annotations

_SHOWN = 60


class ExpressionError(ValueError):
    """A text that is no expression, or one of more than is allowed.

    Raised when an expression is made, so that a wrong one is found where it is written and not
    when it is used.

    Parameters
    ----------
    reason : str
        What is wrong.
    text : str
        The whole text; kept cut to a length that is fit to be shown.
    position : int
        Where in the text, from 0.

    Attributes
    ----------
    text : str
    position : int
    reason : str
    """

    def __init__(self, reason: str, text: str, position: int) -> None:
        self.reason = reason
        self.text = text[:1000]
        self.position = position
        # People count from one.
        super().__init__(f"{reason}, at character {position + 1} of {shown(text)}")

    def __reduce__(self) -> tuple[type[ExpressionError], tuple[str, str, int]]:
        return type(self), (self.reason, self.text, self.position)


class EvaluationError(ValueError):
    """An expression has no result for the values that it was given; the text says why."""


def shown(value: object) -> str:
    """Return the form of a value in messages: its `repr`, cut if it is long."""
    if isinstance(value, str) and len(value) > _SHOWN:
        return f"{value[:_SHOWN]!r}..."
    if isinstance(value, (bytes, bytearray)) and len(value) > _SHOWN:
        return f"{bytes(value[:_SHOWN])!r}..."
    if isinstance(value, int) and value.bit_length() > 200:
        return f"an integer of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 2 * _SHOWN else f"{text[:_SHOWN]}..."
