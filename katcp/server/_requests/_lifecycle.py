"""``?halt`` and ``?restart``."""

from __future__ import annotations

from typing import Any

from katcp.protocol import Message
from katcp.server._requests._types import DeviceProtocol


class LifecycleRequests(DeviceProtocol):
    """Requests that end or restart the server."""

    def request_halt(self, req: Any, msg: Message) -> Any:
        r"""Stop the server, after this reply.

        Returns
        -------
        success : {'ok'}

        Examples
        --------
        ::

            ?halt
            !halt ok
            #disconnect Device\_server\_shutting\_down.
        """
        if self.ioloop is not None:  # otherwise it was never started
            self.ioloop.add_callback(self._stop_after, req)
        return req.make_reply("ok")

    def _stop_after(self, req: Any) -> None:
        """Stop when a request has its reply, which a handler in a thread may not have sent yet."""
        handling = self.katcp_under_way.get(req)
        if handling is None:
            self.stop()
        else:
            handling.add_done_callback(lambda _: self.stop())

    def request_restart(self, req: Any, msg: Message) -> Any:
        """Restart the server, if the application provides for it.

        Returns
        -------
        success : {'ok', 'fail'}

        Examples
        --------
        ::

            ?restart
            !restart ok
        """
        queue = self._restart_queue
        if queue is None:
            return req.make_reply("fail", "No restart queue registered -- cannot restart.")
        put = getattr(queue, "put_nowait", None) or queue.put
        put(self)
        return req.make_reply("ok")
