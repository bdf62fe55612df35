"""Verbs about files: snapshot, record, replay; and the user's own: devices, completion."""

from __future__ import annotations

from collections.abc import Sequence

import click

from katcp.apps.cli._completion import SHELLS, completion_script
from katcp.apps.cli._devices import devices_path, named_devices
from katcp.apps.cli._errors import DONE
from katcp.apps.cli._escape import visible
from katcp.apps.cli._format import Piece, columns
from katcp.apps.cli._grammar import parse_pattern
from katcp.apps.cli._group import Job, LocalJob, local_verb, verb
from katcp.apps.cli._record import Recording, record, replay
from katcp.apps.cli._screen import Screen, complain
from katcp.apps.cli._snapshot import snapshot
from katcp.apps.cli._verbs_of_readings import (
    count_option,
    for_option,
    names_argument,
    strategy_option,
    wanted_strategy,
)

_PATH = click.Path(dir_okay=False, allow_dash=True)


@verb(name="snapshot")
@click.argument("file", type=_PATH)
def snapshot_verb(file: str) -> Job:
    """Write the device's whole interface and its present readings to FILE.

    `katcp-server simulate FILE` serves a copy of it. The file is JSON, with a line for each sensor;
    it is replaced if it is there; - is standard output.

    JSON keys: file, sensors, requests, taken.
    """
    return lambda here: snapshot(here, file)


@verb(name="record")
@click.argument("file", type=_PATH)
@names_argument(required=False)
@strategy_option
@click.option("--log", is_flag=True, help="Record what the device logs, too.")
@click.option("--append", is_flag=True, help="Add to FILE if it is there.")
@click.option("--reconnect", is_flag=True, help="Go on when the device comes back.")
@count_option
@for_option
def record_verb(
    file: str,
    names: Sequence[str],
    strategy: str,
    log: bool,
    append: bool,
    reconnect: bool,
    count: int | None,
    duration: float | None,
) -> Job:
    """Record readings of sensors to FILE, until interrupted.

    NAME is as for get; without any, it is all sensors. The file has a JSON object a line; what it
    holds is not replaced. replay prints it again. - is standard output.

    JSON keys, in the end: file, readings, sensors, seconds.
    """
    patterns = [parse_pattern(name) for name in names or ["*"]]
    plan = wanted_strategy(strategy)
    wanted = Recording(file, patterns, plan, log, append, reconnect, count, duration)
    return lambda here: record(here, wanted)


@local_verb(name="replay")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@names_argument(required=False)
@click.option("--fast", is_flag=True, help="All at once, not at the pace at which it came.")
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    default=1.0,
    metavar="FACTOR",
    help="So many times the pace at which it came.",
)
def replay_verb(file: str, names: Sequence[str], fast: bool, speed: float) -> LocalJob:
    """Print a recording, as watch --plain printed it then, or watch --json.

    With NAMEs, only these sensors, and no log lines. No device is needed.
    """
    patterns = [parse_pattern(name) for name in names]
    return lambda screen: replay(screen, file, patterns, None if fast else speed)


@local_verb(name="devices")
def devices_verb() -> LocalJob:
    """List the devices that have names, from devices.toml.

    A name stands wherever an address may. The file is katcp/devices.toml in $XDG_CONFIG_HOME, or
    ~/.config: NAME = "HOST:PORT" for each device, or a table [NAME] with address, description,
    timeout, tls, tls-ca, tls-cert, tls-key, tls-name, tls-no-verify.

    JSON keys: name, address, description.
    """

    def job(screen: Screen) -> int:
        devices = named_devices().values()
        if screen.json:
            for each in devices:
                screen.record(
                    {"name": each.name, "address": each.address, "description": each.description}
                )
            return DONE
        rows = [
            [
                Piece(each.name, "name"),
                Piece(visible(each.address)),
                Piece(visible(each.description)),
            ]
            for each in devices
        ]
        screen.lines(columns(rows))
        if not rows:
            complain(f"no devices in {visible(str(devices_path()))}")
        return DONE

    return job


@local_verb(name="completion")
@click.argument("shell", type=click.Choice(SHELLS))
def completion_verb(shell: str) -> LocalJob:
    """Print what has a SHELL complete command lines of this program.

    In ~/.bashrc: eval "$(katcp-cli completion bash)"; the same in ~/.zshrc with zsh; for fish:
    katcp-cli completion fish > ~/.config/fish/completions/katcp-cli.fish

    It is a script, with --json too.
    """

    def job(screen: Screen) -> int:
        screen.out.write(completion_script(shell))
        return DONE

    return job
