"""What may stand in the JSON of an order: fields, their types, and what is wrong with others."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

#: Of a field that must be there.
REQUIRED: Any = object()
_SHOWN = 60


class OrderFormatError(ValueError):
    """Something is no order, or no list of orders.

    Attributes
    ----------
    reason : str
        What is wrong.
    index : int or None
        Which order of the list it is, counted from 0.
    """

    def __init__(self, reason: str, index: int | None = None) -> None:
        super().__init__(reason if index is None else f"order {index}: {reason}")
        self.reason = reason
        self.index = index


@dataclass(frozen=True)
class Field:
    """One field of a JSON object.

    Attributes
    ----------
    name : str
        In JSON.
    attribute : str
        Of the object, and name of the parameter that makes it.
    check : callable
        Returns the value as the object has it; raises `ValueError` or `TypeError`.
    default : object
        What it is if it is left out, or null; `REQUIRED` if it must not be.
    always : bool
        Whether it is written also if it is what it would be anyway.
    """

    name: str
    attribute: str
    check: Callable[[Any], Any]
    default: Any = None
    always: bool = False


def parsed(fields: Mapping[str, Field], data: Mapping[str, Any], what: str) -> dict[str, Any]:
    """Return parameters of an object, by name.

    Raises
    ------
    OrderFormatError
        For a field that is missing, unknown, or not what it should be.
    """
    for name in data:
        if name not in fields:
            known = ", ".join(fields)
            raise OrderFormatError(f"{what} has the unknown field {name!r}; there are {known}")
    values = {}
    for name, field in fields.items():
        value = data.get(name)
        if value is None:
            if field.default is REQUIRED:
                raise OrderFormatError(f"{what} has no {name!r}")
            continue
        try:
            values[field.attribute] = field.check(value)
        except OrderFormatError:
            raise
        except (TypeError, ValueError) as error:
            raise OrderFormatError(f"{what}: {name!r} {error}, not {shown(value)}") from None
    return values


def written(fields: Mapping[str, Field], thing: object) -> dict[str, Any]:
    """Return the fields of an object as what ``json.dumps`` takes."""
    values = {}
    for name, field in fields.items():
        value = getattr(thing, field.attribute)
        if field.always or field.default is REQUIRED or value != field.default:
            values[name] = value
    return values


def loaded(data: Any) -> Any:
    """Return what JSON text says; anything else as it is.

    Raises
    ------
    OrderFormatError
        For text that is no JSON.
    """
    if not isinstance(data, (str, bytes, bytearray)):
        return data
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise OrderFormatError(f"not JSON: {error}") from None


def shown(value: Any) -> str:
    """Return a value for an error message."""
    if isinstance(value, int) and value.bit_length() > 8 * _SHOWN:
        return f"an integer of {value.bit_length()} bits"  # many digits take long, or are refused
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def text(value: Any) -> str:
    """Check text; half a character, as JSON can have it, is none."""
    if not isinstance(value, str):
        raise TypeError("must be text")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError("must be text that UTF-8 can have") from None
    return value


def number(value: Any) -> float:
    """Check a number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        raise TypeError("must be a number")
    return value


def scalar(value: Any) -> Any:
    """Check something that a point can have."""
    if isinstance(value, str):
        return text(value)
    if not isinstance(value, (int, float, str)):
        raise TypeError("must be a number, text, true or false")
    return value


def level(value: Any) -> int:
    """Check 0 or 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value not in (0, 1):
        raise ValueError("must be 0 or 1")
    return value


def flag(value: Any) -> bool:
    """Check true or false."""
    if not isinstance(value, bool):
        raise TypeError("must be true or false")
    return value


def count(value: Any) -> int:
    """Check an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("must be an integer")
    return value
