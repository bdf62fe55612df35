"""Connecting to a server over TLS."""

from __future__ import annotations

import asyncio
import ssl

from katcp.transport._tcp import LineConnection
from katcp.transport._tls import TlsLayer
from katcp.transport._tls_reasons import TlsError

#: How long a connection that has failed may take to be gone [s].
_END = 1.0


async def connect_tls(
    connection: LineConnection,
    host: str,
    port: int,
    context: ssl.SSLContext,
    server_hostname: str,
    timeout: float,
) -> None:
    """Give a connection a transport to a server, encrypted and, if `context` says so, verified.

    Parameters
    ----------
    connection : LineConnection
    host : str
    port : int
    context : ssl.SSLContext
    server_hostname : str
        Name or address that the server's certificate must be for.
    timeout : float
        How long the handshake may take [s].

    Raises
    ------
    TlsError
        If there is no TLS with the server.
    OSError
        If there is no connection to it.
    """
    loop = asyncio.get_running_loop()
    call = _Call(loop)
    layer = TlsLayer(
        connection.pump,
        lambda: connection,
        context,
        call,
        timeout,
        server_hostname=server_hostname,
    )
    try:
        await loop.create_connection(lambda: layer, host, port)
        await call.outcome
    except BaseException:
        if call.begun:
            layer.abort()
            await asyncio.wait([call.ended], timeout=_END)
        raise


class _Call:
    """Looks after one handshake; see `Keeper`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.begun = False
        self.outcome: asyncio.Future[None] = loop.create_future()
        self.ended: asyncio.Future[None] = loop.create_future()

    def began(self, layer: TlsLayer) -> None:
        self.begun = True

    def ready(self, layer: TlsLayer) -> None:
        layer.step()

    def opened(self, layer: TlsLayer) -> None:
        if not self.outcome.done():
            self.outcome.set_result(None)
        if not self.ended.done():
            self.ended.set_result(None)

    def failed(self, layer: TlsLayer, error: TlsError) -> None:
        if not self.outcome.done():
            self.outcome.set_exception(error)
            self.outcome.exception()  # nobody may be waiting for it any more

    def gone(self, layer: TlsLayer) -> None:
        if not self.ended.done():
            self.ended.set_result(None)
