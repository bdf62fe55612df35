"""``?log-level``."""

from __future__ import annotations

from typing import Any

from katcp.protocol import Message
from katcp.server._requests._types import DeviceProtocol


class LoggingRequests(DeviceProtocol):
    """The request about the device's log."""

    def request_log_level(self, req: Any, msg: Message) -> Any:
        """Ask for or set the level from which on log messages are sent to all clients.

        Parameters
        ----------
        level : {'all', 'trace', 'debug', 'info', 'warn', 'error', 'fatal', 'off'}, optional
            Level to set.

        Returns
        -------
        success : {'ok', 'fail'}
        level : str
            The level now in force.

        Examples
        --------
        ::

            ?log-level info
            !log-level ok info
        """
        if msg.arguments:
            try:
                self.log.set_log_level_by_name(msg.arguments[0])
            except ValueError as error:
                return req.make_reply("fail", str(error))
        return req.make_reply("ok", self.log.level_name())
