"""CPU time and memory of another process, read from outside.

On Linux every process has a CPU clock that any process of the same user may read (POSIX
``clock_getcpuclockid``): nanoseconds, user and system together, all threads, those that
have ended too. ``/proc/PID/stat`` counts in ticks of 10 ms and is far too coarse for a
sample of a second. Elsewhere psutil is asked.

Only the standard library is imported here: these files run under the interpreters of both
libraries.
"""

from __future__ import annotations

import os
import time

_LINUX = os.path.exists("/proc/self/statm")
_CPUCLOCK_SCHED = 2


def cpu_seconds(pid: int) -> float:
    """Return the CPU time in seconds that a process has used (user + system)."""
    if _LINUX:
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED) * 1e-9
    import psutil

    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def resident_bytes(pid: int) -> int:
    """Return the resident memory of a process in bytes."""
    if _LINUX:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    import psutil

    return int(psutil.Process(pid).memory_info().rss)


def settled_cpu(pid: int, quiet: float = 0.003, limit: float = 5.0) -> float:
    """Return the CPU time of a process once it has come to rest.

    A server may still be tidying up when its last reply arrives; that work belongs to the
    sample. At rest means: less than 2 % of a core over `quiet` seconds.

    Parameters
    ----------
    pid
        Process to look at.
    quiet
        Seconds without work that count as rest.
    limit
        Seconds after which a process that never rests is taken as it is.
    """
    end = time.perf_counter() + limit
    before = cpu_seconds(pid)
    while time.perf_counter() < end:
        time.sleep(quiet)
        now = cpu_seconds(pid)
        if now - before < 0.02 * quiet:
            return now
        before = now
    return before
