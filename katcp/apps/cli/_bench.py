"""The verb ``bench``: how fast a device answers, as seen from here."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from katcp.apps.cli._asking import Asker
from katcp.apps.cli._errors import DONE
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Piece, columns, duration_text, rate_text
from katcp.apps.cli._info import summary
from katcp.apps.cli._verbs import Here

_PERCENTILE = 0.99


async def bench(here: Here, duration: float, in_flight: int) -> int:
    """Measure, one after the other, and print.

    Parameters
    ----------
    duration : float
        For how long each measurement that can be short or long goes on [s].
    in_flight : int
        How many requests are kept under way at once where that is measured.
    """
    asker = here.asker
    records = []
    with asker.progress.step("measuring") as step:
        step.what = "one request at a time"
        records.append(await _one_at_a_time(asker, duration))
        step.what = f"{in_flight} requests at a time"
        step.advance(0)
        records.append(await _many_at_a_time(asker, duration, in_flight))
        for request in ("sensor-list", "sensor-value", "help"):
            step.what = f"?{request}"
            step.advance(0)
            records += [r for r in [await _list(asker, request, duration)] if r is not None]
    if here.json:
        for record in records:
            here.screen.record(record)
        return DONE
    here.screen.line(
        [Piece(asker.address, "name"), Piece(", from this computer, over this connection")]
    )
    here.screen.lines(columns([_row(record) for record in records]))
    return DONE


async def _one_at_a_time(asker: Asker, duration: float) -> dict[str, Any]:
    times: list[float] = []
    end = time.perf_counter() + duration
    while not times or (began := time.perf_counter()) < end:
        began = time.perf_counter()
        await asker.ask("watchdog")
        times.append(time.perf_counter() - began)
    times.sort()
    return {
        "measure": "round-trip",
        "request": "watchdog",
        **summary(times),
        "p99": times[min(len(times) - 1, int(len(times) * _PERCENTILE))],
    }


async def _many_at_a_time(asker: Asker, duration: float, in_flight: int) -> dict[str, Any]:
    began = time.perf_counter()
    end = began + duration
    done = 0

    async def keep_asking() -> None:
        nonlocal done
        while True:
            await asker.ask("watchdog")
            done += 1
            if time.perf_counter() >= end:
                return

    await asyncio.gather(*[keep_asking() for _ in range(in_flight)])
    taken = time.perf_counter() - began
    return {
        "measure": "throughput",
        "request": "watchdog",
        "in_flight": in_flight,
        "count": done,
        "seconds": taken,
        "rate": done / taken,
    }


async def _list(asker: Asker, request: str, duration: float) -> dict[str, Any] | None:
    """Ask for a list again and again; return the rate of its informs, or None if there is none."""
    informs, lists = 0, 0
    began = time.perf_counter()
    while lists == 0 or time.perf_counter() - began < duration:
        reply, answer = await asker.ask(request)
        if not reply.reply_ok() or not answer:
            return None
        informs += len(answer)
        lists += 1
    taken = time.perf_counter() - began
    return {
        "measure": "list",
        "request": request,
        "informs": informs // lists,
        "count": lists,
        "seconds": taken / lists,
        "rate": informs / taken,
    }


def _row(record: dict[str, Any]) -> list[Piece]:
    name = f"?{visible(record['request'])}"
    if record["measure"] == "round-trip":
        parts = [f"{key} {duration_text(record[key])}" for key in ("median", "p99", "min", "max")]
        text = f"{', '.join(parts)}  ({record['count']} round trips)"
        return [Piece("one at a time", "dim"), Piece(name, "name"), Piece(text)]
    if record["measure"] == "throughput":
        rate = rate_text(record["rate"])
        text = f"{rate} replies/s  ({record['count']} in {record['seconds']:.2g} s)"
        return [Piece(f"{record['in_flight']} at a time", "dim"), Piece(name, "name"), Piece(text)]
    plural = "" if record["informs"] == 1 else "s"
    each = f"{record['informs']} inform{plural} in {duration_text(record['seconds'])}"
    text = f"{rate_text(record['rate'])} informs/s  ({each}, mean of {record['count']})"
    return [Piece("list", "dim"), Piece(name, "name"), Piece(text)]
