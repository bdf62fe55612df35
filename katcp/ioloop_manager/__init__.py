"""Loops in threads of their own, and their use from other threads."""

import time as time  # suites of tests patch it by this path

from katcp.ioloop_manager._manager import IOLoopManager, ThreadsafeFuture, log
from katcp.ioloop_manager._wrapper import (
    IOLoopThreadWrapper,
    LoopCallTimeout,
    ThreadSafeMethodAttrWrapper,
    with_relative_timeout,
)
from katcp.object_proxies import ObjectWrapper

__all__ = [
    "IOLoopManager",
    "IOLoopThreadWrapper",
    "LoopCallTimeout",
    "ObjectWrapper",
    "ThreadSafeMethodAttrWrapper",
    "ThreadsafeFuture",
    "log",
    "with_relative_timeout",
]
