"""The page, in a real browser, while the device behind it changes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.testing import bind_unused_port
from tornado.web import Application, RequestHandler

from katcp.sensors import Sensor
from tests.web.browser import browser, visit
from tests.web.plant import EVIL, Oven, on_the_web

pytestmark = pytest.mark.slow

ROW = "#tree [role=row]"


def row_of(page: Any, label: str) -> Any:
    """Return the row of a sensor or group, by what it is called there."""
    return page.locator(ROW).filter(has=page.get_by_text(label, exact=True))


async def text_of(locator: Any, wanted: str) -> None:
    """Wait until an element has a text."""
    for _ in range(300):
        if wanted in await locator.inner_text():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"{wanted!r} is not in {await locator.inner_text()!r}")


async def rows_are(page: Any, number: int) -> None:
    """Wait until the list has so many rows, in view or not."""
    await page.wait_for_selector(f"#tree[aria-rowcount='{number}']")


async def test_looking_plotting_and_calling() -> None:
    async with on_the_web() as web, browser() as chromium, visit(chromium, web.url) as page:
        device: Any = web.device  # type: ignore[attr-defined]
        # What there is, and what changes.
        await text_of(page.locator("#title"), "Oven")
        await text_of(row_of(page, "temperature"), "20.5")
        await text_of(row_of(page, "count"), "warn")
        assert "▲" in await row_of(page, "count").inner_text()
        device.get_sensor("oven.temperature").set_value(77.25, Sensor.ERROR)
        await text_of(row_of(page, "temperature"), "77.25")
        await text_of(row_of(page, "temperature"), "error")
        # The filter, by the keyboard.
        await page.keyboard.press("/")
        await page.keyboard.type("loaves")
        await rows_are(page, 2)
        await page.keyboard.press("Escape")
        await rows_are(page, 7)
        # Only those of a status.
        await page.click("#tally [data-status=warn]")
        await rows_are(page, 2)
        await page.click("#tally [data-status=warn]")
        # A plot of two, one of them in steps, and its numbers.
        await page.focus("#tree")
        await page.keyboard.press("Home")
        await page.keyboard.press("p")  # mode
        await page.click('[aria-label="Plot oven.temperature"]')
        await page.wait_for_selector("#plot canvas")
        assert await page.locator("#plot-legend li").count() == 2
        device.get_sensor("mode").set_value("grill")
        device.get_sensor("oven.temperature").set_value(81)
        await text_of(page.locator("#plot-legend"), "81")
        await page.click("#plot-table-button")
        await text_of(page.locator("#plot-table"), "grill")
        await text_of(page.locator("#plot-table"), "77.25")
        await page.click("#plot-table-button")
        await page.click("#plot-pause")
        assert await page.get_attribute("#plot-pause", "aria-pressed") == "true"
        # A request whose types are known.
        await page.click("#tab-requests")
        await page.click("#request-heat")
        await page.fill("#request-form input[type=number]", "120.5")
        await page.check("#request-form input[type=checkbox]")
        await page.click("#request-form [type=submit]")
        await text_of(page.locator("#request-results article[data-state=ok]"), "120.5")
        await text_of(row_of(page, "temperature"), "120.5")
        # One with choices, and one that fails, and one of which nothing is known.
        await page.click("#request-set-mode")
        await page.select_option("#request-form select", "bake")
        await page.keyboard.press("Tab")
        await page.keyboard.press("Enter")
        await text_of(row_of(page, "mode"), "bake")
        await page.click("#request-fall-over")
        await page.click("#request-form [type=submit]")
        failed = page.locator("#request-results article[data-state=failed]")
        await text_of(failed, "It has fallen <b>over</b>.")
        await text_of(failed, "failed")
        await page.click("#request-old-style")
        await page.fill("#request-form input >> nth=0", "a b")
        await page.get_by_text("One more argument").click()
        await page.fill("#request-form input >> nth=1", 'c"d')
        await page.keyboard.press("Enter")
        await text_of(page.locator("#request-results article >> nth=0"), 'a bc"d')
        # Informs as they come.
        await page.click("#request-count")
        await page.fill("#request-form input[type=number]", "3")
        await page.click("#request-form [type=submit]")
        await text_of(page.locator("#request-results article >> nth=0"), "✓ ok")
        assert await page.locator("#request-results article >> nth=0 >> li").count() == 3
        # The log, by level.
        await page.click("#tab-log")
        device.log.error("It burns")
        await text_of(page.locator("#log"), "It burns")
        await page.select_option("#log-level", "fatal")
        assert "It burns" not in await page.locator("#log").inner_text()
        # Who is there, and the help.
        await page.click("#tab-clients")
        await text_of(page.locator("#clients"), "(this page)")
        await page.keyboard.press("?")
        await page.wait_for_selector("dialog[open]")
        await page.keyboard.press("Escape")


async def test_a_connection_that_is_lost_and_comes_back() -> None:
    async with on_the_web() as web, browser() as chromium, visit(chromium, web.url) as page:
        device: Any = web.device  # type: ignore[attr-defined]
        await text_of(row_of(page, "temperature"), "20.5")
        await device.stop()
        await page.wait_for_selector("body.lost")
        await text_of(page.locator("#banner"), "Device server shutting down.")
        # What is not known to be so any more does not look as if it were.
        await text_of(row_of(page, "count"), "was warn")
        assert await row_of(page, "count").get_attribute("data-kind") == "stale"
        device.get_sensor("oven.temperature").set_value(30)
        device.remove_sensor("oven.count")
        device.start()
        await page.wait_for_selector("#link[data-state=live]")
        await text_of(row_of(page, "temperature"), "30")
        assert await page.locator("#banner").is_hidden()
        await rows_are(page, 6)


class Hostile(Oven):
    """Everything that a device can send is markup."""

    BUILD_INFO = (EVIL, 0, 1, "")
    VERSION_INFO = (EVIL, 0, 1)

    def setup_sensors(self) -> None:
        name = EVIL.replace(" ", "/")
        self.add_sensor(Sensor.string(f"a.{name}", EVIL, EVIL, default=EVIL))
        self.add_sensor(Sensor.discrete(f"b.{name}.x", EVIL, EVIL, params=[EVIL, "javascript:1"]))
        self.add_sensor(Sensor.string("__proto__.constructor", "x", default="</script>"))

    def request_evil(self, req: Any, text: str = EVIL) -> str:
        """<img src=x onerror="window.hacked='yes'">."""
        self.log.error(EVIL, name=EVIL)
        req.inform(EVIL, text)
        return EVIL


async def test_what_a_device_sends_is_text() -> None:
    async with (
        on_the_web(Hostile("127.0.0.1", 0)) as web,
        browser() as chromium,
        visit(chromium, web.url) as page,
    ):
        await page.wait_for_selector('[aria-label^="Plot b."]')
        await page.click('[aria-label^="Plot b."]')
        await page.click(f"{ROW} >> nth=-1")
        await page.click("#tab-requests")
        await page.click("#request-evil")
        await page.click("#request-form [type=submit]")
        await text_of(page.locator("#request-results"), EVIL)
        await page.click("#tab-log")
        await text_of(page.locator("#log"), EVIL)
        await page.click("#tab-clients")
        await page.click("#tab-plot")
        await page.click("#plot-table-button")
        await page.wait_for_timeout(300)
        assert await page.evaluate("window.hacked") is None
        assert await page.locator("img").count() == 0
        assert await page.locator("script").count() == 1


class Elsewhere(RequestHandler):
    def get(self) -> None:
        self.finish("<!doctype html><title>Elsewhere</title>")


async def test_a_page_from_elsewhere_can_do_nothing() -> None:
    sock, port = bind_unused_port()
    other = HTTPServer(Application([("/", Elsewhere)]))
    other.add_socket(sock)
    async with on_the_web() as web, browser() as chromium:
        page = await chromium.new_page()
        await page.goto(f"http://127.0.0.1:{port}/")
        target = web.url.rstrip("/")
        for kind in ("application/json", "text/plain"):
            for mode in ("cors", "no-cors"):
                await page.evaluate(
                    """async ([url, kind, mode]) => {
                        const body = '{"arguments": ["99"]}';
                        const headers = {"Content-Type": kind};
                        await fetch(url, {method: "POST", mode, headers, body}).catch(() => 0);
                    }""",
                    [f"{target}/api/requests/heat", kind, mode],
                )
        read = await page.evaluate(
            "url => fetch(url).then(r => r.text()).catch(() => 'refused')",
            f"{target}/api/sensors",
        )
        assert read == "refused"
        opened = await page.evaluate(
            """url => new Promise(resolve => {
                const socket = new WebSocket(url);
                socket.onopen = () => resolve(true);
                socket.onclose = () => resolve(false);
            })""",
            f"{target.replace('http', 'ws')}/live",
        )
        assert opened is False
        device: Any = web.device  # type: ignore[attr-defined]
        assert device.get_sensor("oven.temperature").value() == 20.5
        assert device.statistics.clients_accepted == 0
        await page.close()
    other.stop()
    await other.close_all_connections()


class Huge(Oven):
    def setup_sensors(self) -> None:
        for number in range(10_000):
            name = f"rack{number // 1000}.board{number // 100 % 10}.channel{number % 100}"
            self.add_sensor(Sensor.float(name, "A channel", "dB", default=0.0))


async def test_ten_thousand_sensors_on_a_phone() -> None:
    size = {"width": 390, "height": 844}
    async with (
        on_the_web(Huge("127.0.0.1", 0)) as web,
        browser() as chromium,
        visit(chromium, web.url, viewport=size, is_mobile=True, has_touch=True) as page,
    ):
        device: Any = web.device  # type: ignore[attr-defined]
        await text_of(row_of(page, "rack9"), "1000 sensors")
        assert await page.locator(ROW).count() == 10
        await page.tap(f"{ROW} >> nth=0")
        await rows_are(page, 20)
        await page.fill("#filter", "rack7 channel42")
        await rows_are(page, 21)
        await page.fill("#filter", "rack")
        await rows_are(page, 10110)
        # Only what is in view exists.
        assert await page.locator(ROW).count() < 60
        await page.evaluate("document.querySelector('#tree').scrollTop = 1e9")
        await page.wait_for_selector('[aria-label="Plot rack9.board9.channel99"]')
        for value in range(1, 4):
            for sensor in device.get_sensors():
                sensor.set_value(float(value))
            await asyncio.sleep(0.1)
        await text_of(row_of(page, "channel99").last, "3.0")
        # Nothing is wider than the screen, and every part can be had.
        for tab in ("plot", "requests", "log", "clients", "sensors"):
            await page.tap(f"#tab-{tab}")
            assert await page.evaluate("document.documentElement.scrollWidth") == 390
            assert await page.locator(f"#panel-{tab}").is_visible()
