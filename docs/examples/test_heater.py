import unittest

from heater import Heater

from katcp.inspecting_client import InspectingClientAsync


class TestHeater(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.heater = Heater("127.0.0.1", 0)
        self.heater.start()
        self.addAsyncCleanup(self.heater.stop)
        self.client = InspectingClientAsync(*self.heater.bind_address)
        self.addAsyncCleanup(self.client.stop)
        await self.client.connect()
        await self.client.until_synced(timeout=5)

    async def test_heating_sets_the_target(self):
        reply, _ = await self.client.simple_request("heat", 45.5)
        self.assertEqual(reply.arguments, [b"ok", b"45.5"])
        self.assertEqual(self.heater.target.value(), 45.5)

    async def test_too_hot_is_refused_and_changes_nothing(self):
        before = self.heater.target.read()
        reply, _ = await self.client.simple_request("heat", 99)
        self.assertEqual(reply.arguments, [b"fail", b"Wanted temperature is out of range."])
        self.assertEqual(self.heater.target.read(), before)

    async def test_who_watches_is_told(self):
        readings = self.client.readings("target")
        await self.client.set_sampling("target", "event")
        await self.client.simple_request("heat", 30)
        await self.client.simple_request("off")
        async for _, reading in readings:
            if reading.status == self.heater.target.INACTIVE:
                break


if __name__ == "__main__":
    unittest.main()
