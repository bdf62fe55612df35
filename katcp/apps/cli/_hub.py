"""The devices of the shell: one that lines go to, and others that are reached by a prefix."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from dataclasses import replace

from tornado.util import TimeoutError as WaitTimeout

from katcp.aio import event_within
from katcp.apps.cli._asking import Asker
from katcp.apps.cli._complete import Vocabulary
from katcp.apps.cli._devices import named_devices
from katcp.apps.cli._errors import DONE, CommandError, Misuse
from katcp.apps.cli._escape import quoted, visible
from katcp.apps.cli._follow import Follower, KeptSampler
from katcp.apps.cli._format import Line, Piece, columns
from katcp.apps.cli._grammar import format_address, looks_like_address, split_line
from katcp.apps.cli._live import LiveScreen
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._session import Session
from katcp.apps.cli._settings import Settings, Target, find_device
from katcp.apps.cli._verbs import Here
from katcp.errors import KatcpClientError
from katcp.inspecting_client import InspectingClientAsync

#: How long a device may take to be known, or not to be reached, before the next prompt [s].
PATIENCE = 3.0

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII)
_WORDS = ("connect", "disconnect", "use", "devices")


class TaggedScreen(Screen):
    """Prints what a device says unasked, with its name before it where there are several.

    Parameters
    ----------
    screen : LiveScreen
    tag : function
        Returns what stands before each line.
    """

    def __init__(self, screen: LiveScreen, tag: Callable[[], str]) -> None:
        super().__init__(False, screen.out, screen.colour)
        self._screen = screen
        self._tag = tag

    def line(self, line: Line) -> None:
        """Print a line."""
        tag = self._tag()
        self._screen.line([Piece(tag, "name"), *line] if tag else line)

    def notice(self, text: str, style: str = "notice") -> None:
        """Print a remark of the program itself, safe to print already."""
        self._screen.notice(f"{self._tag()}{text}", style)

    def flush(self) -> None:
        """Let out what was printed."""
        self._screen.flush()


class Place:
    """A device of the shell.

    Parameters
    ----------
    name : str
        What the user calls it, safe to print.
    target : Target
    screen : LiveScreen
    tag : function
        See `TaggedScreen`; called with the name.
    """

    def __init__(
        self, name: str, target: Target, screen: LiveScreen, tag: Callable[[str], str]
    ) -> None:
        self.name = name
        self.address = visible(format_address(target.host, target.port))
        logger = logging.getLogger("katcp.apps.cli")
        self._client = InspectingClientAsync(target.host, target.port, logger=logger)
        if target.tls is not None:
            self._client.katcp_client.use_tls(*target.tls)
        tagged = TaggedScreen(screen, lambda: tag(name))
        self.follower = Follower(self._client, tagged)
        asker = Asker(self._client.katcp_client, target.timeout)
        self.session = Session(Here(asker, screen), KeptSampler(self._client), tagged)

    def start(self) -> None:
        """Begin to connect."""
        self._client.start()

    async def until_spoken(self) -> None:
        """Wait until something has been said of the connection, but not for ever."""
        await event_within(self.follower.spoken, PATIENCE)

    async def stop(self) -> None:
        """Disconnect."""
        self.follower.leave()
        self._client.stop()
        try:
            await self._client.until_stopped(2.0)
        except (WaitTimeout, KatcpClientError):
            pass


class Hub:
    """All devices of the shell.

    Parameters
    ----------
    screen : LiveScreen
    settings : Settings
        Those of the command line.
    """

    def __init__(self, screen: LiveScreen, settings: Settings) -> None:
        self._screen = screen
        self._settings = settings
        self._places: dict[str, Place] = {}
        self._current = ""
        #: Called when something has changed that the prompt shows.
        self.on_change: Callable[[], object] = lambda: None

    @property
    def current(self) -> Place:
        """The device that lines go to."""
        return self._places[self._current]

    @property
    def others(self) -> list[str]:
        """Names of the other devices."""
        return [name for name in self._places if name != self._current]

    def spoken(self) -> None:
        """Take note that something has been said of some connection."""
        for place in self._places.values():
            place.follower.spoken.set()

    async def open(self, target: Target, name: str = "") -> None:
        """Connect to a device, and have lines go to it."""
        name = name or target.name or visible(format_address(target.host, target.port))
        place = Place(name, target, self._screen, self._tag)
        place.follower.on_change = lambda: self.on_change()
        self._places[name] = place
        self._current = name
        place.start()
        await place.until_spoken()

    async def close(self) -> None:
        """Disconnect from all."""
        await asyncio.gather(*[place.stop() for place in self._places.values()])

    def _tag(self, name: str) -> str:
        return f"{name}: " if len(self._places) > 1 else ""

    # -- lines --------------------------------------------------------------------------

    def addressed(self, line: str) -> tuple[Place, str]:
        """Return the device that a line is for, and the line without the ``NAME:`` before it."""
        stripped = line.lstrip()
        named = [name for name in self._places if stripped.startswith(f"{name}:")]
        if not named:
            return self.current, line
        name = max(named, key=len)
        return self._places[name], stripped[len(name) + 1 :]

    def vocabulary(self, place: Place) -> Vocabulary:
        """Return what can be typed to a device."""
        try:
            known = tuple(named_devices())
        except Misuse:
            known = ()
        prefixes = tuple(self._places) if len(self._places) > 1 else ()
        return replace(place.follower.vocabulary, devices=known, places=prefixes)

    async def do(self, line: str) -> int:
        """Do what a line says; return the exit status that a program would have.

        Raises
        ------
        Quit
        NoConnection
            If the connection was lost over it.
        """
        place, rest = self.addressed(line)
        word = rest.split(maxsplit=1)[:1]
        if not word or word[0] not in _WORDS:
            return await place.session.do(rest)
        try:
            words = [raw.decode("utf-8", "backslashreplace") for raw in split_line(rest)]
            await self._do(words[0], words[1:])
            return DONE
        except CommandError as error:
            self._screen.complain(str(error))
            return error.status
        finally:
            self._screen.flush()

    async def _do(self, word: str, words: list[str]) -> None:
        if word == "connect":
            await self._connect(words)
        elif word == "devices":
            self._list()
        elif word == "use":
            self._current = self._wanted(word, words)
        else:
            await self._disconnect(self._wanted(word, words or [self._current]))
        self.on_change()

    def _wanted(self, word: str, words: list[str]) -> str:
        if len(words) != 1:
            raise Misuse(f"{word} which? Name one of {', '.join(self._places)}")
        if words[0] not in self._places:
            raise Misuse(f"not connected to {quoted(words[0])}: see devices")
        return words[0]

    async def _connect(self, words: list[str]) -> None:
        name = ""
        if len(words) == 3 and words[1] == "as":
            name = words[2]
            if _NAME.fullmatch(name) is None:
                raise Misuse(f"{quoted(name)} is no name: letters, digits, '.', '_' and '-'")
        elif len(words) != 1:
            raise Misuse("connect to what? Say HOST:PORT, or a name of devices.toml; then: as NAME")
        if not looks_like_address(words[0]) and find_device(words[0]) is None:
            raise Misuse(f"no device {quoted(words[0])} in devices.toml (an address has a port)")
        target = Settings(address=words[0], timeout=self._settings.timeout).target()
        name = name or target.name or visible(format_address(target.host, target.port))
        if name in self._places:
            raise Misuse(f"{quoted(name)} is connected already: use {name}")
        await self.open(target, name)

    async def _disconnect(self, name: str) -> None:
        if len(self._places) == 1:
            raise Misuse("it is the only one: quit leaves")
        place = self._places.pop(name)
        if name == self._current:
            self._current = next(iter(self._places))
        await place.stop()

    def _list(self) -> None:
        rows = []
        for place in self._places.values():
            mark = "*" if place is self.current else " "
            state = "connected" if place.follower.connected else "not connected"
            style = "ok" if place.follower.connected else "error"
            rows.append(
                [Piece(mark), Piece(place.name, "name"), Piece(place.address), Piece(state, style)]
            )
        known = [device for name, device in named_devices().items() if name not in self._places]
        for device in known:
            about = Piece(visible(device.description), "dim")
            rows.append([Piece(" "), Piece(device.name), Piece(visible(device.address)), about])
        self._screen.lines(columns(rows))
