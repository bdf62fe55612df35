"""The WebSocket of a page."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from katcp.protocol import ProtocolFlags
from katcp.sensors import Sensor
from katcp.server import AccessPolicy
from tests.helpers.certificates import Authority
from tests.helpers.serving import talking, until
from tests.web.plant import Oven, PageStandIn, live_url, on_the_web, page_of


async def test_a_page_gets_all_there_is() -> None:
    async with on_the_web() as web, page_of(web) as page:
        hello = await page.until("hello")
        assert hello["device"]["title"] == "Oven"
        requests = await page.until("requests")
        assert {"heat", "set-mode", "help"} <= {r["name"] for r in requests["requests"]}
        assert (await page.until("listed"))["count"] == 5
        await page.until_reading("oven.count", "warn", "3")
        assert set(page.sensors) == {
            "mode",
            "note",
            "oven.count",
            "oven.door.open",
            "oven.temperature",
        }


async def test_updates_come() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until_reading("mode", "nominal", "off")
        web.device.get_sensor("mode").set_value("grill", Sensor.ERROR)  # type: ignore[attr-defined]
        await page.until_reading("mode", "error", "grill")


async def test_a_page_is_a_client() -> None:
    async with on_the_web() as web, page_of(web) as page:
        hello = await page.until("hello")
        await page.until("listed")
        async with talking(web.device) as client:  # type: ignore[attr-defined]
            lines = await client.ask(b"?client-list")
        assert f"#client-list {hello['you']}".encode() in lines
        await page.say(type="clients")
        clients = (await page.until("clients"))["clients"]
        (me,) = [one for one in clients if one["address"] == hello["you"]]
        assert (me["kind"], me["subscriptions"]) == ("page", 5)


async def test_a_page_that_goes_is_gone() -> None:
    async with on_the_web() as web:
        async with page_of(web) as page:
            await page.until("listed")
            assert web.device.statistics.clients == 1  # type: ignore[attr-defined]
        await until(lambda: not web.pages)
        assert web.device.statistics.clients == 0  # type: ignore[attr-defined]
        assert not web.device._sampling.sampled()  # type: ignore[attr-defined]


async def test_a_call() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("hello")
        await page.say(type="call", id=7, name="count", arguments=["2", "ä b"])
        assert (await page.until("inform", id=7))["arguments"] == ["0", "ä b"]
        assert (await page.until("inform", id=7))["arguments"] == ["1", "ä b"]
        reply = await page.until("reply", id=7)
        assert (reply["status"], reply["arguments"], reply["informs"]) == ("ok", ["2"], 2)
        await page.say(type="call", id=8, name="fall-over", arguments=[])
        assert (await page.until("reply", id=8))["status"] == "fail"


async def test_calls_are_bounded() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("hello")
        for number in range(17):
            await page.say(type="call", id=number, name="wait", arguments=[])
        reply = await page.until("reply")
        assert (reply["id"], reply["status"]) == (16, "refused")


async def test_the_log_comes_and_what_was_before() -> None:
    async with on_the_web() as web:
        web.device.log.warning("before")  # type: ignore[attr-defined]
        async with page_of(web) as page:
            assert (await page.until("log"))["lines"][0][3] == "before"
            web.device.log.error("then")  # type: ignore[attr-defined]
            level, _, name, text = (await page.until("log"))["lines"][0]
            assert (level, name, text) == ("error", "root", "then")


async def test_sensors_come_and_go() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("listed")
        web.device.add_sensor(Sensor.integer("late", "l", default=4))  # type: ignore[attr-defined]
        await page.until_reading("late", "unknown", "4")
        assert page.sensors["late"]["description"] == "l"
        web.device.get_sensor("late").set_value(5)  # type: ignore[attr-defined]
        await page.until_reading("late", "nominal", "5")
        web.device.remove_sensor("late")  # type: ignore[attr-defined]
        assert (await page.until("removed"))["names"] == ["late"]


async def test_requests_come_and_go() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("listed")

        def more(req: Any, number: int) -> None:
            """Do more."""

        web.device.add_request("more", more)  # type: ignore[attr-defined]
        requests = (await page.until("requests"))["requests"]
        (found,) = [request for request in requests if request["name"] == "more"]
        assert found["parameters"][0]["type"] == "integer"


class Many(Oven):
    def setup_sensors(self) -> None:
        for number in range(2500):
            self.add_sensor(Sensor.integer(f"many.s{number}", "One of many", default=number))


async def test_many_sensors_come_in_pieces() -> None:
    async with on_the_web(Many("127.0.0.1", 0)) as web, page_of(web) as page:
        assert (await page.until("listed"))["count"] == 2500
        assert len(page.sensors) == 2500
        assert max(len(m["sensors"]) for m in page.messages if m["type"] == "sensors") <= 1000
        await page.until_readings(lambda readings: len(readings) == 2500)


@pytest.mark.slow
async def test_a_page_that_does_not_read_costs_nothing_and_gets_the_newest() -> None:
    async with on_the_web(Many("127.0.0.1", 0)) as web, page_of(web) as page:
        await page.until("listed")
        await page.until_readings(lambda readings: len(readings) == 2500)
        (live,) = web.pages
        for round_ in range(60):
            for sensor in web.device.get_sensors():  # type: ignore[attr-defined]
                sensor.set_value(round_)
            await asyncio.sleep(0.02)
        # What waits is one reading for each sensor, and what the network has taken.
        assert len(live._readings) <= 2500
        await page.until_readings(lambda readings: {v for _, v in readings.values()} == {"59"})
        assert web.metrics.spared._value.get() > 0


async def test_too_many_subscriptions_are_asked_for() -> None:
    async with (
        on_the_web(Oven("127.0.0.1", 0, max_subscriptions=2)) as web,
        page_of(web) as page,
    ):
        assert "Too many subscriptions" in (await page.until("note"))["text"]
        web.device.get_sensor("mode").set_value("grill")  # type: ignore[attr-defined]
        await page.until_reading("mode", "nominal", "grill")


async def test_the_device_ends() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("listed")
        await web.device.stop()  # type: ignore[attr-defined]
        assert await page.closed() == "Device server shutting down."


async def test_the_web_server_ends() -> None:
    async with on_the_web() as web, page_of(web) as page:
        await page.until("listed")
        await web.stop()
        await page.closed()
        assert not web.pages


class NobodyIn(AccessPolicy):
    async def may_connect(self, client: Any) -> Any:
        await asyncio.sleep(0)
        return False


async def test_who_may_not_connect_is_told_so() -> None:
    async with on_the_web(Oven("127.0.0.1", 0, access=NobodyIn())) as web, page_of(web) as page:
        assert await page.closed() == "Access denied."


class OldOven(Oven):
    PROTOCOL_INFO = ProtocolFlags(4, 0, "M")


async def test_a_device_of_version_4() -> None:
    async with on_the_web(OldOven("127.0.0.1", 0)) as web, page_of(web) as page:
        await page.until_reading("oven.temperature", "unknown", "20.5")
        message = next(m for m in page.messages if m["type"] == "readings")
        assert abs(message["readings"][0][1] - message["time"]) < 60
        await page.say(type="call", id=1, name="count", arguments=["1"])
        assert (await page.until("reply", id=1))["arguments"] == ["1"]


async def test_over_tls_with_the_certificate_of_the_visitor() -> None:
    authority = Authority()
    seen: list[Any] = []

    class Members(AccessPolicy):
        def may_connect(self, client: Any) -> Any:
            seen.append(client.peer_certificate)
            return True

    context: ssl.SSLContext = authority.server_for_members()
    device = Oven("127.0.0.1", 0, access=Members())
    async with on_the_web(device, ssl_context=context) as web:
        ask = HTTPRequest(live_url(web), ssl_options=authority.client("operator.example"))
        page = PageStandIn(await websocket_connect(ask))
        await page.until("listed")
        page.socket.close()
        await page.closed()
    assert seen
    assert ("DNS", "operator.example") in seen[0]["subjectAltName"]
