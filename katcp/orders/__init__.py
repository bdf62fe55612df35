"""Orders: batches of reads and writes, with an outcome for each.

A `Section` is some orders that are handed over together; an `OrderExecutor` carries it out against
a target: points of one's own (`PathpointTarget`) or a device (`ClientTarget`, `ResourceTarget`).
"""

from katcp.orders._client import OrderClient, RemoteSection, SectionInfo, SectionLost
from katcp.orders._devices import ClientTarget, ResourceTarget
from katcp.orders._executor import (
    ExecutorStopped,
    OrderExecutor,
    QueueFull,
    SectionJournal,
    SectionQueue,
    ThreadedOrderExecutor,
)
from katcp.orders._format import OrderFormatError
from katcp.orders._future import CombinedFuture, SectionFuture
from katcp.orders._host import OrderHost
from katcp.orders._journal import Journal, JournalEntry
from katcp.orders._json import (
    order_from_json,
    orders_from_json,
    section_from_json,
    section_to_json,
)
from katcp.orders._macros import (
    Calendar,
    Late,
    Macro,
    MacroHost,
    Macros,
    MacroState,
    Moments,
    Occurrences,
    occurrences,
)
from katcp.orders._orders import (
    AdviseLevel,
    Disposition,
    MessageOrder,
    Order,
    ReadOrder,
    SysctlOrder,
    WaitOrder,
    WaitUntilOrder,
    WriteOrder,
)
from katcp.orders._outcome import (
    FINAL_STATES,
    SECTION_STATES,
    OrderFailed,
    OrderSkipped,
    Outcome,
    SectionAbandoned,
    SectionFailed,
    SectionResult,
    state_of,
)
from katcp.orders._pathpoint import NotReadYet, Pathpoint, PointFailed, sensor_by_letter
from katcp.orders._section import Section
from katcp.orders._server import AsyncOrderServer, OrderServer
from katcp.orders._targets import PathpointTarget, Target

__all__ = [
    "FINAL_STATES",
    "SECTION_STATES",
    "AdviseLevel",
    "AsyncOrderServer",
    "Calendar",
    "ClientTarget",
    "CombinedFuture",
    "Disposition",
    "ExecutorStopped",
    "Journal",
    "JournalEntry",
    "Late",
    "Macro",
    "MacroHost",
    "MacroState",
    "Macros",
    "MessageOrder",
    "Moments",
    "NotReadYet",
    "Occurrences",
    "Order",
    "OrderClient",
    "OrderExecutor",
    "OrderFailed",
    "OrderFormatError",
    "OrderHost",
    "OrderServer",
    "OrderSkipped",
    "Outcome",
    "Pathpoint",
    "PathpointTarget",
    "PointFailed",
    "QueueFull",
    "ReadOrder",
    "RemoteSection",
    "ResourceTarget",
    "Section",
    "SectionAbandoned",
    "SectionFailed",
    "SectionFuture",
    "SectionInfo",
    "SectionJournal",
    "SectionLost",
    "SectionQueue",
    "SectionResult",
    "SysctlOrder",
    "Target",
    "ThreadedOrderExecutor",
    "WaitOrder",
    "WaitUntilOrder",
    "WriteOrder",
    "occurrences",
    "order_from_json",
    "orders_from_json",
    "section_from_json",
    "section_to_json",
    "sensor_by_letter",
    "state_of",
]
