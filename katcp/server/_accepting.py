"""Listening: the sockets, and what becomes of a client that knocks at one."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import socket
import ssl
from typing import Any, ClassVar

from katcp.protocol import DEFAULT_MAX_ARGUMENTS, DEFAULT_MAX_LINE, DEFAULT_MAX_NAME, escape
from katcp.server._admission import is_loopback
from katcp.server._clientele import Clientele
from katcp.server._connection import ClientConnection
from katcp.transport import Handshakes, Pump, TlsLayer, bind_sockets, check_context

#: Clients that are taken in one turn of the loop.
_ACCEPT_AT_ONCE = 32
#: Turns of the loop from asyncio's accept to `connection_made`: three in Python 3.10 to 3.13.
_TURNS_TO_CONNECT = 5
#: What a client without TLS is told by a server with it.
_TLS_ONLY = b"#disconnect " + escape(b"This server is to be talked to over TLS.") + b"\n"


class Accepting(Clientele):
    """The part of `KATCPServer` that listens and makes connections, within their limits.

    Parameters
    ----------
    device : Device
        Whose clients these are.
    host : str
        Address to listen on; empty: all interfaces, IPv4 and IPv6.
    port : int
        TCP port; 0: any free one.
    logger : logging.Logger
    ssl_context : ssl.SSLContext, optional
        For TLS; None: none.
    """

    #: Connections that may wait to be accepted (the kernel may allow fewer).
    BACKLOG: ClassVar[int] = 1024
    #: Longest line taken [bytes].
    MAX_MSG_SIZE: ClassVar[int] = DEFAULT_MAX_LINE
    #: Most arguments of a message, and longest name of a request that is not known [bytes].
    MAX_ARGUMENTS: ClassVar[int] = DEFAULT_MAX_ARGUMENTS
    MAX_NAME: ClassVar[int] = DEFAULT_MAX_NAME
    #: Most unsent output of one client [bytes].
    MAX_WRITE_BUFFER_SIZE: ClassVar[int] = 8 * 1024 * 1024
    #: How long a client may take for the handshake of TLS [s].
    HANDSHAKE_TIMEOUT: ClassVar[float] = 10
    #: Most connections whose handshake is not done; one more, and the one is dropped that has been
    #: silent for longest. They do not count as clients yet.
    MAX_HANDSHAKES: ClassVar[int] = 1000

    client_connection_factory: Any = ClientConnection

    def __init__(
        self,
        device: Any,
        host: str,
        port: int,
        logger: logging.Logger,
        ssl_context: ssl.SSLContext | None,
    ) -> None:
        super().__init__(device, logger)
        self.use_tls(ssl_context)
        self._bindaddr: tuple[str, int] = (host, port)
        #: Limits given to the constructor; None: those above, which may be set until `start`.
        self.max_line: int | None = None
        self.max_arguments: int | None = None
        self.max_name: int | None = None
        self.max_backlog: int | None = None
        self.stall_timeout = 30.0
        self.coalesce = 0.001
        self.max_complaints = 100
        #: (idle, interval, count) of TCP's own probes; None: there are none.
        self.keepalive: tuple[int, int, int] | None = (30, 10, 3)
        self.pump: Pump = None  # type: ignore[assignment]
        self._handshakes: Handshakes | None = None
        self._sockets: list[socket.socket] = []
        self._servers: list[asyncio.AbstractServer] = []
        self._connection_ids = itertools.count(1)

    def use_tls(self, ssl_context: ssl.SSLContext | None) -> None:
        """Talk to clients over TLS, or not; before `start`.

        Raises
        ------
        TypeError
            If it is no `ssl.SSLContext`.
        ValueError
            If it is for clients.
        """
        if ssl_context is not None:
            check_context(ssl_context, server_side=True)
        self.ssl_context = ssl_context

    @property
    def bind_address(self) -> tuple[str, int]:
        """(host, port) listened on; the real port once started."""
        return self._bindaddr

    @property
    def is_exposed(self) -> bool:
        """Whether other computers can reach one of the sockets that are listened on."""
        return any(
            sock.family in (socket.AF_INET, socket.AF_INET6)
            and not is_loopback(sock.getsockname()[0])
            for sock in self._sockets
        )

    def open_sockets(self) -> list[socket.socket]:
        """Return the sockets to listen on; to be overridden where clients come another way.

        Raises
        ------
        OSError
            If the address cannot be listened on.
        """
        host, port = self._bindaddr
        try:
            sockets = bind_sockets(host, port, self.BACKLOG)
        except OSError as error:
            self._logger.error("Cannot listen on %s:%s: %s", host or "*", port, error)
            raise
        self._bindaddr = (host, sockets[0].getsockname()[1])
        return sockets

    def _begin_to_accept(self) -> None:
        """Take clients, in the loop. Until now the kernel has kept them waiting."""
        if self.ssl_context is not None:
            self._handshakes = Handshakes(
                self.asyncio_loop, self.MAX_HANDSHAKES, self._logger, admits=self._may_shake_hands
            )
        self._accepting = self.asyncio_loop.create_task(self._accept())

    async def _accept(self) -> None:
        for sock in self._sockets:
            # asyncio takes that many clients in one turn of the loop: a thousand at once, 80 ms.
            at_once = min(_ACCEPT_AT_ONCE, self.BACKLOG)
            self._servers.append(
                await self.asyncio_loop.create_server(
                    self._make_protocol, sock=sock, backlog=at_once
                )
            )
            sock.listen(self.BACKLOG)

    def _make_protocol(self) -> asyncio.BufferedProtocol:
        """Return what a connection is that is about to be made; over TLS, what comes before it."""
        if self.ssl_context is None or self._handshakes is None:
            return self.make_connection()
        return TlsLayer(
            self.pump,
            self.make_connection,
            self.ssl_context,
            self._handshakes,
            self.HANDSHAKE_TIMEOUT,
            farewell=_TLS_ONLY,
        )

    def make_connection(self) -> ClientConnection:
        """Return the server's end of a connection that is about to be made."""
        connection: ClientConnection = self.client_connection_factory(
            self, next(self._connection_ids)
        )
        return connection

    async def _cease_to_accept(self) -> None:
        """Stop listening, and let those be connected who have been accepted.

        An `asyncio.Server` that is closed refuses to have a connection made that it has accepted
        turns before, and leaves its socket open: the client would be connected to nobody.
        """
        for sock in self._sockets:
            with contextlib.suppress(NotImplementedError):  # by loops that are not of selectors
                self.asyncio_loop.remove_reader(sock.fileno())
        for _ in range(_TURNS_TO_CONNECT):
            await asyncio.sleep(0)
        self._close_sockets()

    def _close_sockets(self) -> None:
        for server in self._servers:
            server.close()
        self._servers.clear()
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
