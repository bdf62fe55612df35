"""State diagrams, drawn as SVG from the tables in the code.

Where a state stands is said here; which states there are, and which may follow which, is not: a
state without a place ends the build.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from html import escape

from katcp.inspecting_client import _states

WIDTH, HEIGHT = 132, 40
Point = tuple[float, float]


def _edge(inside: Point, towards: Point) -> Point:
    """Return where the line from the middle of a box to another point leaves the box."""
    dx, dy = towards[0] - inside[0], towards[1] - inside[1]
    scale = min(
        WIDTH / 2 / abs(dx) if dx else math.inf,
        HEIGHT / 2 / abs(dy) if dy else math.inf,
    )
    return inside[0] + dx * scale, inside[1] + dy * scale


def _arrow(start: Point, end: Point, bend: float) -> str:
    """Draw a curve that ends with an arrow head; `bend` is how far it goes to the left."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = math.hypot(dx, dy)
    middle = (
        (start[0] + end[0]) / 2 + bend * dy / length,
        (start[1] + end[1]) / 2 - bend * dx / length,
    )
    (x0, y0), (x1, y1) = _edge(start, middle), _edge(end, middle)
    return (
        f'<path d="M {x0:.0f} {y0:.0f} Q {middle[0]:.0f} {middle[1]:.0f} {x1:.0f} {y1:.0f}" '
        'marker-end="url(#head)"/>'
    )


def _from_everywhere(at: Point) -> str:
    """Draw what stands for an arrow from every state."""
    x, y = at[0], at[1] - HEIGHT / 2
    return (
        f'<path d="M {x:.0f} {y - 40:.0f} L {x:.0f} {y:.0f}" stroke-dasharray="5 4" '
        'marker-end="url(#head)"/>'
        f'<text x="{x:.0f}" y="{y - 48:.0f}" text-anchor="middle" font-size="12" '
        'fill="currentColor" stroke="none">from every state</text>'
    )


def state_diagram(
    title: str, places: Mapping[str, Point], steps: Mapping[str, Iterable[str]]
) -> str:
    """Return an SVG of states and the steps between them, in the colour of the text around it.

    A state that may follow every other gets one arrow for all.

    Parameters
    ----------
    title : str
        For those who do not see it.
    places : mapping
        State -> where its middle is [pixels].
    steps : mapping
        State -> states that may follow.

    Raises
    ------
    KeyError
        For a state that has no place.
    """
    width = max(x for x, _ in places.values()) + WIDTH / 2 + 10
    height = max(y for _, y in places.values()) + HEIGHT / 2 + 10
    parts = [
        f'<svg viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'style="max-width: {width:.0f}px; width: 100%" fill="none" stroke="currentColor">',
        f"<title>{escape(title)}</title>",
        '<defs><marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
        'markerHeight="8" orient="auto"><path d="M 0 0 L 8 4 L 0 8 z" fill="currentColor" '
        'stroke="none"/></marker></defs>',
    ]
    everywhere = set.intersection(*[set(followers) for followers in steps.values()])
    parts += [_from_everywhere(places[state]) for state in sorted(everywhere)]
    for state, followers in steps.items():
        for follower in sorted(set(followers) - everywhere - {state}):
            back = state in set(steps[follower]) - everywhere
            parts.append(_arrow(places[state], places[follower], -26.0 if back else 0.0))
    for state, (x, y) in places.items():
        parts.append(
            f'<rect x="{x - WIDTH / 2:.0f}" y="{y - HEIGHT / 2:.0f}" width="{WIDTH}" '
            f'height="{HEIGHT}" rx="8"/>'
            f'<text x="{x:.0f}" y="{y + 5:.0f}" text-anchor="middle" font-size="14" '
            f'fill="currentColor" stroke="none">{escape(state)}</text>'
        )
    parts.append("</svg>")
    return "\n".join(parts)


def inspecting_client_states() -> str:
    """Return the diagram of the states of an inspecting client."""
    names = {
        _states.DISCONNECTED: "not connected",
        _states.CONNECTED: "connected",
        _states.CHANGED: "changed",
        _states.UNCHANGED: "unchanged",
        _states.SYNCED: "synced",
    }
    places = {
        "not connected": (80.0, 110.0),
        "connected": (270.0, 110.0),
        "changed": (460.0, 40.0),
        "unchanged": (460.0, 180.0),
        "synced": (650.0, 110.0),
    }
    steps = {names[state]: {names[to] for to in after} for state, after in _states.STEPS.items()}
    return state_diagram("The states of an inspecting client", places, steps)
