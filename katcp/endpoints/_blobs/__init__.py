"""Binary objects: bytes with a version."""

from katcp.endpoints._blobs._host import BlobHost
from katcp.endpoints._blobs._remote import RemoteBlobs
from katcp.endpoints._blobs._store import Blob, BlobStore, BlobVersionError, NoSuchBlobError

__all__ = [
    "Blob",
    "BlobHost",
    "BlobStore",
    "BlobVersionError",
    "NoSuchBlobError",
    "RemoteBlobs",
]
