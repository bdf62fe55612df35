"""The verb ``plot``: sensors over time, drawn with characters."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

import plotext

from katcp.apps.cli._errors import Refused
from katcp.apps.cli._escape import quoted, visible
from katcp.apps.cli._following import follow
from katcp.apps.cli._format import status_piece, value_text, width
from katcp.apps.cli._grammar import Pattern, Strategy
from katcp.apps.cli._model import Reading, SensorInfo
from katcp.apps.cli._screen import can_show
from katcp.apps.cli._trend import has_numbers, number_of
from katcp.apps.cli._verbs import Here

#: As many can be told apart.
MOST_SENSORS = 6

_COLOURS = ("green", "cyan", "orange", "magenta", "blue", "red")
_MARKERS = ("*", "+", "o", "x", "#", "%")
_FINE = "⠁⣿┤─│┌"

#: Size of the plot where there is no terminal.
_COLUMNS, _HEIGHT = 80, 24
#: Shortest time that is shown [s].
_SHORTEST = 10.0

_PLAIN_FRAME = str.maketrans("┌┐└┘┤├┬┴┼─│", "++++++++++|"[:9] + "-|")


class Curve:
    """The readings of a sensor, within a window of time.

    Parameters
    ----------
    info : SensorInfo
    major : int
        Version of the protocol.
    window : float
        [s].
    """

    def __init__(self, info: SensorInfo, major: int, window: float) -> None:
        self.info = info
        self.last: Reading | None = None
        self._major = major
        self._window = window
        self._points: deque[tuple[float, float | None]] = deque()

    @property
    def is_stepped(self) -> bool:
        """Whether the value stays what it is up to the next reading."""
        return self.info.type != "float"

    def add(self, reading: Reading) -> None:
        """Add a reading."""
        self.last = reading
        moment = time.time() if reading.timestamp is None else reading.timestamp
        self._points.append((moment, number_of(reading, self.info, self._major)))

    def pieces(self, now: float, span: float) -> list[tuple[list[float], list[float]]]:
        """Return the unbroken parts of the curve: times [s from now], values."""
        start = now - span
        # The last one before the window says what the value was when it began.
        while len(self._points) > 1 and self._points[1][0] <= now - self._window:
            self._points.popleft()
        before = [number for moment, number in self._points if moment <= start]
        points = [(start, number) for number in before[-1:]]
        points += [point for point in self._points if point[0] > start]
        end = max(now, points[-1][0]) if points else now  # clocks differ
        pieces: list[tuple[list[float], list[float]]] = [([], [])]
        held: float | None = None
        for moment, number in [*points, (end, None)]:
            times, numbers = pieces[-1]
            if held is not None and (self.is_stepped or number is None):
                times.append(moment - end)
                numbers.append(held)
            if number is None:
                pieces.append(([], []))
            else:
                times.append(moment - end)
                numbers.append(number)
            held = number
        return [(times, numbers) for times, numbers in pieces if times]

    def caption(self, major: int) -> str:
        """Return name, last value and status, safe to print."""
        name, units = visible(self.info.name), visible(self.info.units)
        if self.last is None:
            return name
        value = value_text(self.last, self.info, major)
        status = status_piece(self.last.status).text
        return f"{name} {value}{' ' + units if units else ''}, {status}"


class Plot:
    """Curves of sensors in one picture.

    Parameters
    ----------
    here : Here
    window : float
        How much of the past it shows [s].
    """

    def __init__(self, here: Here, window: float) -> None:
        self._major = here.asker.major
        self._window = window
        self._colour = here.screen.colour
        self._fine = can_show(_FINE, here.screen.out)
        self._curves: dict[str, Curve] = {}
        self._began = time.monotonic()

    def expect(self, sensors: Mapping[str, SensorInfo]) -> None:
        """Take sensors in.

        Raises
        ------
        Refused
            If they cannot be plotted, or are too many.
        """
        for name, info in sensors.items():
            if not has_numbers(info):
                raise Refused(
                    f"{quoted(name)} cannot be plotted: it is of type {visible(info.type)}"
                )
        names = [*self._curves, *(name for name in sensors if name not in self._curves)]
        if len(names) > MOST_SENSORS:
            raise Refused(f"{len(names)} sensors match: at most {MOST_SENSORS} can be plotted")
        for name, info in sensors.items():
            self._curves.setdefault(name, Curve(info, self._major, self._window))

    def take(self, reading: Reading, info: SensorInfo) -> None:
        """Take a reading."""
        curve = self._curves.get(reading.name)
        if curve is not None:
            curve.add(reading)

    def lose(self, name: str) -> None:
        """Keep what there is of a sensor that is gone."""

    def flush(self) -> None:
        """Do nothing: the picture is drawn when it is time."""

    def draw(self, columns: int, height: int, going: bool) -> Any:
        """Return the picture as rich prints it; None before there is anything."""
        if not any(curve.last for curve in self._curves.values()):
            return None
        from rich.text import Text

        text = Text.from_ansi(self.picture(columns, max(8, min(height - 1, columns // 2 + 2))))
        text.no_wrap, text.overflow, text.end = True, "crop", ""
        return text

    def picture(self, columns: int, height: int) -> str:
        """Return the picture, with escapes of the terminal if there is to be colour."""
        curves = list(self._curves.values())
        captions = [self._caption(index, curve, columns) for index, curve in enumerate(curves)]
        plotext.clear_figure()
        plotext.theme("clear")
        plotext.limit_size(False, False)
        plotext.plotsize(columns, max(5, height - len(captions)))
        # Begins with what there is, and grows to the whole window.
        span = min(self._window, max(_SHORTEST, time.monotonic() - self._began))
        plotext.xlim(-span, 0)
        now = time.time()
        numbers: list[float] = []
        for index, curve in enumerate(curves):
            for times, values in curve.pieces(now, span):
                marker = "braille" if self._fine and self._single_or_coloured else _MARKERS[index]
                plotext.plot(times, values, marker=marker, color=_COLOURS[index])
                numbers += values
        self._scale(numbers, curves)
        plotext.xticks(*_time_ticks(span, columns))
        lines = plotext.build().rstrip("\n").split("\n")
        text = "\n".join([*captions, *lines])
        if not self._colour:
            text = plotext.uncolorize(text)
        return text if self._fine else text.translate(_PLAIN_FRAME)

    @property
    def _single_or_coloured(self) -> bool:
        return self._colour or len(self._curves) == 1

    def _caption(self, index: int, curve: Curve, columns: int) -> str:
        """Return the line above the picture that tells which curve is whose."""
        text = curve.caption(self._major)
        many = len(self._curves) > 1
        mark = f"{_MARKERS[index]} " if many and not self._single_or_coloured else ""
        while width(mark + text) > columns:
            text = text[:-1]
        return str(plotext.colorize(mark + text, _COLOURS[index])) if many else mark + text

    def _scale(self, numbers: Sequence[float], curves: Sequence[Curve]) -> None:
        low, high = min(numbers, default=0.0), max(numbers, default=1.0)
        words = curves[0].info.words if len(curves) == 1 else []
        if len(curves) == 1 and curves[0].info.type == "boolean":
            words = ["0", "1"]
        if words:
            low, high = 0.0, max(1.0, len(words) - 1.0)
            labels = [visible(word)[:12] for word in words]
            plotext.yticks([float(index) for index in range(len(words))], labels)
        if low == high:
            margin = abs(low) * 0.05 or 1.0
            low, high = low - margin, high + margin
        if not words:
            ticks = [low + (high - low) * step / 4 for step in range(5)]
            plotext.yticks(ticks, _labels(ticks))
        plotext.ylim(low, high)


def _labels(numbers: Sequence[float]) -> list[str]:
    """Return numbers with as few digits as tell them apart."""
    for digits in range(3, 17):
        texts = [f"{number:.{digits}g}" for number in numbers]
        if len(set(texts)) == len(texts):
            return texts
    return [repr(number) for number in numbers]


def _time_ticks(window: float, columns: int) -> tuple[list[float], list[str]]:
    count = 4 if columns >= 60 else 2
    size, unit = next(
        (size, unit)
        for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
        if window >= 2 * size or size == 1
    )
    ticks = [-window + window * step / count for step in range(count + 1)]
    labels = [f"{tick / size:.3g} {unit}" if tick else "now" for tick in ticks]
    return ticks, labels


async def plot(
    here: Here,
    patterns: Sequence[Pattern],
    strategy: Strategy,
    window: float,
    count: int | None = None,
    duration: float | None = None,
    live: bool = False,
) -> int:
    """Draw sensors over time; return the exit status in the end.

    Parameters
    ----------
    patterns, strategy, count, duration
        See `follow`.
    window : float
        How much of the past is shown [s].
    live : bool
        Whether to draw while readings come, not only in the end.
    """
    picture = Plot(here, window)
    following = follow(here, patterns, strategy, picture, count, duration)
    if live:
        from katcp.apps.cli._stage import Stage

        return await Stage(here.screen, picture.draw).until(following)
    try:
        return await following
    finally:
        if picture.draw(_COLUMNS, _HEIGHT, False) is not None:
            for line in picture.picture(_COLUMNS, _HEIGHT).splitlines():
                here.screen.out.write(re.sub(r" +$", "", line) + "\n")
            here.screen.flush()
