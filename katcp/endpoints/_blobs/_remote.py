"""The binary objects of another device."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from typing import Any

from katcp.endpoints._blobs._host import PIECE
from katcp.endpoints._blobs._store import ABSENT, Blob, BlobVersionError, NoSuchBlobError
from katcp.endpoints._codes import ReplyError, ServiceError, error_for
from katcp.inspecting_client import InspectingClientAsync
from katcp.protocol import Message


class RemoteBlobs:
    """The binary objects of a device, for a client of it.

    Parameters
    ----------
    client : InspectingClientAsync
        Connected to the device, or going to be.
    timeout : float
        For each request, of which a large object takes many [s].

    Notes
    -----
    What the device refuses is raised as `EndpointError`, or the subclass that its code stands for;
    an object that is not there as `NoSuchBlobError`, which is a `KeyError`, and a version that is
    not there as `BlobVersionError`.
    """

    def __init__(self, client: InspectingClientAsync, *, timeout: float = 10.0) -> None:
        self._client = client
        self._timeout = timeout

    async def listing(self) -> list[Blob]:
        """Return what there is, by name."""
        _, informs = await self._ask("baob-list")
        return [_blob(inform.arguments) for inform in informs]

    async def find(self, key: str) -> Blob:
        """Return what is known of an object.

        Raises
        ------
        NoSuchBlobError
            If there is none of that name.
        """
        if len(key) > 1 and key.startswith("/") and key.endswith("/"):
            # By itself it would be taken for a regular expression.
            for blob in await self.listing():
                if blob.key == key:
                    return blob
            raise NoSuchBlobError(f"There is no object {key!r}.")
        _, informs = await self._ask("baob-list", key)
        return _blob(informs[0].arguments)

    async def get(self, key: str) -> bytes:
        """Return the bytes of an object.

        Raises
        ------
        NoSuchBlobError
            If there is none of that name.
        BlobVersionError
            If it was changed while it was read.
        """
        return b"".join([piece async for piece in self.pieces(key)])

    async def pieces(self, key: str) -> AsyncIterator[bytes]:
        """Yield the bytes of one version of an object piece by piece, in their order."""
        offset, version = 0, None
        while True:
            reply, informs = await self._ask("baob-get", key, offset, 16 * PIECE)
            found, size = int(reply.arguments[2]), int(reply.arguments[3])
            if version not in (None, found):
                raise BlobVersionError(f"Version {version} of {key!r} is there no longer.", [found])
            version = found
            for inform in informs:
                piece = base64.b64decode(inform.arguments[1], validate=True)
                offset += len(piece)
                yield piece
            if offset >= size or not informs:
                return

    async def put(self, key: str, data: bytes, expected: int = ABSENT) -> int:
        """Put an object, or a new version of it; return its version.

        Parameters
        ----------
        key : str
        data : bytes
        expected : int
            The version that is replaced; -1 if there is none.

        Raises
        ------
        BlobVersionError
            If another version is there; nothing has changed.
        """
        count = max(1, -(-len(data) // PIECE))
        for index in range(count):
            piece = base64.b64encode(data[index * PIECE : (index + 1) * PIECE])
            reply, _ = await self._ask("baob-put", key, expected, index, count, piece)
        return int(reply.arguments[1])

    async def delete(self, key: str, version: int) -> None:
        """Delete an object of which this version is there.

        Raises
        ------
        NoSuchBlobError
            If there is none of that name.
        BlobVersionError
            If another version is there; nothing has changed.
        """
        await self._ask("baob-delete", key, version)

    async def _ask(self, name: str, *arguments: Any) -> tuple[Message, list[Message]]:
        reply, informs = await self._client.simple_request(name, *arguments, timeout=self._timeout)
        if not reply.reply_ok():
            raise _error(reply)
        return reply, informs


def _blob(arguments: list[bytes]) -> Blob:
    try:
        key, version, size, sha256, changed = (
            argument.decode("utf-8", "surrogateescape") for argument in arguments
        )
        return Blob(key, int(version), int(size), sha256, float(changed))
    except ValueError:
        raise ReplyError(f"{arguments!r} do not describe a binary object.") from None


def _error(reply: Message) -> Exception:
    texts = [argument.decode("utf-8", "replace") for argument in reply.arguments[1:]]
    text = texts[0] if texts else "no reason is given"
    if len(texts) < 2 or not texts[1].isdecimal() or int(texts[1]) < 100:
        return ServiceError(text)
    code, payload = int(texts[1]), texts[2:]
    if code == NoSuchBlobError.code:
        return NoSuchBlobError(text, payload)
    if code == BlobVersionError.code and payload:
        return BlobVersionError(text, payload)
    return error_for(code, text, payload)
