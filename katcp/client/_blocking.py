"""Asking from other threads, which wait for the reply."""

from __future__ import annotations

import asyncio

from katcp.client._asking import ENDED, AskingClient, Result
from katcp.client._threads import Answer, Closed, resolve
from katcp.protocol import Message

#: How much longer than for the reply itself a thread waits for the loop to hand it over [s].
_PATIENCE = 1.0


class BlockingAsking(AskingClient):
    """A client that may be asked from other threads than that of its loop."""

    def blocking_request(
        self, msg: Message, timeout: float | None = None, use_mid: bool | None = None
    ) -> Result:
        """Send a request, wait for its reply: for threads other than that of the loop.

        Any number of threads may do so at once.

        Parameters
        ----------
        msg : Message
            Its `mid` is set to the id used.
        timeout : float, optional
            Time limit [s]; None means the client's own, 0 at once.
        use_mid : bool, optional
            Whether to use an id; by default if the device supports them.

        Returns
        -------
        tuple
            ``(reply, [informs])``. ``!name fail TEXT`` is made up if there is no reply in time,
            no connection, or the client is stopped.

        Raises
        ------
        AssertionError
            If called in the loop, which cannot wait.
        RuntimeError
            If the client was never started, or the loop is too busy to hand over a result within
            1 s of the time limit.
        ValueError
            For a message id that is in use already.
        """
        if self._here():
            raise AssertionError("Cannot call blocking_request() in the client's own loop.")
        answer = Answer()
        loop = self._asyncio_loop
        if loop is not None and self.is_plain(AskingClient, "future_request"):

            def ask() -> None:
                self._ask_for_thread(loop, msg, answer, timeout, use_mid)
        else:

            def ask() -> None:
                resolve(answer, self.future_request, msg, timeout, use_mid)

        try:
            self._inbox.put(ask)
        except Closed:
            if self._over is None:
                raise
            return Message.reply(msg.name, Message.FAIL, ENDED, mid=msg.mid), []
        limit = self._request_timeout if timeout is None else timeout
        if not answer.wait(None if limit is None else limit + _PATIENCE):
            raise RuntimeError(
                f"The loop of the client is stuck: there is no answer to {msg.name}, not even a"
                f" failure, {_PATIENCE:g} s after its time limit of {limit:g} s"
            )
        result: Result = answer.get()
        return result

    def _ask_for_thread(
        self,
        loop: asyncio.AbstractEventLoop,
        msg: Message,
        answer: Answer,
        timeout: float | None,
        use_mid: bool | None,
    ) -> None:
        try:
            self._ask(loop, msg, answer, timeout, use_mid)
        except Exception as error:
            answer.set_exception(error)
