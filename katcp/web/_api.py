"""``/api``: the device as JSON; ``openapi.json`` beside this file describes it.

Everything is asked of the device by a visitor, as a client would, so that a client's rights and
limits are those of whoever asks here. What the device refuses is a problem (RFC 9457).
"""

from __future__ import annotations

import asyncio
import http.client
import json
from importlib import resources
from typing import Any

from tornado.web import HTTPError

from katcp._version import __version__
from katcp.web._handlers import Guarded, to_json
from katcp.web._inventory import (
    STATUSES,
    Refused,
    list_requests,
    list_versions,
    read_sensors,
)
from katcp.web._log_tail import LEVELS
from katcp.web._metrics import Metrics
from katcp.web._pool import Caller, TooMany
from katcp.web._visitor import Answer, Gone, to_text

#: How long a request may take unless it is said [s], and at most.
_TIMEOUT = 30.0
_LONGEST = 3600.0


class Problem(Exception):
    """What is wrong, for those who asked."""

    def __init__(self, status: int, detail: str, **more: Any) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.more = more


class Api(Guarded):
    """Answers in JSON."""

    caller: Caller | None = None

    async def prepare(self) -> None:  # type: ignore[override]
        """Have whoever asks come in as a visitor (called by Tornado)."""
        super().prepare()

    def enter(self) -> Caller:
        """Return the visitor that asks the device.

        Raises
        ------
        Problem
        """
        if self.caller is None:
            try:
                self.caller = self.house.callers.get(self.peername, self.peercert)
            except TooMany:
                raise Problem(503, "Too many computers use this server.") from None
            except RuntimeError:
                raise Problem(503, "The device is not served now.") from None
            self.caller.users += 1
        return self.caller

    def on_finish(self) -> None:
        """Let the visitor go (called by Tornado)."""
        if self.caller is not None:
            self.caller.users -= 1

    def answer(self, content: Any) -> None:
        """Finish with JSON."""
        self.set_header("Content-Type", "application/json")
        self.set_header("Cache-Control", "no-store")
        self.finish(to_json(content) + "\n")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Say what is wrong (called by Tornado)."""
        error = kwargs.get("exc_info", (None, None))[1]
        more: dict[str, Any] = {}
        if isinstance(error, Problem):
            status_code, detail, more = error.status, error.detail, error.more
        elif isinstance(error, Refused):
            status_code, detail = 403, f"The device has refused: {error}"
        elif isinstance(error, Gone):
            status_code, detail = 503, str(error)
        elif isinstance(error, asyncio.TimeoutError):
            status_code, detail = 504, "The device has not answered in time."
        else:
            detail = self.detail_of(status_code, kwargs)
        title = http.client.responses.get(status_code, "Error")
        self.set_status(status_code, title)
        self.set_header("Content-Type", "application/problem+json")
        self.set_header("Cache-Control", "no-store")
        problem = {"type": "about:blank", "title": title, "status": status_code, "detail": detail}
        self.finish(to_json({**problem, **more}) + "\n")

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Leave what is told to whoever asked out of the log (called by Tornado)."""
        if not isinstance(value, (Problem, Refused, Gone, asyncio.TimeoutError)):
            super().log_exception(typ, value, tb)


class OpenApi(Api):
    """Describes the interface."""

    def get(self) -> None:
        """Answer."""
        text = resources.files("katcp.web").joinpath("openapi.json").read_text("utf-8")
        description = json.loads(text)
        description["info"]["version"] = __version__
        self.answer(description)


class Device(Api):
    """What the device is."""

    async def get(self) -> None:
        """Answer."""
        reception = self.house.reception
        host, port = reception.address
        versions = await list_versions(self.enter().visitor, reception)
        self.answer(
            {
                "title": self.house.title,
                "address": {"host": host, "port": port},
                "protocol": str(reception.protocol),
                "versions": [
                    {"name": name, "version": version, "build": build}
                    for name, version, build in (
                        [*line, None, None][:3] for line in versions if line
                    )
                ],
            }
        )


class Sensors(Api):
    """All sensors, or those that are asked for."""

    async def get(self) -> None:
        """Answer."""
        text = self.get_query_argument("filter", "").lower()
        statuses = set(filter(None, self.get_query_argument("status", "").split(",")))
        if not statuses <= set(STATUSES):
            raise Problem(400, f"There are the statuses {', '.join(STATUSES)}.")
        caller = self.enter()
        sensors = await caller.sensors()
        readings = await read_sensors(caller.visitor, self.house.reception.protocol.major)
        found = []
        for name, info in sensors.items():
            reading = readings.get(name)
            if text and text not in f"{name}\n{info.description}".lower():
                continue
            if statuses and (reading is None or reading.status not in statuses):
                continue
            found.append(
                {**info.as_dict(), "reading": None if reading is None else reading.as_dict()}
            )
        self.answer({"sensors": found})


class Sensor(Api):
    """One sensor."""

    async def get(self, name: str) -> None:
        """Answer."""
        caller = self.enter()
        info = (await caller.sensors()).get(name)
        if info is None:
            raise Problem(404, "There is no sensor of that name.")
        # Not by its name: one that begins and ends with a slash would be a pattern.
        major = self.house.reception.protocol.major
        only = None if name.startswith("/") else name
        reading = (await read_sensors(caller.visitor, major, only)).get(name)
        self.answer({**info.as_dict(), "reading": None if reading is None else reading.as_dict()})


