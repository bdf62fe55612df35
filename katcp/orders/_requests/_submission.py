"""What the arguments of requests about sections mean, and how such requests come to a device."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

from katcp.errors import InvalidReply
from katcp.kattypes import Float
from katcp.orders._json import OrderFormatError, orders_from_json, section_from_json
from katcp.orders._orders import Disposition, ReadOrder, WaitUntilOrder, WriteOrder
from katcp.orders._outcome import OrderFailed
from katcp.orders._section import Section
from katcp.orders._targets import PathpointTarget

if TYPE_CHECKING:
    from katcp.orders._host import OrderHost

#: A time that may be left out [s].
Seconds = Annotated[float | None, Float(min=0.0, optional=True)]

#: What the words of the wire mean.
_DISPOSITIONS = {
    "0": Disposition.JOINABLE,
    "joinable": Disposition.JOINABLE,
    "1": Disposition.CANNOT_JOIN,
    "cannot-join": Disposition.CANNOT_JOIN,
}
_NAME = re.compile(r"[^\s\x00-\x20\x7f]{1,128}")


def mount(host: OrderHost, part: Any) -> None:
    """Make requests of the methods ``request_*`` of an object."""
    for attribute in dir(part):
        if attribute.startswith("request_"):
            name = attribute.removeprefix("request_").replace("_", "-")
            handler: Callable[..., Any] = getattr(part, attribute)
            host.device.add_request(name, handler)


def is_disposition(text: bytes) -> bool:
    """Tell whether an argument is a disposition, rather than what follows one."""
    return text.decode("utf-8", "replace") in _DISPOSITIONS


def parse_section(disposition: str, orders: bytes, section_id: str) -> Section:
    """Return the section that the arguments of a request describe.

    Raises
    ------
    InvalidReply
        If they describe none; it names the first order that is bad, counted from 0.
    """
    chosen = _DISPOSITIONS.get(disposition)
    if chosen is None:
        raise InvalidReply(f"The disposition is 0 or 1, not {disposition!r}.")
    try:
        data = json.loads(orders)
    except (ValueError, RecursionError) as error:
        raise InvalidReply(f"The orders are not JSON: {error}.") from None
    try:
        if isinstance(data, dict):
            section = section_from_json({"disposition": int(chosen), **data})
        elif isinstance(data, str):
            raise OrderFormatError("orders must be an array, not text")
        else:
            section = Section(orders_from_json(data), chosen)
    except OrderFormatError as error:
        raise InvalidReply(f"{error}.") from None
    if section_id:
        if section.section_id not in (None, section_id):
            raise InvalidReply(f"There are two ids: {section_id!r} and {section.section_id!r}.")
        section.section_id = section_id
    if section.section_id is not None and _NAME.fullmatch(section.section_id) is None:
        raise InvalidReply("The id of a section has 1 to 128 characters, and no spaces.")
    return section


def check_points(host: OrderHost, section: Section) -> None:
    """Refuse a section with an order for a point that there is not, or a value that it cannot have.

    Raises
    ------
    InvalidReply
        It names the order, counted from 0.
    """
    target = host.executor.target
    for index, order in enumerate(section):
        if not isinstance(order, (ReadOrder, WriteOrder, WaitUntilOrder)):
            continue
        name = order.target_name
        if target.has(name) is False:
            raise InvalidReply(f"order {index}: there is no point {name!r}.")
        if isinstance(target, PathpointTarget) and isinstance(order, WriteOrder):
            try:
                target[name].checked(order.value)
            except OrderFailed as error:
                raise InvalidReply(f"order {index}: {error}.") from None
