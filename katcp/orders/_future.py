"""Futures of sections, for coroutines and for threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Generator, Iterable
from typing import TYPE_CHECKING, Any

from katcp.ioloop_manager import ThreadsafeFuture

if TYPE_CHECKING:
    from katcp.orders._section import Section


class SectionFuture(ThreadsafeFuture):
    """A future that coroutines await, and that other threads ask for its result.

    Asking for the result where that would keep the loop from ever producing it raises at once.
    Whoever awaits it may be cancelled without cancelling it, as in ``asyncio.wait_for``.
    """

    #: The loop that the result will come from, as far as that is known.
    _loop: asyncio.AbstractEventLoop | None = None
    #: What it is of; None when that has ended.
    _section: Section | None = None

    def __init__(self) -> None:
        super().__init__()
        # Guards steps from one state to the next; callbacks may take further ones.
        self._step = threading.RLock()

    def cancel(self) -> bool:
        """Cancel it if what it is of has not been started; tell whether it is cancelled."""
        with self._step:
            if self.cancelled():
                return True
            if self.running() or self.done():
                return False
            section, self._section = self._section, None
            if section is not None:
                section._enter_cancelled()  # noqa: SLF001  # callbacks are to find it so
            super().cancel()
            # Those who wait for several futures at once are told by this alone.
            self.set_running_or_notify_cancel()
        if section is not None:
            section._after_cancelled()  # noqa: SLF001  # a room of this package
        return True

    def begin(self) -> bool:
        """Take note that it has been started; tell whether it may go on."""
        with self._step:
            if self.cancelled():
                return False
            if not self.running() and not self.done():
                self.set_running_or_notify_cancel()
        return True

    def finish(self, result: Any) -> bool:
        """Give it a result, or an exception; tell whether it had none."""
        with self._step:
            if self.done():
                return False
            self._section = None
            if not self.running():
                self.set_running_or_notify_cancel()
            if isinstance(result, BaseException):
                self.set_exception(result)
            else:
                self.set_result(result)
        return True

    def _must_not_block(self) -> None:
        if self.done():
            return
        try:
            running = asyncio.get_running_loop()
        except RuntimeError:
            return
        if self._loop is None or running is self._loop:
            raise RuntimeError(
                "This would keep the loop from ever producing the result: await the future, or"
                " ask from another thread."
            )

    def result(self, timeout: float | None = None) -> Any:
        """Return the result, after waiting for it; not in the thread of the loop.

        Parameters
        ----------
        timeout : float, optional
            Longest wait [s]; None: for ever.

        Raises
        ------
        concurrent.futures.TimeoutError
            After that time; nothing else happens.
        concurrent.futures.CancelledError
            If it is cancelled.
        RuntimeError
            In the thread of the loop, if it is not done.
        """
        self._must_not_block()
        return super().result(timeout)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Return the exception, or None, after waiting for it; see `result`."""
        self._must_not_block()
        return super().exception(timeout)

    def __await__(self) -> Generator[Any, None, Any]:
        if not self.done():
            loop = asyncio.get_running_loop()
            waiter = loop.create_future()

            def wake(_: object) -> None:
                if not waiter.done():
                    waiter.set_result(None)

            def told(_: object) -> None:
                with contextlib.suppress(RuntimeError):  # a loop that is closed waits no more
                    loop.call_soon_threadsafe(wake, None)

            self.add_done_callback(told)
            yield from waiter
        if self.cancelled():
            raise asyncio.CancelledError("The section was cancelled")
        return self.result()

    __iter__ = __await__


class CombinedFuture(SectionFuture):
    """A future of several sections: a list of `SectionResult`, when all have ended.

    It has a result however they have ended. Cancelling it cancels those that have not started.
    """

    def __init__(self, sections: Iterable[Section]) -> None:
        super().__init__()
        self._sections = tuple(sections)
        self._left = len(self._sections)
        # Futures keep their callbacks for ever, and one section is not to keep all the others.
        me = [self]

        def one_ended(_: object) -> None:
            if me and me[0]._one_ended():  # noqa: SLF001  # of this class
                me.clear()

        for section in self._sections:
            section.future.add_done_callback(one_ended)
        if not self._sections:
            self.finish([])

    def cancel(self) -> bool:
        """Cancel the sections that have not started; tell whether all are cancelled."""
        if self.done():
            return False
        cancelled = [section.future.cancel() for section in self._sections]
        return all(cancelled)

    def _one_ended(self) -> bool:
        with self._step:
            self._left -= 1
            left = self._left
        if left == 0:
            sections, self._sections = self._sections, ()
            self.finish([section.outcome for section in sections])
        return left == 0
