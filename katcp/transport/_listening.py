"""A listening socket that survives a process without free file descriptors.

A connection that cannot be accepted for want of a descriptor stays where it is, and the socket goes
on telling that there is one: a loop that asks it would turn without end, or has to look away and
write a traceback for each attempt. So one descriptor is kept in reserve. When there is no other, it
is given up for a moment, to accept the connection and close it; its other end tries again later.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
import time
from typing import Any

_log = logging.getLogger("katcp.transport")

_NONE_FREE = (errno.EMFILE, errno.ENFILE)
#: The log is told of a want that lasts, or comes and goes, so often [s].
_AGAIN = 60.0


class ListeningSocket(socket.socket):
    """Accepts connections as long as the process may have more files; turns others away."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._reserve: int | None = None
        self._logged: float | None = None
        #: Connections that were closed at once.
        self.turned_away = 0

    def listen(self, *backlog: int) -> None:
        """Listen, from now on with a descriptor in reserve."""
        super().listen(*backlog)
        self._keep_reserve()

    def close(self) -> None:
        """Close; give up the reserve, too."""
        self._give_up_reserve()
        super().close()

    def accept(self) -> tuple[socket.socket, Any]:
        """Return the next connection and its address.

        Raises
        ------
        BlockingIOError
            If there is none, or it was turned away for want of a descriptor.
        OSError
            If it cannot even be turned away, and for other reasons of the system's.
        """
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in _NONE_FREE or self._reserve is None:
                # Where there was no reserve, there may be one the next time.
                self._keep_reserve()
                raise
            self._turn_away(error)
            raise BlockingIOError(errno.EAGAIN, "turned away") from None

    def _keep_reserve(self) -> None:
        if self._reserve is None:
            with contextlib.suppress(OSError):
                self._reserve = os.open(os.devnull, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))

    def _give_up_reserve(self) -> None:
        if self._reserve is not None:
            os.close(self._reserve)
            self._reserve = None

    def _turn_away(self, error: OSError) -> None:
        self._give_up_reserve()
        try:
            connection, _ = super().accept()
            connection.close()
            self.turned_away += 1
        except OSError:  # it has gone itself, or another thread was quicker
            pass
        finally:
            self._keep_reserve()
        now = time.monotonic()
        if self._logged is None or now - self._logged >= _AGAIN:
            self._logged = now
            _log.error(
                "Turning away connections to %s: %s (%d so far)",
                self._own_name(),
                error.strerror,
                self.turned_away,
            )

    def _own_name(self) -> str:
        try:
            host, port, *_ = self.getsockname()
        except (OSError, ValueError):
            return "this server"
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
