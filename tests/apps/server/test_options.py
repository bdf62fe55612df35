"""The command line of ``katcp-server``; see also tests/system."""

import logging
from collections.abc import Iterator

import pytest

from katcp.apps.server._options import Settings
from katcp.apps.server._program import command, main
from katcp.apps.server._serve import run


@pytest.fixture(autouse=True)
def _quiet_root() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        ([], Settings()),
        (["demo", "--port", "0"], Settings("demo", port=0)),
        (["--host", "::1", "m:C"], Settings("m:C", host="::1")),
        (
            ["--max-clients", "3", "--coalesce", "0", "--update-interval", "2"],
            Settings(limits={"max_clients": 3, "coalesce": 0.0, "update_interval": 2.0}),
        ),
        (
            ["-v", "--tb-limit", "7", "--log-level", "off"],
            Settings(verbose=True, tb_limit=7, log_level="off"),
        ),
    ],
)
def test_settings(arguments: list[str], settings: Settings) -> None:
    assert command.main(arguments, standalone_mode=False) == settings


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "65536"],
        ["--port", "x"],
        ["--no-such-option"],
        ["--log-level", "loud"],
        ["--update-interval", "0"],
        ["--max-clients", "0"],
        ["--stall-timeout", "-1"],
        ["demo", "host"],
        ["nonsense"],
        ["--update-interval", "1", "math:pi"],
    ],
    ids=" ".join,
)
def test_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--port", "0", *arguments])
    assert caught.value.code == (1 if "math:pi" in arguments else 2)
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("katcp-server: ")


def test_version_and_help(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, text in ((["--version"], "version"), (["--help"], "DEVICE is host")):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert text in capsys.readouterr().out


def test_address_that_is_nobodys(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings("demo", host="no-such-host.invalid", port=0)) == 1
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("katcp-server: cannot listen on no-such-host.invalid:0: ")


def test_verbose_shows_where_it_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Settings("no_such_module_here:X", port=0, verbose=True)) == 1
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err
    assert err.splitlines()[-1] == "katcp-server: no module named 'no_such_module_here'"
