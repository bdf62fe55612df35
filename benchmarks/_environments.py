"""The interpreters: for aiokatcp, for katcp-python, and for this project."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROJECT = HERE.parent
AIOKATCP = "aiokatcp==2.3.0"
KATCP_PYTHON = ("katcp==0.9.3", "tornado<5")


def environment(checkout: bool) -> dict[str, str]:
    """Return the variables of a process, which finds this checkout or does not."""
    others = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not checkout:
        return others
    # What is named there comes first: another state of this project, to compare with.
    paths = [os.environ.get("PYTHONPATH", ""), str(PROJECT)]
    return {**others, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


@dataclass(frozen=True)
class Side:
    """One of the libraries: its name and an interpreter that can import it."""

    name: str
    python: str
    #: What its package is called where that is installed.
    package: str
    #: Whether it is to be found in this checkout; else it must not be.
    checkout: bool = False

    def program(self, kind: str) -> list[str]:
        """Return the command of the library's program: ``servers`` or ``clients``."""
        return [self.python, str(HERE / f"_{kind}_{self.name.replace('-', '_')}.py")]

    def versions(self) -> str:
        """Return the versions of Python, of the library, and of what matters beneath it."""
        code = (
            "import sys, importlib.metadata as m\n"
            "def v(n):\n"
            "    try: return f'{n} {m.version(n)}'\n"
            "    except m.PackageNotFoundError: return f'{n} (checkout)' if n == own else None\n"
            f"own = {self.package!r}\n"
            "names = [own, 'katcp-codec', 'tornado', 'uvloop']\n"
            "print('Python', sys.version.split()[0], *filter(None, map(v, names)), sep=', ')"
        )
        done = subprocess.run(
            [self.python, "-c", code],
            capture_output=True,
            text=True,
            cwd=HERE,
            env=environment(False),
        )
        return done.stdout.strip().replace("Python, ", "Python ", 1)


def _can_import(python: str, *modules: str, checkout: bool = False) -> bool:
    done = subprocess.run(
        [python, "-c", "import " + ", ".join(modules)],
        capture_output=True,
        cwd=HERE,
        env=environment(checkout),
    )
    return done.returncode == 0


def _make(where: Path, *requirements: str, base: str = sys.executable) -> str | None:
    """Make a virtual environment, or find it made; None if it cannot be had."""
    python = where / "bin" / "python"
    if python.exists():
        return str(python)
    print(f"making {where}: {', '.join(requirements)}", file=sys.stderr)
    commands = (
        [base, "-m", "venv", str(where)],
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
    return Side("aiokatcp", python, "aiokatcp")


def _old_python() -> str | None:
    """Return a Python 3.9, which is the last that katcp-python and its Tornado run on."""
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    found = sorted(root.glob("versions/3.9.*/bin/python"))
    return str(found[-1]) if found else shutil.which("python3.9")


def katcp_python_side(cache: Path, python: str | None) -> Side | None:
    """Return katcp-python in an environment of its own, or None where it cannot be installed."""
    if python is None:
        base = _old_python()
        if base is not None:
            python = _make(cache / "katcp-python-0.9.3-py3.9", *KATCP_PYTHON, base=base)
    if python is None or not _can_import(python, "katcp"):
        return None
    return Side("katcp-python", python, "katcp")


def katcp_side(cache: Path, python: str | None, uvloop: bool) -> Side | None:
    """Return this project: under the given interpreter, this one, or one of its own."""
    wanted = ["katcp.server", *(["uvloop"] if uvloop else [])]
    if python is None and _can_import(sys.executable, *wanted, checkout=True):
        python = sys.executable
    if python is None:
        requirements = ["--editable", str(PROJECT), *wanted[1:]]
        python = _make(cache / _name("katcp", uvloop), *requirements)
    if python is None or not _can_import(python, *wanted, checkout=True):
        return None
    return Side("katcp", python, "katcp", checkout=True)
