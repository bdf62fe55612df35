"""TLS between a connection and its socket.

Operations wanted: those of a transport, with the same meaning as on plain TCP - what waits to be
sent is counted, a peer that takes nothing is noticed, reading pauses at once, closing sends what
waits and does not wait for the peer - on all versions of Python and on other loops; handshakes
bounded in number, in time and in what they take of a turn of the loop.

Plan: a layer that is the protocol of a plain transport and the transport of a `LineConnection`.
Bytes pass through OpenSSL in memory. Nothing that is to be sent stays in the layer (but for what a
peer that renegotiates holds up), so all of it is in the plain transport's own buffer, with its
water marks. What comes in is handed on a buffer at a time; while more is there, nothing is read.
The layers that asyncio has keep up to twice the backlog where nobody counts it, wait half a minute
or for ever for a peer to say goodbye, and take 256 kB for each connection.

Known gaps: the end of a stream without a goodbye (``close_notify``) counts as an end. KATCP sends
lines, of which an unfinished one is dropped anyway.
"""

from __future__ import annotations

import asyncio
import collections
import ssl
from collections.abc import Callable
from typing import Any, Protocol, cast

from katcp.transport._pump import Pump
from katcp.transport._tcp import LineConnection
from katcp.transport._tls_reasons import TlsError, is_record, tls_error

#: So much is encrypted and handed on at a time [bytes].
_PIECE = 64 * 1024
#: How long a peer that was refused may take to read why [s].
_LINGER = 1.0

# States of a layer, in the order in which they come; some may be left out. A server waits for the
# first bytes. What is refused is not read any more, and ends when the peer closes, or soon.
_WAITING, _SHAKING, _OPEN, _REFUSED, _CLOSING, _GONE = range(6)


class Keeper(Protocol):
    """Who looks after layers until the handshake is done."""

    def began(self, layer: TlsLayer) -> None:
        """Take note of a connection whose handshake is to come."""

    def ready(self, layer: TlsLayer) -> None:
        """Call `layer.step`, now or soon."""

    def opened(self, layer: TlsLayer) -> None:
        """Take note that the handshake is done."""

    def failed(self, layer: TlsLayer, error: TlsError) -> None:
        """Take note that the handshake has failed; the connection will go."""

    def gone(self, layer: TlsLayer) -> None:
        """Take note that the connection is gone, if it was never opened."""


