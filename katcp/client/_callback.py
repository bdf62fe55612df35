"""Clients for programs that have no loop, or one elsewhere: thread-safe from the start."""

from __future__ import annotations

import logging
import ssl

from katcp.aio import ExponentialRandomBackoff
from katcp.client._asynchronous import AsyncClient
from katcp.client._life import log


class CallbackClient(AsyncClient):
    """A client that any thread may use.

    By default it runs in a thread of its own. Callbacks and the methods that handle messages are
    called in that thread.

    Parameters
    ----------
    host, port, tb_limit, timeout, logger, auto_reconnect
        See `AsyncClient`.
    reconnect_backoff, greeting_timeout, heartbeat
        See `AsyncClient`.
    ssl_context, server_hostname
        See `AsyncClient`.
    """

    def __init__(
        self,
        host: str,
        port: int,
        tb_limit: int = 20,
        timeout: float | None = 5.0,
        logger: logging.Logger = log,
        auto_reconnect: bool = True,
        *,
        reconnect_backoff: ExponentialRandomBackoff | None = None,
        greeting_timeout: float = 2.0,
        heartbeat: float | None = None,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
    ) -> None:
        super().__init__(
            host,
            port,
            tb_limit,
            timeout,
            logger,
            auto_reconnect,
            reconnect_backoff=reconnect_backoff,
            greeting_timeout=greeting_timeout,
            heartbeat=heartbeat,
            ssl_context=ssl_context,
            server_hostname=server_hostname,
        )
        self.enable_thread_safety()


class BlockingClient(CallbackClient):
    """Another name of `CallbackClient`."""
