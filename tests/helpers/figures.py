"""What the tests of promises reach, kept for the page that tells it.

Nothing is kept unless the environment variable ``KATCP_FIGURES`` names a file (JSON). Then each
test that passes leaves there how large it was, how long it took and what it has noted, in the place
of what it left the last time. `tests/promises/page.py` makes the page of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.helpers import sizes


def note(what: str, value: float, unit: str = "") -> None:
    """Note a figure that the running test has reached.

    Parameters
    ----------
    what : str
        What it is, as it stands before the figure (``"all greeted after"``), or behind it if it has
        no unit (``"requests answered"``). A later note of the same name takes the place of an
        earlier one.
    value : float
        The figure.
    unit : str
        Its unit; none for a number of things.
    """
    if path() is not None:
        _notes[what] = [round(value, 6), unit]


class Times:
    """How long something took, each time that it was done in a ``with`` block of this.

    Examples
    --------
    ::

        times = Times()
        for _ in range(100):
            with times:
                assert await other.ask(b"?watchdog[9]") == [b"!watchdog[9] ok"]
        times.note("others were answered in")
    """

    def __init__(self) -> None:
        self.seconds: list[float] = []

    def __enter__(self) -> None:
        self._begun = time.perf_counter()

    def __exit__(self, *args: object) -> None:
        self.seconds.append(time.perf_counter() - self._begun)

    def note(self, what: str) -> None:
        """Note the 99th of a hundred, and the longest [ms]."""
        ordered = sorted(self.seconds)
        if len(ordered) >= 100:
            note(f"{what}, p99", 1000 * ordered[int(0.99 * len(ordered))], "ms")
        if ordered:
            note(f"{what}, longest", 1000 * ordered[-1], "ms")


def path() -> Path | None:
    """Return the file to which figures are written, if they are."""
    name = os.environ.get("KATCP_FIGURES")
    return Path(name).absolute() if name else None


def keep(kind: str, name: str, record: dict[str, Any], file: Path) -> None:
    """Write a record, in the place of an older one of that name.

    Several processes may do so at the same time.
    """
    import fcntl  # where there is none, tests run all the same

    with file.open("a+", encoding="utf-8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        text = stream.read()
        data = json.loads(text) if text else {}
        data.setdefault(kind, {})[name] = record
        stream.seek(0)
        stream.truncate()
        stream.write(formatted(data))


def formatted(data: dict[str, dict[str, Any]]) -> str:
    """Return all records as JSON, each in a line of its own."""
    kinds = []
    for kind in sorted(data):
        lines = [
            f"  {json.dumps(name)}: {json.dumps(data[kind][name], ensure_ascii=False)}"
            for name in sorted(data[kind])
        ]
        kinds.append(f' "{kind}": {{\n' + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(kinds) + "\n}\n"


def surroundings() -> dict[str, str]:
    """Return when and on what this is: nothing that tells whose machine it is."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "machine": machine_name(),
        "python": platform.python_version(),
    }


def machine_name() -> str:
    """Return the model of the processor, the number of cores, and the system."""
    model = platform.machine()
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as file:
        model = next(
            (line.partition(":")[2].strip() for line in file if line.startswith("model name")),
            model,
        )
    return f"{model}, {os.cpu_count()} cores, {platform.system()}"


# -- hooks of pytest; this module is a plugin where figures are asked for -----------------------

_notes: dict[str, list[Any]] = {}


class _Share:
    """How much of the machine other processes use meanwhile."""

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._busy, self._own = self._look()

    def _look(self) -> tuple[float, float]:
        every = psutil.cpu_times()
        own = psutil.Process().cpu_times()
        busy = sum(every[:3]) + getattr(every, "irq", 0) + getattr(every, "softirq", 0)
        return busy, own.user + own.system + own.children_user + own.children_system

    def __call__(self) -> float:
        """Return the share since this was made: 1 is all cores."""
        busy, own = self._look()
        seconds = (time.monotonic() - self._begun) * (os.cpu_count() or 1)
        return max(0.0, min(1.0, ((busy - self._busy) - (own - self._own)) / max(seconds, 0.01)))


_RECORD = pytest.StashKey[dict[str, Any]]()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Look what a test takes and notes."""
    _notes.clear()
    share, begun = _Share(), time.perf_counter()
    yield
    cases = getattr(getattr(item, "obj", None), "_hypothesis_internal_use_settings", None)
    if cases is not None:
        note("made-up cases", cases.max_examples)
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec is not None else {}
    item.stash[_RECORD] = {
        **surroundings(),
        "full": _is_full(item),
        "sizes": {name: params[name] for name in sizes.NAMES & params.keys()},
        "seconds": round(time.perf_counter() - begun, 3),
        "others": round(share(), 2),
        "notes": dict(_notes),
    }


def _is_full(item: pytest.Item) -> bool:
    small = "small" in item.name.rstrip("]").replace("[", "-").split("-")
    return item.get_closest_marker("soak") is not None and not small


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Keep it if the test has passed to the end: what it leaves behind is looked at last."""
    yield
    file, record = path(), item.stash.get(_RECORD, None)
    if file is not None and record is not None:
        keep("tests", item.nodeid, record, file)
