"""A terminal for programs that want one: a pseudo terminal, and what would be seen on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Iterator

from tests.system.programs import PATIENCE, ROOT, environment

_WIDTH, _HEIGHT = 100, 40
_SEQUENCE = re.compile(
    r"\x1b\[(?P<args>[0-9;?]*)(?P<final>[@-~])|\x1b\][^\x07]*\x07|\x1b[()].|\x1b[=>78]"
)


class Display:
    """What is to be seen after some output: enough of a terminal for prompts and lines.

    It is as high as it needs to be; lines longer than it is wide are kept whole.
    """

    def __init__(self) -> None:
        self.rows: list[list[str]] = [[]]
        self._row = self._column = 0
        self._rest = ""
        #: What the terminal says back.
        self.answers = ""

    def feed(self, text: str) -> None:
        """Take output."""
        text = self._rest + text
        position = 0
        while position < len(text):
            character = text[position]
            if character != "\x1b":
                self._put(character)
                position += 1
                continue
            match = _SEQUENCE.match(text, position)
            if match is None:
                if len(text) - position < 32:
                    break  # the rest of it has not come yet
                raise AssertionError(f"unknown escape: {text[position : position + 32]!r}")
            if match["final"]:
                self._obey(match["final"], match["args"])
            position = match.end()
        self._rest = text[position:]

    def _put(self, character: str) -> None:
        if character == "\n":
            self._go(self._row + 1, self._column)
        elif character == "\r":
            self._column = 0
        elif character == "\b":
            self._column = max(0, self._column - 1)
        elif character != "\x07":
            assert character.isprintable(), f"raw {character!r} reached the terminal"
            row = self.rows[self._row]
            row.extend(" " * (self._column + 1 - len(row)))
            row[self._column] = character
            self._column += 1

    def _go(self, row: int, column: int) -> None:
        self._row, self._column = max(0, row), max(0, column)
        while len(self.rows) <= self._row:
            self.rows.append([])

    def _obey(self, final: str, args: str) -> None:
        number = int(args) if args.isdigit() else 0
        steps = max(1, number)
        if final in "ABCD":
            down = {"A": -steps, "B": steps}.get(final, 0)
            right = {"C": steps, "D": -steps}.get(final, 0)
            self._go(self._row + down, self._column + right)
        elif final == "G":
            self._column = steps - 1
        elif final == "K":
            assert number in (0, 2)
            del self.rows[self._row][self._column if number == 0 else 0 :]
        elif final == "J":
            assert number == 0
            del self.rows[self._row][self._column :]
            del self.rows[self._row + 1 :]
        elif final == "n":
            assert args == "6"  # where is the cursor?
            self.answers += f"\x1b[{min(self._row + 1, _HEIGHT)};{self._column + 1}R"
        else:
            assert final in "mhl", f"unknown sequence CSI {args}{final}"

    @property
    def lines(self) -> list[str]:
        """The lines, without what fills them up at the end."""
        return ["".join(row).rstrip() for row in self.rows]


class Terminal:
    """A program in a terminal of its own."""

    def __init__(
        self, *command: str, columns: int = _WIDTH, rows: int = _HEIGHT, **extra: str
    ) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

        def take_terminal() -> None:
            os.setsid()
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment(**{"TERM": "xterm-256color", **extra}),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            preexec_fn=take_terminal,
        )
        os.close(slave)
        self._display = Display()
        self._lock = threading.Lock()
        self._trouble: BaseException | None = None
        self.output = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                raw = os.read(self._master, 65536)
            except OSError:  # nobody has the other end any more
                raw = b""
            if not raw:
                return
            text = raw.decode("utf-8", "replace")
            with self._lock:
                self.output += text
                try:
                    self._display.feed(text)
                    if self._display.answers:
                        os.write(self._master, self._display.answers.encode())
                        self._display.answers = ""
                except BaseException as error:
                    self._trouble = error
                    return

    def lines(self) -> list[str]:
        """Return the lines that are to be seen."""
        with self._lock:
            if self._trouble is not None:
                raise self._trouble
            return self._display.lines

    def type(self, text: str) -> None:
        """Type a text; a line is ended by ``\\r``."""
        os.write(self._master, text.encode())

    def until(self, pattern: str) -> re.Match[str]:
        """Wait until a line that matches, from its beginning to its end, is to be seen."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            for line in reversed(self.lines()):
                match = re.fullmatch(pattern, line)
                if match is not None:
                    return match
            time.sleep(0.02)
        shown = "\n".join(self.lines())
        raise AssertionError(f"no line matches {pattern!r}:\n{shown}")

    def wait(self) -> int:
        """Wait for the end of the program; return its exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        self.lines()  # raises if the output was not as it has to be
        return status

    def close(self) -> None:
        """End the program, if it has not ended, and the terminal."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        os.close(self._master)


@contextlib.contextmanager
def terminal(
    *command: str, columns: int = _WIDTH, rows: int = _HEIGHT, **extra: str
) -> Iterator[Terminal]:
    """Run a program in a terminal; end it with the block."""
    term = Terminal(*command, columns=columns, rows=rows, **extra)
    try:
        yield term
    finally:
        term.close()
