"""Helpers for the loop: events, states, time limits, backoff. No threads.

None of the constructors needs a running loop, and none makes one.
"""

from katcp.aio._attrdict import AttrDict, DefaultAttrDict
from katcp.aio._backoff import ExponentialRandomBackoff
from katcp.aio._clock import loop_of, now
from katcp.aio._events import AsyncCallbackEvent, AsyncEvent, event_within
from katcp.aio._states import AsyncState
from katcp.aio._tasks import (
    LatencyTimer,
    call_guarded,
    finish_guarded,
    hashable_identity,
    log_coroutine_exceptions,
    log_future_exceptions,
    steal_docstring_from,
    under_way,
)
from katcp.aio._timeouts import (
    FutureTimeoutManager,
    WaitTimeout,
    future_timeout_manager,
    limit,
    timeout_error,
    with_timeout,
)
from katcp.aio._until import until_any, until_later, until_some
from katcp.aio._waiters import Waiters, done, failed

__all__ = [
    "AsyncCallbackEvent",
    "AsyncEvent",
    "AsyncState",
    "AttrDict",
    "DefaultAttrDict",
    "ExponentialRandomBackoff",
    "FutureTimeoutManager",
    "LatencyTimer",
    "WaitTimeout",
    "Waiters",
    "call_guarded",
    "done",
    "event_within",
    "failed",
    "finish_guarded",
    "future_timeout_manager",
    "hashable_identity",
    "limit",
    "log_coroutine_exceptions",
    "log_future_exceptions",
    "loop_of",
    "now",
    "steal_docstring_from",
    "timeout_error",
    "under_way",
    "until_any",
    "until_later",
    "until_some",
    "with_timeout",
]
