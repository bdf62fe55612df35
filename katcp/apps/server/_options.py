"""The command line of ``katcp-server``."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import click

from katcp._version import __version__
from katcp.apps.server._daemon import Daemon, end_soon, make_device
from katcp.apps.server._errors import (
    CANNOT_SERVE,
    DONE,
    INTERRUPTED,
    MISUSE,
    StartError,
    describe,
    one_line,
)
from katcp.apps.server._logging import LEVELS, StartLog
from katcp.apps.server._plugins import OWN, find_class

PROGRAM = "katcp-server"

#: Options that go to the device's constructor as they are.
_LIMITS = (
    "max_clients",
    "max_line",
    "max_backlog",
    "stall_timeout",
    "coalesce",
    "period_floor",
    "handler_threads",
    "update_interval",
)


@dataclass(frozen=True)
class Settings:
    """What the command line says.

    Attributes
    ----------
    device : str
        See `find_class`.
    host, port
        Address to listen on.
    tb_limit : int
        Frames of tracebacks that clients are sent.
    log_level : str
    verbose : bool
    limits : dict
        Keyword arguments for the constructor: those that were given.
    """

    device: str = "host"
    host: str = "127.0.0.1"
    port: int = 7147
    tb_limit: int = 0
    log_level: str = "warn"
    verbose: bool = False
    limits: dict[str, Any] = field(default_factory=dict)


_size = click.IntRange(min=1)
_time = click.FloatRange(min=0)


@click.command(
    name=PROGRAM,
    epilog="DEVICE is host (readings of this computer; the default), demo (a simulated "
    "instrument), package.module:Class or path/to/file.py:Class. When it is ready the program "
    "prints 'listening on HOST:PORT'. SIGTERM, SIGINT (Ctrl-C) and the request ?halt end it, with "
    "exit status 0; 1: the device could not be served; 2: misuse.",
)
@click.argument("device", default="host")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=7147,
    show_default=True,
    help="TCP port; 0: any that is free.",
)
@click.option(
    "--log-level",
    type=click.Choice(list(LEVELS)),
    default="warn",
    show_default=True,
    help="Level from which on messages are logged, to clients (?log-level) and standard error.",
)
@click.option("--verbose", "-v", is_flag=True, help="Log more; show tracebacks of errors.")
@click.option(
    "--tb-limit",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Frames of the traceback that a client is sent when a request fails by a bug.",
)
@click.option(
    "--update-interval",
    type=click.FloatRange(0.1, 3600),
    help="Time between two readings of host and demo [s].  [default: 1 and 0.5]",
)
@click.option("--max-clients", type=_size, help="Clients at once.  [default: no limit]")
@click.option("--max-line", type=_size, help="Longest line [bytes].  [default: 2 MiB]")
@click.option(
    "--max-backlog", type=_size, help="Unsent output of a client [bytes].  [default: 8 MiB]"
)
@click.option(
    "--stall-timeout",
    type=_time,
    help="How long a client may take nothing of its output [s].  [default: 30]",
)
@click.option(
    "--coalesce",
    type=_time,
    help="How long sensor updates may wait for company [s].  [default: 0.001]",
)
@click.option("--period-floor", type=_time, help="Shortest sampling period [s].  [default: 0.001]")
@click.option(
    "--handler-threads", type=_size, help="Threads for handlers that block.  [default: 8]"
)
@click.version_option(__version__, prog_name=PROGRAM)
def command(**options: Any) -> Settings:
    """Serve a device over KATCP."""
    limits = {name: options.pop(name) for name in _LIMITS}
    return Settings(
        **options, limits={name: value for name, value in limits.items() if value is not None}
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program; ends the process."""
    try:
        result = command.main(
            None if arguments is None else list(arguments), PROGRAM, standalone_mode=False
        )
    except click.ClickException as error:
        _say(f"{one_line(error.format_message())} (see {PROGRAM} --help)")
        sys.exit(MISUSE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    if not isinstance(result, Settings):
        sys.exit(result or DONE)  # --help or --version
    try:
        sys.exit(run(result))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def run(settings: Settings) -> int:
    """Serve as `settings` say; return the exit status."""
    start_log = StartLog(settings.log_level, settings.verbose)
    try:
        asyncio.run(_serve(settings, start_log))
    except StartError as error:
        start_log.discard()
        if settings.verbose:
            traceback.print_exception(error)
        _say(str(error))
        return error.status
    except Exception as error:
        # Nothing is known to come here, but if it does, it shall be told as all else is.
        if settings.verbose:
            traceback.print_exception(error)
        _say(describe(error))
        return CANNOT_SERVE
    return DONE


async def _serve(settings: Settings, start_log: StartLog) -> None:
    cls = find_class(settings.device)
    limits = settings.limits
    if "update_interval" in limits and settings.device not in OWN:
        raise StartError("--update-interval is for the devices host and demo", MISUSE)
    device = make_device(cls, settings.host, settings.port, settings.tb_limit, limits)
    daemon = Daemon(device, settings.log_level)
    address = await daemon.start()
    start_log.served()
    sys.stdout.write(f"listening on {address}\n")
    sys.stdout.flush()
    status = CANNOT_SERVE
    try:
        await daemon.run()
        status = DONE
    finally:
        end_soon(status)


def _say(text: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {text}\n")
