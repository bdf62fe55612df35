"""Pages from elsewhere, names from elsewhere, and what is bounded."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.iostream import StreamClosedError
from tornado.tcpclient import TCPClient
from tornado.websocket import websocket_connect

from tests.web.plant import fetch, live_url, on_the_web, page_of

CALL: dict[str, Any] = {"arguments": ["99"]}


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, 403),
        ({"Host": "evil.example"}, 421),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": "text/plain; application/json"}, 415),
        ({"Content-Type": "application/json; charset=utf-8"}, 200),
    ],
)
async def test_who_may_call(headers: dict[str, str], status: int) -> None:
    async with on_the_web() as web:
        response = await fetch(web, "/api/requests/heat", CALL, headers=headers)
        assert response.code == status
        value = web.device.get_sensor("oven.temperature").value()  # type: ignore[attr-defined]
        assert value == (99.0 if status == 200 else 20.5)
        assert "Access-Control-Allow-Origin" not in response.headers


async def test_nobody_is_told_that_pages_from_elsewhere_may() -> None:
    async with on_the_web() as web:
        headers = {"Access-Control-Request-Method": "POST", "Origin": "http://evil.example"}
        response = await fetch(web, "/api/requests/heat", method="OPTIONS", headers=headers)
        assert response.code == 403
        assert not [name for name in response.headers if name.startswith("Access-Control")]


@pytest.mark.parametrize("path", ["/", "/metrics", "/api/sensors", "/static/main.js", "/x"])
async def test_a_name_that_is_not_ours_is_told_nothing(path: str) -> None:
    async with on_the_web() as web:
        assert (await fetch(web, path, headers={"Host": "evil.example:80"})).code == 421


async def test_a_name_that_was_given() -> None:
    async with on_the_web(names=["dome.example"]) as web:
        assert (await fetch(web, "/", headers={"Host": "dome.example:80"})).code == 200


async def test_links_from_elsewhere_lead_to_the_page() -> None:
    async with on_the_web() as web:
        headers = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
        assert (await fetch(web, "/", headers=headers)).code == 200


@pytest.mark.parametrize("path", ["/", "/static/main.js", "/api/sensors", "/healthz", "/nothing"])
async def test_every_answer_says_what_browsers_may_do(path: str) -> None:
    async with on_the_web() as web:
        headers = (await fetch(web, path)).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert "Server" not in headers


@pytest.mark.parametrize(
    "path", ["/static/../_server.py", "/static/%2e%2e/_server.py", "/static//etc/passwd"]
)
async def test_no_other_files(path: str) -> None:
    async with on_the_web() as web:
        assert (await fetch(web, path)).code in (403, 404)


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}]
)
async def test_who_may_open_the_websocket(headers: dict[str, str]) -> None:
    async with on_the_web() as web:
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(HTTPRequest(live_url(web), headers=headers))
        assert refused.value.code in (403, 421)
        assert web.device.statistics.clients_accepted == 0  # type: ignore[attr-defined]


async def test_pages_are_bounded() -> None:
    async with on_the_web(max_pages=2) as web, page_of(web), page_of(web):
        with pytest.raises(HTTPClientError) as refused:
            await websocket_connect(live_url(web))
        assert refused.value.code == 503


async def test_connections_are_bounded() -> None:
    async with on_the_web(max_connections=3) as web:
        streams = [await TCPClient().connect(*web.bind_address) for _ in range(4)]
        with pytest.raises(StreamClosedError):
            await asyncio.wait_for(streams[3].read_bytes(1), 10)
        for stream in streams:
            stream.close()


@pytest.mark.parametrize(
    "message",
    [
        "x",
        "{}",
        "[]",
        '{"type": "nothing"}',
        '{"type": "call"}',
        '{"type": "call", "id": 1, "name": "help", "arguments": [1]}',
        '{"type": "call", "id": true, "name": "help", "arguments": []}',
        "[" * 50_000,
        b"\xff\xfe",
    ],
)
async def test_a_bad_message_ends_the_page(message: Any) -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("hello")
        await page.socket.write_message(message, binary=isinstance(message, bytes))
        assert (await page.closed()).startswith("Bad message: ")


async def test_a_message_that_is_too_long_ends_the_page() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("hello")
        await page.socket.write_message("x" * 100_000)
        await page.closed()


async def test_a_name_cannot_smuggle_a_request() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("hello")
        await page.say(type="call", id=1, name="watchdog\n?heat", arguments=["3"])
        reply = await page.until("reply", id=1)
        assert reply["status"] == "refused"
        await page.say(type="call", id=2, name="old-style", arguments=["\n?heat 3\n"])
        reply = await page.until("reply", id=2)
        assert reply["arguments"] == ["\n?heat 3\n"]
        assert web.device.get_sensor("oven.temperature").value() == 20.5  # type: ignore[attr-defined]
