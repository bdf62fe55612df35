"""What programs do with the helpers for the loop: events, states, and waiting for several things."""

from __future__ import print_function

import logging
import threading
import time

from tornado import gen
from tornado.concurrent import Future
from tornado.ioloop import IOLoop

from katcp.core import (
    AsyncCallbackEvent,
    AsyncEvent,
    AsyncState,
    AttrDict,
    LatencyTimer,
    future_timeout_manager,
    hashable_identity,
    log_coroutine_exceptions,
    log_future_exceptions,
    steal_docstring_from,
    until_any,
    until_later,
    until_some,
)
from katcp.inspecting_client import ExponentialRandomBackoff

logging.disable(logging.CRITICAL)


class Station(object):
    """Made before any loop runs."""

    def __init__(self):
        self.ready = AsyncEvent()
        self.state = AsyncState(["off", "on", "broken"])
        self.told = []
        self.watched = AsyncCallbackEvent(self.told.append)
        self._logger = logging.getLogger("station")

    @log_coroutine_exceptions
    @gen.coroutine
    def fail(self):
        yield gen.moment
        raise ValueError("broken")

    @steal_docstring_from(AsyncEvent.set)
    def documented(self):
        """And more."""


def outcome(future):
    if not future.done():
        return "waiting"
    error = future.exception()
    return type(error).__name__ if error is not None else future.result()


@gen.coroutine
def caught(future):
    try:
        result = yield future
    except Exception as error:
        raise gen.Return((type(error).__name__, isinstance(error, gen.TimeoutError)))
    raise gen.Return(result)


@gen.coroutine
def run(station):
    loop = IOLoop.current()
    # events
    waiting = station.ready.until_set()
    print("event", outcome(waiting), station.ready.is_set(), station.ready.isSet())
    loop.add_callback(station.ready.set)
    print("event", (yield waiting), station.ready.is_set(), outcome(station.ready.until_set()))
    station.ready.clear()
    print("timeout", (yield caught(station.ready.until_set(timeout=0.01))))
    waiting = station.ready.until_set()
    station.ready.set()
    station.ready.clear()
    print("pulse", (yield waiting), station.ready.is_set())
    station.watched.set()
    print("told", station.told, (yield station.watched.until_set()))
    # from another thread
    results = []
    thread = threading.Thread(
        target=lambda: results.append(
            (station.ready.wait_with_ioloop(loop, 0.02), station.watched.wait_with_ioloop(loop, 5))
        )
    )
    thread.start()
    while thread.is_alive():
        yield gen.sleep(0.005)
    print("thread", results)
    # states
    print("state", station.state.state, sorted(station.state.valid_states))
    print("state", outcome(station.state.until_state("off")))
    waiting = station.state.until_state("on")
    either = station.state.until_state_in("broken", "on")
    station.state.set_state("on")
    station.state.set_state("off")
    print("state", (yield waiting), (yield either), station.state.state)
    print("timeout", (yield caught(station.state.until_state("broken", timeout=0.01))))
    for bad in (lambda: station.state.set_state("odd"), lambda: station.state.until_state("odd")):
        try:
            bad()
            print("accepted")
        except ValueError as error:
            print("refused", type(error).__name__)
    # several things
    one, two, three = Future(), Future(), Future()
    first = until_any(one, two, three)
    two.set_result("two")
    print("any", (yield first))
    print("any", outcome(until_any(one, two)))
    print("any", (yield caught(until_any(one, three, timeout=0.01))))
    failing = Future()
    failing.set_exception(KeyError("x"))
    print("any", (yield caught(until_any(one, failing))))
    one, three = Future(), Future()
    some = until_some(one, two, three, done_at_least=2)
    three.set_result("three")
    print("some", sorted((yield some)))
    some = until_some(a=one, b=two)
    one.set_result("one")
    print("some", sorted((yield some)))
    print("some", (yield until_some()))
    print("some", (yield caught(until_some(Future(), timeout=0.01))))
    print("later", (yield until_later(0.001)))
    manager = future_timeout_manager(5)
    print("manager", (yield manager(gen.sleep(0.001))), 4 < manager.remaining() < 5)
    manager = future_timeout_manager(0.01)
    print("manager", (yield caught(manager(Future()))))
    print("manager", future_timeout_manager().remaining(), (yield future_timeout_manager()(two)))
    # the rest
    print("logged", (yield caught(station.fail())))
    log_future_exceptions(logging.getLogger("x"), failing)
    log_future_exceptions(logging.getLogger("x"), Future(), ignore=(KeyError,))
    timer = LatencyTimer(0.0001)
    timer.check_future(two)
    timer.check_future(two)
    time.sleep(0.001)
    print("latency", timer.time_to_yield())
    print("doc", Station.documented.__doc__.strip().endswith("And more."))
    print("identity", hashable_identity(station.fail) == hashable_identity(station.fail))
    nested = AttrDict(a=AttrDict(b=1))
    nested.c = 2
    print("dict", nested.a.b, sorted(nested), nested == {"a": {"b": 1}, "c": 2})
    backoff = ExponentialRandomBackoff(randomicity=0)
    delays = []
    for _ in range(6):
        delays.append(backoff.delay)
        backoff.failed()
    backoff.success()
    print("backoff", delays, backoff.delay)
    for bad in (dict(delay_initial=-1), dict(exp_fac=1), dict(randomicity=2), dict(delay_max=0.5)):
        try:
            ExponentialRandomBackoff(**bad)
            print("accepted", bad)
        except AssertionError:
            print("refused", sorted(bad))


def main():
    station = Station()
    IOLoop.current().run_sync(lambda: run(station))


if __name__ == "__main__":
    main()
