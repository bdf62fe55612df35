"""The command line of ``katcp-server``: ways of serving a device, and what belongs to them."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem, get_completion_class

from katcp._version import __version__
from katcp.apps.server._errors import DONE, INTERRUPTED, MISUSE, one_line
from katcp.apps.server._group import DefaultGroup
from katcp.apps.server._logging import PROGRAM, write_error
from katcp.apps.server._options import Settings, serving_options, take_settings
from katcp.apps.server._plugins import OWN
from katcp.apps.server._proxy import PROXY_HELP, PROXY_OPTIONS, proxy_class, proxy_options
from katcp.apps.server._serve import run
from katcp.apps.server._simulate import (
    SIMULATE_HELP,
    SIMULATE_OPTIONS,
    simulate_options,
    simulation_class,
)
from katcp.device_files import schema

_SHELLS = ("bash", "zsh", "fish")

#: What there is to do when the command line is understood; returns the exit status.
_Job = Callable[[], int]

_version = click.version_option(__version__, prog_name=PROGRAM)


@click.group(
    name=PROGRAM,
    cls=DefaultGroup,
    default="serve",
    options_metavar="",
    subcommand_metavar="[COMMAND] [DEVICE] [OPTIONS]",
    epilog="When it is ready the program prints 'listening on HOST:PORT'. SIGTERM, SIGINT (Ctrl-C) "
    "and the request ?halt end it, with exit status 0; 1: the device could not be served; 2: "
    "misuse. SIGHUP has it read the files of devices again.",
)
@_version
def command() -> None:
    """Serve a device over KATCP.

    DEVICE is host (readings of this computer; the default), demo (a simulated instrument), a
    device file (.yaml or .toml), package.module:Class or path/to/file.py:Class. The options are
    those of 'serve'; the other ways of serving have them too.
    """


class _DeviceWord(click.ParamType[str]):
    """What DEVICE may be, for the completion of shells."""

    name = "device"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        return str(value)

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        words = [CompletionItem(word) for word in OWN if word.startswith(incomplete)]
        return [*words, CompletionItem(incomplete, type="file")]


@command.command("serve")
@click.argument("device", default="host", type=_DeviceWord())
@click.option("--check", is_flag=True, help="Check a device file, and serve nothing.")
@click.option(
    "--update-interval",
    type=click.FloatRange(0.1, 3600),
    help="Time between two readings of host and demo [s].  [default: 1 and 0.5]",
)
@serving_options
@_version
def serve(device: str, check: bool, update_interval: float | None, **options: Any) -> Settings:
    """Serve a DEVICE. It need not be said: it is what is done without a command.

    DEVICE is host (readings of this computer; the default), demo (a simulated instrument), a
    device file (.yaml or .toml), package.module:Class or path/to/file.py:Class.
    """
    settings = take_settings(options, device=device, check=check)
    if update_interval is not None:
        settings.limits["update_interval"] = update_interval
    return settings


@command.command("simulate", help=SIMULATE_HELP, short_help="Serve a copy of a device.")
@simulate_options
@serving_options
@_version
def simulate(**options: Any) -> Settings:
    """Serve a copy of a device."""
    own = {name: options.pop(name) for name in ("snapshot", *SIMULATE_OPTIONS)}
    make = functools.partial(simulation_class, **own)
    return take_settings(options, device="", make_class=make)


@command.command("proxy", help=PROXY_HELP, short_help="Show other devices under one address.")
@proxy_options
@serving_options
@_version
def proxy(**options: Any) -> Settings:
    """Show other devices."""
    own = {name: options.pop(name) for name in PROXY_OPTIONS}
    return take_settings(options, device="", make_class=functools.partial(proxy_class, own))


@command.command("schema", short_help="Print the JSON Schema of device files.")
def print_schema() -> _Job:
    """Print the JSON Schema of device files, for editors that check as one types."""

    def job() -> int:
        sys.stdout.write(json.dumps(schema(), indent=2) + "\n")
        return DONE

    return job


@command.command("completion", short_help="Print what has a shell complete command lines.")
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> _Job:
    """Print what has a SHELL complete command lines of this program.

    In ~/.bashrc: eval "$(katcp-server completion bash)"; the same in ~/.zshrc with zsh; for fish:
    katcp-server completion fish > ~/.config/fish/completions/katcp-server.fish
    """

    def job() -> int:
        kind = get_completion_class(shell)
        assert kind is not None
        made = kind(command, {}, PROGRAM, "_KATCP_SERVER_COMPLETE")
        sys.stdout.write(made.source_template % made.source_vars())
        return DONE

    return job


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program; ends the process."""
    try:
        result = command.main(
            None if arguments is None else list(arguments), PROGRAM, standalone_mode=False
        )
    except click.ClickException as error:
        write_error(f"{one_line(error.format_message())} (see {PROGRAM} --help)")
        sys.exit(MISUSE)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(INTERRUPTED)
    try:
        if isinstance(result, Settings):
            sys.exit(run(result))
        sys.exit(result() if callable(result) else result or DONE)  # --help and --version: 0
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
