"""The command line of ``katcp-cli``: understood, done, and its exit status told."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

import katcp.apps.cli._verbs_of_files as verbs_of_files
import katcp.apps.cli._verbs_of_orders as verbs_of_orders
import katcp.apps.cli._verbs_of_readings as verbs_of_readings
import katcp.apps.cli._verbs_of_requests as verbs_of_requests
from katcp.apps.cli._errors import DONE, INTERRUPTED, MISUSE, CommandError
from katcp.apps.cli._escape import visible
from katcp.apps.cli._group import command
from katcp.apps.cli._screen import PROGRAM, complain

#: The verbs: made by being imported.
VERBS = (
    verbs_of_readings.list_verb,
    verbs_of_readings.get_verb,
    verbs_of_readings.watch_verb,
    verbs_of_readings.plot_verb,
    verbs_of_readings.log_verb,
    verbs_of_requests.call_verb,
    verbs_of_requests.set_verb,
    verbs_of_requests.help_verb,
    verbs_of_requests.info_verb,
    verbs_of_requests.bench_verb,
    verbs_of_orders.orders_verb,
    verbs_of_files.snapshot_verb,
    verbs_of_files.record_verb,
    verbs_of_files.replay_verb,
    verbs_of_files.devices_verb,
    verbs_of_files.completion_verb,
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program; ends the process."""
    try:
        status = run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        status = DONE  # whoever reads has seen enough, as `head` does
        _give_up_stdout()
    except KeyboardInterrupt:
        status = INTERRUPTED
        if sys.stderr.isatty():
            sys.stderr.write("\n")  # the terminal has shown ^C
        with contextlib.suppress(BrokenPipeError):
            sys.stdout.flush()
    sys.exit(status)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the program; return the exit status."""
    try:
        # Only parsed in there: click has ideas of its own about interrupts and broken pipes.
        result = command.main(
            None if arguments is None else list(arguments), PROGRAM, standalone_mode=False
        )
        return result() if callable(result) else DONE
    except click.ClickException as error:
        text = visible(" ".join(error.format_message().split()))
        complain(f"{text} (see {PROGRAM} --help)")
        return MISUSE
    except CommandError as error:
        complain(str(error))
        return error.status


def _give_up_stdout() -> None:
    """Let what is still to be printed go nowhere, so that Python does not complain at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
