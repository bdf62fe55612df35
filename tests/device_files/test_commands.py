"""Commands that are run: bounded in time and output, without a shell unless told."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from katcp.device_files._commands import MAX_OUTPUT, CommandError, run_command
from katcp.device_files._spec import Command, Phrase
from tests.helpers.serving import until


def command(*words: str, shell: bool = False, timeout: float = 10.0) -> Command:
    return Command(tuple(map(Phrase, words)), shell, timeout)


async def test_output_and_directory(tmp_path: Path) -> None:
    assert await run_command(command("pwd"), str(tmp_path)) == f"{tmp_path}\n"
    assert await run_command(command("echo", "$HOME", "*", "$$"), "/") == "$HOME * $$\n"


async def test_arguments_are_words_not_shell() -> None:
    texts = {"a": "x; echo pwned", "b": "$(id)"}
    made = command("printf", "%s\n", "$a", "<${b}>", "$$a")
    assert await run_command(made, "/", texts) == "x; echo pwned\n<$(id)>\n$a\n"


async def test_for_a_shell_arguments_are_variables() -> None:
    texts = {"a": "x'; echo pwned; '"}
    made = command('printf %s "$a" | tr x y', shell=True)
    assert await run_command(made, "/", texts) == "y'; echo pwned; '"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-program-here"], "cannot run 'no-such-program-here': No such file"),
        (["sh", "-c", "echo a >&2; echo b >&2; exit 3"], "exit status 3: b"),
        (["sh", "-c", "exit 4"], "exit status 4"),
        (["sh", "-c", "kill -9 $$"], "killed by SIGKILL"),
        (["sh", "-c", "yes | head -c 1000000"], f"it wrote more than {MAX_OUTPUT} bytes"),
    ],
)
async def test_failures(words: list[str], said: str) -> None:
    with pytest.raises(CommandError, match=said):
        await run_command(command(*words), "/")


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[2] == "Z"
    except OSError:
        return True


@pytest.mark.slow
async def test_too_slow_is_killed_with_its_children(tmp_path: Path) -> None:
    words = ["sh", "-c", "sleep 100 & echo $! > child; wait"]
    before = time.monotonic()
    with pytest.raises(CommandError, match=r"it took longer than 0\.5 s"):
        await run_command(command(*words, timeout=0.5), str(tmp_path))
    assert time.monotonic() - before < 10
    child = int((tmp_path / "child").read_text())
    await until(lambda: is_gone(child))


async def test_cancelled_while_it_starts(tmp_path: Path) -> None:
    for turns in range(8):
        made = command("sh", "-c", "sleep 100; true")
        task = asyncio.ensure_future(run_command(made, str(tmp_path)))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_cancelled_is_killed(tmp_path: Path) -> None:
    words = ["sh", "-c", "echo $$ > self; sleep 100"]
    task = asyncio.ensure_future(run_command(command(*words), str(tmp_path)))
    path = tmp_path / "self"
    await until(lambda: path.exists() and path.read_text() != "")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pid = int(path.read_text())
    await until(lambda: is_gone(pid))
