"""A command, run without holding anybody up: bounded in time and in what it writes."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence

from katcp.device_files._spec import Command

#: Most that a command may write [bytes].
MAX_OUTPUT = 64 * 1024
#: How long a process that is killed may take to be gone [s].
_LAST_CALL = 5.0
#: Longest text of an error [characters].
_LONGEST_REASON = 300


class CommandError(Exception):
    """A command that did not do what it should; the text, in one line, says why."""


async def run_command(
    command: Command, directory: str, texts: Mapping[str, str] | None = None
) -> str:
    """Run a command to its end; return what it wrote to its standard output.

    It has nothing to read, and a process group of its own, which is killed as a whole if it takes
    too long, writes too much, or if this coroutine is cancelled.

    Parameters
    ----------
    command : Command
    directory : str
        To run it in.
    texts : mapping, optional
        What the references in its words stand for; for a shell they are variables of its
        environment, so it takes none of them for a part of the command. None: there are none.

    Raises
    ------
    CommandError
        If it cannot be started, ends with an exit status other than 0, or is killed.
    """
    words = [word.text for word in command.words]
    environment = None
    if command.shell:
        words = ["/bin/sh", "-c", words[0]]
        environment = {**os.environ, **(texts or {})}
    elif texts is not None:
        words = [word.filled(texts) for word in command.words]
    starting = asyncio.ensure_future(_start(words, directory, environment))
    try:
        process = await asyncio.shield(starting)
    except asyncio.CancelledError:
        # What has just been started, asyncio would kill without its children.
        try:
            await _bury(await starting)
        except (OSError, ValueError):
            pass
        raise
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise CommandError(f"cannot run {words[0]!r}: {reason}") from error
    try:
        status, output, errors = await asyncio.wait_for(_end_of(process), command.timeout)
    except asyncio.TimeoutError:
        raise CommandError(f"it took longer than {command.timeout:g} s") from None
    finally:
        await _bury(process)
    if status:
        raise CommandError(_reason(status, errors or output))
    return output.decode("utf-8", "replace")


async def _start(
    words: Sequence[str], directory: str, environment: Mapping[str, str] | None
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=directory,
        env=environment,
        start_new_session=True,
    )


async def _end_of(process: asyncio.subprocess.Process) -> tuple[int, bytes, bytes]:
    assert process.stdout is not None
    assert process.stderr is not None
    output, errors = await asyncio.gather(_read(process.stdout), _read(process.stderr))
    return await process.wait(), output, errors


async def _read(stream: asyncio.StreamReader) -> bytes:
    found = bytearray()
    while chunk := await stream.read(MAX_OUTPUT):
        found += chunk
        if len(found) > MAX_OUTPUT:
            raise CommandError(f"it wrote more than {MAX_OUTPUT} bytes")
    return bytes(found)


async def _bury(process: asyncio.subprocess.Process) -> None:
    """Kill it with all that it started, unless it has ended by itself."""
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass
        try:
            await asyncio.wait_for(process.wait(), _LAST_CALL)
        except asyncio.TimeoutError:  # the system holds on to it
            pass
    # What it started may have left its group and hold the pipes open.
    process._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001  # no other way


def _reason(status: int, output: bytes) -> str:
    how = f"exit status {status}"
    if status < 0:
        try:
            how = f"killed by {signal.Signals(-status).name}"
        except ValueError:
            how = f"killed by signal {-status}"
    lines = output.decode("utf-8", "replace").split("\n")
    said = [line.strip() for line in lines if line.strip()]
    return f"{how}: {said[-1][:_LONGEST_REASON]}" if said else how
