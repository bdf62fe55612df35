"""Starting the processes of one sample, and repeating samples in turns."""

from __future__ import annotations

import contextlib
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from _environments import HERE, Side, environment
from _scenarios import Scenario

TIME_LIMIT = 300.0
"""Seconds after which a sample is given up."""


class SampleError(Exception):
    """A sample came to nothing; its text says why."""


@dataclass
class Samples:
    """All samples of one scenario: for each side, one dictionary of metrics a round."""

    scenario: Scenario
    by_side: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)

    def values(self, side: str, metric: str) -> list[float]:
        """Return one metric of one side, a value for each round."""
        return [sample[metric] for sample in self.by_side.get(side, ()) if metric in sample]


@dataclass
class Machine:
    """How much of the machine others used while samples were taken."""

    seconds: float = 0.0
    others: float = 0.0

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Account for the time in this block; children count once they have ended."""
        busy, own, start = _busy(), _own(), time.perf_counter()
        yield
        self.seconds += time.perf_counter() - start
        self.others += max(0.0, (_busy() - busy) - (_own() - own))

    @property
    def share(self) -> float:
        """Share of one core that other processes used, on average."""
        return self.others / self.seconds if self.seconds else 0.0


def machine_name() -> str:
    """Return processor, number of cores, and system."""
    model = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next(line.split(":")[1].strip() for line in file if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def _own() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def _busy() -> float:
    try:
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, _idle, _wait, irq, softirq, *_ = map(
                int, file.readline().split()[1:]
            )
    except OSError:
        return 0.0
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def _on_core(index: int) -> Callable[[], None] | None:
    """Return what keeps a child process on one core; None where that cannot be done."""
    if not hasattr(os, "sched_setaffinity"):
        return None
    cores = sorted(os.sched_getaffinity(0))
    core = cores[index % len(cores)]
    return lambda: os.sched_setaffinity(0, {core})


def placement(where: str) -> tuple[Callable[[], None] | None, Callable[[], None] | None]:
    """Return how to place the process under test, and the process at the other end.

    Parameters
    ----------
    where
        ``same``: on one core, where they take turns. Waking a process on another core costs
        the one that wakes it up to 40 µs (on virtual machines the most), now and then, and as
        much on both sides: with one request outstanding that is all one would see.
        ``apart``: on a core each. ``free``: where the kernel likes.
    """
    if where == "free":
        return None, None
    return _on_core(-1), _on_core(-1 if where == "same" else -2)


def _last_line(text: str) -> str:
    """Return what a traceback comes to."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "no reason given"


@contextlib.contextmanager
def serving(
    command: Sequence[str], place: Callable[[], None] | None, side: Side | None
) -> Iterator[tuple[int, int]]:
    """Run a server that prints ``ready PORT``; yield its process id and port.

    It ends when its standard input closes, or is killed when it does not.
    """
    process = subprocess.Popen(
        command,
        preexec_fn=place,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(side is not None and side.checkout),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        line = process.stdout.readline().split()
        if line[:1] != [b"ready"]:
            process.kill()
            raise SampleError(_last_line(process.communicate()[1].decode()))
        yield process.pid, int(line[1])
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()
        process.stderr.close()


def _run(
    command: Sequence[str],
    job: dict[str, Any],
    place: Callable[[], None] | None,
    side: Side | None,
) -> dict[str, Any]:
    try:
        done = subprocess.run(
            command,
            preexec_fn=place,
            input=json.dumps(job),
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT,
            env=environment(side is not None and side.checkout),
        )
    except subprocess.TimeoutExpired as error:
        raise SampleError(f"no end after {TIME_LIMIT} s") from error
    if done.returncode:
        raise SampleError(_last_line(done.stderr))
    result: dict[str, Any] = json.loads(done.stdout)
    if "error" in result:
        raise SampleError(str(result["error"]))
    return result


def sample(scenario: Scenario, side: Side, uvloop: bool, cores: str) -> dict[str, float]:
    """Take one sample with fresh processes; return its metrics."""
    job = {
        "warm_up": 0.3 * scenario.seconds,
        "seconds": scenario.seconds,
        "sensors": scenario.sensors,
        "uvloop": uvloop,
        **scenario.job,
    }
    size = ["--sensors", str(scenario.sensors)]
    tested, other = placement("free" if cores == "free" else scenario.cores or cores)
    if scenario.client:
        server = [sys.executable, str(HERE / "_canned.py"), *size]
        command = side.program("clients")
    else:
        options = ["--requests", str(scenario.requests)]
        options += [f"--{name}" for name in ("turns", "rich") if getattr(scenario, name)]
        server = [*side.program("servers"), *size, *options, *(["--uvloop"] if uvloop else [])]
        command = [sys.executable, str(HERE / "_load.py")]
    places = (other, tested) if scenario.client else (tested, other)
    of_server, of_client = (None, side) if scenario.client else (side, None)
    with serving(server, places[0], of_server) as (pid, port):
        result = _run(command, {**job, "pid": pid, "port": port}, places[1], of_client)
    seconds = result.pop("cpu") / result["units"]
    return {**result, "cpu": 1e6 * seconds, "ms": 1e3 * seconds}


def alternate(
    scenario: Scenario,
    sides: Sequence[Side],
    rounds: int,
    uvloop: bool,
    cores: str,
    machine: Machine,
    progress: Callable[[str], None],
) -> Samples:
    """Take `rounds` samples of each side in turns: A B A B ..."""
    samples = Samples(scenario)
    for number in range(rounds):
        for side in sides:
            if side.name in samples.errors or side.name in scenario.without:
                continue
            progress(f"{scenario.name}: {side.name} {number + 1}/{rounds}")
            try:
                with machine.watch():
                    result = sample(scenario, side, uvloop, cores)
            except SampleError as error:
                samples.errors[side.name] = str(error)
                samples.by_side.pop(side.name, None)
            else:
                samples.by_side.setdefault(side.name, []).append(result)
    return samples


def all_at_once(
    scenarios: Sequence[Scenario], sides: Sequence[Side], uvloop: bool
) -> list[Samples]:
    """Take one sample of everything, several at a time: whether all of it runs, not how fast."""

    def one(scenario: Scenario) -> Samples:
        return alternate(scenario, sides, 1, uvloop, "free", Machine(), lambda text: None)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(one, scenarios))
