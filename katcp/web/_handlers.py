"""What all answers of the web server have in common, and the plain ones: page, health."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPServerRequest
from tornado.web import HTTPError, RequestHandler, StaticFileHandler
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from katcp.web._guard import is_same_origin
from katcp.web._live import LivePage

if TYPE_CHECKING:
    from katcp.web._server import WebServer

#: What the page may load, and do: only what comes from here, and no script that stands in it.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)

#: Longest message of a page [bytes].
MAX_MESSAGE = 64 * 1024


def peername_of(request: HTTPServerRequest) -> tuple[str, int]:
    """Return where a request comes from."""
    connection: Any = request.connection
    address = getattr(getattr(connection, "context", None), "address", None)
    if isinstance(address, tuple) and len(address) >= 2:
        return str(address[0]), int(address[1])
    return str(request.remote_ip), 0


def peercert_of(request: HTTPServerRequest) -> dict[str, Any] | None:
    """Return the verified certificate of whoever asks, if there is one."""
    if request.protocol != "https":
        return None
    found = request.get_ssl_certificate()
    return found if isinstance(found, dict) and found else None


class Guarded(RequestHandler):
    """Answers only those that may ask."""

    house: WebServer
    #: Whether any ``Host`` will do: for what tells nothing.
    any_host = False

    def initialize(self, house: WebServer) -> None:
        """Take note of whose handler it is (called by Tornado)."""
        self.house = house

    def set_default_headers(self) -> None:
        """Tell browsers what they may do (called by Tornado)."""
        for name, value in (
            ("Content-Security-Policy", _POLICY),
            ("X-Content-Type-Options", "nosniff"),
            ("X-Frame-Options", "DENY"),
            ("Referrer-Policy", "no-referrer"),
            ("Cross-Origin-Resource-Policy", "same-origin"),
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("Permissions-Policy", "camera=(), microphone=(), geolocation=()"),
            ("Cache-Control", "no-cache"),
        ):
            self.set_header(name, value)
        self.clear_header("Server")

    def prepare(self) -> None:
        """Refuse those that may not ask (called by Tornado)."""
        request = self.request
        host = request.headers.get("Host")
        if not self.any_host and not self.house.host_rule.allows(host):
            raise HTTPError(421, "This server is not known by that name; see --http-name.")
        origin = request.headers.get("Origin")
        if not is_same_origin(origin, request.protocol, host or ""):
            raise HTTPError(403, "Pages from elsewhere may not ask this server.")
        site = request.headers.get("Sec-Fetch-Site", "none")
        # Following a link from elsewhere to the page is no harm.
        if site not in ("none", "same-origin") and not self._is_visit():
            raise HTTPError(403, "Pages from elsewhere may not ask this server.")

    def _is_visit(self) -> bool:
        headers = self.request.headers
        return self.request.method == "GET" and headers.get("Sec-Fetch-Mode") == "navigate"

    @property
    def peername(self) -> tuple[str, int]:
        """Where the request comes from."""
        return peername_of(self.request)

    @property
    def peercert(self) -> dict[str, Any] | None:
        """The verified certificate of whoever asks, if there is one."""
        return peercert_of(self.request)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say in one line what is wrong (called by Tornado)."""
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(f"{self.detail_of(status_code, kwargs)}\n")

    def detail_of(self, status_code: int, kwargs: dict[str, Any]) -> str:
        """Return what to tell of an error."""
        error = kwargs.get("exc_info", (None, None))[1]
        if isinstance(error, HTTPError) and error.log_message:
            return error.log_message
        return self._reason if status_code < 500 else "The server has failed; its log says why."


class Page(Guarded, StaticFileHandler):
    """The page, and what belongs to it."""

    def initialize(self, house: WebServer, path: str, default_filename: str) -> None:  # type: ignore[override]
        """Take note of whose handler it is (called by Tornado)."""
        Guarded.initialize(self, house)
        StaticFileHandler.initialize(self, path, default_filename)

    def set_default_headers(self) -> None:
        """Tell browsers what they may do (called by Tornado)."""
        Guarded.set_default_headers(self)

    def set_extra_headers(self, path: str) -> None:
        """Have browsers ask whether there is something newer (called by Tornado)."""
        self.set_header("Cache-Control", "no-cache")


class NotFound(Guarded):
    """Everything else."""

    def prepare(self) -> None:
        """Answer that it is not here (called by Tornado)."""
        super().prepare()
        raise HTTPError(404, "There is nothing here.")


class Health(Guarded):
    """Tells that the loop answers, and, as readiness, that the device serves clients."""

    any_host = True

    def initialize(self, house: WebServer, readiness: bool) -> None:  # type: ignore[override]
        """Take note of what is asked (called by Tornado)."""
        super().initialize(house)
        self._readiness = readiness

    def get(self) -> None:
        """Answer."""
        serving = self.house.reception.running
        if self._readiness and not serving:
            self.set_status(503)
        self.finish({"status": "ok" if serving or not self._readiness else "not serving"})

    head = get


class Live(WebSocketHandler):
    """The WebSocket of a page."""

    _page: LivePage | None = None

    def initialize(self, house: WebServer) -> None:
        """Take note of whose handler it is (called by Tornado)."""
        self.house = house

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Open it, if that is allowed and there is a place."""
        request = self.request
        host = request.headers.get("Host")
        if not self.house.host_rule.allows(host):
            self.set_status(421)
            self.finish("This server is not known by that name; see --http-name.\n")
            return
        if len(self.house.pages) >= self.house.max_pages:
            self.set_status(503)
            self.finish("Too many pages are open.\n")
            return
        # Once it is a WebSocket, the request does not know any more.
        self._peername, self._peercert = peername_of(request), peercert_of(request)
        await super().get(*args, **kwargs)

    def check_origin(self, origin: str) -> bool:
        """Refuse pages from elsewhere (called by Tornado)."""
        return is_same_origin(origin, self.request.protocol, self.request.headers.get("Host") or "")

    def open(self, *args: str, **kwargs: str) -> None:
        """Begin (called by Tornado)."""
        if len(self.house.pages) >= self.house.max_pages:
            self.close(1013, "Too many pages are open.")
            return
        try:
            self._page = LivePage(
                self.house,
                self._send,
                self._drop,
                self._peername,
                self._peercert,
            )
        except RuntimeError:
            self.close(1012, "The device is not served now.")
            return
        self.set_nodelay(True)
        self.house.pages.add(self._page)
        self._page.start()

    async def _send(self, text: str) -> None:
        try:
            await self.write_message(text)
        except WebSocketClosedError:
            pass  # `on_close` is called as well

    def _drop(self, reason: str) -> None:
        # A reason has 123 bytes at most.
        self.close(1011, reason.encode()[:120].decode("utf-8", "ignore"))

    def on_message(self, message: str | bytes) -> None:
        """Take a message of the page (called by Tornado)."""
        if self._page is None:
            return
        try:
            if not isinstance(message, str):
                raise ValueError("pages send text")
            self._page.receive(message)
        except ValueError as error:
            self._drop(f"Bad message: {error}")
            self.on_close()

    def on_close(self) -> None:
        """End (called by Tornado)."""
        if self._page is not None:
            self.house.pages.discard(self._page)
            self._page.end()
            self._page = None


def to_json(content: Any) -> str:
    """Return JSON that may stand anywhere, even in a page."""
    return json.dumps(content, indent=1).replace("</", "<\\/")
