"""The notebook of the tutorials, run as a reader would."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOK = ROOT / "docs" / "tutorials" / "notebook.ipynb"

#: In a process of its own, which takes with it the sockets that a kernel is spoken to by.
RUN = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], as_version=4)
nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
nbformat.write(notebook, sys.argv[2])
"""

pytestmark = pytest.mark.slow


def said(cell: Any) -> list[str]:
    """Return what a cell has printed or come to."""
    return [
        output["text"] if output["output_type"] == "stream" else output["data"]["text/plain"]
        for output in cell.outputs
    ]


def test_every_cell_works_and_says_what_is_shown(tmp_path: Path) -> None:
    subprocess.run(  # it fails if a cell does
        [sys.executable, "-c", RUN, NOTEBOOK, tmp_path / "run.ipynb"],
        env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)},
        check=True,
        timeout=120,
    )
    shown = nbformat.read(NOTEBOOK, as_version=4)
    run = nbformat.read(tmp_path / "run.ipynb", as_version=4)
    cells = [(a, b) for a, b in zip(shown.cells, run.cells, strict=True) if a.cell_type == "code"]
    assert len(cells) == 8
    for before, after in cells:
        if "curve" in before.source:  # which depends on the moment
            assert len(said(after)) == len(said(before)) == 1
        else:
            assert said(after) == said(before)
