"""The command line: what is understood, and what is not, before anything is connected."""

import pytest

from katcp.apps.cli import _group
from katcp.apps.cli._commands import command, run
from katcp.apps.cli._settings import ADDRESS_VARIABLE, Settings


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody listens there, so that a status of 3 shows if something is connected.
    monkeypatch.setenv(ADDRESS_VARIABLE, "127.0.0.1:1")


@pytest.mark.parametrize(
    "arguments",
    [
        ["lst"],
        ["myhost", "list"],
        ["get"],
        ["watch"],
        ["call"],
        ["call", "bad name"],
        ["call", "watchdog[3]"],
        ["get", "/[/"],
        ["list", "--requests", "--values"],
        ["list", "a", "b"],
        ["watch", "a", "--strategy", "often"],
        ["watch", "a", "--strategy", "none"],
        ["watch", "a", "--strategy", "period"],
        ["watch", "a", "--count", "0"],
        ["--timeout", "0", "list"],
        ["--timeout", "soon", "list"],
        ["--no-such-option"],
        ["--json"],
        ["--address", "::1", "list"],
        ["--address", "host:port", "list"],
        ["host:99999", "list"],
        ["host:1", "--address", "host:2", "list"],
        ["\x1b[2J"],
    ],
    ids=repr,
)
def test_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    (line,) = err.splitlines()
    assert line.startswith("katcp-cli: ")
    assert line.isprintable()


def test_word_that_is_no_verb_may_have_been_meant_as_an_address(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(["myhost", "list"])
    assert "no verb 'myhost'" in (err := capsys.readouterr().err)
    assert "an address has a port, as in host:7147" in err


@pytest.mark.parametrize(
    ("arguments", "settings"),
    [
        (["host:1", "info"], Settings("host:1")),
        (["--address", "host:1", "info"], Settings("host:1")),
        (["-a", "host:1", "info"], Settings("host:1")),
        (["info", "--address", "host:1"], Settings("host:1")),
        (["host:1", "info", "--address", "host:2"], Settings("host:2")),
        (["--timeout", "3", "host:1", "info"], Settings("host:1", 3.0)),
        (["host:1", "--timeout", "3", "info"], Settings("host:1", 3.0)),
        (["--timeout=3", "host:1", "info"], Settings("host:1", 3.0)),
        (["host:1", "--timeout", "3", "info", "--timeout", "4"], Settings("host:1", 4.0)),
        (["--json", "[::1]:5", "info"], Settings("[::1]:5", json=True)),
        (["info", "--json"], Settings("127.0.0.1:1", json=True)),
        (["--json", "info", "--verbose"], Settings("127.0.0.1:1", json=True, verbose=True)),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_options_before_and_behind_the_verb(
    arguments: list[str], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, ...]] = []

    def connected(host: str, port: int, timeout: float | None, verbose: bool, *_: object) -> None:
        seen.append((host, port, timeout, verbose))
        raise InterruptedError

    monkeypatch.setattr(_group, "connected", connected)
    work = command.main(arguments, standalone_mode=False)
    with pytest.raises(InterruptedError):
        work()
    assert seen == [(*settings.where(), settings.timeout, settings.verbose)]


def test_default_address(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().where() == ("127.0.0.1", 7147)
    assert Settings("host").where() == ("host", 7147)


def test_help_names_the_exit_statuses(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "[HOST:PORT] [VERB [ARGUMENTS]]" in text
    assert "130 interrupted" in text


@pytest.mark.parametrize("verb", ["list", "get", "watch", "call", "help", "info"])
def test_help_of_a_verb_names_its_keys(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([verb, "--help"]) == 0
    text = capsys.readouterr().out
    assert "JSON" in text or verb == "watch"
    assert "--timeout" in text
