"""What both client programs share: the job, the clock, and the ways of keeping busy."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

from _device import use_uvloop

Job = dict[str, Any]
Result = dict[str, float]


async def _gather(awaitables: list[Awaitable[None]]) -> None:
    await asyncio.gather(*awaitables)


async def in_flight(
    job: Job,
    request: Callable[[], Awaitable[None]],
    gather: Callable[[list[Awaitable[None]]], Awaitable[Any]] = _gather,
) -> Result:
    """Keep ``job["outstanding"]`` requests in flight; CPU time of this process for each."""
    done = 0

    async def one(end: float) -> None:
        nonlocal done
        while time.perf_counter() < end:
            await request()
            done += 1

    async def run(seconds: float) -> int:
        nonlocal done
        done = 0
        end = time.perf_counter() + seconds
        await gather([one(end) for _ in range(job["outstanding"])])
        return done

    await run(job["warm_up"])
    cpu, start = time.process_time(), time.perf_counter()
    units = await run(job["seconds"])
    return {
        "cpu": time.process_time() - cpu,
        "units": units,
        "wall": time.perf_counter() - start,
    }


async def over_and_over(
    job: Job, begin: Callable[[], Awaitable[Any]], end: Callable[[Any], Awaitable[None]]
) -> Result:
    """Do a thing once to warm up, then for ``job["seconds"]``; CPU time for each time.

    What `begin` returns is handed to `end`, which tidies up and does not count.
    """
    await end(await begin())
    units, cpu, wall = 0, 0.0, 0.0
    while units == 0 or wall < job["seconds"]:
        cpu_before, start = time.process_time(), time.perf_counter()
        made = await begin()
        cpu += time.process_time() - cpu_before
        wall += time.perf_counter() - start
        units += 1
        await end(made)
    return {"cpu": cpu, "units": units, "wall": wall}


async def after_news(
    job: Job,
    request: Callable[[str, str], Awaitable[Any]],
    news: Any,
) -> Result:
    """Have the server add one sensor and announce it; CPU time until the client has it.

    Parameters
    ----------
    request
        Sends a request with one argument.
    news
        An event that is set when the client has a sensor that it did not have before.
    """

    async def begin() -> None:
        await news.wait()

    async def end(_: object) -> None:
        news.clear()
        await request("grow", job["form"])  # which is answered first, and done a little later

    await end(None)
    return await over_and_over(job, begin, end)


def run_job(
    jobs: dict[str, Callable[[Job], Awaitable[Result]]],
    run: Callable[[Callable[[], Awaitable[Result]]], Result] = lambda main: asyncio.run(main()),
) -> None:
    """Do the job on standard input, and print its result."""
    job = json.load(sys.stdin)
    if job.get("uvloop"):
        use_uvloop()
    gc.collect()

    async def main() -> Result:
        return await jobs[job["do"]](job)

    json.dump(run(main), sys.stdout)
