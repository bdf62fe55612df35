"""The words are part of the program: what README.md and docs/ show is run, and is all reachable.

A block of Python after ``<!-- file: PATH -->`` equals that file. A ``console`` block after
``<!-- run: DEVICE -->`` is run against ``katcp-server DEVICE``: each line after ``$ `` is a
command, the X"""

import contextlib
import errno
import inspect
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLES = DOCS / "examples"
PAGES = sorted(
    page for page in [ROOT / "README.md", *DOCS.rglob("*.md")] if "_build" not in page.parts
)
ADDRESS = "127.0.0.1:7147"
VERBS = {
    *("list", "get", "watch", "plot", "log"),
    *("call", "set", "help", "info", "bench"),
    *("snapshot", "record", "replay", "devices", "completion", "orders"),
}
PROGRAMS = {
    "katcp-server": [sys.executable, "-m", "katcp.apps.server"],
    "katcp-cli": [sys.executable, "-m", "katcp.apps.cli"],
    "python": [sys.executable],
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


class Block(NamedTuple):
    """A fenced block, with the mark in the comment before it."""

    page: Path
    language: str
    mark: str
    argument: str
    text: str

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.argument or self.language}"


def blocks() -> Iterator[Block]:
    pattern = re.compile(
        r"(?:<!-- (file|run): (\S+) -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL
    )
    for page in PAGES:
        for mark, argument, language, text in pattern.findall(page.read_text(encoding="utf-8")):
            yield Block(page, language, mark, argument, text)


BLOCKS = list(blocks())


class Command(NamedTuple):
    """One command of a console block and the lines that it is said to print."""

    line: str
    output: list[str]


def commands(block: Block) -> Iterator[Command]:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, *output = part.splitlines()
        yield Command(line, output)


def without_times(text: str) -> str:
    """Return the text with each moment, as a date or in seconds since 1970, made the same."""
    return re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z|\b1[5-9]\d{8}\.\d+", "<time>", text)


def output_pattern(lines: list[str]) -> re.Pattern[str]:
    """Return what the output has to match, to its end."""
    text = without_times("".join(f"{line}\n" for line in lines))
    return re.compile(".*".join(re.escape(piece) for piece in text.split("…")))


