"""The log of a device: `#log` informs, and Python's logging."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any

import pytest

from katcp.protocol import Message, ProtocolFlags
from katcp.server import DeviceLogger
from katcp.server._log import log_inform
from tests.helpers.serving import Bare, BareThreaded, serving, talking

LEVELS = ["all", "trace", "debug", "info", "warn", "error", "fatal", "off"]


class Recorder:
    """Stands for a server: takes what is sent to all clients."""

    def __init__(self) -> None:
        self.sent: list[Message] = []

    def mass_inform(self, msg: Message) -> None:
        self.sent.append(msg)

    def create_log_inform(self, *args: Any) -> Message:
        return log_inform(*args, 5)

    def texts(self) -> list[tuple[bytes, bytes, bytes]]:
        texts = [(m.arguments[0], m.arguments[2], m.arguments[3]) for m in self.sent]
        self.sent.clear()
        return texts


def logger(**kwargs: Any) -> tuple[Any, Recorder]:
    recorder = Recorder()
    return DeviceLogger(recorder, **kwargs), recorder  # type: ignore[arg-type]


# -- levels -------------------------------------------------------------------------------


def test_the_levels_and_their_names() -> None:
    log, _ = logger()
    assert [getattr(DeviceLogger, name.upper()) for name in LEVELS] == list(range(8))
    assert DeviceLogger.LEVELS == LEVELS
    for number, name in enumerate(LEVELS):
        assert log.level_name(number) == name
        assert log.level_from_name(name) == number
        assert log.level_from_name(name.encode()) == number
    assert log.level_name() == "warn"


@pytest.mark.parametrize("name", ["loud", "WARN", "", b"loud", b"\xff"])
def test_an_unknown_level(name: str | bytes) -> None:
    log, _ = logger()
    with pytest.raises(ValueError, match="Unknown logging level name '"):
        log.level_from_name(name)
    with pytest.raises(ValueError, match="Unknown logging level name '"):
        log.set_log_level_by_name(name)
    assert log.level_name() == "warn"


def test_an_unknown_level_number() -> None:
    log, _ = logger()
    for number in (-1, 8):
        with pytest.raises(ValueError, match="Unknown logging level"):
            log.set_log_level(number)


@pytest.mark.parametrize("setting", LEVELS)
def test_what_is_at_or_above_the_level_is_sent(setting: str) -> None:
    log, recorder = logger()
    log.set_log_level_by_name(setting)
    assert log.level_name() == setting
    for name in LEVELS[1:-1]:
        getattr(log, name)("from %s", name)
    sent = [level.decode() for level, _, _ in recorder.texts()]
    assert sent == [name for name in LEVELS[1:-1] if LEVELS.index(name) >= LEVELS.index(setting)]


def test_setting_the_level_leaves_pythons_loggers_alone() -> None:
    python_logger = logging.getLogger("test.leave-me-alone")
    before = python_logger.level
    log, _ = logger(python_logger=python_logger)
    log.set_log_level(DeviceLogger.TRACE)
    assert python_logger.level == before


# -- texts --------------------------------------------------------------------------------


def test_texts_and_names() -> None:
    log, recorder = logger(root_logger="top")
    log.error("plain")
    log.error("100 %")
    log.error("%s and %d", "words", 5)
    log.error("%d", "no number")
    log.error("too few %s %s", 1)
    log.error({"not": "text"})
    log.error("named", name="my.part")
    log.log(log.FATAL, "by number")
    log.warning("alias")
    log.critical("alias")
    assert recorder.texts() == [
        (b"error", b"top", b"plain"),
        (b"error", b"top", b"100 %"),
        (b"error", b"top", b"words and 5"),
        (b"error", b"top", b"%d ('no number',)"),
        (b"error", b"top", b"too few %s %s (1,)"),
        (b"error", b"top", b"{'not': 'text'}"),
        (b"error", b"my.part", b"named"),
        (b"fatal", b"top", b"by number"),
        (b"warn", b"top", b"alias"),
        (b"fatal", b"top", b"alias"),
    ]
    with pytest.raises(TypeError, match="colour"):
        log.error("text", colour="red")


def test_logging_at_the_ends_of_the_scale() -> None:
    log, recorder = logger(python_logger=logging.getLogger("test.ends"))
    log.log(DeviceLogger.ALL, "all")
    assert recorder.texts() == []
    log.log(DeviceLogger.OFF, "off")
    assert [level for level, _, _ in recorder.texts()] == [b"off"]


def test_python_gets_it_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(1, "test.device")
    log, recorder = logger(python_logger=logging.getLogger("test.device"))
    log.debug("a %s", "detail")
    log.warning("old news", timestamp=1234.5)
    log.fatal("the end")
    assert [(r.levelno, r.getMessage()) for r in caplog.records] == [
        (logging.DEBUG, "a detail"),
        (logging.WARNING, "katcp timestamp: 1234.5 old news"),
        (logging.CRITICAL, "the end"),
    ]
    assert recorder.sent[0].arguments[1] == b"1234.500000"


def test_timestamps() -> None:
    before = time.time()
    now = float(log_inform("info", "x", "root", None, 5).arguments[1])
    assert before - 1 <= now <= time.time() + 1
    assert log_inform("info", "x", "root", 1.0000004, 5).arguments[1] == b"1.000000"
    assert log_inform("info", "x", "root", 1.0006, 4).arguments[1] == b"1001"


# -- from Python's logging to clients -----------------------------------------------------


def test_the_handler_forwards_records() -> None:
    log, recorder = logger()
    log.set_log_level(DeviceLogger.TRACE)
    source = logging.getLogger("test.forward")
    source.setLevel(1)
    handler = log.handler()
    source.addHandler(handler)
    try:
        for level in (1, 5, 10, 15, 20, 30, 35, 40, 50, 60):
            source.log(level, "at %d", level)
        assert [level for level, _, _ in recorder.texts()] == [
            b"trace",
            b"trace",
            b"debug",
            b"debug",
            b"info",
            b"warn",
            b"warn",
            b"error",
            b"fatal",
            b"fatal",
        ]
        log.set_log_level(DeviceLogger.ERROR)
        source.warning("not sent")
        try:
            raise ValueError("with a traceback")
        except ValueError:
            source.exception("it failed")
        ((level, name, text),) = recorder.texts()
        assert (level, name) == (b"error", b"test.forward")
        assert text.startswith(b"it failed\nTraceback")
    finally:
        source.removeHandler(handler)


@pytest.mark.parametrize("name", ["katcp", "katcp.server", "tornado.application", "asyncio"])
def test_records_of_the_library_itself_are_not_forwarded(name: str) -> None:
    log, recorder = logger()
    log.handler().handle(logging.LogRecord(name, logging.ERROR, "", 0, "text", None, None))
    assert recorder.texts() == []


def test_a_record_that_cannot_be_formatted_harms_nobody(
    capsys: pytest.CaptureFixture[str],
) -> None:
    log, recorder = logger()
    record = logging.LogRecord("test", logging.ERROR, "", 0, "%d", ("x",), None)
    log.handler().handle(record)
    assert recorder.texts() == []
    assert "Logging error" in capsys.readouterr().err


# -- from a device's #log to Python -------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "level", "text"),
    [
        (["info", "1.5", "dev.part", "a text"], logging.INFO, "1.5 dev.part: a text"),
        (["fatal", "1", "root", "over"], logging.CRITICAL, "1 root: over"),
        (["off", "1", "root", "x"], 60, "1 root: x"),
        (["trace", "1", "root", "x"], 1, "1 root: x"),
        (["all", "1", "root", "x"], 1, "1 root: x"),
        (["loud", "1", "root", "x"], logging.WARNING, "1 root: x"),
        (["error", "1", "root", b"\xff"], logging.ERROR, "1 root: \\xff"),
        (["error"], logging.ERROR, " : "),
        ([], logging.WARNING, " : "),
        (["warn", "1", "a", "b", "c"], logging.WARNING, "1 a: b"),
    ],
)
def test_log_to_python(
    arguments: list[Any], level: int, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(1, "test.client")
    DeviceLogger.log_to_python(logging.getLogger("test.client"), Message.inform("log", *arguments))
    (record,) = caplog.records
    assert (record.levelno, record.getMessage()) == (level, text)


# -- over the wire ------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Bare, BareThreaded])
async def test_every_client_gets_the_log(kind: Any) -> None:
    server = kind("127.0.0.1", 0)
    server.log.error("nobody is there yet")
    async with serving(server), talking(server) as a, talking(server) as b:
        server.log.warning("a b\n%s", "c", timestamp=1234.5, name="my.part")
        server.log.info("below the level")
        for client in (a, b):
            assert await client.line() == b"#log warn 1234.500000 my.part a\\_b\\nc"
            assert await client.ask(b"?watchdog") == [b"!watchdog ok"]
    server.log.error("nobody is there any more")


async def test_version_4_has_milliseconds() -> None:
    class Old(Bare):
        PROTOCOL_INFO = ProtocolFlags(4, 0, "")

    async with serving(Old("127.0.0.1", 0)) as server, talking(server) as client:
        server.log.error("text", timestamp=1234.5678)
        assert await client.line() == b"#log error 1234568 root text"


async def test_python_records_reach_clients() -> None:
    async with serving(BareThreaded("127.0.0.1", 0)) as server, talking(server) as client:
        source = logging.getLogger("test.device.part")
        handler = server.log.handler()
        source.addHandler(handler)
        try:
            await asyncio.get_running_loop().run_in_executor(None, source.error, "from a thread")
            line = await client.line()
        finally:
            source.removeHandler(handler)
        assert line.startswith(b"#log error ")
        assert line.endswith(b" test.device.part from\\_a\\_thread")
