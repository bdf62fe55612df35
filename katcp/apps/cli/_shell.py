"""The shell: typed lines on a terminal, or a script."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.auto_suggest import AutoSuggestFromHistory
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.formatted_text import StyleAndTextTuples
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.styles import Style
from tornado.util import TimeoutError as WaitTimeout

from katcp.apps.cli._asking import Asker
from katcp.apps.cli._complete import complete, usage
from katcp.apps.cli._errors import DONE
from katcp.apps.cli._follow import Follower, KeptSampler, Notices
from katcp.apps.cli._grammar import format_address
from katcp.apps.cli._live import LiveScreen
from katcp.apps.cli._script import run_script
from katcp.apps.cli._session import Quit, Session
from katcp.apps.cli._verbs import Here
from katcp.errors import KatcpClientError
from katcp.inspecting_client import InspectingClientAsync

#: How long the first prompt waits for the device to be known, or not to be reached [s].
_FIRST_PROMPT = 3.0
#: Lines kept below the prompt for what completes it.
_MENU_LINES = 6

_STYLE = Style.from_dict(
    {
        "address": "bold",
        "off": "ansired",
        "bottom-toolbar": "noreverse ansibrightblack",
        "bottom-toolbar.text": "noreverse ansibrightblack",
    }
)
_PLAIN_STYLE = Style.from_dict({"bottom-toolbar": "noreverse", "bottom-toolbar.text": "noreverse"})


def run_shell(host: str, port: int, timeout: float | None, verbose: bool) -> int:
    """Run the shell; return the exit status."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return asyncio.run(_interact(host, port, timeout, verbose))
    return asyncio.run(run_script(host, port, timeout, verbose))


async def _interact(host: str, port: int, timeout: float | None, verbose: bool) -> int:
    screen = LiveScreen()
    notices = Notices(screen, verbose)
    logger = logging.getLogger("katcp.apps.cli")
    logger.propagate = False  # what it is told is told to the user, here
    logger.setLevel(logging.DEBUG)
    logger.addHandler(notices)
    client = InspectingClientAsync(host, port, logger=logger)
    follower = Follower(client, screen)
    asker = Asker(client.katcp_client, timeout)
    session = Session(Here(asker, screen), KeptSampler(client))
    notices.on_trouble = follower.spoken.set
    spoken = asyncio.ensure_future(follower.spoken.wait())
    client.start()
    try:
        await asyncio.wait([spoken], timeout=_FIRST_PROMPT)
        await Prompt(format_address(host, port), screen, follower, session).run()
    finally:
        spoken.cancel()
        follower.leave()
        client.stop()
        try:
            await client.until_stopped(2.0)
        except (WaitTimeout, KatcpClientError):
            pass
    return DONE


class Prompt:
    """Reads lines and has them done, one after the other.

    Parameters
    ----------
    address : str
        Of the device, safe to print.
    screen : LiveScreen
    follower : Follower
    session : Session
    """

    def __init__(
        self, address: str, screen: LiveScreen, follower: Follower, session: Session
    ) -> None:
        self._address = address
        self._screen = screen
        self._follower = follower
        self._session = session
        self._prompt: PromptSession[str] = PromptSession(
            self._message,
            history=_history(),
            completer=_DeviceCompleter(follower),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._toolbar,
            style=_PLAIN_STYLE if os.environ.get("NO_COLOR") else _STYLE,
            reserve_space_for_menu=_MENU_LINES,
        )
        screen.app = self._prompt.app
        follower.on_change = self._prompt.app.invalidate

    def _message(self) -> StyleAndTextTuples:
        state: StyleAndTextTuples = (
            [] if self._follower.connected else [("class:off", " (not connected)")]
        )
        return [("class:address", self._address), *state, ("", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        before = self._prompt.default_buffer.document.text_before_cursor
        text = usage(before, self._follower.vocabulary)
        return [("", text or "Tab completes, help explains, Ctrl-D leaves")]

    async def run(self) -> None:
        """Go on until the user leaves."""
        while True:
            try:
                line = await self._prompt.prompt_async()
            except KeyboardInterrupt:
                continue  # Ctrl-C: another line
            except EOFError:
                return
            try:
                await self._do(line)
            except Quit:
                return

    async def _do(self, line: str) -> None:
        """Have a line done; Ctrl-C ends the wait for it."""
        loop = asyncio.get_running_loop()
        doing: asyncio.Task[Any] = loop.create_task(self._session.do(line))
        try:
            loop.add_signal_handler(signal.SIGINT, doing.cancel)
        except NotImplementedError:
            pass  # Windows: Ctrl-C ends the program
        try:
            await asyncio.wait([doing])
        finally:
            try:
                loop.remove_signal_handler(signal.SIGINT)
            except NotImplementedError:
                pass
        if doing.cancelled():
            self._screen.notice("interrupted; the device may still be at it")
        else:
            doing.result()


class _DeviceCompleter(Completer):
    """Completes from what is known of the device."""

    def __init__(self, follower: Follower) -> None:
        self._follower = follower

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what may come next."""
        for candidate in complete(document.text_before_cursor, self._follower.vocabulary):
            yield Completion(candidate.text, candidate.start, display_meta=candidate.meta)


def history_path() -> Path:
    """Return where typed lines are kept: ``katcp/cli-history`` below the user's state."""
    state = os.environ.get("XDG_STATE_HOME")
    base = Path(state) if state and Path(state).is_absolute() else Path.home() / ".local/state"
    return base / "katcp" / "cli-history"


def _history() -> History:
    path = history_path()
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.touch(mode=0o600)
    except OSError:
        return InMemoryHistory()  # nowhere to keep it: no reason not to work
    return FileHistory(path)