class Requests(Api):
    """All requests."""

    async def get(self) -> None:
        """Answer."""
        found = await list_requests(self.enter().visitor, self.house.reception)
        self.answer({"requests": [request.as_dict() for request in found]})


class Request(Api):
    """One request: what it is, and calling it."""

    async def get(self, name: str) -> None:
        """Answer what it is."""
        found = await list_requests(self.enter().visitor, self.house.reception)
        for request in found:
            if request.name == name:
                self.answer(request.as_dict())
                return
        raise Problem(404, "There is no request of that name.")

    async def post(self, name: str) -> None:
        """Call it."""
        arguments, timeout = self._read_body()
        try:
            answer = await self.enter().visitor.request(name, *arguments, timeout=timeout)
        except ValueError as error:
            raise Problem(400, str(error)) from None
        content = _describe(answer)
        if answer.ok:
            self.answer(content)
        elif answer.status == "invalid" and answer.text == "Unknown request.":
            raise Problem(404, "There is no request of that name.", **content)
        else:
            raise Problem(400 if answer.status == "invalid" else 422, answer.text, **content)

    def _read_body(self) -> tuple[list[str], float]:
        kind = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if kind != "application/json":
            raise Problem(415, "Requests are called with the content type application/json.")
        try:
            body = json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise Problem(400, "The body is no JSON.") from None
        if not isinstance(body, dict) or not body.keys() <= {"arguments", "timeout"}:
            raise Problem(400, "The body is an object with 'arguments' and 'timeout', if any.")
        arguments = body.get("arguments", [])
        timeout = body.get("timeout", _TIMEOUT)
        if not isinstance(arguments, list) or not all(isinstance(a, str) for a in arguments):
            raise Problem(400, "'arguments' is a list of texts.")
        if type(timeout) not in (int, float) or not 0 < timeout <= _LONGEST:
            raise Problem(400, f"'timeout' is a number of seconds, up to {_LONGEST:g}.")
        return arguments, float(timeout)


def _describe(answer: Answer) -> dict[str, Any]:
    return {
        "reply": {"status": answer.status, "arguments": [*map(to_text, answer.arguments)]},
        "informs": [[*map(to_text, inform)] for inform in answer.informs],
    }


class Clients(Api):
    """The clients of the device."""

    async def get(self) -> None:
        """Answer."""
        answer = await self.enter().visitor.request("client-list", timeout=_TIMEOUT)
        if not answer.ok:
            raise Refused(answer.text)
        self.answer({"clients": self.house.describe_clients()})


class Log(Api):
    """The last lines of the device's log."""

    def get(self) -> None:
        """Answer."""
        level = self.get_query_argument("level", LEVELS[0])
        limit = self.get_query_argument("limit", "500")
        if level not in LEVELS:
            raise Problem(400, f"There are the levels {', '.join(LEVELS)}.")
        if not (limit.isascii() and limit.isdigit() and 0 < len(limit) < 10):
            raise Problem(400, "The limit is a number of lines.")
        wanted = LEVELS[LEVELS.index(level) :]
        lines = self.house.log_lines(self.enter().visitor)
        found = [line.as_dict() for line in lines if line.level in wanted]
        self.answer({"lines": found[max(0, len(found) - int(limit)) :]})


class Statistics(Api):
    """The numbers of the server."""

    async def get(self) -> None:
        """Answer."""
        self.enter()
        pages = len(self.house.pages)
        self.answer({"server": dict(self.house.reception.statistics), "web": {"pages": pages}})


class Nothing(Api):
    """Everything else below ``/api``."""

    async def prepare(self) -> None:  # type: ignore[override]
        """Answer that it is not here (called by Tornado)."""
        await super().prepare()
        raise HTTPError(404, "There is nothing here; /api/openapi.json tells what there is.")


class PrometheusMetrics(Api):
    """``/metrics``."""

    async def get(self) -> None:
        """Answer."""
        caller = self.enter()
        metrics: Metrics = self.house.metrics
        sensors = await caller.sensors()
        readings = await read_sensors(caller.visitor, self.house.reception.protocol.major)
        text, content_type = await metrics.write(
            self.request.headers.get("Accept", ""),
            sensors,
            readings,
            self.house.reception.statistics,
            len(self.house.pages),
        )
        self.set_header("Content-Type", content_type)
        self.finish(text)


ROUTES: list[tuple[str, type[Api]]] = [
    (r"/api/openapi\.json", OpenApi),
    (r"/api/device", Device),
    (r"/api/sensors", Sensors),
    (r"/api/sensors/([^/]+)", Sensor),
    (r"/api/requests", Requests),
    (r"/api/requests/([^/]+)", Request),
    (r"/api/clients", Clients),
    (r"/api/log", Log),
    (r"/api/statistics", Statistics),
    (r"/api(?:/.*)?", Nothing),
    (r"/metrics", PrometheusMetrics),
]
