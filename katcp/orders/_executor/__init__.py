"""What carries sections out: their queue, their runs, and attempts."""

from katcp.orders._executor._executor import OrderExecutor
from katcp.orders._executor._known import ExecutorStopped, QueueFull, SectionJournal
from katcp.orders._executor._merging import SectionQueue
from katcp.orders._executor._threaded import ThreadedOrderExecutor

__all__ = [
    "ExecutorStopped",
    "OrderExecutor",
    "QueueFull",
    "SectionJournal",
    "SectionQueue",
    "ThreadedOrderExecutor",
]
