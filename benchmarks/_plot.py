"""Plots of a few lines on two logarithmic axes, as SVG that reads on light and dark pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 250, 40, 50
COLOURS = ("#3a86c8", "#e0762f", "#3fa34d", "#c8434f", "#8e6bbf", "#9a7b4f", "#cf6fae", "#7d8590")


@dataclass
class Line:
    """One line: its name, and its points."""

    label: str
    points: list[tuple[float, float]] = field(default_factory=list)


class _Axis:
    """Powers of ten from the one below all values to the one above them."""

    def __init__(self, values: Sequence[float], start: float, end: float) -> None:
        self.low = math.floor(math.log10(min(values)) + 1e-9)
        self.high = max(self.low + 1, math.ceil(math.log10(max(values)) - 1e-9))
        self._start, self._scale = start, (end - start) / (self.high - self.low)

    def at(self, value: float) -> float:
        """Return where on the page a value lies."""
        return self._start + (math.log10(value) - self.low) * self._scale

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def plot(title: str, across: str, up: str, lines: Sequence[Line]) -> str:
    """Draw lines of positive values.

    Parameters
    ----------
    title
        Stands above.
    across, up
        What the axes show.
    lines
        Their names stand beside their ends, moved apart where they would overlap.
    """
    xs = _Axis([x for line in lines for x, _ in line.points], LEFT, WIDTH - RIGHT)
    ys = _Axis([y for line in lines for _, y in line.points], HEIGHT - BOTTOM, TOP)
    middle = (LEFT + WIDTH - RIGHT) / 2
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        'font-family="sans-serif" font-size="12" fill="#7d8590">',
        f'<text x="{middle}" y="22" text-anchor="middle" font-size="15">{escape(title)}</text>',
        f'<text x="{middle}" y="{HEIGHT - 10}" text-anchor="middle">{escape(across)}</text>',
        f'<text x="{LEFT - 8}" y="{TOP - 12}" text-anchor="end">{escape(up)}</text>',
    ]
    for tick in xs.ticks():
        x = xs.at(tick)
        out.append(
            f'<path d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}" stroke="#7d858044"/>'
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">'
            f"{_number(tick)}</text>"
        )
    for tick in ys.ticks():
        y = ys.at(tick)
        out.append(
            f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#7d858044"/>'
            f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{_number(tick)}</text>'
        )
    free = float("inf")
    for number, line in sorted(
        enumerate(lines), key=lambda pair: pair[1].points[-1][1], reverse=False
    ):
        colour = COLOURS[number % len(COLOURS)]
        places = [(xs.at(x), ys.at(y)) for x, y in line.points]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
        out.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.extend(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places)
        free = min(places[-1][1] + 4, free - 15)  # from below upwards
        value = line.points[-1][1]
        out.append(
            f'<text x="{WIDTH - RIGHT + 10}" y="{free:.1f}" fill="{colour}">'
            f"{escape(line.label)}: {value:.3g}</text>"
        )
    out.append("</svg>")
    return "\n".join(out) + "\n"
