"""Refresh docs/explanations/speed.md and its plots: ``python benchmarks/page.py --measure``.

Without ``--measure`` the page is written from the results of the last time, which are kept in
``benchmarks/results``. What stands outside the markers in the page is written by people.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from statistics import median
from typing import Any

from _environments import HERE, PROJECT
from _table import OTHERS, SIDES, number
from sweep import draw

RESULTS = HERE / "results"
PAGE = PROJECT / "docs" / "explanations" / "speed.md"
IMAGES = PAGE.parent / "images"


def _table(headings: Iterable[str], rows: Iterable[Iterable[str]]) -> list[str]:
    headings = list(headings)
    rule = ["---", "---", *["---:"] * (len(headings) - 2)]
    return ["| " + " | ".join(cells) + " |" for cells in (headings, rule, *rows)]


def _median(row: dict[str, Any], side: str) -> str:
    samples = row["samples"].get(side)
    return number(median(samples)) if samples else "-"


def _ratio(row: dict[str, Any], side: str) -> str:
    ratio = row["ratios"].get(side)
    return "-" if ratio is None else f"{ratio:.1f}" if ratio < 20 else f"{ratio:.0f}"


def figures(data: dict[str, Any]) -> str:
    """Return the table of ``run.py`` for the page, and where it comes from."""
    headings = ("Work", "Unit", *SIDES, *(f"{side} / katcp" for side in OTHERS), "Goal")
    rows = [
        (
            row["work"].replace("|", r"\|"),
            row["unit"],
            *(_median(row, side) for side in SIDES),
            *(_ratio(row, side) for side in OTHERS),
            "" if row["goal"] is None else f"{row['goal']:g}",
        )
        for row in data["rows"]
    ]
    versions = "; ".join(f"{side}: {text}" for side, text in data["versions"].items())
    note = (
        f"{data['date']}, {data['machine']}, {data['loop']}, medians of {data['rounds']}. "
        f"{versions}. Other processes used {100 * data['others']:.0f} % of a core meanwhile."
    )
    return "\n".join([*_table(headings, rows), "", note])


def plots(data: dict[str, Any]) -> str:
    """Draw the sweeps, and return what shows them on the page."""
    IMAGES.mkdir(exist_ok=True)
    text = []
    for name, sweep in data["sweeps"].items():
        (IMAGES / f"speed-{name}.svg").write_text(draw(name, sweep), encoding="utf-8")
        text += [f"![{sweep['title']}](images/speed-{name}.svg)", ""]
    versions = "; ".join(f"{side}: {text}" for side, text in data["versions"].items())
    note = f"{data['date']}, {data['machine']}, medians of {data['rounds']}. {versions}."
    return "\n".join([*text, note])


def fill(page: str, name: str, text: str) -> str:
    """Return the page with what stands between the markers of `name` replaced."""
    marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    if len(marked.findall(page)) != 1:
        sys.exit(f"{PAGE} has not exactly one place for {name!r}")
    return marked.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)


def main() -> int:
    """Measure if asked to, then write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--measure", action="store_true", help="first run run.py and sweep.py")
    parser.add_argument("--rounds", type=int, default=5, help="of both (%(default)s)")
    arguments = parser.parse_args()
    table, sweeps = RESULTS / "table.json", RESULTS / "sweep.json"
    if arguments.measure:
        RESULTS.mkdir(exist_ok=True)
        for program, result in (("run.py", table), ("sweep.py", sweeps)):
            options = ["--rounds", str(arguments.rounds), "--json", str(result)]
            # A row that failed is missing in the table; the others are none the worse for it.
            subprocess.run([sys.executable, str(HERE / program), *options], check=False)
    page = PAGE.read_text(encoding="utf-8")
    page = fill(page, "table", figures(json.loads(table.read_text(encoding="utf-8"))))
    page = fill(page, "plots", plots(json.loads(sweeps.read_text(encoding="utf-8"))))
    PAGE.write_text(page, encoding="utf-8")
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
