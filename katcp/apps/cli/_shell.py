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

from katcp.apps.cli._complete import complete, usage
from katcp.apps.cli._errors import DONE
from katcp.apps.cli._follow import Notices
from katcp.apps.cli._hub import Hub
from katcp.apps.cli._live import LiveScreen
from katcp.apps.cli._script import run_script
from katcp.apps.cli._session import Quit
from katcp.apps.cli._settings import Settings, Target

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


def run_shell(target: Target, settings: Settings) -> int:
    """Run the shell; return the exit status."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        return asyncio.run(_interact(target, settings))
    host, port, timeout, tls, _ = target
    return asyncio.run(run_script(host, port, timeout, settings.verbose, tls=tls))


async def _interact(target: Target, settings: Settings) -> int:
    screen = LiveScreen()
    hub = Hub(screen, settings)
    notices = Notices(screen, settings.verbose)
    notices.on_trouble = hub.spoken
    logger = logging.getLogger("katcp.apps.cli")
    logger.propagate = False  # what it is told is told to the user, here
    logger.setLevel(logging.DEBUG)
    logger.addHandler(notices)
    try:
        await hub.open(target)
        await Prompt(screen, hub).run()
    finally:
        await hub.close()
    return DONE


class Prompt:
    """Reads lines and has them done, one after the other.

    Parameters
    ----------
    screen : LiveScreen
    hub : Hub
    """

    def __init__(self, screen: LiveScreen, hub: Hub) -> None:
        self._screen = screen
        self._hub = hub
        self._prompt: PromptSession[str] = PromptSession(
            self._message,
            history=_history(),
            completer=_DeviceCompleter(hub),
            complete_while_typing=False,
            auto_suggest=AutoSuggestFromHistory(),
            bottom_toolbar=self._toolbar,
            style=_PLAIN_STYLE if os.environ.get("NO_COLOR") else _STYLE,
            reserve_space_for_menu=_MENU_LINES,
        )
        screen.app = self._prompt.app
        hub.on_change = self._prompt.app.invalidate

    def _message(self) -> StyleAndTextTuples:
        place = self._hub.current
        state: StyleAndTextTuples = (
            [] if place.follower.connected else [("class:off", f" ({place.follower.state})")]
        )
        return [("class:address", place.name), *state, ("", "> ")]

    def _toolbar(self) -> StyleAndTextTuples:
        before = self._prompt.default_buffer.document.text_before_cursor
        place, rest = self._hub.addressed(before)
        text = usage(rest, place.follower.vocabulary)
        others = f"Also connected: {', '.join(self._hub.others)}; " if self._hub.others else ""
        return [("", text or f"{others}Tab completes, help explains, Ctrl-D leaves")]

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
        doing: asyncio.Task[Any] = loop.create_task(self._hub.do(line))
        try:
            loop.add_signal_handler(signal.SIGINT, self._interrupt, doing)
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

    def _interrupt(self, doing: asyncio.Task[Any]) -> None:
        if not self._screen.paging:  # a pager does as it likes
            doing.cancel()


class _DeviceCompleter(Completer):
    """Completes from what is known of the devices."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        """Yield what may come next."""
        place, rest = self._hub.addressed(document.text_before_cursor)
        for candidate in complete(rest, self._hub.vocabulary(place)):
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
