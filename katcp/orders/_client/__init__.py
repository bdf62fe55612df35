"""The other end: sections on another device."""

from katcp.orders._client._client import OrderClient
from katcp.orders._client._remote import RemoteSection, SectionInfo, SectionLost

__all__ = [
    "OrderClient",
    "RemoteSection",
    "SectionInfo",
    "SectionLost",
]
