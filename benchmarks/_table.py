"""The result as a table for people and as JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median
from typing import Any

from _measure import Samples

SIDES = ("aiokatcp", "katcp-python", "katcp")
OTHERS = SIDES[:-1]
HEADINGS = ("work", "unit", *SIDES, *(f"{side} / katcp" for side in OTHERS), "goal")
#: Columns without judgement.
PLAIN = 2 + len(SIDES)
#: Metrics that are no cost.
SHARES = ("delivered",)


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "-"
    text = number(median(values))
    if len(values) > 1:
        text += f" ({number(min(values))}-{number(max(values))})"
    return text


def ratio(samples: Samples, metric: str, side: str) -> float | None:
    """Return how many times less katcp needs, by medians; None if that cannot be said."""
    theirs, ours = samples.values(side, metric), samples.values("katcp", metric)
    if metric in SHARES or not theirs or not ours or median(ours) <= 0:
        return None
    return median(theirs) / median(ours)


def _times(factor: float | None) -> str:
    return "-" if factor is None else f"{factor:.1f}" if factor < 20 else f"{factor:.0f}"


def _lines(results: Sequence[Samples]) -> Iterator[tuple[str, ...]]:
    yield HEADINGS
    for samples in results:
        for row in samples.scenario.rows:
            yield (
                samples.scenario.work,
                row.unit,
                *(_spread(samples.values(side, row.metric)) for side in SIDES),
                *(_times(ratio(samples, row.metric, side)) for side in OTHERS),
                "" if row.goal is None else f"{row.goal:g}",
            )


def as_text(results: Sequence[Samples], judge: bool = True) -> str:
    """Return the table, with or without ratios; where a sample failed, say why below it."""
    lines = [line if judge else line[:PLAIN] for line in _lines(results)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = []
    for line in lines:
        cells = [
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        ]
        text.append("  ".join(cells).rstrip())
    text.insert(1, "  ".join("-" * width for width in widths))
    for samples in results:
        for side, error in samples.errors.items():
            text.append(f"\n{samples.scenario.name}: {side} failed: {error.strip()}")
    return "\n".join(text)


def as_data(results: Sequence[Samples]) -> list[dict[str, Any]]:
    """Return the same with every sample, ready for JSON."""
    return [
        {
            "name": samples.scenario.name,
            "work": samples.scenario.work,
            "metric": row.metric,
            "unit": row.unit,
            "goal": row.goal,
            "ratios": {side: ratio(samples, row.metric, side) for side in OTHERS},
            "samples": {side: samples.values(side, row.metric) for side in samples.by_side},
            "errors": samples.errors,
        }
        for samples in results
        for row in samples.scenario.rows
    ]
