"""What a client has received, to be looked at by a test in another thread."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Collection

from katcp.protocol import Message


class MessageRecorder:
    """Keeps the messages of some kinds, for a test in another thread.

    Calling it is the same as `get_msgs`.

    Parameters
    ----------
    msg_types : collection of int
        `Message.INFORM`, `Message.REPLY`.
    whitelist : collection of str
        Names to keep; if empty, all names.
    regex_filter : str, optional
        Keep only messages whose text on the wire begins with what this regular expression
        matches: ``#name[5] arguments``.
    blacklist : collection of str
        Names not to keep.
    """

    def __init__(
        self,
        msg_types: Collection[int],
        whitelist: Collection[str],
        regex_filter: str | None,
        blacklist: Collection[str],
    ) -> None:
        self.msgs: list[Message] = []
        self.msg_types = msg_types
        self.whitelist = whitelist
        self.blacklist = blacklist
        self.regex_filter = None if regex_filter is None else re.compile(regex_filter)
        #: Set when a message has been kept.
        self.msg_received = threading.Event()
        self._lock = threading.Lock()

    def append_msg(self, msg: Message) -> None:
        """Keep a message, if it is of the kinds wanted; from any thread."""
        if msg.mtype not in self.msg_types or msg.name in self.blacklist:
            return
        if self.whitelist and msg.name not in self.whitelist:
            return
        if self.regex_filter is not None:
            text = bytes(msg).decode("utf-8", "replace")
            if not self.regex_filter.match(text):
                return
        with self._lock:
            self.msgs.append(msg)
            self.msg_received.set()

    def get_msgs(self, min_number: int = 0, timeout: float = 1) -> list[Message]:
        """Return the messages since the last call, and forget them.

        Parameters
        ----------
        min_number : int
            Wait until there are as many.
        timeout : float
            Longest wait [s]; after that what is there is returned.
        """
        self.wait_number(min_number, timeout)
        with self._lock:
            messages = self.msgs
            self.msgs = []
        return messages

    __call__ = get_msgs

    def wait_number(self, number: int, timeout: float = 1) -> bool | None:
        """Wait until `number` messages are there, at most `timeout` seconds.

        Returns
        -------
        bool or None
            True if they are.
        """
        deadline = time.monotonic() + timeout
        while True:
            with self._lock:
                if len(self.msgs) >= number:
                    return True
                self.msg_received.clear()
            if not self.msg_received.wait(max(0.0, deadline - time.monotonic())):
                return None
