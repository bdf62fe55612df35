"""The table of return codes: what each number means, and the exception that stands for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from katcp.endpoints._codes._errors import (
    FIRST_APPLICATION_CODE,
    AccessDeniedError,
    ApplicationError,
    BadPayloadError,
    BrokerConnectionError,
    BrokerError,
    ClientSideError,
    ClientTimeoutError,
    DecodingFailedError,
    DeprecatedError,
    EndpointError,
    InvalidKeyError,
    InvalidMethodError,
    InvalidRequestError,
    InvalidSpecifierError,
    InvalidValueError,
    NoEncodingError,
    NoResponseError,
    ReplyError,
    RequestTimeoutError,
    ResourceConnectionError,
    ResourceError,
    RoutingKeyError,
    ServiceError,
    SubServiceError,
    UnableToSendError,
    UnhandledError,
)


@dataclass(frozen=True)
class ReturnCode:
    """One number, and what it means.

    Attributes
    ----------
    value : int
    name : str
        In snake case, for programs.
    description : str
        For people.
    """

    value: int
    name: str
    description: str

    @property
    def is_done(self) -> bool:
        """Whether the request was carried out, perhaps with a caveat."""
        return self.value < BrokerError.code

    @property
    def error(self) -> type[EndpointError] | None:
        """The class of the exception that stands for it; None if it means that it was done."""
        return None if self.is_done else error_class(self.value)


class ReturnCodes:
    """A table of return codes, by number.

    Parameters
    ----------
    codes : iterable of (value, name, description, class or None)
        Those that it begins with.
    """

    def __init__(
        self, codes: Iterable[tuple[int, str, str, type[EndpointError] | None]] = ()
    ) -> None:
        self._codes: dict[int, ReturnCode] = {}
        self._classes: dict[int, type[EndpointError]] = {}
        for value, name, description, kind in codes:
            self._codes[value] = ReturnCode(value, name, description)
            if kind is not None:
                self._classes[value] = kind

    def register(self, value: int, name: str, description: str) -> ReturnCode:
        """Add a code of the application; see `register_return_code`."""
        if type(value) is not int:
            raise TypeError(f"The value of a return code is an integer, not {value!r}.")
        known = self._codes.get(value)
        if known is not None:
            raise ValueError(f"Return code {value} is taken: {known.name} ({known.description}).")
        if value < FIRST_APPLICATION_CODE:
            raise ValueError(
                f"Return code {value} is not for applications, whose codes begin at "
                f"{FIRST_APPLICATION_CODE}."
            )
        if not name.isidentifier():
            raise ValueError(f"{name!r} cannot be the name of a return code.")
        for other in self._codes.values():
            if other.name == name:
                raise ValueError(f"The name {name} is that of return code {other.value}.")
        self._codes[value] = code = ReturnCode(value, name, description)
        title = "".join(part.capitalize() for part in name.split("_"))
        self._classes[value] = type(
            title if title.endswith("Error") else f"{title}Error",
            (ApplicationError,),
            {"code": value, "__doc__": f"{description} ({value})", "__module__": __name__},
        )
        return code

    def __getitem__(self, value: int) -> ReturnCode:
        return self._codes[value]

    def __contains__(self, value: object) -> bool:
        return value in self._codes

    def __iter__(self) -> Iterator[ReturnCode]:
        return iter(sorted(self._codes.values(), key=lambda code: code.value))

    def __len__(self) -> int:
        return len(self._codes)

    def error_class(self, value: int) -> type[EndpointError]:
        """Return the class for a code; see `error_class`."""
        known = self._classes.get(value)
        if known is not None:
            return known
        if value >= FIRST_APPLICATION_CODE:
            return ApplicationError
        return self._classes.get(value - value % 100, EndpointError)


#: The codes of this process. The one table of the package that grows: numbers must mean the same
#: to every device and every client of a process, or an exception could not be caught by its class.
RETURN_CODES = ReturnCodes(
    [
        (0, "success", "success", None),
        (1, "warning_no_action_taken", "no action was taken", None),
        (2, "warning_deprecated_feature", "a deprecated feature was used", None),
        (3, "warning_dry_run", "dry run", None),
        (4, "warning_offline", "offline", None),
        (5, "warning_sub_service", "a sub-service warned", None),
        (100, "broker_error", "the request was not delivered", BrokerError),
        (101, "broker_connection_error", "no connection to the device", BrokerConnectionError),
        (102, "routing_key_not_found", "no such endpoint", RoutingKeyError),
        (200, "resource_error", "hardware error", ResourceError),
        (201, "resource_connection_error", "hardware not reached", ResourceConnectionError),
        (202, "no_response", "no response of the hardware", NoResponseError),
        (203, "sub_service_error", "sub-service error", SubServiceError),
        (300, "service_error", "the service failed", ServiceError),
        (301, "no_encoding", "no encoding", NoEncodingError),
        (302, "decoding_failed", "decoding failed", DecodingFailedError),
        (303, "bad_payload", "bad payload", BadPayloadError),
        (304, "invalid_value", "invalid value", InvalidValueError),
        (305, "timeout", "timeout handling the request", RequestTimeoutError),
        (306, "invalid_method", "method not supported", InvalidMethodError),
        (307, "access_denied", "access denied: locked", AccessDeniedError),
        (308, "invalid_key", "invalid lockout key", InvalidKeyError),
        (309, "deprecated", "no longer supported", DeprecatedError),
        (310, "invalid_specifier", "no such property", InvalidSpecifierError),
        (400, "client_error", "error of the client", ClientSideError),
        (401, "invalid_request", "invalid request", InvalidRequestError),
        (402, "reply_error", "the reply could not be handled", ReplyError),
        (403, "unable_to_send", "unable to send", UnableToSendError),
        (404, "client_timeout", "no reply in time", ClientTimeoutError),
        (999, "unhandled_exception", "unhandled exception", UnhandledError),
    ]
)


def register_return_code(value: int, name: str, description: str) -> ReturnCode:
    """Register a return code of the application, in all of this process.

    Parameters
    ----------
    value : int
        1000 or above.
    name : str
        In snake case; the class of its exception is named after it: ``run_error`` makes
        ``RunError``, had by ``code.error``.
    description : str
        For people.

    Returns
    -------
    ReturnCode

    Raises
    ------
    ValueError
        If number or name are taken, or not for applications.
    """
    return RETURN_CODES.register(value, name, description)


def error_class(code: int) -> type[EndpointError]:
    """Return the class of the exception for a code.

    For a number that is not known it is the class of its hundred.
    """
    return RETURN_CODES.error_class(code)


def error_for(
    code: int, text: str = "", payload: Iterable[Any] | None = None, *, invalid: bool | None = None
) -> EndpointError:
    """Return, and do not raise, the exception for a code.

    Raises
    ------
    ValueError
        If the code means that the request was done (below 100).
    """
    if code < BrokerError.code:
        raise ValueError(f"Return code {code} is no failure.")
    return error_class(code)(text, payload, code=code, invalid=invalid)