class TlsLayer(asyncio.BufferedProtocol):
    """TLS on a plain transport; to a `LineConnection` it is the transport.

    Parameters
    ----------
    pump : Pump
        Has the read buffer.
    connection : callable
        Returns the connection; called when the handshake is done.
    context : ssl.SSLContext
    keeper : Keeper
    timeout : float
        How long the handshake may take [s].
    server_hostname : str, optional
        Name that the certificate of a server must have. If it is None this is the server.
    farewell : bytes
        What a server says to a peer that does not speak TLS.
    """

    __slots__ = (
        "__weakref__",
        "_buffer",
        "_connection",
        "_context",
        "_error",
        "_extra",
        "_farewell",
        "_incoming",
        "_keeper",
        "_lower",
        "_make",
        "_outgoing",
        "_paused",
        "_pump",
        "_reading_on",
        "_server_hostname",
        "_state",
        "_stuck",
        "_timeout",
        "_timer",
        "_tls",
        "_written",
    )

    def __init__(
        self,
        pump: Pump,
        connection: Callable[[], LineConnection],
        context: ssl.SSLContext,
        keeper: Keeper,
        timeout: float,
        *,
        server_hostname: str | None = None,
        farewell: bytes = b"",
    ) -> None:
        self._pump = pump
        self._make: Callable[[], LineConnection] | None = connection
        self._context = context
        self._keeper = keeper
        self._timeout = timeout
        self._server_hostname = server_hostname
        self._farewell = farewell
        self._state = _WAITING
        self._connection: LineConnection | None = None
        self._lower: Any = None
        self._tls: Any = None  # made with the first bytes: silent peers cost little
        self._incoming: Any = None
        self._outgoing: Any = None
        self._buffer: memoryview = None  # type: ignore[assignment]
        self._timer: asyncio.TimerHandle | None = None
        self._error: TlsError | None = None
        self._extra: dict[str, Any] = {}
        self._paused = False  # by the connection
        self._reading_on = False  # whether the rest of what was read is yet to be handed on
        self._stuck: collections.deque[bytes] = collections.deque()
        self._written = 0

    # -- the handshake ------------------------------------------------------------------

    @property
    def peer(self) -> Any:
        """Name of the socket's other end."""
        return self._lower.get_extra_info("peername")

    @property
    def is_silent(self) -> bool:
        """Whether nothing has come from the peer yet."""
        return self._state == _WAITING

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (called by the loop)."""
        self._lower = transport
        self._timer = self._pump.loop.call_later(self._timeout, self._too_late)
        self._keeper.began(self)
        if self._server_hostname is not None and self._begin():
            self.step()

    def _begin(self) -> bool:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        try:
            self._tls = self._context.wrap_bio(
                self._incoming,
                self._outgoing,
                server_side=self._server_hostname is None,
                server_hostname=self._server_hostname,
            )
        except (ValueError, ssl.SSLError) as error:  # no name, or a context of the other side
            self._refuse(tls_error(error))
            return False
        self._state = _SHAKING
        return True

    def _take_greeting(self, data: memoryview) -> None:
        """Take bytes that belong to the handshake."""
        if not self._extra:  # the first of them
            self._extra["sslcontext"] = self._context
            if not is_record(data):
                self._refuse(TlsError("it does not speak TLS"), says_katcp=data[0] in b"?!#\r\n")
                return
            if self._tls is None and not self._begin():
                return
        self._incoming.write(data)
        self._lower.pause_reading()  # what comes may not be more than what is done with it
        self._keeper.ready(self)

    def step(self) -> None:
        """Go on with the handshake (called by the keeper)."""
        if self._state != _SHAKING:
            return
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_out()
            self._lower.resume_reading()
        except OSError as error:
            self._refuse(tls_error(error))
        else:
            self._send_out()
            self._open()

    def _open(self) -> None:
        self._cancel_timer()
        self._state = _OPEN
        tls = self._tls
        self._extra["peercert"] = tls.getpeercert() or None
        self._extra["cipher"] = tls.cipher()
        make, self._make = self._make, None
        assert make is not None
        self._connection = make()
        self._connection.connection_made(cast(asyncio.Transport, self))
        self._keeper.opened(self)
        self._read()  # data may have come along with the end of the handshake

    def _too_late(self) -> None:
        self._timer = None
        # Whoever speaks TLS speaks first, so this one may be waiting for a greeting.
        error = TlsError(f"no handshake within {self._timeout:g} s")
        self._refuse(error, says_katcp=self._state == _WAITING)

    def _refuse(self, error: TlsError, *, says_katcp: bool = False) -> None:
        """End a handshake; a server gives its client a moment to read why."""
        self._cancel_timer()
        self._state = _REFUSED
        self._error = error
        self._send_out()  # OpenSSL's alert
        if says_katcp and self._farewell:
            self._lower.write(self._farewell)
        self._keeper.failed(self, error)
        if self._server_hostname is not None:
            self._lower.close()
            return
        # With bytes unread, closing would reset the connection before the peer has read anything.
        self._timer = self._pump.loop.call_later(_LINGER, self._lower.abort)
        try:
            self._lower.write_eof()
        except (NotImplementedError, OSError, RuntimeError):
            pass
        self._lower.resume_reading()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # -- reading: called by the loop ----------------------------------------------------

    def get_buffer(self, sizehint: int) -> memoryview:
        """Return where to read into (called by the loop)."""
        self._buffer = buffer = self._pump.read_buffer()
        return buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Take what was read (called by the loop)."""
        if self._state == _OPEN:
            self._incoming.write(self._buffer[:nbytes])
            if not self._reading_on:
                self._read()
        elif self._state < _OPEN:
            self._take_greeting(self._buffer[:nbytes])

    def _read(self) -> None:
        """Hand on what fits the connection's buffer; the rest in the next turn of the loop."""
        if self._state != _OPEN or self._paused:
            return
        tls, incoming = self._tls, self._incoming
        connection: Any = self._connection
        buffer = room = connection.get_buffer(-1)
        error: ssl.SSLError | None = None
        size = count = 0
        ended = False
        try:
            while True:
                count = tls.read(len(room), room)
                if not count:
                    ended = True
                    break
                size += count
                if not (tls.pending() or incoming.pending):  # saves an exception
                    break
                if size == len(buffer):
                    break
                room = buffer[size:]
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLZeroReturnError:
            ended = True
        except ssl.SSLError as raised:
            error = raised
        if size:
            connection.buffer_updated(size)
        if self._state != _OPEN:
            return
        if error is not None:
            self._break(error)
        elif ended:
            connection.eof_received()
            self.close()
        else:
            self._after_reading(full=size == len(buffer))

    def _after_reading(self, *, full: bool) -> None:
        if self._outgoing.pending:  # an answer of TLS itself
            self._send_out()
        if self._stuck:
            self._write_stuck()
        if full and (self._tls.pending() or self._incoming.pending):
            self._reading_on = True
            self._lower.pause_reading()
            self._pump.loop.call_soon(self._read_on)
        elif not self._paused:
            self._lower.resume_reading()

    def _read_on(self) -> None:
        self._reading_on = False
        try:
            self._read()
        except BaseException:  # as transports do with what their protocol raises
            self.abort()
            raise

    def eof_received(self) -> bool:
        """Close when the peer does (called by the loop)."""
        if self._state == _OPEN:
            assert self._connection is not None
            self._connection.eof_received()
            self.close()
        elif self._state < _OPEN:
            self._error = TlsError("it closed the connection before the handshake was done")
            self._keeper.failed(self, self._error)
            self._state = _CLOSING
        return False

    def pause_writing(self) -> None:
        """Pass it on (called by the loop)."""
        if self._connection is not None:
            self._connection.pause_writing()

    def resume_writing(self) -> None:
        """Pass it on (called by the loop)."""
        if self._connection is not None:
            self._connection.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        """End (called by the loop)."""
        self._cancel_timer()
        if self._state < _OPEN:
            self._error = tls_error(exc or TlsError("the connection was dropped"))
            self._keeper.failed(self, self._error)
        self._state = _GONE
        connection, self._connection = self._connection, None
        self._make = None
        self._tls = None  # 40 kB
        self._stuck.clear()
        if connection is not None:
            connection.connection_lost(self._error or exc)
        else:
            self._keeper.gone(self)

    # -- writing: called by the connection ----------------------------------------------

    def write(self, data: bytes) -> None:
        """Send bytes; at once, as far as the peer takes them."""
        if self._state != _OPEN:
            return
        if self._stuck:
            self._stuck.append(data)
        elif len(data) <= _PIECE:
            self._encrypt(data)
        else:
            view = memoryview(data)
            for start in range(0, len(data), _PIECE):
                if self._stuck:
                    self._stuck.append(bytes(view[start:]))
                    break
                self._encrypt(view[start : start + _PIECE])

    def _encrypt(self, data: bytes | memoryview) -> None:
        try:
            count = self._tls.write(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            count = 0  # the peer negotiates anew, and is to say something first
        except ssl.SSLError as error:
            self._break(error)
            return
        if count != len(data):
            self._stuck.append(bytes(data[count:]))
        data = self._outgoing.read()
        self._written += len(data)
        self._lower.write(data)

    def _write_stuck(self) -> None:
        stuck, self._stuck = self._stuck, collections.deque()
        for data in stuck:
            self.write(data)

    def _send_out(self) -> None:
        """Send what TLS has to say by itself."""
        if self._outgoing is not None and self._outgoing.pending:
            data = self._outgoing.read()
            self._written += len(data)
            self._lower.write(data)

    def _break(self, error: ssl.SSLError) -> None:
        """Drop a connection on which TLS has failed, or whose peer has refused."""
        self._error = tls_error(error)
        self._send_out()
        self._state = _CLOSING
        self._lower.abort()

    def get_write_buffer_size(self) -> int:
        """Return how much the system has not taken yet [bytes]."""
        size: int = self._lower.get_write_buffer_size()
        return size + sum(map(len, self._stuck)) if self._stuck else size

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the water marks of writing [bytes]."""
        self._lower.set_write_buffer_limits(high, low)

    def pause_reading(self) -> None:
        """Hand nothing on for now, and read nothing."""
        self._paused = True
        self._lower.pause_reading()

    def resume_reading(self) -> None:
        """Go on, with what was there already."""
        self._paused = False
        if not self._reading_on and self._state == _OPEN:
            self._reading_on = True
            self._pump.loop.call_soon(self._read_on)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what a transport tells of itself.

        Besides what there is on plain TCP: ``peercert`` and ``cipher`` as of `ssl.SSLSocket`,
        ``sslcontext``, ``ssl_object``, ``tls_error`` (why TLS has failed, or None) and
        ``bytes_written`` (encrypted).
        """
        if name == "bytes_written":
            return self._written
        if name == "tls_error":
            return self._error
        if name == "ssl_object":
            return self._tls
        if name in self._extra:
            return self._extra[name]
        return self._lower.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Tell whether it is closed, or about to be."""
        return self._state > _OPEN

    def close(self) -> None:
        """Send what waits, then close; the peer's goodbye is not waited for."""
        if self._state == _OPEN:
            self._state = _CLOSING
            try:
                self._tls.unwrap()
            except ssl.SSLError:  # it wants to read the peer's goodbye
                pass
            self._send_out()
            self._lower.close()
        elif self._state < _OPEN:
            self.abort()

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._state != _GONE:
            self._lower.abort()
