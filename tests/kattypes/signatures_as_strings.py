"""Handlers whose annotations are strings."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

from katcp.kattypes import Int, request
from katcp.kattypes import Message as Incoming

if TYPE_CHECKING:
    from nowhere import Connection

    from katcp.protocol import Message


class Mode(enum.Enum):
    STAND_BY = 1
    ON = 2


class Device:
    class Inner(enum.Enum):
        A = 1

    def request_add(self, req: Connection, x: int, y: Annotated[int, Int(min=0)] = 0) -> int:
        return x + y

    def request_mode(self, req: Connection, mode: Mode | None = None) -> Mode | None:
        return mode

    def request_inner(self, req: Connection, inner: Inner) -> None:
        """Take an enumeration of the class."""

    def request_classic(self, req: Connection, msg: Message) -> Message:
        return msg

    def request_alias(self, req: Connection, msg: Incoming):
        """Take the message."""

    def request_ready(self, req: Connection, x: int) -> Message:
        """Return a message."""

    def request_unknown(self, req: Connection, x: Nowhere) -> int:  # noqa: F821
        """Use a name that does not exist."""

    @request(Int())
    def request_decorated(self, req: Connection, x: Nowhere):  # noqa: F821
        """Use a name that does not exist, where nobody minds."""
