"""The verbs ``record`` and ``replay``: readings to a file of lines with times, and back."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from katcp.apps.cli._errors import DONE, Misuse, NoConnection
from katcp.apps.cli._escape import visible
from katcp.apps.cli._following import follow
from katcp.apps.cli._format import Piece, log_line, time_text
from katcp.apps.cli._grammar import Pattern, Strategy
from katcp.apps.cli._log import log_record
from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._progress import Step
from katcp.apps.cli._recording import (
    Entry,
    entries,
    event_line,
    heading,
    log_entry_line,
    reading_line,
)
from katcp.apps.cli._screen import Screen
from katcp.apps.cli._verbs import Here
from katcp.apps.cli._watch import Lines

#: First and longest time between two attempts to connect again [s].
_RETRY, _LONGEST_RETRY = 1.0, 30.0


@dataclass(frozen=True)
class Recording:
    """What is to be recorded.

    Attributes
    ----------
    path : str
    patterns : sequence of Pattern
    strategy : Strategy
    log : bool
        Whether log lines are recorded too.
    append : bool
        Whether to add to a file that is there.
    reconnect : bool
        Whether to go on when the device comes back.
    count : int or None
        End after so many readings.
    duration : float or None
        End after this time [s].
    """

    path: str
    patterns: Sequence[Pattern]
    strategy: Strategy
    log: bool = False
    append: bool = False
    reconnect: bool = False
    count: int | None = None
    duration: float | None = None


async def record(here: Here, wanted: Recording) -> int:
    """Record readings to a file; return the exit status in the end.

    Raises
    ------
    Misuse
        If the file cannot be written, or is there already.
    """
    with _opened(wanted) as file, here.asker.progress.step("recording") as step:
        tape = _Tape(here, file, step)
        tape.write(heading(here.asker.client.bind_address_string, time_text(time.time())))
        began = time.monotonic()
        try:
            work = _keep_recording(here, wanted, tape)
            return await asyncio.wait_for(work, wanted.duration)
        except asyncio.TimeoutError:
            return DONE
        finally:
            step.end()
            tape.flush()
            _tell(here, wanted.path, tape, time.monotonic() - began)


@contextlib.contextmanager
def _opened(wanted: Recording) -> Any:
    if wanted.path == "-":
        yield sys.stdout
        return
    try:
        with open(wanted.path, "a" if wanted.append else "x", encoding="ascii") as file:
            yield file
    except FileExistsError:
        raise Misuse(f"{visible(wanted.path)} exists: --append adds to it") from None
    except OSError as error:
        raise Misuse(f"{visible(wanted.path)}: {error.strerror or error}") from None


def _tell(here: Here, path: str, tape: _Tape, taken: float) -> None:
    if path == "-":
        return
    if here.json:
        sensors = len(tape.names)
        here.screen.record(
            {"file": path, "readings": tape.readings, "sensors": sensors, "seconds": taken}
        )
    else:
        text = f": {tape.readings} readings of {len(tape.names)} sensors in {taken:.3g} s"
        here.screen.line([Piece(visible(path), "name"), Piece(text)])


async def _keep_recording(here: Here, wanted: Recording, tape: _Tape) -> int:
    wait = _RETRY
    async with contextlib.AsyncExitStack() as connections:
        while True:
            before = tape.readings
            try:
                return await _record_once(here, wanted, tape)
            except NoConnection as error:
                tape.event("lost")
                if not wanted.reconnect or here.again is None:
                    raise
                here.screen.complain(f"{error}; trying again")
            if tape.readings > before:
                wait = _RETRY
            await connections.aclose()
            while True:
                await asyncio.sleep(wait)
                wait = min(2 * wait, _LONGEST_RETRY)
                try:
                    asker = await connections.enter_async_context(here.again())
                    break
                except NoConnection:
                    continue
            here = replace(here, asker=asker)
            tape.here = here
            tape.event("connected")


async def _record_once(here: Here, wanted: Recording, tape: _Tape) -> int:
    if wanted.log:
        here.asker.client.hook_wire_inform("log", tape.take_log)
    rest = None if wanted.count is None else wanted.count - tape.readings
    return await follow(here, wanted.patterns, wanted.strategy, tape, rest)


class _Tape:
    """Writes readings to a file as they come."""

    def __init__(self, here: Here, file: TextIO, step: Step) -> None:
        self.here = here
        self.readings = 0
        self.names: set[str] = set()
        self._file = file
        self._step = step

    def write(self, line: str) -> None:
        self._file.write(line + "\n")

    def event(self, event: str) -> None:
        self.write(event_line(time.time(), event))
        self.flush()

    def take_log(self, arguments: list[bytes]) -> None:
        record = log_record(arguments, self.here.asker.major)
        self.write(log_entry_line(time.time(), record))
        self.flush()

    def expect(self, sensors: Mapping[str, SensorInfo]) -> None:
        self.names.update(sensors)

    def take(self, reading: Reading, info: SensorInfo) -> None:
        self.write(reading_line(time.time(), reading, info, self.here.asker.major))
        self.readings += 1
        self._step.advance()

    def lose(self, name: str) -> None:
        pass

    def flush(self) -> None:
        self._file.flush()


# -- replay ---------------------------------------------------------------------------------


def replay(screen: Screen, path: str, patterns: Sequence[Pattern], speed: float | None) -> int:
    """Print what was recorded, as ``watch`` would.

    Parameters
    ----------
    path : str
        ``-``: standard input.
    patterns : sequence of Pattern
        Sensors that are wanted; none: all, and log lines.
    speed : float or None
        1: as fast as it came; None: at once.

    Raises
    ------
    Misuse
        If it is no recording.
    """
    try:
        with _source(path) as file:
            _play(screen, entries(file, path), patterns, speed)
    except OSError as error:
        if isinstance(error, BrokenPipeError):
            raise
        raise Misuse(f"{visible(path)}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise Misuse(f"{visible(path)} is no recording: it is not text") from None
    finally:
        screen.flush()
    return DONE


def _source(path: str) -> Any:
    if path == "-":
        return contextlib.nullcontext(sys.stdin)
    return Path(path).open(encoding="utf-8")


def _play(screen: Screen, played: Any, patterns: Sequence[Pattern], speed: float | None) -> None:
    lines = Lines(screen, 5)
    first: float | None = None
    began = time.monotonic()
    for entry in played:
        if not _is_wanted(entry, patterns):
            continue
        if speed is not None:
            if first is None:
                first = entry.received
            due = began + (entry.received - first) / speed
            wait = due - time.monotonic()
            if wait > 0:
                screen.flush()
                time.sleep(wait)
        _show(screen, lines, entry)


def _is_wanted(entry: Entry, patterns: Sequence[Pattern]) -> bool:
    if not patterns:
        return True
    return entry.reading is not None and any(p.matches(entry.reading[0].name) for p in patterns)


def _show(screen: Screen, lines: Lines, entry: Entry) -> None:
    if entry.reading is not None:
        lines.take(*entry.reading)
    elif entry.log is not None and screen.json:
        screen.record(dict(entry.log))
    elif entry.log is not None:
        moment = b"-" if entry.log["timestamp"] is None else repr(entry.log["timestamp"]).encode()
        parts = [entry.log[key].encode("utf-8", "replace") for key in ("level", "name", "message")]
        screen.line(log_line([parts[0], moment, *parts[1:]], 5))
    elif entry.event is not None:
        screen.flush()
        text = f"connection {visible(entry.event)} at {time_text(entry.received)}"
        screen.complain(text)
