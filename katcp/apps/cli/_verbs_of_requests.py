"""Verbs about requests: call, set, help; and about the device as a whole: info, bench."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from katcp.apps.cli import _verbs as verbs
from katcp.apps.cli._bench import bench
from katcp.apps.cli._completion import complete_requests, complete_sensors
from katcp.apps.cli._grammar import parse_pattern, request_name
from katcp.apps.cli._group import Job, verb
from katcp.apps.cli._info import info
from katcp.apps.cli._set import set_value


@verb(name="call", context_settings={"ignore_unknown_options": True})
@click.argument("request", shell_complete=complete_requests)
@click.argument("arguments", metavar="[ARGUMENTS]...", nargs=-1, type=click.UNPROCESSED)
def call_verb(request: str, arguments: Sequence[str]) -> Job:
    r"""Send a request; print its informs and its reply.

    Informs are printed as they come. Arguments go to the device as they are, numbers such as -5
    too; behind -- also those that look like options of this program.

    JSON: an object {"inform": request, "arguments": [...]} for each inform, then {"reply":
    request, "status": "ok", "arguments": [...]}. Arguments are strings; bytes that are not UTF-8
    are written as \xNN.
    """
    name, raw = request_name(request), [os.fsencode(argument) for argument in arguments]
    return lambda here: verbs.call(here, name, raw)


@verb(name="set", context_settings={"ignore_unknown_options": True})
@click.argument("name", shell_complete=complete_sensors)
@click.argument("values", metavar="VALUE...", nargs=-1, required=True, type=click.UNPROCESSED)
def set_verb(name: str, values: Sequence[str]) -> Job:
    """Give the sensor or endpoint NAME a value; print its reading then.

    Endpoints are set by ?set, and NAME may be a unique end of the address. For other sensors the
    protocol has no request, so one is looked for by name: for a sensor pump.mode,
    ?pump-set-mode, ?set-pump-mode, ?pump-mode, and ?set-mode or ?mode if no other sensor is called
    so. If there is none, call the request that does it.

    JSON keys: those of get.
    """
    raw = [os.fsencode(value) for value in values]
    return lambda here: set_value(here, name, raw)


@verb(name="help")
@click.argument("request", required=False, shell_complete=complete_requests)
def help_verb(request: str | None) -> Job:
    """Print the device's help on a REQUEST, or list them.

    JSON keys: name, description.
    """
    if request is None:
        return lambda here: verbs.list_requests(here, parse_pattern("", part=True))
    name = request_name(request)
    return lambda here: verbs.help_on(here, name)


@verb(name="info")
def info_verb() -> Job:
    """Print what the device is: versions, interface, limits, clients, latency.

    JSON keys: address, protocol, versions (name: [version, build]), sensors, statuses (status:
    number of sensors), requests, slow_requests (name: seconds that it may take), log_level,
    clients, latency (count, min, median, max of some round trips, in seconds). What the device
    does not tell is null.
    """
    return info


@verb(name="bench")
@click.option(
    "--for",
    "duration",
    type=click.FloatRange(min=0, min_open=True, max=60),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="For how long each of five measurements goes on.",
)
@click.option(
    "--in-flight",
    type=click.IntRange(1, 1000),
    default=32,
    show_default=True,
    help="Requests kept under way at once.",
)
def bench_verb(duration: float, in_flight: int) -> Job:
    """Measure how fast the device answers, as seen from here.

    The time of a round trip of ?watchdog; replies per second with many of them under way; informs
    per second of its lists. It is what this program, the network and the device do together: a busy
    computer on either side shows. The device is kept busy meanwhile.

    JSON: an object for each measure, with measure (round-trip, throughput, list), request, and
    count, min, median, p99, max in seconds, or in_flight, seconds and rate (per second).
    """
    return lambda here: bench(here, duration, in_flight)
