"""``?help``, ``?watchdog``, ``?version-list``, ``?client-list``, ``?request-timeout-hint``."""

from __future__ import annotations

import inspect
from typing import Any

from katcp.errors import FailReply
from katcp.kattypes import (
    Str,
    has_katcp_protocol_flags,
    minimum_katcp_version,
    request,
)
from katcp.protocol import Message, ProtocolFlags, escape
from katcp.server._base import DeviceServerBase
from katcp.server._dispatch import signature_of
from katcp.server._requests._lists import send_list
from katcp.server._requests._types import DeviceProtocol

#: Requests that are described in one turn of the loop. To make one's text takes 30 µs, once.
_HELP_AT_ONCE = 200


def help_text(handler: Any, device_class: type[DeviceServerBase]) -> str:
    """Return what ``?help`` says about a handler: its docstring, cleaned up.

    Handlers that are typed by annotations get a line that shows how to call them.
    """
    text = inspect.getdoc(handler) or ""
    try:
        signature = signature_of(handler, device_class)
    except TypeError:
        # One that was put in while the server ran and is ill-typed: calling it fails, and says so
        # to whoever calls it. Those who ask for the others must not be kept from them.
        signature = None
    if signature is not None and signature.usage:
        text = f"{text}\n\nParameters: {signature.usage}"
    return text.strip()


class BasicRequests(DeviceProtocol):
    """Requests about the server itself."""

    def request_help(self, req: Any, msg: Message) -> Any:
        r"""Describe the requests that this device has.

        Parameters
        ----------
        request : str, optional
            Name of the request to describe; all if not given.

        Informs
        -------
        request : str
            Name of a request.
        description : str
            What it does.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?help watchdog
            #help watchdog Check\_that\_the\_server\_answers.
            !help ok 1
        """
        handlers = self._request_handlers  # replaced, not changed, when requests come and go
        if not msg.arguments:
            names = sorted(handlers)
        else:
            name = msg.arguments[0].decode("utf-8", "backslashreplace")
            if name not in handlers:
                return req.make_reply("fail", "Unknown request method.")
            names = [name]
        return send_list(
            req,
            names,
            lambda some: [self._help_tail(name, handlers[name]) for name in some],
            at_once=_HELP_AT_ONCE,
        )

    def _help_tail(self, name: str, handler: Any) -> bytes:
        known = self._help_tails.get(name)
        if known is None or known[0] is not handler:
            text = help_text(handler, type(self)).encode("utf-8", "replace")
            tail = b" " + name.encode() + b" " + escape(text) + b"\n"
            known = self._help_tails[name] = (handler, tail)
        return known[1]

    def request_watchdog(self, req: Any, msg: Message) -> Any:
        """Check that the server answers.

        Returns
        -------
        success : {'ok'}

        Examples
        --------
        ::

            ?watchdog
            !watchdog ok
        """
        return req.make_reply("ok")

    @minimum_katcp_version(5, 0)
    def request_version_list(self, req: Any, msg: Message) -> Any:
        """List the versions of protocol, library, device and its parts.

        Informs
        -------
        name : str
            What has the version.
        version : str
        build_state_or_serial_number : str, optional

        Returns
        -------
        success : {'ok'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?version-list
            #version-list katcp-protocol 5.1-BIMT
            #version-list katcp-library katcp-python-0.10.0 0.10.0
            #version-list katcp-device my-device-1.0 my-build-1.0
            !version-list ok 3
        """
        return send_list(
            req,
            [
                b" " + b" ".join([escape(part.encode("utf-8", "replace")) for part in line]) + b"\n"
                for line in self.katcp_versions()
            ],
        )

    def request_client_list(self, req: Any, msg: Message) -> Any:
        """List the clients that are connected, the one that asks included.

        Informs
        -------
        address : str
            ``host:port`` of a client.

        Returns
        -------
        success : {'ok'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?client-list
            #client-list 127.0.0.1:53600
            !client-list ok 1
        """
        return send_list(
            req,
            [
                b" " + escape(connection.address.encode()) + b"\n"
                for connection in self._client_conns
            ],
        )

    @minimum_katcp_version(5, 1)
    @has_katcp_protocol_flags([ProtocolFlags.REQUEST_TIMEOUT_HINTS])
    @request(Str(optional=True))
    def request_request_timeout_hint(self, req: Any, request: str | None) -> Any:
        """Tell how long requests may take.

        Parameters
        ----------
        request : str, optional
            Name of a request; all that have a hint if not given.

        Informs
        -------
        request : str
            Name of a request.
        suggested_timeout : float
            How long a client should wait for its reply [seconds]; 0 means there is no hint.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of informs sent.

        Examples
        --------
        ::

            ?request-timeout-hint cool-down
            #request-timeout-hint cool-down 900.0
            !request-timeout-hint ok 1
        """
        hints: dict[str, float]
        if request:
            handler = self._request_handlers.get(request)
            if handler is None:
                raise FailReply("Unknown request method.")
            hints = {request: getattr(handler, "request_timeout_hint", None) or 0.0}
        else:
            hints = {
                name: hint
                for name, handler in sorted(self._request_handlers.items())
                if (hint := getattr(handler, "request_timeout_hint", None))
            }
        return send_list(
            req,
            [f" {name} {float(hint)!r}\n".encode() for name, hint in hints.items()],
        )
