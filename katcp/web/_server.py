"""The web server of a device: what it listens on, who may come, what is where."""

from __future__ import annotations

import logging
import socket
import ssl
from collections.abc import Iterable
from importlib import resources
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.web import Application, RequestHandler

from katcp.server import DeviceServerBase, Reception
from katcp.transport import bind_sockets, format_address
from katcp.web._api import ROUTES
from katcp.web._guard import HostRule
from katcp.web._handlers import MAX_MESSAGE, Health, Live, NotFound, Page
from katcp.web._live import LivePage
from katcp.web._log_tail import LogLine, LogTail
from katcp.web._metrics import Metrics
from katcp.web._pool import Callers
from katcp.web._visitor import Visitor

log = logging.getLogger("katcp.web")

#: Longest body of a request [bytes]: a call and its arguments.
_MAX_BODY = 1024 * 1024
#: Longest header [bytes].
_MAX_HEADER = 16 * 1024
#: How long a browser may take to send a request, or send none [s].
_PATIENCE = 75.0


class WebServer:
    """Serves a device on the web: a page, ``/api``, ``/metrics``, ``/healthz``.

    It runs in the loop of the device, which has to be started before anything but health can be
    asked for. It may outlive a restart of the device.

    Parameters
    ----------
    device : DeviceServerBase
    host : str
        Address to listen on; empty: all interfaces.
    port : int
        TCP port; 0: any free one.
    ssl_context : ssl.SSLContext, optional
        For HTTPS; None: HTTP.
    names : iterable of str
        Names that visitors may know this computer by, besides its host name and ``localhost``.
        Requests for others are refused; addresses will always do.
    max_pages : int
        Pages that may be open at a time; and computers that may use ``/api``.
    max_connections : int
        Connections of browsers at a time; further ones are closed.
    """

    def __init__(
        self,
        device: DeviceServerBase,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        ssl_context: ssl.SSLContext | None = None,
        names: Iterable[str] = (),
        max_pages: int = 50,
        max_connections: int = 500,
    ) -> None:
        self.reception = Reception(device)
        self.title = type(device).__name__
        self.host_rule = HostRule(names)
        self.max_pages = max_pages
        self._max_connections = max_connections
        self._address = (host, port)
        self._ssl_context = ssl_context
        self.pages: set[LivePage] = set()
        self.callers = Callers(self.reception, max_pages)
        self.metrics = Metrics()
        self._tail: LogTail | None = None
        self._http: _BoundedServer | None = None

    # -- life ---------------------------------------------------------------------------

    def start(self) -> None:
        """Listen, at once; in the loop of the device.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        """
        host, port = self._address
        sockets = bind_sockets(host, port, 128)
        self._address = (host, sockets[0].getsockname()[1])
        self._tail = LogTail(self.reception)
        self._http = _BoundedServer(
            self._application(),
            ssl_options=self._ssl_context,
            max_body_size=_MAX_BODY,
            max_header_size=_MAX_HEADER,
            idle_connection_timeout=_PATIENCE,
            body_timeout=_PATIENCE,
        )
        self._http.most = self._max_connections
        self._http.add_sockets(sockets)

    async def stop(self) -> None:
        """End all pages, and listen no more."""
        if self._http is None:
            return
        http, self._http = self._http, None
        http.stop()
        for page in list(self.pages):
            page.dismiss("The web server shuts down.")
        self.pages.clear()
        self.callers.close()
        self.metrics.lag.stop()
        if self._tail is not None:
            self._tail.close()
            self._tail = None
        await http.close_all_connections()

    @property
    def bind_address(self) -> tuple[str, int]:
        """(host, port) listened on; the real port once started."""
        return self._address

    @property
    def url(self) -> str:
        """Where the page is, for somebody at this computer."""
        host, port = self._address
        if host in ("", "0.0.0.0", "::"):
            host = "127.0.0.1"
        scheme = "http" if self._ssl_context is None else "https"
        return f"{scheme}://{format_address((host, port))}/"

    @property
    def is_exposed(self) -> bool:
        """Whether other computers can reach it."""
        try:
            found = socket.getaddrinfo(self._address[0] or "0.0.0.0", None, type=socket.SOCK_STREAM)
        except OSError:
            return True
        return not all(str(entry[4][0]).startswith(("127.", "::1")) for entry in found)

    def _application(self) -> Application:
        static = str(resources.files("katcp.web").joinpath("static"))
        mine: dict[str, Any] = {"house": self}
        files = {**mine, "path": static, "default_filename": "index.html"}
        return Application(
            [
                *((path, handler, mine) for path, handler in ROUTES),
                (r"/healthz", Health, {**mine, "readiness": False}),
                (r"/readyz", Health, {**mine, "readiness": True}),
                (r"/live", Live, mine),
                (r"/()", Page, files),
                (r"/static/(.+)", Page, files),
            ],
            default_handler_class=NotFound,
            default_handler_args=mine,
            log_function=self._count,
            websocket_ping_interval=15,
            websocket_ping_timeout=15,
            websocket_max_message_size=MAX_MESSAGE,
        )

    def _count(self, handler: RequestHandler) -> None:
        status = handler.get_status()
        self.metrics.answers.labels(f"{status // 100}xx").inc()
        log.debug("%s %s %s", status, handler.request.method, handler.request.path)

    # -- for pages and callers ----------------------------------------------------------

    def describe_clients(self) -> list[dict[str, Any]]:
        """Return all clients of the device, for JSON."""
        pages = {page.visitor.address for page in self.pages}
        calls = {visitor.address for visitor in self.callers.visitors()}
        return [
            {
                "address": facts.address,
                "kind": "page"
                if facts.address in pages
                else "api"
                if facts.address in calls
                else "katcp",
                "since": facts.since,
                "subscriptions": facts.subscriptions,
            }
            for facts in self.reception.clients()
        ]

    def log_lines(self, visitor: Visitor) -> list[LogLine]:
        """Return the last log lines, if the visitor may have them."""
        if self._tail is None or not self.reception.hears(visitor.connection, "log"):
            return []
        return self._tail.lines()

    def count_spared(self, number: int) -> None:
        """Take note of readings that a page was not sent since newer ones followed."""
        self.metrics.spared.inc(number)


class _BoundedServer(HTTPServer):
    """An HTTP server that has at most so many connections."""

    most = 500

    def handle_stream(self, stream: IOStream, address: Any) -> None:
        """Take a connection, or close it (called by Tornado)."""
        if len(self._connections) >= self.most:
            stream.close()
            return
        super().handle_stream(stream, address)
