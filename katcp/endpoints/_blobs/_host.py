"""Requests for binary objects: ``?baob-list``, ``?baob-get``, ``?baob-put``, ``?baob-delete``.

The bytes travel in pieces, in base64, so that neither side has to take a line of many megabytes
and any client that speaks KATCP can read them.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import weakref
from typing import Any, NamedTuple

from katcp.endpoints._blobs._store import BlobStore
from katcp.endpoints._codes import BadPayloadError, InvalidValueError, ServiceError, coded
from katcp.kattypes import request_timeout_hint
from katcp.protocol import Message
from katcp.sensors import Sensor
from katcp.server import DeviceServer, construct_name_filter
from katcp.storage import Database

#: Bytes of an object in one inform; in base64 a third more.
PIECE = 48 * 1024

#: Objects that a client may be putting at a time.
_UPLOADS_PER_CLIENT = 4
#: One that has not gone on for so long makes room for others [s].
_PATIENCE = 60.0
_HINT = 60.0


class _Upload:
    """An object of which pieces have come, but not yet all."""

    def __init__(self, expected: int, count: int) -> None:
        self.expected = expected
        self.count = count
        self.next = 0
        self.data = bytearray()
        self.touched = asyncio.get_running_loop().time()


class _Arguments(NamedTuple):
    key: str
    numbers: list[int]


class BlobHost:
    """Offers binary objects on a device.

    It has the sensors ``baob.count`` and ``baob.bytes``, and ``baob.last-change``: name and version
    of the object that was changed last, the version being -1 for one that was deleted.

    Parameters
    ----------
    device : DeviceServer
        Gets the requests and the sensors.
    database : katcp.storage.Database
        Where the objects are kept; it is not closed.
    **limits
        Those of `BlobStore`.

    Attributes
    ----------
    store : BlobStore
    """

    def __init__(self, device: DeviceServer, database: Database, **limits: Any) -> None:
        self.store = BlobStore(database, **limits)
        self._uploads: weakref.WeakKeyDictionary[Any, dict[str, _Upload]] = (
            weakref.WeakKeyDictionary()
        )
        self._count = Sensor.integer("baob.count", "Binary objects that there are.")
        self._bytes = Sensor.integer("baob.bytes", "Bytes that they hold together.", "B")
        self._last = Sensor.string("baob.last-change", "Name and version of the last one changed.")
        for sensor in (self._count, self._bytes, self._last):
            device.add_sensor(sensor)
        for name, handler in (
            ("baob-list", self._list),
            ("baob-get", self._get),
            ("baob-put", self._put),
            ("baob-delete", self._delete),
        ):
            device.add_request(name, request_timeout_hint(_HINT)(coded(handler)))
        device.add_service_task(self._renew_sensors, name="count of binary objects")
        self.store.on_change(self._changed)

    async def _renew_sensors(self) -> None:
        blobs = await self.store.listing()
        self._count.set_value(len(blobs))
        self._bytes.set_value(sum(blob.size for blob in blobs))

    def _changed(self, key: str, version: int) -> None:
        self._last.set_value(f"{key} {version}")

    # -- requests -----------------------------------------------------------------------

    async def _list(self, req: Any, msg: Message) -> Any:
        """List the binary objects of the device.

        Parameters
        ----------
        name : str, optional
            Of one object; or a regular expression between slashes.

        Informs
        -------
        key : str
            Name of the object.
        version : int
            Which content it is; grows with each change.
        size : int
            In bytes.
        sha256 : str
            Checksum, in hexadecimal digits.
        changed : timestamp
            When it was put.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of #baob-list informs sent.

        Examples
        --------
        ::

            ?baob-list[1]
            #baob-list[1] recipe.txt 0 5 2cf24dba...9824 1700000000.250
            !baob-list[1] ok 1
        """
        if len(msg.arguments) > 1:
            raise BadPayloadError("Too many parameters given.")
        name = _text(msg.arguments[0]) if msg.arguments else None
        try:
            exact, fits = construct_name_filter(name)
            if exact and name is not None:
                blobs = [await self.store.find(name)]
            else:
                blobs = [blob for blob in await self.store.listing() if fits(blob.key)]
        except InvalidValueError:
            raise
        except ValueError as error:
            raise InvalidValueError(str(error), invalid=True) from None
        for blob in blobs:
            req.inform(blob.key, blob.version, blob.size, blob.sha256, f"{blob.changed:.6f}")
            await req.client_connection.until_writable()
        return ("ok", len(blobs))

    async def _get(self, req: Any, msg: Message) -> Any:
        """Send the bytes of a binary object.

        Parameters
        ----------
        key : str
            Name of the object.
        offset : int, optional
            First byte to send; 0 by default.
        length : int, optional
            Most bytes to send; all that follow by default.

        Informs
        -------
        offset : int
            Where in the object these bytes are.
        data : str
            The bytes, in base64.

        Returns
        -------
        success : {'ok', 'fail'}
        informs : int
            Number of #baob-get informs sent.
        version : int
            Version of the object.
        size : int
            Size of the whole object in bytes.

        Examples
        --------
        ::

            ?baob-get[1] recipe.txt
            #baob-get[1] 0 aGVsbG8=
            !baob-get[1] ok 1 0 5
        """
        key, numbers = _arguments(msg, ("offset", "length"), needed=0)
        blob = await self.store.find(key)
        offset = numbers[0] if numbers else 0
        length = numbers[1] if len(numbers) > 1 else blob.size
        if offset < 0 or length < 0:
            raise InvalidValueError("Offset and length are at least 0.", invalid=True)
        end = min(offset + length, blob.size)
        sent = 0
        for start in range(offset, end, PIECE):
            piece = await self.store.piece(blob, start, min(PIECE, end - start))
            req.inform(start, base64.b64encode(piece))
            sent += 1
            await req.client_connection.until_writable()
        return ("ok", sent, blob.version, blob.size)

    async def _put(self, req: Any, msg: Message) -> Any:
        """Put a binary object, in one piece or in several, or a new version of it.

        The pieces come in their order. With the last one the object is there, all of it, if the
        version that is to be replaced still is; until then nothing has changed.

        Parameters
        ----------
        key : str
            Name of the object.
        expected-version : int
            The version that is replaced; -1 if there is none.
        index : int
            Which piece this is, from 0 on; 0 begins anew.
        count : int
            Number of pieces.
        data : str
            The bytes of the piece, in base64.

        Returns
        -------
        success : {'ok', 'fail'}
        version : int
            The new version; only with the last piece.

        Examples
        --------
        ::

            ?baob-put[1] recipe.txt -1 0 2 aGVs
            !baob-put[1] ok
            ?baob-put[2] recipe.txt -1 1 2 bG8=
            !baob-put[2] ok 0
        """
        if len(msg.arguments) != 5:
            raise BadPayloadError("It takes a name, three numbers, and the bytes in base64.")
        *_, text = msg.arguments
        key, (expected, index, count) = _arguments(msg, ("version", "index", "count"), more=1)
        if not 0 <= index < count:
            raise InvalidValueError(f"There is no piece {index} of {count}.", invalid=True)
        try:
            piece = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadPayloadError(f"The bytes are not in base64: {error}.") from None
        mine = self._uploads.setdefault(req.client_connection, {})
        upload = self._begin(mine, key, expected, count) if index == 0 else mine.pop(key, None)
        wanted = (expected, count, index)
        if upload is None or (upload.expected, upload.count, upload.next) != wanted:
            raise InvalidValueError(f"Piece {index} of {key!r} does not follow what came before.")
        self.store.check_key(key)
        self.store.check_size(len(upload.data) + len(piece))
        if index == 0 and await self.store.version(key) != expected:
            count = 1  # whatever is still to come, it will be refused, so it is now
        if index + 1 < count:
            self._make_room(len(piece))
            upload.data += piece
            upload.next += 1
            upload.touched = asyncio.get_running_loop().time()
            mine[key] = upload
            return ("ok",)
        version = await self.store.put(key, bytes(upload.data + piece), expected)
        await self._renew_sensors()
        return ("ok", version)

    def _begin(self, mine: dict[str, _Upload], key: str, expected: int, count: int) -> _Upload:
        mine.pop(key, None)
        if len(mine) >= _UPLOADS_PER_CLIENT:
            del mine[next(iter(mine))]
        return _Upload(expected, count)

    def _make_room(self, size: int) -> None:
        """See to it that what has come of unfinished objects stays within four whole ones."""
        limit = 4 * self.store.max_size
        if self._held() + size <= limit:
            return
        oldest = asyncio.get_running_loop().time() - _PATIENCE
        for mine in list(self._uploads.values()):
            for key in [key for key, upload in mine.items() if upload.touched < oldest]:
                del mine[key]
        if self._held() + size > limit:
            raise ServiceError("Too much is being put at the moment.")

    def _held(self) -> int:
        return sum(len(u.data) for mine in list(self._uploads.values()) for u in mine.values())

    async def _delete(self, req: Any, msg: Message) -> Any:
        """Delete a binary object.

        Parameters
        ----------
        key : str
            Name of the object.
        version : int
            The version that is there.

        Returns
        -------
        success : {'ok', 'fail'}

        Examples
        --------
        ::

            ?baob-delete[1] recipe.txt 0
            !baob-delete[1] ok
        """
        key, (version,) = _arguments(msg, ("version",))
        await self.store.delete(key, version)
        await self._renew_sensors()
        return ("ok",)


def _arguments(
    msg: Message, names: tuple[str, ...], *, needed: int | None = None, more: int = 0
) -> _Arguments:
    """Return the name and the numbers that a request begins with."""
    least = len(names) if needed is None else needed
    given = len(msg.arguments) - 1 - more
    if given < least:
        missing = ("key", *names)[given + 1]
        raise BadPayloadError(f"Argument {missing!r} is missing.")
    if given > len(names):
        raise BadPayloadError("Too many parameters given.")
    numbers = []
    for name, argument in zip(names, msg.arguments[1 : 1 + given], strict=False):
        try:
            if len(argument) > 19:
                raise ValueError
            numbers.append(int(argument))
        except ValueError:
            raise InvalidValueError(f"{name} is no integer.", invalid=True) from None
    return _Arguments(_text(msg.arguments[0]), numbers)


def _text(argument: bytes) -> str:
    return argument.decode("utf-8", "surrogateescape")
