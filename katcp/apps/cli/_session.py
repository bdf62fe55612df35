"""What lines of the shell do, whether they are typed or come from a script."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._asking import texts
from katcp.apps.cli._complete import LOCAL
from katcp.apps.cli._errors import DONE, CommandError, Misuse
from katcp.apps.cli._format import Line, Piece, UpdateFormat, columns
from katcp.apps.cli._grammar import (
    STRATEGIES,
    Pattern,
    Strategy,
    Typed,
    parse_line,
    parse_pattern,
    parse_strategy,
    request_name,
)
from katcp.apps.cli._info import info
from katcp.apps.cli._model import SensorInfo, parse_readings
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._sensors import find_sensors, set_strategy
from katcp.apps.cli._set import set_value
from katcp.apps.cli._snapshot import snapshot

_WORDS = frozenset(LOCAL)

#: Words whose output may be long, and comes at once.
_LISTS = frozenset(["help", "list", "requests", "get", "info"])


class Quit(Exception):
    """The user wants to leave."""


class Sampler(Protocol):
    """How strategies are set; with or without a memory for when the connection is lost."""

    async def set(self, names: Sequence[str], strategy: Strategy) -> list[CommandError]:
        """Set a strategy on sensors; return what went wrong."""


class PlainSampler:
    """Sets strategies by requests."""

    def __init__(self, here: verbs.Here) -> None:
        self._here = here

    async def set(self, names: Sequence[str], strategy: Strategy) -> list[CommandError]:
        """Set a strategy on sensors; return what went wrong."""
        asker = self._here.asker
        return await set_strategy(asker, names, strategy.words(asker.major))


class Session:
    """Does what lines say.

    Parameters
    ----------
    here : Here
    sampler : Sampler
    updates : Screen, optional
        Where readings are printed that come by themselves; by default where the rest is.
    """

    def __init__(self, here: verbs.Here, sampler: Sampler, updates: Screen | None = None) -> None:
        self._here = here
        self._updates = updates or here.screen
        self._sampler = sampler
        self._format = UpdateFormat(here.asker.major)
        self._watched: dict[str, SensorInfo] = {}
        here.asker.client.hook_wire_inform("sensor-status", self._show_update)
        self._does: dict[str, Callable[[list[str]], Coroutine[Any, Any, int]]] = {
            "help": self._help,
            "list": self._list,
            "requests": self._requests,
            "get": self._get,
            "watch": self._watch,
            "unwatch": self._unwatch,
            "info": self._info,
            "set": self._set,
            "snapshot": self._snapshot,
            "sleep": self._sleep,
            **dict.fromkeys(("connect", "disconnect", "use", "devices"), self._only_at_a_prompt),
            "quit": self._quit,
            "exit": self._quit,
        }

    async def do(self, line: str) -> int:
        """Do what a line says; return the exit status that a program would have.

        Raises
        ------
        Quit
        NoConnection
            If the connection was lost over it.
        """
        try:
            typed = parse_line(line, _WORDS)
            if typed is None:
                return DONE
            if typed.is_request or typed.name not in _LISTS:
                return await self._do(typed)
            with self._here.screen.held() as pages:
                status = await self._do(typed)
            await pages.show()
            return status
        except CommandError as error:
            self._here.screen.flush()
            self._here.screen.complain(str(error))
            return error.status
        finally:
            self._here.screen.flush()

    async def _do(self, typed: Typed) -> int:
        if typed.is_request:
            return await verbs.call(self._here, typed.name, typed.arguments)
        return await self._does[typed.name](texts(typed.arguments))

    def _show_update(self, arguments: list[bytes]) -> None:
        self._format.major = self._here.asker.major  # not known before there is a connection
        for reading in parse_readings(arguments, self._here.asker.major):
            info = self._watched.get(reading.name) or SensorInfo(reading.name)
            self._updates.line(self._format.line(reading, info))
        self._updates.flush()

    # -- words of the shell -------------------------------------------------------------

    async def _help(self, words: list[str]) -> int:
        if words and words[0] not in _WORDS:
            return await verbs.help_on(self._here, request_name(words[0]))
        shown = [words[0]] if words else list(LOCAL)
        rows = [[Piece(word, "name"), Piece(LOCAL[word])] for word in shown]
        self._here.screen.lines(columns(rows))
        if not words:
            self._here.screen.lines(_HELP)
        return DONE

    async def _list(self, words: list[str]) -> int:
        pattern = parse_pattern(_at_most_one("list", words), part=True)
        return await verbs.list_sensors(self._here, pattern)

    async def _requests(self, words: list[str]) -> int:
        pattern = parse_pattern(_at_most_one("requests", words), part=True)
        return await verbs.list_requests(self._here, pattern)

    async def _get(self, words: list[str]) -> int:
        return await verbs.get(self._here, _patterns("get", words))

    async def _info(self, words: list[str]) -> int:
        return await info(self._here)

    async def _set(self, words: list[str]) -> int:
        if len(words) < 2:
            raise Misuse("set what? Name a sensor, then its value")
        values = [word.encode("utf-8", "surrogateescape") for word in words[1:]]
        return await set_value(self._here, words[0], values)

    async def _snapshot(self, words: list[str]) -> int:
        if len(words) != 1:
            raise Misuse("snapshot where? Name a file")
        return await snapshot(self._here, words[0])

    async def _only_at_a_prompt(self, words: list[str]) -> int:
        raise Misuse("a script talks to one device")

    async def _watch(self, words: list[str]) -> int:
        names, strategy = _names_and_strategy(words)
        found = await find_sensors(self._here.asker, _patterns("watch", names))
        self._watched.update(found.sensors)  # before the first readings come
        self._format.expect(found.sensors)
        errors = list(found.errors)
        if found.sensors:
            errors += await self._sampler.set(list(found.sensors), strategy)
        return verbs.report(self._here, errors)

    async def _unwatch(self, words: list[str]) -> int:
        patterns = [parse_pattern(word) for word in words or ["*"]]
        gone = [name for name in self._watched if any(p.matches(name) for p in patterns)]
        if words and not gone:
            raise Misuse("none of these is watched")
        errors = await self._sampler.set(gone, Strategy("none"))
        for name in gone:
            del self._watched[name]
        return verbs.report(self._here, errors)

    async def _sleep(self, words: list[str]) -> int:
        try:
            seconds = float(words[0]) if len(words) == 1 else -1.0
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds < float("inf"):
            raise Misuse("sleep how long? Give seconds")
        await asyncio.sleep(seconds)
        return DONE

    async def _quit(self, words: list[str]) -> int:
        raise Quit


def _at_most_one(word: str, words: list[str]) -> str:
    if len(words) > 1:
        raise Misuse(f"{word} takes one filter at most")
    return words[0] if words else ""


def _patterns(word: str, words: list[str]) -> list[Pattern]:
    if not words:
        raise Misuse(f"{word} what? Name sensors")
    return [parse_pattern(text) for text in words]


def _names_and_strategy(words: list[str]) -> tuple[list[str], Strategy]:
    """Return what is to be watched, and when readings are wanted: ``event`` unless it is said."""
    for index, word in enumerate(words):
        if index and word in STRATEGIES:
            return words[:index], parse_strategy(words[index:])
    return words, Strategy("event")


_HELP: list[Line] = [
    [Piece("")],
    [Piece("Anything else is a request of the device: add 1 2, or ?add 1 2. Tab completes.")],
    [Piece("NAME is a sensor, a glob such as 'pump.*', or a /regular expression/.")],
    [Piece("Quote arguments with spaces; \\n, \\t, \\\\, \\xNN and the protocol's escapes work.")],
]
