"""Listening without free file descriptors: each test makes `accept` find none."""

from __future__ import annotations

import errno
import logging
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from katcp.transport import _listening, bind_sockets
from katcp.transport._listening import ListeningSocket
from tests.helpers.guard import open_files


@pytest.fixture
def listening() -> Iterator[ListeningSocket]:
    (sock,) = bind_sockets("127.0.0.1", 0, 5)
    assert type(sock) is ListeningSocket
    sock.setblocking(True)
    sock.settimeout(5)
    yield sock
    sock.close()


@pytest.fixture
def want(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Have the system find no descriptor as often as there are errors in the list."""
    errors: list[int] = []
    accept = socket.socket.accept

    def failing(self: Any) -> Any:
        # The descriptor that was in reserve is free when it has been given up.
        if errors and (self._reserve is not None or -errors[0] > 0):
            raise OSError(abs(errors.pop(0)), "None left")
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    return errors


def test_it_accepts_as_others_do(listening: ListeningSocket, want: list[int]) -> None:
    with socket.create_connection(listening.getsockname()) as there:
        here, address = listening.accept()
        with here:
            assert type(here) is socket.socket
            assert address == there.getsockname()


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_without_a_descriptor_they_are_turned_away_one_by_one(
    listening: ListeningSocket, want: list[int], number: int, caplog: pytest.LogCaptureFixture
) -> None:
    files = open_files()
    for count in (1, 2, 3):
        want.append(number)
        with socket.create_connection(listening.getsockname(), 5) as there:
            with pytest.raises(BlockingIOError):
                listening.accept()
            assert there.recv(10) == b"", "closed at once"
        assert listening.turned_away == count
        assert open_files() == files, "there is one in reserve again"
    (record,) = caplog.records  # one line for all of them
    assert record.getMessage().startswith("Turning away connections to 127.0.0.1:")
    with socket.create_connection(listening.getsockname(), 5):
        listening.accept()[0].close()


def test_the_log_is_told_again_of_a_want_that_lasts(
    listening: ListeningSocket,
    want: list[int],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_listening, "_AGAIN", 0.0)
    for count in (1, 2):
        want.append(errno.EMFILE)
        there = socket.create_connection(listening.getsockname(), 5)
        with there, pytest.raises(BlockingIOError):
            listening.accept()
        assert caplog.records[-1].getMessage().endswith(f"({count} so far)")
        assert caplog.records[-1].levelno == logging.ERROR


def test_without_a_reserve_it_is_the_loop_that_waits(
    listening: ListeningSocket, want: list[int]
) -> None:
    listening._give_up_reserve()
    want.append(-errno.EMFILE)  # even so
    with socket.create_connection(listening.getsockname(), 5):
        with pytest.raises(OSError) as caught:
            listening.accept()
        assert caught.value.errno == errno.EMFILE
        assert listening._reserve is not None, "there was one to be had again"
        listening.accept()[0].close()


def test_other_errors_are_what_they_are(listening: ListeningSocket, want: list[int]) -> None:
    want.append(errno.EPERM)
    with pytest.raises(PermissionError):
        listening.accept()
    assert listening.turned_away == 0


def test_closing_gives_up_the_reserve() -> None:
    files = open_files()
    (sock,) = bind_sockets("127.0.0.1", 0, 5)
    assert open_files() == files + 2
    sock.close()
    sock.close()
    assert open_files() == files
