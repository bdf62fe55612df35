"""Measure our server and client beside aiokatcp: ``python benchmarks/run.py``.

See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from pathlib import Path

from _environments import HERE, Side, aiokatcp_side, katcp_side
from _measure import Machine, alternate
from _scenarios import SCENARIOS
from _table import as_data, as_text


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="samples of each side (%(default)s)")
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="scenarios whose name begins so"
    )
    parser.add_argument("--list", action="store_true", help="list the names of scenarios")
    parser.add_argument("--smoke", action="store_true", help="tiny, one round, times mean nothing")
    parser.add_argument("--uvloop", action="store_true", help="run both sides on uvloop")
    parser.add_argument(
        "--cores",
        choices=("same", "apart", "free"),
        default="same",
        help="where the process under test and the other end of its connections run (%(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    parser.add_argument("--python", metavar="PATH", help="interpreter that can import katcp")
    parser.add_argument(
        "--aiokatcp-python", metavar="PATH", help="interpreter that can import aiokatcp"
    )
    parser.add_argument(
        "--side", choices=("aiokatcp", "katcp"), help="measure this side alone, no ratios"
    )
    parser.add_argument(
        "--cache", type=Path, default=HERE / ".cache", help="where environments are kept"
    )
    return parser.parse_args()


def _sides(arguments: argparse.Namespace) -> list[Side]:
    sides = []
    if arguments.side != "katcp":
        theirs = aiokatcp_side(arguments.cache, arguments.aiokatcp_python, arguments.uvloop)
        if theirs is None:
            print("aiokatcp cannot be had here: its side is left out", file=sys.stderr)
        else:
            sides.append(theirs)
    if arguments.side != "aiokatcp":
        ours = katcp_side(arguments.cache, arguments.python, arguments.uvloop)
        if ours is None:
            what = "katcp or uvloop" if arguments.uvloop else "katcp"
            sys.exit(f"{what} cannot be imported: name an interpreter that can with --python")
        sides.append(ours)
    return sides


def _machine() -> str:
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print, and return 1 if a scenario failed."""
    arguments = _arguments()
    scenarios = [
        scenario
        for scenario in SCENARIOS
        if not arguments.only or any(scenario.name.startswith(name) for name in arguments.only)
    ]
    if arguments.list:
        print(*(f"{scenario.name:20} {scenario.work}" for scenario in scenarios), sep="\n")
        return 0
    if not scenarios:
        sys.exit(f"no scenario is called {arguments.only}; --list names them")
    rounds = 1 if arguments.smoke else arguments.rounds
    sides = _sides(arguments)
    versions = {side.name: side.versions() for side in sides}
    date = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    cores = arguments.cores
    loop = "uvloop" if arguments.uvloop else "asyncio"
    machine = Machine()
    results = []
    for scenario in scenarios:
        work = scenario.smoke() if arguments.smoke else scenario
        results.append(alternate(work, sides, rounds, arguments.uvloop, cores, machine, _progress))
    _progress("")
    head = [f"{date}, {_machine()}, {loop}, {rounds} rounds, cores: {cores}", *versions.values()]
    print(*head, "", as_text(results, judge=not arguments.smoke), sep="\n")
    print(f"\nOther processes used {100 * machine.share:.0f} % of a core meanwhile.")
    if arguments.smoke:
        print("The short form shows that all of it runs, on small sizes; its times mean nothing.")
    if arguments.json:
        data = {
            "date": date,
            "machine": _machine(),
            "loop": loop,
            "rounds": rounds,
            "cores": cores,
            "smoke": arguments.smoke,
            "versions": versions,
            "others": machine.share,
            "rows": as_data(results),
        }
        arguments.json.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    return 1 if any(result.errors for result in results) else 0


if __name__ == "__main__":
    sys.exit(main())
