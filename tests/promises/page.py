"""Refresh the figures of docs/explanations/promises.md: ``python -m tests.promises.page``.

The words of the page are written by people. What was reached is written by this program, behind
each test that the page names, from what the tests have left in ``tests/promises/figures.json`` (see
`tests.helpers.figures`); ``scripts/promises`` runs them and then this.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import fmean
from typing import Any

from tests.fuzz.targets import TARGETS
from tests.helpers import figures

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanations" / "promises.md"
FIGURES = Path(__file__).with_name("figures.json")

#: A test that the page names, ``* `test_x.py::test_y`:``, and what was reached, up to the next line
#: that is not indented. Files without a directory are in `tests/promises`.
SHOWN = re.compile(r"^\* `(\S+\.py)::(\w+)`(?:.*\n)(?:  .*\n)*", re.MULTILINE)

Records = list[dict[str, Any]]


def shown(page: str) -> Iterator[tuple[str, str]]:
    """Return (file, test) of each test that the page names."""
    for file, test in SHOWN.findall(page):
        yield (file if "/" in file else f"tests/promises/{file}"), test


def number(value: float) -> str:
    """Return a figure with three digits, or all of those before the point."""
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def reached(records: Records) -> str:
    """Return what the forms of one test have reached.

    Numbers of things are added up, unless they are those of each; of what has a unit it is the
    highest.
    """
    full = [record for record in records if record["full"]]
    records = full or records
    things: dict[str, float] = {}
    measured: dict[str, list[Any]] = {}
    for record in records:
        notes = {name: note for name, note in record["notes"].items() if not note[1]}
        sizes = {name.replace("_", " "): size for name, size in record["sizes"].items()}
        for name, count in {**sizes, **{name: note[0] for name, note in notes.items()}}.items():
            before = things.get(name, 0)
            things[name] = max(before, count) if " each" in name else before + count
        for name, (value, unit) in record["notes"].items():
            if unit and value >= measured.get(name, [value])[0]:
                measured[name] = [value, unit]
    parts = [f"{number(count)} {name}" for name, count in things.items()]
    if len(records) > 1:
        parts.append(f"{len(records)} forms")
    seconds = sum(record["seconds"] for record in records)
    if things or seconds >= 1:
        parts.append(f"{number(seconds)} s")
    text = ", ".join(parts) or "passed"
    return "; ".join([text, *(f"{name} {number(v)} {u}" for name, (v, u) in measured.items())])


def wrapped(text: str) -> str:
    """Return the text as lines that belong to the item above."""
    lines, line = [], " "
    for word in text.split():
        if len(line) + 1 + len(word) > 100:
            lines.append(line)
            line = " "
        line += f" {word}"
    return "\n".join([*lines, line]) + "\n"


def with_figures(page: str, tests: dict[str, Any]) -> str:
    """Return the page with what each test of it has reached."""
    by_test: dict[str, Records] = {}
    for name, record in tests.items():
        by_test.setdefault(name.partition("[")[0], []).append(record)

    def fill(match: re.Match[str]) -> str:
        file, test = next(shown(match[0]))
        records = by_test.get(f"{file}::{test}")
        item = f"* `{match[1]}::{test}`"
        return f"{item}:\n{wrapped(reached(records))}" if records else f"{item}\n"

    return SHOWN.sub(fill, page)


def fuzzing(records: dict[str, Any]) -> str:
    """Return the table of what the fuzzer has tried."""
    rows = ["| Target | Cases | Minutes | Date |", "| --- | ---: | ---: | --- |"]
    for name in TARGETS:
        if record := records.get(name):
            minutes = number(record["seconds"] / 60)
            rows.append(f"| {name} | {record['cases']:,} | {minutes} | {record['date']} |")
    return "\n".join(rows)


def where(records: Records) -> str:
    """Return on what machine all that was, and when."""
    dates = sorted({record["date"] for record in records})
    others = fmean(record["others"] for record in records if record["seconds"] >= 1)
    return (
        f"{' to '.join(dict.fromkeys([dates[0], dates[-1]]))}; "
        f"{_and(record['machine'] for record in records)}; "
        f"Python {_and(record['python'] for record in records)}. "
        f"Other processes used {100 * others:.0f} % of the machine meanwhile."
    )


def _and(names: Iterable[str]) -> str:
    return " and ".join(sorted(set(names)))


def between(page: str, name: str, text: str) -> str:
    """Return the page with what stands between the markers of `name` replaced."""
    marked = re.compile(rf"(<!-- {name}: begin -->\n).*?(<!-- {name}: end -->)", re.DOTALL)
    if len(marked.findall(page)) != 1:
        raise ValueError(f"{PAGE} has not exactly one place for {name!r}")
    return marked.sub(lambda match: f"{match[1]}\n{text}\n\n{match[2]}", page)


def named_in(page: str, tests: dict[str, Any]) -> dict[str, Any]:
    """Return the records of tests that the page names."""
    named = {"::".join(test) for test in shown(page)}
    return {name: tests[name] for name in tests if name.partition("[")[0] in named}


def rendered(page: str, data: dict[str, Any]) -> str:
    """Return the page with all that is in `data`."""
    tests = named_in(page, data["tests"])
    page = with_figures(page, tests)
    page = between(page, "fuzzing", fuzzing(data.get("fuzzing", {})))
    return between(page, "machine", where(list(tests.values())))


def keep_fuzzing(log: str, file: Path) -> None:
    """Keep what a run of ``scripts/fuzz`` has printed: how many cases of each target, how long."""
    for name, rest in re.findall(r"^== fuzz: (\w+), \d+ s\n((?:(?!==).*\n?)*)", log, re.MULTILINE):
        if done := re.search(r"^Done (\d+) runs in (\d+) second", rest, re.MULTILINE):
            record = {**figures.surroundings(), "cases": int(done[1]), "seconds": int(done[2])}
            figures.keep("fuzzing", name, record, file)


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fuzz", type=Path, metavar="FILE", help="what scripts/fuzz has printed")
    parser.add_argument("--files", action="store_true", help="print the files of tests it names")
    arguments = parser.parse_args()
    page = PAGE.read_text(encoding="utf-8")
    if arguments.files:
        print(*sorted({file for file, _ in shown(page)}))  # noqa: T201
        return
    if arguments.fuzz is not None:
        keep_fuzzing(arguments.fuzz.read_text(encoding="utf-8", errors="replace"), FIGURES)
    data = json.loads(FIGURES.read_text(encoding="utf-8"))
    data["tests"] = named_in(page, data["tests"])
    FIGURES.write_text(figures.formatted(data), encoding="utf-8")
    PAGE.write_text(rendered(page, data), encoding="utf-8")


if __name__ == "__main__":
    main()
