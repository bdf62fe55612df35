"""Whatever has happened to a file: it is read, or all that is wrong with it is told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from katcp.device_files import DeviceFileError, DeviceSpec, read_device_file
from tests.device_files.mutants import SEEDS, mutants

COUNT = 1000
LINE = re.compile(r"(?P<path>[^:]+\.(yaml|toml)):(?P<line>\d+):(?P<column>\d+): (?P<text>.+)")


@pytest.mark.parametrize("path", SEEDS, ids=lambda path: path.name)
def test_the_seeds_are_good(path: Path) -> None:
    assert read_device_file(path).name in ("weather-station", "lab")


@pytest.mark.slow
def test_mutants_are_read_or_told_of(tmp_path: Path) -> None:
    good = 0
    for number, (suffix, content) in enumerate(mutants(COUNT)):
        path = tmp_path / f"mutant{number}{suffix}"
        path.write_bytes(content)
        try:
            assert isinstance(read_device_file(path), DeviceSpec)
            good += 1
        except DeviceFileError as error:
            lines = error.lines()
            assert lines
            last = content.count(b"\n") + 2
            for line in lines:
                found = LINE.fullmatch(line)
                assert found is not None, line
                assert line.isprintable()
                assert len(line) < 2000
                assert 1 <= int(found["line"]) <= last, line
        path.unlink()
    # Comments, descriptions and so on may be mutilated without harm.
    assert COUNT * 0.05 < good < COUNT * 0.6, good
