"""Measure our server and client beside aiokatcp and katcp-python: ``python benchmarks/run.py``.

See README.md beside this file for what the figures mean.
"""

from __future__ import annotations

import argparse
import datetime
import json
import signal
import sys
from pathlib import Path

from _environments import HERE, Side, aiokatcp_side, katcp_python_side, katcp_side
from _measure import Machine, all_at_once, alternate, machine_name
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
        "--katcp-python-python", metavar="PATH", help="interpreter that can import katcp 0.9.3"
    )
    parser.add_argument(
        "--side",
        action="append",
        choices=("aiokatcp", "katcp-python", "katcp"),
        help="measure this side; may be given more than once (all)",
    )
    parser.add_argument(
        "--cache", type=Path, default=HERE / ".cache", help="where environments are kept"
    )
    return parser.parse_args()


def _sides(arguments: argparse.Namespace) -> list[Side]:
    wanted = arguments.side or ("aiokatcp", "katcp-python", "katcp")
    cache, uvloop = arguments.cache, arguments.uvloop
    sides = []
    if "aiokatcp" in wanted:
        sides.append(aiokatcp_side(cache, arguments.aiokatcp_python, uvloop))
        if sides[-1] is None:
            print("aiokatcp cannot be had here: its side is left out", file=sys.stderr)
    if "katcp-python" in wanted and not uvloop:  # its Tornado has a loop of its own
        sides.append(katcp_python_side(cache, arguments.katcp_python_python))
        if sides[-1] is None:
            print("katcp-python cannot be had here: its side is left out", file=sys.stderr)
    if "katcp" in wanted:
        sides.append(katcp_side(cache, arguments.python, uvloop))
        if sides[-1] is None:
            what = "katcp or uvloop" if uvloop else "katcp"
            sys.exit(f"{what} cannot be imported: name an interpreter that can with --python")
    return [side for side in sides if side is not None]


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def main() -> int:
    """Measure, print, and return 1 if a scenario failed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
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
    if arguments.smoke:
        results = all_at_once([scenario.smoke() for scenario in scenarios], sides, arguments.uvloop)
    else:
        results = []
        try:
            for scenario in scenarios:
                results.append(  # so that there is something if it is stopped
                    alternate(scenario, sides, rounds, arguments.uvloop, cores, machine, _progress)
                )
        except KeyboardInterrupt:
            print("stopped: what follows is what was measured until then", file=sys.stderr)
    _progress("")
    head = [
        f"{date}, {machine_name()}, {loop}, {rounds} rounds, cores: {cores}",
        *versions.values(),
    ]
    print(*head, "", as_text(results, judge=not arguments.smoke), sep="\n")
    if not arguments.smoke:
        print(f"\nOther processes used {100 * machine.share:.0f} % of a core meanwhile.")
    else:
        print("\nThe short form shows that all of it runs, on small sizes; its times mean nothing.")
    if arguments.json:
        data = {
            "date": date,
            "machine": machine_name(),
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
