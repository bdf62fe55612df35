"""The exceptions of the package, in one place.

::

    ValueError
    └── KatcpSyntaxError            a line, name, message id or sensor type that is not KATCP
        └── LineTooLong             a line over the receiver's limit; its bytes were discarded
    TypeError
    └── KatcpTypeError              text where bytes are needed
    Exception
    ├── KatcpClientError            trouble of the local client
    │   ├── KatcpVersionError       a message id used with a device that has none
    │   └── KatcpClientDisconnected sending while not connected
    ├── KatcpDeviceError            historical; never raised
    ├── FailReply                   raised by a handler: answer ``fail <text>``
    │   └── InvalidReply            raised by a handler: answer ``invalid <text>``
    ├── AsyncReply                  raised by a handler: the answer will be sent later
    └── SyncError                   a device could not be inspected
"""

from collections.abc import Sequence

__all__ = [
    "AsyncReply",
    "FailReply",
    "InvalidReply",
    "KatcpClientDisconnected",
    "KatcpClientError",
    "KatcpDeviceError",
    "KatcpSyntaxError",
    "KatcpTypeError",
    "KatcpVersionError",
    "LineTooLong",
    "SyncError",
]


class KatcpSyntaxError(ValueError):
    """A line, message name, message id or sensor type that is not well-formed KATCP."""


class LineTooLong(KatcpSyntaxError):
    """A line grew past the receiver's limit; the rest of it is discarded."""


class KatcpTypeError(TypeError):
    """Text was given where bytes are needed."""


class KatcpClientError(Exception):
    """Something went wrong on the client's own side of a connection."""


class KatcpVersionError(KatcpClientError):
    """A message id was asked for, but the device does not support message ids."""


class KatcpClientDisconnected(KatcpClientError):
    """A message could not be sent because the client is not connected."""


class KatcpDeviceError(Exception):
    """Kept for code that catches it; nothing raises it."""


class FailReply(Exception):
    """Raised by a request handler to answer ``!name fail <text>``."""

    @property
    def katcp_reply(self) -> Sequence[object]:
        """All arguments of the reply; for subclasses whose replies have more than a text."""
        return ("fail", str(self))


class InvalidReply(FailReply):
    """Raised by a request handler to answer ``!name invalid <text>``."""

    @property
    def katcp_reply(self) -> Sequence[object]:
        """All arguments of the reply."""
        return ("invalid", str(self))


class AsyncReply(Exception):
    """Raised by a request handler that will answer later through ``req.reply``."""


class SyncError(Exception):
    """Raised when inspecting a device failed, so that its model may be out of date."""
