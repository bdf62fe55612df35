"""What the program writes while it starts and serves."""

import logging
from collections.abc import Iterator

import pytest

from katcp.apps.server._logging import SafeFormatter, StartLog


@pytest.fixture(autouse=True)
def _quiet_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def test_held_back_until_served(capsys: pytest.CaptureFixture[str]) -> None:
    log = StartLog("warn", verbose=False)
    logging.getLogger("some.device").warning("odd, but it goes on")
    assert capsys.readouterr().err == ""
    log.served()
    assert "WARNING some.device: odd, but it goes on" in capsys.readouterr().err
    logging.getLogger("some.device").warning("later")
    assert "later" in capsys.readouterr().err


def test_dropped_if_it_cannot_be_served(capsys: pytest.CaptureFixture[str]) -> None:
    log = StartLog("warn", verbose=False)
    logging.getLogger("some.device").error("the same trouble in other words")
    log.discard()
    logging.shutdown()
    assert capsys.readouterr().err == ""


def test_verbose_shows_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    StartLog("error", verbose=True)
    logging.getLogger("some.device").info("hello")
    assert "INFO some.device: hello" in capsys.readouterr().err


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    StartLog("error", verbose=False).served()
    logging.getLogger("some.device").warning("not this")
    logging.getLogger("some.device").error("but this")
    err = capsys.readouterr().err
    assert "but this" in err
    assert "not this" not in err


def test_control_characters_are_seen_not_obeyed() -> None:
    record = logging.LogRecord("x", 30, "f", 1, "a\x1b[2Jb\x07\x9b\nc", None, None)
    assert SafeFormatter("%(message)s").format(record) == "a\\x1b[2Jb\\x07\\x9b\nc"
