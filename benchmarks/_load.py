"""The neutral load generator: bare sockets, no KATCP library, a process of its own.

Reads one job as JSON from standard input, drives the server at ``job["port"]``, and prints
one JSON object: what was counted, and the CPU time of the server meanwhile, which is read
from outside (see ``_cpu.py``).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from _device import raise_file_limit
from _load_connections import idle
from _load_requests import bulk, listing, pipeline, sections
from _load_sampling import events, period
from _load_turns import turns
from _peers import WrongAnswerError

JOBS = {
    "pipeline": pipeline,
    "listing": listing,
    "bulk": bulk,
    "sections": sections,
    "events": events,
    "period": period,
    "idle": idle,
    "turns": turns,
}


def main() -> None:
    """Do the job that standard input asks for."""
    job = json.load(sys.stdin)
    raise_file_limit()
    try:
        result: dict[str, Any] = dict(JOBS[job["do"]](job))
    except (WrongAnswerError, OSError) as error:
        result = {"error": f"{type(error).__name__}: {error}"}
    json.dump(result, sys.stdout)


if __name__ == "__main__":
    main()
