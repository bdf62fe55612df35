"""What the benchmarks make of their results: tables, plots, the page. CI runs the benchmarks."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import a room of the benchmarks, which are programs and no package."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    yield load
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(BENCHMARKS)):
            del sys.modules[name]


def test_scenarios_have_names_of_their_own_and_a_short_form(room: Any) -> None:
    scenarios = room("_scenarios").SCENARIOS
    names = [scenario.name for scenario in scenarios]
    assert len(set(names)) == len(names)
    for scenario in scenarios:
        short = scenario.smoke()
        assert (short.name, short.rows) == (scenario.name, scenario.rows)
        assert short.sensors <= 100
        assert short.requests <= 100
        assert short.seconds <= 0.3


def results(room: Any) -> list[Any]:
    scenarios, measure = room("_scenarios"), room("_measure")
    scenario = scenarios.Scenario("w", "?watchdog", {}, (scenarios.Row("cpu", "µs", 6),))
    samples = measure.Samples(scenario)
    samples.by_side = {
        "aiokatcp": [{"cpu": value} for value in (30.0, 20.0, 1000.0)],
        "katcp": [{"cpu": 3.0}],
    }
    samples.errors = {"katcp-python": "no such thing"}
    return [samples]


def test_the_table_has_medians_ratios_and_what_failed(room: Any) -> None:
    text = room("_table").as_text(results(room))
    row = next(line for line in text.splitlines() if line.startswith("?watchdog"))
    assert row.split() == ["?watchdog", "µs", "30", "(20-1,000)", "-", "3", "10.0", "-", "6"]
    assert text.endswith("w: katcp-python failed: no such thing")
    assert "10.0" not in room("_table").as_text(results(room), judge=False)


def test_the_page_is_filled_between_its_marks(room: Any) -> None:
    page = room("page")
    data = {
        "rows": room("_table").as_data(results(room)),
        "date": "2000-01-01",
        "machine": "abacus",
        "loop": "asyncio",
        "rounds": 3,
        "versions": {"katcp": "Python 3"},
        "others": 0.01,
    }
    text = page.figures(data)
    assert "| ?watchdog | µs | 30 | - | 3 | 10.0 | - | 6 |" in text.splitlines()
    filled = page.fill("a\n<!-- table: begin -->\nold\n<!-- table: end -->\nb\n", "table", text)
    assert filled.startswith("a\n<!-- table: begin -->\n\n| Work |")
    assert filled.endswith("meanwhile.\n\n<!-- table: end -->\nb\n")
    assert page.fill(filled, "table", text) == filled
    with pytest.raises(SystemExit, match="not exactly one place"):
        page.fill("a", "table", text)
    for name in ("table", "plots"):
        page.fill(page.PAGE.read_text(encoding="utf-8"), name, "")


def test_plots_are_drawings_with_all_lines(room: Any) -> None:
    points = [
        {"size": size, "work": work, "side": "katcp", "samples": [size * factor]}
        for work, factor in (("one", 0.1), ("other <&>", 2))
        for size in (1, 10, 1000)
    ]
    data = {"title": "T", "grows": "sensors", "unit": "µs", "points": points}
    drawing = ElementTree.fromstring(room("sweep").draw("sensors", data))
    texts = [element.text or "" for element in drawing.iter("{http://www.w3.org/2000/svg}text")]
    assert {"one: 100", "other <&>: 2e+03", "T", "sensors", "µs", "0.1", "1,000"} <= set(texts)
    assert len(list(drawing.iter("{http://www.w3.org/2000/svg}circle"))) == 6
