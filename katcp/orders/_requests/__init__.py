"""The requests of a device that takes orders."""

from katcp.orders._requests._listing import ListRequests
from katcp.orders._requests._points import PointRequests
from katcp.orders._requests._sections import OrderRequests

__all__ = [
    "ListRequests",
    "OrderRequests",
    "PointRequests",
]
