"""Single keys, while something is shown that they move."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import Any


class Keys:
    """Tells of keys that are pressed.

    While it does, Ctrl-C is a key too (``c-c``) and interrupts nothing.

    Parameters
    ----------
    on_key : function
        Called with the name of the key: a character, or such as ``pagedown``.
    """

    def __init__(self, on_key: Callable[[str], object]) -> None:
        self._on_key = on_key
        self._input: Any = None
        self._modes = contextlib.ExitStack()

    @property
    def active(self) -> bool:
        """Whether keys are told of."""
        return self._input is not None

    def start(self) -> None:
        """Begin, if there is a keyboard."""
        if not sys.stdin.isatty():
            return
        from prompt_toolkit.input import create_input

        self._input = create_input()
        self._modes.enter_context(self._input.raw_mode())
        self._modes.enter_context(self._input.attach(self._read))

    def stop(self) -> None:
        """Leave the keyboard as it was."""
        self._input = None
        self._modes.close()

    def _read(self) -> None:
        source = self._input
        if source is None:
            return
        for press in [*source.read_keys(), *source.flush_keys()]:
            self._on_key(getattr(press.key, "value", press.key))
        if source.closed:
            self._on_key("c-d")
