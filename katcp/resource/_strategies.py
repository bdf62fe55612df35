"""Sampling strategies as users write them."""

from __future__ import annotations

import numbers
from collections.abc import Iterable
from typing import Any

from katcp.compat import ensure_native_str

#: One text, ``"event-rate 1 10"``, or name and parameters, ``("event-rate", 1, 10)``.
Strategy = str | bytes | Iterable[Any]


def normalize_strategy_parameters(params: Strategy) -> tuple[str, ...]:
    """Return a strategy as a tuple of texts, as they go on the wire.

    Parameters
    ----------
    params : str, bytes or iterable
        Text is split at spaces. Whole numbers stay whole, since devices refuse a difference of
        ``3.0`` for an integer sensor; other numbers become the text of a float. What is no number
        is left to the device to refuse.

    Examples
    --------
    >>> normalize_strategy_parameters("event-rate 0.10 10")
    ('event-rate', '0.1', '10')
    >>> normalize_strategy_parameters(("differential", 3))
    ('differential', '3')
    """
    if isinstance(params, (str, bytes)):
        parts: list[Any] = ensure_native_str(params).split() or [""]
    else:
        parts = list(params)
    return tuple(_normalize(part) for part in parts)


def _normalize(part: Any) -> str:
    if isinstance(part, numbers.Integral):
        return str(int(part))
    text = ensure_native_str(part) if isinstance(part, (str, bytes)) else str(part)
    if "_" in text:  # no number of the protocol, though one of Python
        return text
    for convert in (_whole, float):
        try:
            return str(convert(text))
        except ValueError:
            pass
    return text


def _whole(text: str) -> str:
    int(text)
    return text
