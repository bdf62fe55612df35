"""What pytest makes of a user's module that imports everything."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import katcp

SUITE = """
import unittest
from katcp.testutils import *
from katcp.testutils import TestLogHandler, TestUtilMixin, BlockingTestClient

class TestFirst(unittest.TestCase, TestUtilMixin):
    def test_one(self):
        self._assert_msgs_length([], 0)

class TestDerived(TestFirst):
    def test_two(self):
        pass

class NoTests(TestFirst):
    __test__ = False

class NoneEither(NoTests):
    def test_three(self):
        raise AssertionError

def test_function():
    assert TestLogHandler()._records == []
"""


def test_own_classes_are_collected_and_ours_are_not(tmp_path: Path) -> None:
    (tmp_path / "test_user.py").write_text(SUITE)
    root = str(Path(katcp.__file__).parent.parent)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    # Plug-ins of this environment have warnings of their own.
    environment = {**os.environ, "PYTHONPATH": root, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [*command, "test_user.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "4 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
    assert "warning" not in done.stdout


def test_w93_no_mock_package_is_needed() -> None:
    code = "import sys, katcp.testutils; print('mock' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "False", done.stderr
