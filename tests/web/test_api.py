"""``/api``: what it tells, what it does, whom it refuses."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tornado.httpclient import HTTPResponse

from katcp.sensors import Sensor
from katcp.server import AccessPolicy, FailReply
from katcp.web import WebServer
from tests.helpers.serving import talking
from tests.web.plant import EVIL, Oven, fetch, fetch_json, on_the_web


async def schema_of(web: WebServer, name: str) -> Any:
    spec = await fetch_json(web, "/api/openapi.json")
    return {**spec["components"]["schemas"][name], "components": spec["components"]}


async def check(web: WebServer, name: str, content: Any) -> None:
    """Compare with the published description."""
    schema = await schema_of(web, name)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(content)


async def problem_of(web: WebServer, response: HTTPResponse) -> Any:
    assert response.headers["Content-Type"] == "application/problem+json"
    problem = json.loads(response.body)
    await check(web, "Problem", problem)
    assert problem["status"] == response.code
    return problem


async def test_the_description_is_openapi() -> None:
    async with on_the_web() as web:
        spec = await fetch_json(web, "/api/openapi.json")
        OpenAPIV31SpecValidator(spec).validate()
        for path in spec["paths"]:
            if "{" not in path:
                assert (await fetch(web, path)).code == 200, path


async def test_the_device() -> None:
    async with on_the_web() as web:
        device = await fetch_json(web, "/api/device")
        await check(web, "Device", device)
        assert device["title"] == "Oven"
        assert {"name": "katcp-device", "version": "oven-2.1", "build": "name-0.1"} in device[
            "versions"
        ]


async def test_sensors() -> None:
    async with on_the_web() as web:
        sensors = (await fetch_json(web, "/api/sensors"))["sensors"]
        assert [sensor["name"] for sensor in sensors] == [
            "mode",
            "note",
            "oven.count",
            "oven.door.open",
            "oven.temperature",
        ]
        for sensor in sensors:
            await check(web, "Sensor", sensor)
        found = await fetch_json(web, "/api/sensors?filter=LOAVES&status=warn,error")
        assert [sensor["name"] for sensor in found["sensors"]] == ["oven.count"]
        assert (await fetch_json(web, "/api/sensors?status=error"))["sensors"] == []
        await problem_of(web, await fetch(web, "/api/sensors?status=good"))


async def test_one_sensor() -> None:
    async with on_the_web() as web:
        sensor = await fetch_json(web, "/api/sensors/mode")
        await check(web, "Sensor", sensor)
        assert sensor["params"] == ["off", "bake", "grill"]
        assert sensor["reading"]["value"] == "off"
        for name in ("nothing", "%2F.*%2F", "%ff"):
            response = await fetch(web, f"/api/sensors/{name}")
            assert (await problem_of(web, response))["status"] in (400, 404)


async def test_sensors_that_come_and_go() -> None:
    async with on_the_web() as web:
        await fetch_json(web, "/api/sensors")
        sensor = Sensor.string("new/one", "n", default="\x00\xff")
        web.device.add_sensor(sensor)  # type: ignore[attr-defined]
        async with talking(web.device) as client:  # type: ignore[attr-defined]
            await client.ask(b"?watchdog")  # by then the change has been told
        found = await fetch_json(web, "/api/sensors/new%2Fone")
        assert found["reading"]["value"] == "\x00\xff"


async def test_requests() -> None:
    async with on_the_web() as web:
        requests = (await fetch_json(web, "/api/requests"))["requests"]
        for request in requests:
            await check(web, "Request", request)
        by_name = {request["name"]: request for request in requests}
        degrees, fan = by_name["heat"]["parameters"]
        assert (degrees["type"], degrees["minimum"], degrees["maximum"]) == ("float", "0", "300")
        assert (fan["type"], fan["default"], fan["optional"]) == ("boolean", "0", True)
        number, what = by_name["count"]["parameters"]  # typed by a decorator
        assert (number["name"], number["minimum"], what["default"]) == ("number", "1", "x")
        assert by_name["old-style"]["parameters"] is None
        assert by_name["fall-over"]["parameters"] == []
        assert await fetch_json(web, "/api/requests/heat") == by_name["heat"]
        assert (await fetch(web, "/api/requests/nothing")).code == 404


async def test_a_call() -> None:
    async with on_the_web() as web:
        answer = await fetch_json(web, "/api/requests/count", {"arguments": ["2", "a b"]})
        await check(web, "Answer", answer)
        assert answer == {
            "reply": {"status": "ok", "arguments": ["2"]},
            "informs": [["0", "a b"], ["1", "a b"]],
        }


async def test_a_call_that_fails() -> None:
    async with on_the_web() as web:
        response = await fetch(web, "/api/requests/fall-over", {})
        problem = await problem_of(web, response)
        assert response.code == 422
        assert problem["detail"] == "It has fallen <b>over</b>."
        assert problem["reply"]["status"] == "fail"
        assert (await fetch(web, "/api/requests/nothing", {})).code == 404
        assert (await fetch(web, "/api/requests/bad%20name", {})).code == 400
        assert (await fetch(web, "/api/requests/x%0a%3fhalt", {})).code == 400
        response = await fetch(web, "/api/requests/wait", {"timeout": 0.05})
        assert (await problem_of(web, response))["status"] == 504


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"argument": []}',
        '{"arguments": "x"}',
        '{"arguments": [1]}',
        '{"timeout": 0}',
        '{"timeout": true}',
        '{"timeout": NaN}',
        "[" * 100_000,
    ],
)
async def test_a_body_that_is_no_call(body: str) -> None:
    async with on_the_web() as web:
        response = await fetch(web, "/api/requests/heat", body)
        assert (await problem_of(web, response))["status"] == 400


async def test_clients_log_and_statistics() -> None:
    async with on_the_web() as web, talking(web.device) as client:  # type: ignore[attr-defined]
        await client.ask(b"?sensor-sampling mode event")
        clients = (await fetch_json(web, "/api/clients"))["clients"]
        for one in clients:
            await check(web, "Client", one)
        assert [(c["kind"], c["subscriptions"]) for c in clients] == [("katcp", 1), ("api", 0)]
        web.device.log.warning("Mind the %s", "gap\n")  # type: ignore[attr-defined]
        web.device.log.error(EVIL)  # type: ignore[attr-defined]
        lines = (await fetch_json(web, "/api/log"))["lines"]
        for line in lines:
            await check(web, "LogLine", line)
        assert [(line["level"], line["text"]) for line in lines] == [
            ("warn", "Mind the gap\n"),
            ("error", EVIL),
        ]
        assert len((await fetch_json(web, "/api/log?level=error"))["lines"]) == 1
        assert len((await fetch_json(web, "/api/log?limit=1"))["lines"]) == 1
        await problem_of(web, await fetch(web, "/api/log?limit=-1"))
        statistics = await fetch_json(web, "/api/statistics")
        assert statistics["server"]["clients"] == 2


async def test_all_calls_of_a_computer_are_one_client() -> None:
    async with on_the_web() as web:
        for _ in range(5):
            await fetch_json(web, "/api/device")
        assert web.device.statistics.clients_accepted == 1  # type: ignore[attr-defined]


class LookOnly(AccessPolicy):
    def may_request(self, client: Any, name: str, arguments: Any) -> Any:
        if name in ("heat", "client-list"):
            raise FailReply(f"Not for {client.address.rpartition(':')[0]}.")
        return True

    def may_receive(self, client: Any, name: str) -> bool:
        return name != "log"


async def test_access_is_that_of_clients() -> None:
    async with on_the_web(Oven("127.0.0.1", 0, access=LookOnly())) as web:
        response = await fetch(web, "/api/requests/heat", {"arguments": ["5"]})
        assert (await problem_of(web, response))["detail"] == "Not for 127.0.0.1."
        assert (await fetch(web, "/api/clients")).code == 403
        web.device.log.error("secret")  # type: ignore[attr-defined]
        assert (await fetch_json(web, "/api/log"))["lines"] == []
        assert (await fetch(web, "/api/sensors/mode")).code == 200


async def test_addresses_are_those_of_clients() -> None:
    async with on_the_web(Oven("127.0.0.1", 0, allow=["10.0.0.0/8"])) as web:
        problem = await problem_of(web, await fetch(web, "/api/device"))
        assert problem["detail"] == "Clients from 127.0.0.1 are not allowed."
        assert (await fetch(web, "/metrics")).code == 503


async def test_a_device_that_does_not_run() -> None:
    async with on_the_web() as web:
        assert (await fetch(web, "/readyz")).code == 200
        await web.device.stop()  # type: ignore[attr-defined]
        assert (await fetch(web, "/healthz")).code == 200
        assert (await fetch(web, "/readyz")).code == 503
        problem = await problem_of(web, await fetch(web, "/api/device"))
        assert problem["detail"] == "The device is not served now."
        web.device.start()  # type: ignore[attr-defined]
        for _ in range(100):
            response = await fetch(web, "/api/device")
            if response.code == 200:
                break
        assert response.code == 200
