"""Return codes: their table, their exceptions, and how they are answered."""

from __future__ import annotations

import asyncio
import pickle
from typing import Any

import pytest

from katcp.endpoints import (
    RETURN_CODES,
    AccessDeniedError,
    ApplicationError,
    BadPayloadError,
    BrokerError,
    ClientTimeoutError,
    EndpointError,
    InvalidValueError,
    RequestTimeoutError,
    ResourceConnectionError,
    ResourceError,
    ReturnCodes,
    RoutingKeyError,
    ServiceError,
    UnhandledError,
    error_class,
    error_for,
    register_return_code,
)
from katcp.endpoints._codes import _errors as codes
from katcp.errors import FailReply, InvalidReply
from katcp.protocol import Message

DONE = [0, 1, 2, 3, 4, 5]
NOT_DONE = [100, 101, 102, 200, 201, 202, 203, *range(300, 311), *range(400, 405), 999]


# -- the table --------------------------------------------------------------------------


def test_it_has_all_codes_of_the_wire_standard() -> None:
    values = [code.value for code in RETURN_CODES if code.value < 1000]
    assert values == DONE + NOT_DONE
    assert len(RETURN_CODES) >= len(values)


@pytest.mark.parametrize("value", NOT_DONE)
def test_each_failure_has_a_class_of_its_own(value: int) -> None:
    code = RETURN_CODES[value]
    assert not code.is_done
    assert code.error is error_class(value)
    error = error_for(value, "why")
    assert type(error) is code.error
    assert (error.code, error.text, str(error)) == (value, "why", "why")
    assert isinstance(error, FailReply)
    assert code.name
    assert code.description


@pytest.mark.parametrize("value", NOT_DONE)
def test_each_failure_is_one_of_its_hundred(value: int) -> None:
    if value not in (404, 999):
        assert issubclass(error_class(value), error_class(value - value % 100))
    assert issubclass(error_class(value), EndpointError)


@pytest.mark.parametrize("value", DONE)
def test_what_was_done_is_no_failure(value: int) -> None:
    assert RETURN_CODES[value].is_done
    assert RETURN_CODES[value].error is None
    with pytest.raises(ValueError, match=f"{value} is no failure"):
        error_for(value)


def test_numbers_that_are_not_known_belong_to_their_hundred() -> None:
    assert error_class(199) is BrokerError
    assert error_class(299) is ResourceError
    assert error_class(399) is ServiceError
    assert error_class(777) is EndpointError
    assert error_class(123456) is ApplicationError
    assert error_for(299).code == 299


def test_python_can_catch_them_by_what_they_are_like() -> None:
    assert issubclass(RoutingKeyError, KeyError)
    assert issubclass(InvalidValueError, ValueError)
    assert issubclass(ClientTimeoutError, RequestTimeoutError)
    assert str(RoutingKeyError("there is no endpoint 'x'")) == "there is no endpoint 'x'"
    assert repr(RoutingKeyError("no")) == "RoutingKeyError('no', code=102)"


def test_an_error_can_be_sent_to_another_process() -> None:
    error = pickle.loads(pickle.dumps(AccessDeniedError("locked", ["a"])))
    assert (error.text, error.payload, error.code) == ("locked", ("a",), 307)


# -- those of applications --------------------------------------------------------------


def test_drip_rc_03_application_codes_are_registered_once() -> None:
    table = ReturnCodes(
        (code.value, code.name, code.description, code.error) for code in RETURN_CODES
    )
    code = table.register(1001, "run_stopped", "the run has stopped")
    assert (code.value, code.name, code.description) == (1001, "run_stopped", "the run has stopped")
    kind = table.error_class(1001)
    assert kind.__name__ == "RunStoppedError"
    assert issubclass(kind, ApplicationError)
    assert kind.code == 1001
    for value in (1001, 307, 0):
        with pytest.raises(ValueError, match=f"{value} is taken"):
            table.register(value, "another", "")
    assert table[1001] is code
    assert 1001 in table
    assert 1002 not in table


def test_drip_rc_03_the_table_of_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RETURN_CODES, "_codes", dict(RETURN_CODES._codes))
    monkeypatch.setattr(RETURN_CODES, "_classes", dict(RETURN_CODES._classes))
    code = register_return_code(1001, "daq_error", "the data taking failed")
    assert code.error is error_class(1001)
    assert code.error.__name__ == "DaqError"
    assert type(error_for(1001, "no disk")) is code.error
    with pytest.raises(ValueError, match="1001 is taken: daq_error"):
        register_return_code(1001, "daq_error", "the data taking failed")


