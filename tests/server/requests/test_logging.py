"""``?log-level``."""

from __future__ import annotations

import pytest

from tests.helpers.serving import Bare, serving, talking

LEVELS = [b"all", b"trace", b"debug", b"info", b"warn", b"error", b"fatal", b"off"]


async def test_all_eight_levels() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?log-level[1]") == [b"!log-level[1] ok warn"]
        for number, level in enumerate(LEVELS):
            assert await client.ask(b"?log-level " + level) == [b"!log-level ok " + level]
            assert await client.ask(b"?log-level") == [b"!log-level ok " + level]
            for name in LEVELS[1:-1]:
                getattr(server.log, name.decode())("text")
            *lines, _ = await client.ask(b"?watchdog")
            sent = [line.split(b" ")[1] for line in lines]
            assert sent == [name for name in LEVELS[1:-1] if LEVELS.index(name) >= number]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (b"loud", b"loud"),
        (b"WARN", b"WARN"),
        (b"\\@", b""),
        (b"\xff", b"\\\\xff"),
        (b"x" * 5000, b"x" * 80),
    ],
)
async def test_an_unknown_level_changes_nothing(name: bytes, text: bytes) -> None:
    async with serving(Bare("127.0.0.1", 0)) as server, talking(server) as client:
        assert await client.ask(b"?log-level info") == [b"!log-level ok info"]
        assert await client.ask(b"?log-level[2] " + name) == [
            b"!log-level[2] fail Unknown\\_logging\\_level\\_name\\_'" + text + b"'"
        ]
        assert await client.ask(b"?log-level") == [b"!log-level ok info"]


async def test_one_level_for_all_clients_that_outlasts_them() -> None:
    async with serving(Bare("127.0.0.1", 0)) as server:
        async with talking(server) as client:
            await client.ask(b"?log-level fatal surplus")
        async with talking(server) as client:
            assert await client.ask(b"?log-level") == [b"!log-level ok fatal"]
