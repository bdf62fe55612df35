"""A device with something of everything, on the web, in the loop of the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any, Literal

from tornado.httpclient import AsyncHTTPClient, HTTPRequest, HTTPResponse
from tornado.websocket import WebSocketClientConnection, websocket_connect

from katcp.kattypes import Float, Int, Str, request, return_reply
from katcp.protocol import Message
from katcp.sensors import Sensor
from katcp.server import AsyncDeviceServer, FailReply
from katcp.web import WebServer
from tests.helpers.serving import serving

#: Nothing a test waits for may take longer than this [s].
PATIENCE = 15.0

EVIL = "<img src=x onerror=\"window.hacked='yes'\">"


class Oven(AsyncDeviceServer):
    """The device."""

    VERSION_INFO = ("oven", 2, 1)

    def setup_sensors(self) -> None:
        self.add_sensor(Sensor.float("oven.temperature", "Inside", "degC", default=20.5))
        self.add_sensor(Sensor.boolean("oven.door.open", "Whether the door is open", default=False))
        self.add_sensor(Sensor.discrete("mode", "What it does", params=["off", "bake", "grill"]))
        self.add_sensor(Sensor.string("note", "A note", default="hello"))
        self.add_sensor(Sensor.integer("oven.count", "Loaves", "loaves"))
        self.get_sensor("mode").set_value("off")
        self.get_sensor("oven.count").set_value(3, Sensor.WARN)

    def request_heat(
        self, req: Any, degrees: Annotated[float, Float(min=0, max=300)], fan: bool = False
    ) -> float:
        """Heat to a temperature [degC]."""
        self.get_sensor("oven.temperature").set_value(degrees)
        return degrees

    def request_set_mode(self, req: Any, mode: Literal["off", "bake", "grill"]) -> str:
        """Do something else."""
        self.get_sensor("mode").set_value(mode)
        self.log.info("The mode is %s", mode)
        return mode

    @request(Int(min=1), Str(default="x"))
    @return_reply(Int())
    def request_count(self, req: Any, number: int, what: str) -> Any:
        """Count to a number."""
        for n in range(number):
            req.inform(n, what)
        return "ok", number

    def request_fall_over(self, req: Any) -> None:
        """Fail."""
        raise FailReply("It has fallen <b>over</b>.")

    def request_old_style(self, req: Any, msg: Message) -> Any:
        """Echo the arguments."""
        return req.make_reply("ok", *msg.arguments)

    async def request_wait(self, req: Any) -> None:
        """Wait for ever."""
        await asyncio.Event().wait()


@contextlib.asynccontextmanager
async def on_the_web(device: Any = None, **options: Any) -> AsyncIterator[WebServer]:
    """Serve a device, and serve it on the web; stop both with the block."""
    async with serving(Oven("127.0.0.1", 0) if device is None else device) as served:
        web = WebServer(served, **options)
        web.device = served  # type: ignore[attr-defined]
        web.start()
        try:
            yield web
        finally:
            await asyncio.wait_for(web.stop(), PATIENCE)


async def fetch(web: WebServer, path: str, body: Any = None, **options: Any) -> HTTPResponse:
    """Ask for something; POST if there is a body."""
    headers = {"Connection": "close", **options.pop("headers", {})}
    if body is not None:
        options.setdefault("method", "POST")
        options["body"] = body if isinstance(body, (str, bytes)) else json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    ask = HTTPRequest(web.url.rstrip("/") + path, headers=headers, **options)
    response: HTTPResponse = await AsyncHTTPClient(force_instance=True).fetch(
        ask, raise_error=False
    )
    return response


async def fetch_json(web: WebServer, path: str, body: Any = None, **options: Any) -> Any:
    """Ask for JSON."""
    return json.loads((await fetch(web, path, body, **options)).body)


class PageStandIn:
    """Talks over the WebSocket as a page does."""

    def __init__(self, socket: WebSocketClientConnection) -> None:
        self.socket = socket
        self.sensors: dict[str, Any] = {}
        self.readings: dict[str, tuple[str, str]] = {}
        self.messages: list[dict[str, Any]] = []
        self.over = False

    async def until(self, kind: str, **content: Any) -> dict[str, Any]:
        """Take messages up to one of a kind, and with this in it."""

        async def take() -> dict[str, Any]:
            while True:
                message = await self.next()
                if message["type"] == kind and content.items() <= message.items():
                    return message

        return await asyncio.wait_for(take(), PATIENCE)

    async def until_reading(self, name: str, status: str, value: str) -> None:
        """Take messages until a sensor says this."""
        await self.until_readings(lambda readings: readings.get(name) == (status, value))

    async def until_readings(self, are_there: Callable[[dict[str, Any]], bool]) -> None:
        """Take messages until the readings are as they should be."""

        async def take() -> None:
            while not are_there(self.readings):
                await self.next()

        await asyncio.wait_for(take(), PATIENCE)

    async def next(self) -> dict[str, Any]:
        """Take a message."""
        text = await asyncio.wait_for(asyncio.ensure_future(self._read()), PATIENCE)
        assert text is not None, f"closed: {self.socket.close_code} {self.socket.close_reason}"
        message: dict[str, Any] = json.loads(text)
        self.messages.append(message)
        if message["type"] == "sensors":
            self.sensors |= {sensor["name"]: sensor for sensor in message["sensors"]}
        elif message["type"] == "readings":
            for name, _, status, value in message["readings"]:
                self.readings[name] = status, value
        return message

    async def closed(self) -> str:
        """Wait for the end; return its reason."""

        async def take() -> str:
            while not self.over:
                await self._read()
            return self.socket.close_reason or ""

        return await asyncio.wait_for(take(), PATIENCE)

    async def _read(self) -> Any:
        text = await self.socket.read_message()
        self.over = text is None
        return text

    async def say(self, **message: Any) -> None:
        """Send a message."""
        await self.socket.write_message(json.dumps(message))


def live_url(web: WebServer) -> str:
    """Return where the WebSocket is."""
    return web.url.replace("http", "ws", 1) + "live"


@contextlib.asynccontextmanager
async def page_of(web: WebServer) -> AsyncIterator[PageStandIn]:
    """Connect as a page does."""
    page = PageStandIn(await websocket_connect(live_url(web)))
    try:
        yield page
    finally:
        page.socket.close()
        await page.closed()
