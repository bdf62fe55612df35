"""``/metrics``, as Prometheus reads it."""

from __future__ import annotations

import asyncio
import json
import shutil
from asyncio.subprocess import DEVNULL, PIPE
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families
from tornado.httpclient import AsyncHTTPClient

from katcp.sensors import Sensor
from katcp.server import Reception
from tests.web.browser import need
from tests.web.plant import EVIL, Oven, fetch, on_the_web

ODD = 'a"b\\c{d}=é'


class OddOven(Oven):
    def setup_sensors(self) -> None:
        super().setup_sensors()
        for name in ("a.b", "a_b", "a-b", ODD):
            self.add_sensor(Sensor.integer(name, EVIL, 'u"\n', default=len(name)))
            self.get_sensor(name).set_value(len(name))
        self.add_sensor(Sensor.float("nan", "n", default=float("nan")))
        self.get_sensor("nan").set_value(float("nan"))
        self.get_sensor("oven.temperature").set_value(1.5, Sensor.ERROR)
        self.get_sensor("oven.door.open").set_value(True)


async def samples_of(web: Any) -> dict[tuple[str, ...], float]:
    text = (await fetch(web, "/metrics")).body.decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_sensors() -> None:
    async with on_the_web(OddOven("127.0.0.1", 0)) as web:
        found = await samples_of(web)
        assert found["katcp_sensor_value", "oven.temperature"] == 1.5
        assert found["katcp_sensor_status", "oven.temperature"] == 3
        assert found["katcp_sensor_value", "oven.door.open"] == 1
        assert found["katcp_sensor_state", "mode", "off"] == 1
        assert found["katcp_sensor_state", "mode", "bake"] == 0
        assert ("katcp_sensor_value", "note") not in found
        assert ("katcp_sensor_value", "nan") not in found
        assert found["katcp_sensor_timestamp_seconds", "mode"] > 1.7e9
        # Each name is a series of its own.
        names = ["a.b", "a_b", "a-b", ODD]
        assert [found["katcp_sensor_value", name] for name in names] == [3, 3, 3, len(ODD)]
        assert found["katcp_server_clients",] == 1
        assert found["katcp_server_clients_accepted_total",] == 1
        assert ("katcp_loop_lag_seconds_count",) in found
        assert ("process_cpu_seconds_total",) in found


async def test_a_value_that_says_nothing_is_left_out() -> None:
    async with on_the_web() as web:
        device: Any = web.device  # type: ignore[attr-defined]
        sensor = device.get_sensor("oven.temperature")
        for status in (Sensor.UNREACHABLE, Sensor.FAILURE, Sensor.INACTIVE, Sensor.UNKNOWN):
            sensor.set_value(3.0, status)
            found = await samples_of(web)
            assert ("katcp_sensor_value", "oven.temperature") not in found
            assert found["katcp_sensor_status", "oven.temperature"] == status


async def test_as_openmetrics() -> None:
    async with on_the_web(OddOven("127.0.0.1", 0)) as web:
        accept = {"Accept": "application/openmetrics-text;version=1.0.0"}
        response = await fetch(web, "/metrics", headers=accept)
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        assert list(read_openmetrics(response.body.decode()))


async def test_the_loop_is_looked_at_only_while_somebody_asks() -> None:
    async with on_the_web() as web:
        assert web.metrics.lag._timer is None
        await samples_of(web)
        assert web.metrics.lag._timer is not None
        assert Reception(web.device).statistics["clients"] == 1  # type: ignore[attr-defined]


async def test_promtool_has_nothing_against_it() -> None:
    promtool = shutil.which("promtool")
    need(promtool, "promtool")
    async with on_the_web(OddOven("127.0.0.1", 0)) as web:
        text = (await fetch(web, "/metrics")).body
        process = await asyncio.create_subprocess_exec(
            str(promtool), "check", "metrics", stdin=PIPE, stdout=PIPE, stderr=PIPE
        )
        assert await process.communicate(text) == (b"", b"")
        assert process.returncode == 0


@pytest.mark.slow
async def test_prometheus_scrapes_it(tmp_path: Path) -> None:
    prometheus = shutil.which("prometheus")
    need(prometheus, "prometheus")
    async with on_the_web(OddOven("127.0.0.1", 0)) as web:
        host, port = web.bind_address
        (tmp_path / "prometheus.yml").write_text(
            "global: {scrape_interval: 500ms, scrape_timeout: 400ms}\n"
            "scrape_configs:\n"
            f"- {{job_name: oven, static_configs: [{{targets: ['{host}:{port}']}}]}}\n"
        )
        process = await asyncio.create_subprocess_exec(
            str(prometheus),
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:0",
            cwd=tmp_path,
            stdout=DEVNULL,
            stderr=PIPE,
        )
        try:
            assert process.stderr is not None
            address = ""
            while not address:
                line = (await asyncio.wait_for(process.stderr.readline(), 20)).decode()
                assert line, "prometheus has ended"
                words = [word.split("=")[-1] for word in line.split() if "address=" in word]
                address = next((word for word in words if not word.endswith(":0")), "")
            drain = asyncio.ensure_future(process.stderr.read())
            query = f"http://{address}/api/v1/query?query=katcp_sensor_value"
            found: dict[str, str] = {}
            for _ in range(100):
                response = await AsyncHTTPClient(force_instance=True).fetch(
                    query, raise_error=False, headers={"Connection": "close"}
                )
                if response.code == 200:
                    result = json.loads(response.body)["data"]["result"]
                    found = {one["metric"]["sensor"]: one["value"][1] for one in result}
                if found:
                    break
                await asyncio.sleep(0.1)
            assert found["oven.temperature"] == "1.5"
            assert found[ODD] == str(len(ODD))
        finally:
            process.terminate()
            await process.wait()
            await drain
