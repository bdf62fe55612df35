"""Tables of handlers, made when a class is."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest

from katcp.handlers import DeviceMetaclass, DeviceServerMetaclass
from katcp.kattypes import has_katcp_protocol_flags, minimum_katcp_version
from katcp.protocol import ProtocolFlags


class Device(metaclass=DeviceMetaclass):
    def request_help(self, req: Any, msg: Any) -> str:
        """Help."""
        return "help of Device"

    def request_raw_reverse(self, req: Any, msg: Any) -> str:
        """Reverse."""
        return "reversed"

    def inform_hello(self, connection: Any, msg: Any) -> None:
        """Greet."""

    def reply_weird(self, connection: Any, msg: Any) -> None:
        """Wonder."""

    def reply_inform(self, connection: Any, inform: Any, orig_req: Any) -> None:
        pass  # a method of servers, not a handler, so it needs no docstring

    def requests(self) -> None:
        pass

    request_limit = 5
    inform_nobody = None


def test_methods_land_in_the_table_of_their_kind() -> None:
    assert set(Device._request_handlers) == {"help", "raw-reverse"}
    assert set(Device._inform_handlers) == {"hello"}
    assert set(Device._reply_handlers) == {"weird"}


def test_handlers_are_plain_functions_called_with_the_device_first() -> None:
    handler = Device._request_handlers["help"]
    assert handler is Device.request_help
    assert handler(Device(), None, None) == "help of Device"


def test_subclasses_inherit_replace_and_add() -> None:
    class Sub(Device):
        def request_help(self, req: Any, msg: Any) -> str:
            """Better help."""
            return "help of Sub"

        def request_more(self, req: Any, msg: Any) -> None:
            """More."""

        request_raw_reverse = None  # type: ignore[assignment]  # taken away

    assert set(Sub._request_handlers) == {"help", "more"}
    assert Sub._request_handlers["help"](Sub(), None, None) == "help of Sub"
    assert set(Device._request_handlers) == {"help", "raw-reverse"}
    assert set(Sub._inform_handlers) == {"hello"}


def test_handlers_of_mixins_are_found() -> None:
    class Mixin:
        def request_mixed(self, req: Any, msg: Any) -> None:
            """Mixed in."""

    class Sub(Mixin, Device):
        pass

    assert set(Sub._request_handlers) == {"help", "raw-reverse", "mixed"}


def test_anything_callable_is_a_handler() -> None:
    class Callable:
        """Called."""

        def __call__(self, device: Any, req: Any, msg: Any) -> str:
            return "called"

    class Sub(Device):
        request_thing = Callable()

        @staticmethod
        def request_static(req: Any, msg: Any) -> None:
            """Static."""

    assert {"thing", "static"} <= set(Sub._request_handlers)
    assert Sub._request_handlers["thing"](Sub(), None, None) == "called"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("request_baz", "Request 'baz' has no docstring."),
        ("inform_baz_bar", "Inform 'baz-bar' has no docstring."),
        ("reply_baz", "Reply 'baz' has no docstring."),
    ],
)
@pytest.mark.parametrize("docstring", [None, ""])
def test_a_handler_without_docstring_fails_the_class(
    name: str, text: str, docstring: str | None
) -> None:
    def handler(self: Any, req: Any, msg: Any) -> None:
        pass

    handler.__doc__ = docstring
    with pytest.raises(AssertionError) as caught:
        DeviceMetaclass("Bad", (), {name: handler})
    assert str(caught.value) == text


def test_an_instance_may_have_a_table_of_its_own() -> None:
    device = Device()
    device._request_handlers = dict(device._request_handlers)
    device._request_handlers["extra"] = lambda self, req, msg: "extra"
    assert "extra" not in Device._request_handlers
    assert "extra" not in Device()._request_handlers


class Server(metaclass=DeviceServerMetaclass):
    PROTOCOL_INFO: ClassVar[ProtocolFlags] = ProtocolFlags(5, 0, "MI")

    def request_always(self, req: Any, msg: Any) -> None:
        """Always."""

    @minimum_katcp_version(5, 0)
    def request_five(self, req: Any, msg: Any) -> None:
        """Since 5.0."""

    @minimum_katcp_version(5, 1)
    def request_five_one(self, req: Any, msg: Any) -> None:
        """Since 5.1."""

    @minimum_katcp_version(5, 1)
    @has_katcp_protocol_flags([ProtocolFlags.REQUEST_TIMEOUT_HINTS])
    def request_hinted(self, req: Any, msg: Any) -> None:
        """With flag T."""

    @minimum_katcp_version(5, 1)
    def inform_five_one(self, connection: Any, msg: Any) -> None:
        """Since 5.1."""


def names(flags: ProtocolFlags) -> set[str]:
    class Sub(Server):
        PROTOCOL_INFO = flags

    return set(Sub._request_handlers)


def test_a_server_has_the_handlers_of_its_version() -> None:
    assert set(Server._request_handlers) == {"always", "five"}
    assert set(Server._inform_handlers) == set()
    assert names(ProtocolFlags(4, 0, "")) == {"always"}
    assert names(ProtocolFlags(5, 1, "MI")) == {"always", "five", "five-one"}
    assert names(ProtocolFlags(5, 1, "T")) == {"always", "five", "five-one", "hinted"}
    assert names(ProtocolFlags(6, 0, "T")) == {"always", "five", "five-one", "hinted"}


def test_a_subclass_that_says_nothing_keeps_the_version() -> None:
    class Sub(Server):
        pass

    assert set(Sub._request_handlers) == {"always", "five"}


def test_without_a_version_there_are_no_conditions() -> None:
    class Bare(metaclass=DeviceServerMetaclass):
        @minimum_katcp_version(99)
        def request_future(self, req: Any, msg: Any) -> None:
            """Far away."""

    assert set(Bare._request_handlers) == {"future"}
