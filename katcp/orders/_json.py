"""Orders and sections as JSON.

The names of the fields are those that servers of SMOK use: ``type``, ``path``, ``value``,
``advise``, ``stale_after``, ``time``, ``op_type``, ``op_args``, ``uuid``; ``orders`` and
``disposition`` of a section. What is not known is refused, and all of a batch with it, rather than
left out: half a batch is worse than none.
"""

from __future__ import annotations

from typing import Any

from katcp.orders._format import OrderFormatError
from katcp.orders._orders import Order, orders_from_json
from katcp.orders._section import Section

__all__ = [
    "OrderFormatError",
    "order_from_json",
    "orders_from_json",
    "section_from_json",
    "section_to_json",
]


def order_from_json(data: Any) -> Order:
    """Return the order that a JSON object describes; see `Order.from_json`."""
    return Order.from_json(data)


def section_from_json(data: Any) -> Section:
    """Return the section that a JSON object describes; see `Section.from_json`."""
    return Section.from_json(data)


def section_to_json(section: Section) -> dict[str, Any]:
    """Return a section as what ``json.dumps`` takes."""
    return section.to_json()
