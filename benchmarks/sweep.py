"""Measure how cost grows with sensors, clients and requests: ``python benchmarks/sweep.py``.

Each line of a plot is one kind of work; where it is flat, the work costs the same however much of
the rest there is. See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from _environments import HERE, Side, aiokatcp_side, katcp_python_side, katcp_side
from _measure import Machine, alternate, machine_name
from _plot import Line, plot
from _scenarios import Row, Scenario

SIDES = ("aiokatcp", "katcp-python", "katcp")


@dataclass(frozen=True)
class Sweep:
    """One picture: something grows, and what some kinds of work cost then.

    Parameters
    ----------
    name, title
        Of its file, and above it.
    grows
        What the horizontal axis counts.
    unit
        Of the vertical axis.
    metric
        What is taken from a sample.
    sizes
        Points on the horizontal axis.
    works
        Kinds of work: its name, and its job, with the numbers of sensors and of requests.
    """

    name: str
    title: str
    grows: str
    unit: str
    metric: str
    sizes: tuple[int, ...]
    works: tuple[tuple[str, dict[str, Any]], ...]

    def scenarios(self, size: int, seconds: float) -> Iterator[tuple[str, Scenario]]:
        """Make the work of each line for one point."""
        for words, job in self.works:
            filled = {key: size if value is SIZE else value for key, value in job.items()}
            sensors = filled.pop("sensors", 0)
            requests = filled.pop("requests", 0)
            yield (
                words,
                Scenario(
                    f"{self.name}-{size}",
                    words,
                    filled,
                    (Row(self.metric, self.unit),),
                    sensors,
                    seconds=seconds,
                    requests=requests,
                ),
            )


SIZE: Any = object()
"""Stands in a job for what grows."""

WATCHDOG = {
    "do": "pipeline",
    "request": "watchdog",
    "reply": "ok",
    "connections": 1,
    "outstanding": 16,
}
EVENT = {"do": "events", "strategy": "event", "updates": 100, "turns": 10, "clients": 1}

SWEEPS = (
    Sweep(
        "sensors",
        "What sensors cost",
        "sensors",
        "µs",
        "cpu",
        (100, 1000, 10000, 100000),
        (
            (
                "?sensor-list, an inform",
                {"do": "listing", "request": "sensor-list", "sensors": SIZE},
            ),
            (
                "?sensor-value, an inform",
                {"do": "listing", "request": "sensor-value", "sensors": SIZE},
            ),
            ("event of 100 of them, an inform", {**EVENT, "sampled": 100, "sensors": SIZE}),
            ("?watchdog", {**WATCHDOG, "sensors": SIZE}),
        ),
    ),
    Sweep(
        "clients",
        "What clients cost",
        "clients",
        "µs",
        "cpu",
        (1, 10, 100, 1000, 2000),
        (
            ("event to all, an inform", {**EVENT, "clients": SIZE, "sensors": 100}),
            ("event to one of them, an inform", {**EVENT, "idle": SIZE, "sensors": 100}),
            ("?watchdog of one of them", {**WATCHDOG, "idle": SIZE}),
            ("to be accepted", {"do": "idle", "connections": SIZE, "burst": 50}),
        ),
    ),
    Sweep(
        "requests",
        "What requests cost that nobody uses",
        "requests defined",
        "µs",
        "cpu",
        (10, 100, 1000, 5000),
        (
            ("?watchdog", {**WATCHDOG, "requests": SIZE}),
            ("event, an inform", {**EVENT, "sensors": 100, "requests": SIZE}),
        ),
    ),
)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3, help="samples of each side (%(default)s)")
    parser.add_argument("--only", action="append", choices=[sweep.name for sweep in SWEEPS])
    parser.add_argument("--smoke", action="store_true", help="tiny; times mean nothing")
    parser.add_argument(
        "--side", action="append", choices=SIDES, help="may be given more than once (katcp)"
    )
    parser.add_argument("--seconds", type=float, default=0.5, help="of a sample (%(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    parser.add_argument("--plots", type=Path, metavar="DIRECTORY", help="draw the plots there")
    parser.add_argument("--python", metavar="PATH", help="interpreter that can import katcp")
    parser.add_argument(
        "--cache", type=Path, default=HERE / ".cache", help="where environments are kept"
    )
    return parser.parse_args()


def _sides(arguments: argparse.Namespace) -> list[Side]:
    makers = {
        "aiokatcp": lambda: aiokatcp_side(arguments.cache, None, False),
        "katcp-python": lambda: katcp_python_side(arguments.cache, None),
        "katcp": lambda: katcp_side(arguments.cache, arguments.python, False),
    }
    sides = [makers[name]() for name in arguments.side or ("katcp",)]
    if None in sides:
        sys.exit("a side cannot be had here")
    return [side for side in sides if side is not None]


def run(sweep: Sweep, sides: list[Side], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Measure all points; return one dictionary for each."""
    points = []
    sizes = sweep.sizes[:2] if arguments.smoke else sweep.sizes
    for size in sizes:
        for words, scenario in sweep.scenarios(
            size, 0.02 if arguments.smoke else arguments.seconds
        ):
            rounds = 1 if arguments.smoke else arguments.rounds
            samples = alternate(
                scenario, sides, rounds, False, "same", Machine(), lambda text: None
            )
            for side, error in samples.errors.items():
                print(f"{sweep.name} {size}, {words}: {side} failed: {error}", file=sys.stderr)
            for side in samples.by_side:
                values = samples.values(side, sweep.metric)
                points.append({"size": size, "work": words, "side": side, "samples": values})
                print(
                    f"{sweep.name:9} {size:8,} {side:13} {median(values):10.3g} {words}", flush=True
                )
    return points


def draw(name: str, data: dict[str, Any]) -> str:
    """Return the plot of one sweep as SVG, from what is in the JSON file."""
    lines: dict[tuple[str, str], Line] = {}
    several = len({point["side"] for point in data["points"]}) > 1
    for point in data["points"]:
        label = f"{point['side']}: {point['work']}" if several else point["work"]
        line = lines.setdefault((point["work"], point["side"]), Line(label))
        line.points.append((point["size"], median(point["samples"])))
    return plot(data["title"], data["grows"], data["unit"], list(lines.values()))


def main() -> int:
    """Measure, and write what was asked for."""
    arguments = _arguments()
    sides = _sides(arguments)
    result: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "machine": machine_name(),
        "rounds": 1 if arguments.smoke else arguments.rounds,
        "smoke": arguments.smoke,
        "versions": {side.name: side.versions() for side in sides},
        "sweeps": {},
    }
    for sweep in SWEEPS:
        if arguments.only and sweep.name not in arguments.only:
            continue
        result["sweeps"][sweep.name] = {
            "title": sweep.title,
            "grows": sweep.grows,
            "unit": sweep.unit,
            "points": run(sweep, sides, arguments),
        }
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        for name, data in result["sweeps"].items():
            (arguments.plots / f"speed-{name}.svg").write_text(draw(name, data), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
