"""Endpoints: named values that clients can read, set and command."""

from katcp.endpoints._alert_client import AlertClient, AlertFeed
from katcp.endpoints._alerts import Alert, AlertHub
from katcp.endpoints._asking import Answer
from katcp.endpoints._blobs import Blob, BlobStore, BlobVersionError, NoSuchBlobError
from katcp.endpoints._calibration import Calibration
from katcp.endpoints._client import EndpointClient, EndpointListing
from katcp.endpoints._codes import (
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
from katcp.endpoints._conditions import ConditionOutcome
from katcp.endpoints._declared import endpoint
from katcp.endpoints._derived import DerivedEndpoint
from katcp.endpoints._endpoint import Endpoint
from katcp.endpoints._event_log import EventLog, PredicateEvent
from katcp.endpoints._history import SensorHistory
from katcp.endpoints._host import EndpointHost
from katcp.endpoints._key_value import KeyValueStore, StoreKey, kv_store, kv_store_key
from katcp.endpoints._locking_client import LockState
from katcp.endpoints._lockout import Held, Lockout
from katcp.endpoints._locks import Locks
from katcp.endpoints._logged import LoggedEndpoint, LoggingState, logging_states, set_logging
from katcp.endpoints._logging import Logging
from katcp.endpoints._persistence import Persistence
from katcp.endpoints._predicate_host import PredicateHost
from katcp.endpoints._predicates import Predicate
from katcp.endpoints._provider import Provider
from katcp.endpoints._remote import remote_command, remote_property
from katcp.endpoints._remote_blobs import RemoteBlobs
from katcp.endpoints._requests_blob import BlobHost
from katcp.endpoints._return_codes import (
    RETURN_CODES,
    ReturnCode,
    ReturnCodes,
    error_class,
    error_for,
    register_return_code,
)
from katcp.endpoints._rule import LoggingRule
from katcp.endpoints._schedule import Schedule
from katcp.endpoints._server import AsyncEndpointServer, EndpointServer
from katcp.endpoints._several import EndpointClients, FanOut
from katcp.endpoints._silences import Silence
from katcp.endpoints._spime import Spime
from katcp.endpoints._values import EndpointReading
from katcp.expressions import times2, times3

__all__ = [
    "RETURN_CODES",
    "AccessDeniedError",
    "Alert",
    "AlertClient",
    "AlertFeed",
    "AlertHub",
    "Answer",
    "ApplicationError",
    "AsyncEndpointServer",
    "BadPayloadError",
    "Blob",
    "BlobHost",
    "BlobStore",
    "BlobVersionError",
    "BrokerConnectionError",
    "BrokerError",
    "Calibration",
    "ClientSideError",
    "ClientTimeoutError",
    "ConditionOutcome",
    "DecodingFailedError",
    "DeprecatedError",
    "DerivedEndpoint",
    "Endpoint",
    "EndpointClient",
    "EndpointClients",
    "EndpointError",
    "EndpointHost",
    "EndpointListing",
    "EndpointReading",
    "EndpointServer",
    "EventLog",
    "FanOut",
    "Held",
    "InvalidKeyError",
    "InvalidMethodError",
    "InvalidRequestError",
    "InvalidSpecifierError",
    "InvalidValueError",
    "KeyValueStore",
    "LockState",
    "Lockout",
    "Locks",
    "LoggedEndpoint",
    "Logging",
    "LoggingRule",
    "LoggingState",
    "NoEncodingError",
    "NoResponseError",
    "NoSuchBlobError",
    "Persistence",
    "Predicate",
    "PredicateEvent",
    "PredicateHost",
    "Provider",
    "RemoteBlobs",
    "ReplyError",
    "RequestTimeoutError",
    "ResourceConnectionError",
    "ResourceError",
    "ReturnCode",
    "ReturnCodes",
    "RoutingKeyError",
    "Schedule",
    "SensorHistory",
    "ServiceError",
    "Silence",
    "Spime",
    "StoreKey",
    "SubServiceError",
    "UnableToSendError",
    "UnhandledError",
    "endpoint",
    "error_class",
    "error_for",
    "kv_store",
    "kv_store_key",
    "logging_states",
    "register_return_code",
    "remote_command",
    "remote_property",
    "set_logging",
    "times2",
    "times3",
]