@pytest.mark.parametrize(
    ("value", "name", "complaint"),
    [
        (998, "too_low", "begin at 1000"),
        (-1, "negative", "begin at 1000"),
        (1000, "not a name", "cannot be the name"),
        (1000, "", "cannot be the name"),
        (1000, "success", "is that of return code 0"),
    ],
)
def test_what_is_no_application_code_is_refused(value: int, name: str, complaint: str) -> None:
    table = ReturnCodes([(0, "success", "", None)])
    with pytest.raises(ValueError, match=complaint):
        table.register(value, name, "")
    assert len(table) == 1


@pytest.mark.parametrize("value", [True, 1000.0, "1000"])
def test_a_code_is_an_integer(value: Any) -> None:
    with pytest.raises(TypeError, match="is an integer"):
        ReturnCodes().register(value, "one", "")


# -- answering --------------------------------------------------------------------------


def test_the_message_comes_before_the_code() -> None:
    for error, reply in [
        (AccessDeniedError("locked"), ("fail", b"locked", 307)),
        (InvalidValueError("no", ["raw", 1, None]), ("fail", b"no", 304, b"raw", b"1", b"")),
        (InvalidValueError("no", ["\udcff"]), ("fail", b"no", 304, b"\xff")),
        (InvalidValueError("no", invalid=True), ("invalid", b"no", 304)),
        (BadPayloadError("which?"), ("invalid", b"which?", 303)),
        (BadPayloadError("which?", invalid=False), ("fail", b"which?", 303)),
        (ServiceError(code=1234), ("fail", b"ServiceError", 1234)),
    ]:
        assert error.katcp_reply == reply


def test_other_failures_have_a_text_alone() -> None:
    assert FailReply("it is off").katcp_reply == ("fail", "it is off")
    assert InvalidReply("what?").katcp_reply == ("invalid", "what?")


@pytest.mark.parametrize(
    ("error", "kind", "text", "invalid"),
    [
        (AccessDeniedError("a"), AccessDeniedError, "a", False),
        (FailReply("it is off"), ServiceError, "it is off", False),
        (InvalidReply("what?"), InvalidValueError, "what?", True),
        (
            ConnectionResetError("gone"),
            ResourceConnectionError,
            "ConnectionResetError: gone",
            False,
        ),
        (TimeoutError(), RequestTimeoutError, "TimeoutError", False),
        (asyncio.TimeoutError(), RequestTimeoutError, "TimeoutError", False),
    ],
)
def test_what_errors_mean_to_a_client(
    error: Exception, kind: type[EndpointError], text: str, invalid: bool
) -> None:
    found = codes.foreseen(error)
    assert type(found) is kind
    assert str(found) == text
    assert found.invalid == invalid


def test_an_unforeseen_error_has_an_id_that_is_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    class Odd(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    for error, text in [
        (ZeroDivisionError("by zero"), "ZeroDivisionError: by zero"),
        (Odd(), "Odd"),
    ]:
        caplog.clear()
        found = codes.foreseen(error)
        assert type(found) is UnhandledError
        start, _, mark = str(found).partition(" (error ")
        assert start == text
        assert mark.rstrip(")") in caplog.text
        assert "Traceback" not in str(found)


async def test_a_handler_answers_by_code_whatever_happens_in_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    outcomes: list[Any] = [("ok", 1), AccessDeniedError("locked"), KeyError("x"), SystemExit(1)]

    @codes.coded
    async def handler(req: Any, msg: Message) -> Any:
        """Do something."""
        outcome = outcomes.pop(0)
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome

    msg = Message.request("do")
    assert handler.__doc__ == "Do something."
    assert await handler(None, msg) == ("ok", 1)
    assert await handler(None, msg) == ("fail", b"locked", 307)
    for _ in range(2):
        status, text, code = await handler(None, msg)
        assert (status, code) == ("fail", 999)
        assert b"error " in text


async def test_a_handler_can_be_cancelled() -> None:
    @codes.coded
    async def handler(req: Any, msg: Message) -> Any:
        await asyncio.sleep(60)

    task = asyncio.ensure_future(handler(None, Message.request("do")))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
