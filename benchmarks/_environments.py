"""The two interpreters: one that has aiokatcp, one that has this project."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
AIOKATCP = "aiokatcp==2.3.0"


@dataclass(frozen=True)
class Side:
    """One of the two libraries: its name and an interpreter that can import it."""

    name: str
    python: str

    def program(self, kind: str) -> list[str]:
        """Return the command of the library's program: ``servers`` or ``clients``."""
        return [self.python, str(HERE / f"_{kind}_{self.name}.py")]

    def versions(self) -> str:
        """Return the versions of Python, of the library, and of what matters beneath it."""
        code = (
            "import sys, importlib.metadata as m\n"
            "def v(n):\n"
            "    try: return f'{n} {m.version(n)}'\n"
            "    except m.PackageNotFoundError: return f'{n} (checkout)' if n == own else None\n"
            f"own = {self.name!r}\n"
            "names = [own, 'katcp-codec', 'tornado', 'uvloop']\n"
            "print('Python', sys.version.split()[0], *filter(None, map(v, names)), sep=', ')"
        )
        done = subprocess.run([self.python, "-c", code], capture_output=True, text=True)
        return done.stdout.strip().replace("Python, ", "Python ", 1)


def _can_import(python: str, *modules: str) -> bool:
    code = "import " + ", ".join(modules)
    done = subprocess.run([python, "-c", code], capture_output=True, cwd=PROJECT)
    return done.returncode == 0


def _make(where: Path, *requirements: str) -> str | None:
    """Make a virtual environment, or find it made; None if it cannot be had."""
    python = where / "bin" / "python"
    if python.exists():
        return str(python)
    print(f"making {where}: {', '.join(requirements)}", file=sys.stderr)
    commands = (
        [sys.executable, "-m", "venv", str(where)],
        [str(python), "-m", "pip", "install", "--quiet", *requirements],
    )
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(done.stderr.strip()[-2000:], file=sys.stderr)
            shutil.rmtree(where, ignore_errors=True)
            return None
    return str(python)


def _name(library: str, uvloop: bool) -> str:
    version = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return f"{library}-{version}{'-uvloop' if uvloop else ''}"


def aiokatcp_side(cache: Path, python: str | None, uvloop: bool) -> Side | None:
    """Return aiokatcp in an environment of its own, or None where it cannot be installed."""
    wanted = ["aiokatcp", *(["uvloop"] if uvloop else [])]
    if python is None:
        requirements = [AIOKATCP, *wanted[1:]]
        python = _make(cache / _name(AIOKATCP.replace("==", "-"), uvloop), *requirements)
    if python is None or not _can_import(python, *wanted):
        return None
    return Side("aiokatcp", python)


def katcp_side(cache: Path, python: str | None, uvloop: bool) -> Side | None:
    """Return this project: under the given interpreter, this one, or one of its own."""
    wanted = ["katcp.server", *(["uvloop"] if uvloop else [])]
    if python is None and _can_import(sys.executable, *wanted):
        python = sys.executable
    if python is None:
        requirements = ["--editable", str(PROJECT), *wanted[1:]]
        python = _make(cache / _name("katcp", uvloop), *requirements)
    if python is None or not _can_import(python, *wanted):
        return None
    return Side("katcp", python)
