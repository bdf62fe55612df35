import asyncio
import tempfile
from pathlib import Path

from katcp import AsyncDeviceServer, InspectingClientAsync
from katcp.endpoints import BlobHost, BlobVersionError, RemoteBlobs
from katcp.storage import Database


class Furnace(AsyncDeviceServer):
    """A device that is given recipes."""

    def setup_sensors(self):
        pass


async def main(directory):
    database = Database(directory / "recipes.db")
    device = Furnace("127.0.0.1", 0)
    BlobHost(device, database, max_size=1_000_000)
    async with device, InspectingClientAsync(*device.bind_address) as client:
        recipes = RemoteBlobs(client)
        version = await recipes.put("steel", b"1450 degC for 2 h")
        version = await recipes.put("steel", b"1480 degC for 2 h", version)
        print("version", version, (await recipes.get("steel")).decode())
        try:
            await recipes.put("steel", b"1400 degC for 3 h", 0)
        except BlobVersionError as error:
            print("refused:", error)
    await database.close()


with tempfile.TemporaryDirectory() as directory:
    asyncio.run(main(Path(directory)))
