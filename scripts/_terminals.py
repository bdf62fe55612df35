"""Pictures of katcp-cli: what tmux, a real terminal, shows of it, drawn by rich as SVG."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

ROOT = Path(__file__).resolve().parents[1]
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono"
NORMAL = [
    (0x1E, 0x22, 0x2A),
    (0xFF, 0x7B, 0x72),
    (0x7E, 0xC6, 0x7E),
    (0xE5, 0xC0, 0x6B),
    (0x79, 0xB8, 0xFF),
    (0xD2, 0xA8, 0xFF),
    (0x66, 0xC9, 0xD6),
    (0xC9, 0xD1, 0xD9),
]
COLOURS = TerminalTheme(
    (0x1A, 0x1E, 0x26), (0xD5, 0xDA, 0xE1), NORMAL, [(0x8B, 0x94, 0x9E), *NORMAL[1:]]
)
PATIENCE = 20.0


class Terminals:
    """One tmux, with a home of its own, in which the device is called ``demo``."""

    def __init__(self, home: Path, address: str, images: Path) -> None:
        (home / "katcp").mkdir()
        (home / "katcp" / "devices.toml").write_text(f'demo = "{address}"\n')
        self.images = images
        self._tmux = ["tmux", "-S", str(home / "tmux"), "-f", os.devnull]
        places = dict.fromkeys(("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"), str(home))
        self._environment = {**os.environ, **places, "COLORTERM": "truecolor", "LANG": "C.UTF-8"}
        self._environment.pop("NO_COLOR", None)

    def tmux(self, *arguments: str) -> str:
        """Let tmux do something."""
        return subprocess.run(
            [*self._tmux, *arguments],
            cwd=ROOT,
            env=self._environment,
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        ).stdout

    def start(self, name: str, *arguments: str, columns: int = 90, rows: int = 24) -> None:
        """Start katcp-cli in a terminal that stays when the program has ended."""
        program = shlex.join([sys.executable, "-m", "katcp.apps.cli", *arguments])
        size = ["-x", str(columns), "-y", str(rows)]
        self.tmux(
            "new-session", "-d", "-s", name, *size, f"{program}; cat", ";", "set", "status", "off"
        )

    def type(self, name: str, *keys: str, until: str) -> None:
        """Type what is text, press what is the name of a key, and wait for a text."""
        if keys:
            self.tmux("send-keys", "-t", name, *keys)
        end = time.monotonic() + PATIENCE
        while until not in self.tmux("capture-pane", "-p", "-t", name):
            if time.monotonic() > end:
                raise TimeoutError(f"{name} never showed {until!r}")
            time.sleep(0.1)

    def save(self, name: str, title: str, cursor: bool = False) -> None:
        """Draw what is to be seen."""
        state = "#{pane_width} #{cursor_x} #{cursor_y}"
        columns, x, y = map(int, self.tmux("display", "-p", "-t", name, state).split())
        lines = Text.from_ansi(self.tmux("capture-pane", "-e", "-p", "-t", name).rstrip()).split()
        if cursor:
            lines[y].pad_right(max(0, x + 1 - lines[y].cell_len))
            lines[y].stylize("reverse", x, x + 1)
        with open(os.devnull, "w") as nowhere:
            console = Console(record=True, width=columns, file=nowhere, color_system="truecolor")
            console.print(Text("\n").join(lines), no_wrap=True, overflow="crop")
        svg = console.export_svg(title=title, theme=COLOURS, unique_id=name)
        # The font of the reader, instead of one from the network.
        svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
        svg = svg.replace("Fira Code", FONTS)
        svg = re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE)
        (self.images / f"cli-{name}.svg").write_text(svg)


def take(address: str, images: Path) -> None:
    """Take all of them, of the device at an address."""
    with tempfile.TemporaryDirectory() as home:
        terminals = Terminals(Path(home), address, images)
        try:
            info(terminals)
            shell(terminals)
        finally:
            terminals.tmux("kill-server")


def info(terminals: Terminals) -> None:
    """Take what the device is."""
    terminals.start("info", "demo", "info")
    terminals.type("info", until="round trips")
    terminals.save("info", "katcp-cli demo info")


def shell(terminals: Terminals) -> None:
    """Take a talk with the device, and meanwhile how its readings change."""
    temperatures = ["stage1.temperature", "stage2.temperature", "stage2.setpoint"]
    terminals.start("plot", "demo", "plot", *temperatures)
    terminals.start("watch", "demo", "watch", "*")
    terminals.start("shell", "demo", rows=19)
    terminals.type("shell", until="requests")
    time.sleep(8.0)
    terminals.type("shell", "get stage*.temperature", "Enter", until="stage2.temperature")
    terminals.type("shell", "mode cooling", "Enter", until="start it first")
    terminals.type("shell", "pump-start", "Enter", until="!pump-start ok")
    time.sleep(4.0)
    terminals.type("shell", "mode cooling", "Enter", until="!mode ok")
    terminals.type("shell", "set st", "Tab", until="Temperature to cool")
    time.sleep(12.0)
    terminals.save("watch", "katcp-cli demo watch '*'")
    time.sleep(12.0)
    terminals.save("shell", "katcp-cli demo", cursor=True)
    terminals.save("plot", f"katcp-cli demo plot {' '.join(temperatures)}")
