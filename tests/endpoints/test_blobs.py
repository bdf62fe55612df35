"""Binary objects with versions, in a database and over the wire."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from katcp.endpoints._blobs._host import PIECE, BlobHost
from katcp.endpoints._blobs._remote import RemoteBlobs
from katcp.endpoints._blobs._store import BlobStore, BlobVersionError, NoSuchBlobError
from katcp.endpoints._codes._errors import EndpointError, InvalidValueError
from katcp.inspecting_client import InspectingClientAsync
from katcp.storage import Database
from tests.helpers.serving import Bare, serving, small_client, talking, until
from tests.helpers.wire import WireClient

#: Bytes that text would not survive, and many.
AWKWARD = b"\0\n\\ \r\t\x1b\xff #!?" + random.Random(7).randbytes(1024 * 1024)


@asynccontextmanager
async def stored(path: Path, **limits: Any) -> AsyncIterator[BlobStore]:
    database = Database(path / "blobs.db")
    try:
        yield BlobStore(database, **limits)
    finally:
        await database.close()


class Offering:
    """A device with binary objects, and what is needed to talk to it."""

    def __init__(self, server: Bare, host: BlobHost) -> None:
        self.server = server
        self.host = host

    def sensor(self, name: str) -> Any:
        return self.server.get_sensor(name).value()


@asynccontextmanager
async def offering(path: Path, **limits: Any) -> AsyncIterator[Offering]:
    database = Database(path / "blobs.db")
    server = Bare("127.0.0.1", 0)
    host = BlobHost(server, database, **limits)
    try:
        async with serving(server):
            yield Offering(server, host)
    finally:
        await database.close()


# -- the store --------------------------------------------------------------------------


async def test_smok_baob_01_compare_and_set(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        assert await store.version("recipe") == -1
        with pytest.raises(KeyError, match="no object 'recipe'"):
            await store.get("recipe")
        assert await store.put("recipe", b"one") == 0
        assert await store.put("recipe", b"two", 0) == 1
        with pytest.raises(BlobVersionError) as caught:
            await store.put("recipe", b"three", 0)
        assert (caught.value.code, caught.value.payload) == (304, (1,))
        with pytest.raises(BlobVersionError):
            await store.put("recipe", b"three")
        assert await store.get("recipe") == b"two"
        assert await store.version("recipe") == 1


async def test_smok_baob_01_all_bytes_survive(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        for key, data in (("awkward", AWKWARD), ("empty", b""), ("näme mit Leer", b"\0")):
            await store.put(key, data)
    async with stored(tmp_path) as store:  # also those that another process has put
        assert await store.get("awkward") == AWKWARD
        assert await store.get("empty") == b""
        assert [blob.key for blob in await store.listing()] == ["awkward", "empty", "näme mit Leer"]
        blob = await store.find("awkward")
        assert blob.sha256 == hashlib.sha256(AWKWARD).hexdigest()
        assert blob.size == len(AWKWARD)


async def test_a_version_never_means_two_contents(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        await store.put("a", b"1")
        with pytest.raises(BlobVersionError):
            await store.delete("a", 1)
        await store.delete("a", 0)
        assert await store.version("a") == -1
        assert await store.listing() == []
        with pytest.raises(NoSuchBlobError):
            await store.delete("a", 0)
        assert await store.put("a", b"2") == 1
        with pytest.raises(BlobVersionError):
            await store.put("a", b"3", 0)


async def test_of_many_who_put_at_once_one_succeeds(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        puts = [store.put("a", b"%d" % n, -1) for n in range(20)]
        results = await asyncio.gather(*puts, return_exceptions=True)
        assert [r for r in results if not isinstance(r, BlobVersionError)] == [0]
        winner = results.index(0)
        assert await store.get("a") == b"%d" % winner


async def test_a_version_that_has_gone_is_not_mixed_with_the_next(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        await store.put("a", b"one")
        blob = await store.find("a")
        assert await store.piece(blob, 1, 1) == b"n"
        await store.put("a", b"two", 0)
        with pytest.raises(BlobVersionError, match="no longer"):
            await store.piece(blob, 1, 1)


async def test_limits_of_the_store(tmp_path: Path) -> None:
    async with stored(tmp_path, max_size=4, max_total=6, max_keys=2) as store:
        with pytest.raises(InvalidValueError, match="4 bytes at most"):
            await store.put("a", b"12345")
        await store.put("a", b"1234")
        with pytest.raises(InvalidValueError, match="6 bytes at most"):
            await store.put("b", b"123")
        await store.put("a", b"123456"[:4], 0)  # what is replaced does not count
        await store.put("b", b"12")
        with pytest.raises(InvalidValueError, match="no more"):
            await store.put("c", b"")
        await store.delete("b", 0)
        await store.put("c", b"")  # and `b` is forgotten
        assert await store.put("a", b"1", 1) == 2


@pytest.mark.parametrize("key", ["", "a\nb", "a\0", "x" * 256, "ä" * 128, "\udcff"])
async def test_names_that_cannot_be(tmp_path: Path, key: str) -> None:
    async with stored(tmp_path) as store:
        with pytest.raises(InvalidValueError, match="1 to 255 bytes"):
            await store.put(key, b"")


async def test_changes_are_told(tmp_path: Path) -> None:
    async with stored(tmp_path) as store:
        told: list[tuple[str, int]] = []
        stop = store.on_change(lambda key, version: told.append((key, version)))
        await store.put("a", b"")
        await store.delete("a", 0)
        stop()
        stop()
        await store.put("a", b"")
        assert told == [("a", 0), ("a", -1)]


# -- over the wire ----------------------------------------------------------------------


async def put(client: WireClient, key: str, expected: int, data: bytes, piece: int) -> bytes:
    count = max(1, -(-len(data) // piece))
    for index in range(count):
        text = base64.b64encode(data[index * piece : (index + 1) * piece]) or rb"\@"
        line = b"?baob-put[1] %b %d %d %d %b" % (key.encode(), expected, index, count, text)
        (reply,) = await client.ask(line)
        if index + 1 < count:
            assert reply == b"!baob-put[1] ok"
    return reply


async def get(client: WireClient, request: bytes) -> bytes:
    *informs, reply = await client.ask(request)
    assert reply.split()[1:3] == [b"ok", b"%d" % len(informs)]
    return b"".join(base64.b64decode(inform.split()[2]) for inform in informs)


async def test_smok_baob_01_over_the_wire(tmp_path: Path) -> None:
    async with offering(tmp_path) as offered, talking(offered.server) as client:
        assert await client.ask(b"?baob-get[1] fw") == [
            rb"!baob-get[1] fail There\_is\_no\_object\_'fw'. 310"
        ]
        assert await put(client, "fw", -1, AWKWARD, 300_000) == b"!baob-put[1] ok 0"
        assert await get(client, b"?baob-get fw") == AWKWARD
        assert await get(client, b"?baob-get fw 5") == AWKWARD[5:]
        assert await get(client, b"?baob-get fw 100000 %d" % PIECE) == AWKWARD[100000:][:PIECE]
        assert await get(client, b"?baob-get fw 99999999") == b""
        assert await put(client, "fw", 0, b"new", 300_000) == b"!baob-put[1] ok 1"
        (reply,) = await client.ask(b"?baob-put[1] fw 0 0 1 AAAA")
        assert reply.startswith(b"!baob-put[1] fail Not\\_version\\_0:")
        assert reply.endswith(b" 304 1")
        assert await get(client, b"?baob-get fw") == b"new"
        inform, reply = await client.ask(b"?baob-list[2] fw")
        digest = hashlib.sha256(b"new").hexdigest().encode()
        assert inform.startswith(b"#baob-list[2] fw 1 3 %b 1" % digest)
        assert reply == b"!baob-list[2] ok 1"
        assert offered.sensor("baob.count") == 1
        assert offered.sensor("baob.bytes") == 3
        assert offered.sensor("baob.last-change") == "fw 1"
        assert await client.ask(b"?baob-delete[3] fw 1") == [b"!baob-delete[3] ok"]
        assert await client.ask(b"?baob-list[4] /./") == [b"!baob-list[4] ok 0"]
        assert offered.sensor("baob.last-change") == "fw -1"
        assert await put(client, "empty", -1, b"", 1) == b"!baob-put[1] ok 0"
        assert await get(client, b"?baob-get empty") == b""


@pytest.mark.parametrize(
    ("request_line", "reply"),
    [
        (b"?baob-list a b", b"invalid Too\\_many\\_parameters\\_given. 303"),
        (b"?baob-list a", b"fail There\\_is\\_no\\_object\\_'a'. 310"),
        (b"?baob-list /(/", b"invalid Invalid\\_regular\\_expression"),
        (b"?baob-get", b"invalid Argument\\_'key'\\_is\\_missing. 303"),
        (b"?baob-get there x", b"invalid offset\\_is\\_no\\_integer. 304"),
        (b"?baob-get there -1", b"invalid Offset\\_and\\_length\\_are\\_at\\_least\\_0. 304"),
        (b"?baob-get there 0 1 2", b"invalid Too\\_many"),
        (b"?baob-put a -1 0 1", b"invalid It\\_takes"),
        (b"?baob-put a -1 0 0 AAAA", b"invalid There\\_is\\_no\\_piece\\_0\\_of\\_0. 304"),
        (b"?baob-put a -1 0 1 AAA", b"invalid The\\_bytes\\_are\\_not\\_in\\_base64"),
        (b"?baob-put a -1 1 2 AAAA", b"fail Piece\\_1\\_of\\_'a'\\_does\\_not\\_follow"),
        (b"?baob-put \\@ -1 0 1 AAAA", b"fail The\\_name\\_of\\_an\\_object"),
        (b"?baob-put a 7 0 2 AAAA", b"fail Not\\_version\\_7:\\_there\\_is\\_no\\_'a'. 304 -1"),
        (b"?baob-put a " + b"9" * 5000 + b" 0 2 AAAA", b"invalid version\\_is\\_no\\_integer. 304"),
        (b"?baob-delete there", b"invalid Argument\\_'version'\\_is\\_missing. 303"),
        (b"?baob-delete there 5", b"fail Not\\_version\\_5"),
        (b"?baob-delete a 0", b"fail There\\_is\\_no\\_object\\_'a'. 310"),
    ],
)
async def test_bad_requests(tmp_path: Path, request_line: bytes, reply: bytes) -> None:
    async with offering(tmp_path) as offered, talking(offered.server) as client:
        await offered.host.store.put("there", b"")
        (line,) = await client.ask(request_line)
        assert line.partition(b" ")[2].startswith(reply)


async def test_pieces_in_a_wrong_order_change_nothing(tmp_path: Path) -> None:
    async with offering(tmp_path) as offered, talking(offered.server) as client:
        assert await client.ask(b"?baob-put[1] a -1 0 3 AAAA") == [b"!baob-put[1] ok"]
        (line,) = await client.ask(b"?baob-put[1] a -1 2 3 AAAA")
        assert line.startswith(b"!baob-put[1] fail")
        (line,) = await client.ask(b"?baob-put[1] a -1 1 3 AAAA")  # that one has ended
        assert line.startswith(b"!baob-put[1] fail")
        assert await offered.host.store.listing() == []
        # A piece of another client does not belong to it.
        await client.ask(b"?baob-put[1] a -1 0 2 AAAA")
        async with talking(offered.server) as other:
            (line,) = await other.ask(b"?baob-put[1] a -1 1 2 AAAA")
            assert line.startswith(b"!baob-put[1] fail")


async def test_unfinished_objects_are_bounded_and_end_with_their_client(tmp_path: Path) -> None:
    async with offering(tmp_path, max_size=100) as offered:
        host = offered.host
        piece = base64.b64encode(bytes(90))
        async with talking(offered.server) as client:
            for n in range(6):  # of which four are remembered
                await client.ask(b"?baob-put k%d -1 0 2 %b" % (n, piece))
            assert host._held() == 360
            (line,) = await client.ask(b"?baob-put k5 -1 1 2 %b" % piece)
            assert b"100\\_bytes\\_at\\_most" in line
            async with talking(offered.server) as other:
                for n in range(2):
                    (line,) = await other.ask(b"?baob-put k%d -1 0 2 %b" % (n, piece))
                assert b"Too\\_much\\_is\\_being\\_put" in line
        await until(lambda: host._held() == 0)


async def test_a_client_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    async with offering(tmp_path) as offered:
        await offered.host.store.put("large", bytes(8 * 1024 * 1024))
        slow = await small_client(offered.server)
        await slow.send(b"?baob-get large")
        async with talking(offered.server) as client:
            await offered.host.store.put("small", b"x")
            assert await get(client, b"?baob-get small") == b"x"
        assert len(await slow.until_reply()) > 100  # and gets it all, when it reads
        await slow.close()


async def test_the_client_of_another_device(tmp_path: Path) -> None:
    async with offering(tmp_path) as offered:
        client = InspectingClientAsync(*offered.server.bind_address)
        client.connect()
        await client.until_synced(10)
        try:
            blobs = RemoteBlobs(client)
            assert await blobs.listing() == []
            with pytest.raises(KeyError):
                await blobs.get("fw")
            assert await blobs.put("fw", AWKWARD) == 0
            assert await blobs.get("fw") == AWKWARD
            with pytest.raises(BlobVersionError) as caught:
                await blobs.put("fw", b"", 5)
            assert caught.value.payload == ("0",)
            assert await blobs.put("/x/", b"", -1) == 0
            assert (await blobs.find("/x/")).size == 0
            assert (await blobs.find("fw")).sha256 == hashlib.sha256(AWKWARD).hexdigest()
            await blobs.delete("fw", 0)
            with pytest.raises(KeyError):
                await blobs.find("fw")
            with pytest.raises(KeyError):
                await blobs.find("/y/")
            await offered.server.stop()
            with pytest.raises(EndpointError):
                await blobs.listing()
        finally:
            client.stop()
            await client.until_stopped(10)


async def test_empty_pieces_take_no_memory(tmp_path: Path) -> None:
    async with offering(tmp_path) as offered, talking(offered.server) as client:
        count = 300
        for index in range(count):
            (line,) = await client.ask(rb"?baob-put[1] a -1 %d %d \@" % (index, count))
        assert line == b"!baob-put[1] ok 0"
        assert await offered.host.store.get("a") == b""
