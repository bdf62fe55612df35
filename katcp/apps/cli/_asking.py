"""Requests to a device, and what can go wrong with them, told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from katcp.aio import WaitTimeout, with_timeout
from katcp.apps.cli._errors import NoConnection, Refused, TimedOut
from katcp.apps.cli._escape import decode, visible
from katcp.apps.cli._format import refusal_text
from katcp.apps.cli._model import parse_time
from katcp.apps.cli._progress import Progress, Step
from katcp.client import AsyncClient
from katcp.protocol import Message

#: How long a reply is waited for unless the user or the device knows better [s].
DEFAULT_TIMEOUT = 5.0

# The client forgets a request this much later than whoever waits for its reply [s].
_MARGIN = 1.0


class Asker:
    """Asks a device, over a client that is connected.

    Parameters
    ----------
    client : AsyncClient
    timeout : float, optional
        How long to wait for replies [s]; None: `DEFAULT_TIMEOUT`, or longer for a request for
        which the device hints that.
    progress : Progress, optional
        Shows what is being waited for.
    """

    def __init__(
        self,
        client: AsyncClient,
        timeout: float | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.client = client
        self.progress = progress or Progress()
        self._timeout = timeout
        self._hints: dict[str, float] = {}

    @property
    def major(self) -> int:
        """Major version of the protocol that the device speaks."""
        flags = self.client.protocol_flags
        return 5 if flags is None else flags.major

    @property
    def address(self) -> str:
        """The device's address, for messages."""
        return visible(self.client.bind_address_string)

    async def ask(
        self,
        name: str,
        *arguments: bytes | str,
        on_inform: Callable[[Message], object] | None = None,
        hinted: bool = False,
    ) -> tuple[Message, list[Message]]:
        """Send a request; return its reply, whatever that says, and its informs.

        Parameters
        ----------
        name : str
        *arguments : bytes or str
        on_inform : function, optional
            Told of each inform as it comes; they are not returned then. It must not raise.
        hinted : bool
            Whether to ask the device how long the request may take.

        Raises
        ------
        NoConnection
            If there is none, or it is lost before the reply.
        TimedOut
        """
        if not self.client.is_connected():
            raise NoConnection(f"not connected to {self.address}")
        limit = self._timeout
        if limit is None:
            limit = await self._hinted_limit(name) if hinted else DEFAULT_TIMEOUT
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        informs: list[Message] = []
        step: Step | None = None

        def collect(inform: Message) -> None:
            informs.append(inform)
            if step is not None:
                step.advance()

        def finish(reply: Message) -> None:
            if future.done():
                return
            if self.client.is_connected():
                future.set_result(reply)
            else:  # the client has made this reply up
                future.set_exception(NoConnection(self.lost_text()))

        self.client.callback_request(
            Message.request(name, *arguments),
            finish,
            collect if on_inform is None else on_inform,
            timeout=limit + _MARGIN,
        )
        # `asyncio.wait_for` of Python 3.11 forgets to be cancelled if the reply is there by then.
        try:
            if on_inform is not None:
                reply = await with_timeout(future, limit)
            else:
                with self.progress.step(f"?{name}") as step:
                    reply = await with_timeout(future, limit)
        except WaitTimeout:
            raise TimedOut(f"no reply to ?{name} from {self.address} within {limit:g} s") from None
        return reply, informs

    async def ask_ok(self, name: str, *arguments: bytes | str) -> list[Message]:
        """Send a request; return the informs of its reply.

        Raises
        ------
        Refused
            If the reply is not ok.
        NoConnection
        TimedOut
        """
        reply, informs = await self.ask(name, *arguments)
        if not reply.reply_ok():
            raise Refused(refusal_text(name, reply.arguments))
        return informs

    @property
    def limit(self) -> float:
        """How long replies are waited for unless the device hints that it takes longer [s]."""
        return DEFAULT_TIMEOUT if self._timeout is None else self._timeout

    async def _hinted_limit(self, name: str) -> float:
        """Return how long a request may take [s]: the device's hint if it is longer than ours."""
        flags = self.client.protocol_flags
        if flags is None or not flags.request_timeout_hints:
            return DEFAULT_TIMEOUT
        if name not in self._hints:
            reply, informs = await self.ask("request-timeout-hint", name)
            hint = None
            if reply.reply_ok() and informs and len(informs[0].arguments) > 1:
                hint = parse_time(informs[0].arguments[1], self.major)
            self._hints[name] = hint or 0.0
        return max(DEFAULT_TIMEOUT, self._hints[name])

    def lost_text(self) -> str:
        """Say that the connection is gone, and why if the device told."""
        reason = self.client.disconnect_reason
        text = f"connection to {self.address} lost"
        return f"{text}: {visible(reason)}" if reason else text


def texts(arguments: Sequence[bytes]) -> list[str]:
    """Return arguments as text."""
    return [decode(argument) for argument in arguments]
