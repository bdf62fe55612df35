"""A part of the terminal that is drawn anew while something goes on."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from typing import Any

from rich.console import Console
from rich.live import Live

from katcp.apps.cli._errors import DONE, INTERRUPTED
from katcp.apps.cli._keys import Keys
from katcp.apps.cli._screen import Screen

#: Time between two drawings [s].
_INTERVAL = 0.25


class Stage:
    """Draws until what goes on ends, or the user leaves (``q``, Ctrl-D, Ctrl-C).

    What was drawn last stays.

    Parameters
    ----------
    screen : Screen
        Where; it has to be a terminal on which something can be drawn anew.
    draw : function
        Called with width, height, and whether keys are told of; returns what rich can print, or
        None while there is nothing to be seen.
    on_key : function, optional
        Called with the names of keys that do not leave.
    """

    def __init__(
        self,
        screen: Screen,
        draw: Callable[[int, int, bool], Any],
        on_key: Callable[[str, int], object] | None = None,
    ) -> None:
        self._draw = draw
        self._on_key = on_key
        self._keys = Keys(self._key)
        self._left = asyncio.Event()
        self._status = DONE
        self._going = True
        self._console = Console(
            file=screen.out,
            force_terminal=True,
            no_color=not screen.colour,
            markup=False,
            emoji=False,
            highlight=False,
        )
        self._live = Live(
            console=self._console,
            auto_refresh=False,
            get_renderable=self._renderable,
            redirect_stdout=False,
            redirect_stderr=False,
            vertical_overflow="crop",
        )

    async def until(self, work: Coroutine[Any, Any, int]) -> int:
        """Draw while some work goes on; return its status, or that of leaving."""
        task = asyncio.ensure_future(work)
        left = asyncio.ensure_future(self._left.wait())
        drawing = asyncio.ensure_future(self._keep_drawing())
        try:
            await asyncio.wait([task, left, drawing], return_when=asyncio.FIRST_COMPLETED)
            if drawing.done():
                drawing.result()
            return task.result() if task.done() else self._status
        finally:
            for each in (task, left, drawing):
                each.cancel()
            await asyncio.gather(task, left, drawing, return_exceptions=True)
            self._end()

    async def _keep_drawing(self) -> None:
        # Of a mistake, only its message is to be seen.
        while self._draw(80, 24, True) is None:  # noqa: ASYNC110  # draws anew anyway
            await asyncio.sleep(0.02)
        self._live.start()
        self._keys.start()
        while True:
            self._live.refresh()
            await asyncio.sleep(_INTERVAL)

    def _renderable(self) -> Any:
        size = self._console.size
        return self._draw(size.width, size.height, self._going and self._keys.active) or ""

    def _end(self) -> None:
        self._going = False
        self._keys.stop()
        if self._live.is_started:
            with contextlib.suppress(BrokenPipeError):
                self._live.stop()  # draws once more

    def _key(self, key: str) -> None:
        if key in ("q", "c-d", "c-c"):
            self._status = INTERRUPTED if key == "c-c" else DONE
            self._left.set()
        elif self._on_key is not None:
            self._on_key(key, self._console.size.height)
            if self._live.is_started:
                self._live.refresh()