@contextlib.contextmanager
def serving(device: str) -> Iterator[str]:
    """Run ``katcp-server DEVICE`` and give its address."""
    arguments = [] if device == "host" else [device]
    with subprocess.Popen(
        [*PROGRAMS["katcp-server"], "--port", "0", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            first = process.stdout.readline()
            assert first.startswith("listening on "), first
            yield first.removeprefix("listening on ").strip()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def run(line: str, address: str) -> subprocess.CompletedProcess[str]:
    """Run a command of a page against the server at an address."""
    program, *arguments = shlex.split(line)
    return subprocess.run(
        [*PROGRAMS[program], *(argument.replace(ADDRESS, address) for argument in arguments)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200", "KATCP_ADDRESS": address},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_readme_has_two_set_up_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("python3 ")]
    assert len(lines) == 2
    serve, test = lines
    assert serve.endswith(" && .venv/bin/katcp-server")
    assert test.endswith(" && .venv/bin/python -bb -m pytest")
    assert text.count("```sh\n") == 2


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.mark == "file"], ids=str)
def test_quoted_program_is_the_file(block: Block) -> None:
    assert block.language == "python"
    assert block.text == (ROOT / block.argument).read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("block", [block for block in BLOCKS if block.mark == "run"], ids=str)
def test_console_prints_what_the_page_says(block: Block) -> None:
    ran = 0
    with serving(block.argument) as address:
        for command in commands(block):
            result = run(command.line, address)
            output = without_times(result.stdout.replace(address, ADDRESS))
            assert output_pattern(command.output).fullmatch(output), (
                f"$ {command.line}\n{output}(exit status {result.returncode})"
            )
            ran += 1
    assert ran > 0


def test_every_example_is_shown_in_a_page() -> None:
    shown = set()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown |= {
            (page.parent / path).resolve() for path in re.findall(r"literalinclude} (\S+)", text)
        }
        shown |= {ROOT / path for path in re.findall(r"<!-- file: (\S+) -->", text)}
    assert {path for path in shown if path.suffix == ".py"} == set(EXAMPLES.glob("*.py"))


def test_every_example_is_run() -> None:
    run_by_page = {
        match
        for block in BLOCKS
        if block.mark == "run"
        for match in re.findall(r"(\w+\.py)", block.argument + block.text)
    }
    imported = {
        f"{match}.py"
        for name in run_by_page
        for match in re.findall(
            r"^(?:import|from) (\w+)", (EXAMPLES / name).read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert run_by_page | imported >= {path.name for path in EXAMPLES.glob("*.py")}


def test_every_page_is_in_a_toctree() -> None:
    listed = {DOCS / "index.md"}
    for page in PAGES:
        for tree in re.findall(
            r"```{toctree}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
        ):
            for entry in tree.splitlines():
                if entry and not entry.startswith(":"):
                    path = (page.parent / f"{entry}.md").resolve()
                    if not path.with_suffix(".ipynb").exists():  # which test_notebook.py runs
                        listed.add(path)
    assert listed == {page for page in PAGES if page.is_relative_to(DOCS)}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(
        r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL
    )
    for target in re.findall(r"\]\(([^)]*)\)", text):
        if not target.startswith(("http://", "https://", "#")):
            assert (page.parent / target.partition("#")[0]).exists(), target


@pytest.mark.parametrize(
    "command",
    [
        "katcp-server",
        "katcp-server simulate",
        "katcp-server proxy",
        "katcp-cli",
        *(f"katcp-cli {verb}" for verb in sorted(VERBS)),
    ],
)
def test_every_option_is_documented(command: str) -> None:
    text = (DOCS / "reference" / "command-lines.md").read_text(encoding="utf-8")
    result = run(f"{command} --help", ADDRESS)
    assert result.returncode == 0
    options = set(re.findall(r"^ +(?:-\w, )?(--[a-z-]+)", result.stdout, re.MULTILINE))
    assert "--help" in options
    assert options <= set(re.findall(r"`(--[a-z-]+)`", text))


def test_every_verb_is_documented() -> None:
    text = (DOCS / "reference" / "command-lines.md").read_text(encoding="utf-8")
    commands_part = run("katcp-cli --help", ADDRESS).stdout.partition("Commands:\n")[2]
    listed = re.findall(r"^  (\w+)", commands_part.partition("\n\n")[0], re.MULTILINE)
    documented = re.findall(r"^`([a-z]+)(?: [^`]*)?`$", text, re.MULTILINE)
    assert set(listed) == VERBS
    assert set(documented) - {"host", "demo"} == VERBS


def test_every_limit_is_documented_with_its_default() -> None:
    from katcp import AsyncClient, AsyncDeviceServer

    text = (DOCS / "how-to" / "limits.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    limits = {
        name
        for cls in AsyncDeviceServer.__mro__
        for name, parameter in inspect.signature(cls.__init__).parameters.items()
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY
    }
    assert {name for name in documented if name.islower()} == limits
    attributes = {name for name in dir(AsyncClient) if name.startswith("MAX_")}
    assert {name for name in documented if name.isupper()} == attributes - {"MAX_LOOP_LATENCY"}


def test_reasons_to_be_disconnected_are_those_of_the_code() -> None:
    page = (DOCS / "how-to" / "why-was-i-disconnected.md").read_text(encoding="utf-8")
    reasons = [
        text
        for row in re.findall(r"^\| (`.*?) \|", page, re.MULTILINE)
        for text in re.findall(r"`([^`]+)`", row)
    ]
    assert len(reasons) > 12
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "katcp").rglob("*.py"))
    # A constant at the beginning of a text, and the two halves of one that is too long for a line.
    code = code.replace("{TOO_SLOW}", "Client too slow")
    system = {os.strerror(number) for number in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT)}
    for reason in set(reasons) - system:
        pattern = re.sub(r"\b(?:N|ADDRESS)\b", r"\\{[^{}]+\\}", re.escape(reason))
        assert re.search(pattern, code), reason
