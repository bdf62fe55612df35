import asyncio
import math

import pytest

from katcp.client._heartbeat import Heartbeat
from tests.helpers.scripted import until


class Device:
    """Counts what it is asked, and when it is given up."""

    def __init__(self, interval: float) -> None:
        loop = asyncio.get_running_loop()
        self.asked: list[float] = []
        self.given_up: list[str] = []
        begun = loop.time()
        self.heart = Heartbeat(
            loop,
            interval,
            lambda: self.asked.append(loop.time() - begun),
            self.given_up.append,
            lambda since: self.busy_since < since,
        )
        #: When the oldest request was made that the device has not answered.
        self.busy_since = math.inf


@pytest.mark.virtual_time
async def test_a_silent_device_is_asked_and_then_given_up() -> None:
    device = Device(10)
    await asyncio.sleep(15)
    assert device.asked == []
    await asyncio.sleep(10)
    assert device.asked == [20]
    assert device.given_up == []
    await asyncio.sleep(100)
    assert device.asked == [20]
    assert device.given_up == ["nothing heard from the device for 20 s"]


@pytest.mark.virtual_time
async def test_a_device_that_talks_is_not_asked() -> None:
    device = Device(10)
    for _ in range(20):
        await asyncio.sleep(5)
        device.heart.heard = True
    assert device.asked == []
    device.heart.stop()


@pytest.mark.virtual_time
async def test_a_device_that_answers_is_asked_again_and_again() -> None:
    device = Device(10)
    for count in range(1, 11):
        await until(lambda count=count: len(device.asked) == count, timeout=1000)
        device.heart.heard = True
    assert device.given_up == []
    device.heart.stop()
    await asyncio.sleep(100)
    assert len(device.asked) == 10
    assert device.given_up == []


@pytest.mark.virtual_time
async def test_a_device_that_has_other_things_to_answer_first_is_given_time() -> None:
    device = Device(10)
    device.busy_since = asyncio.get_running_loop().time()
    await asyncio.sleep(95)
    assert device.asked == [20]
    assert device.given_up == []
    # What has been asked since is no reason to wait: that it is not answered is no wonder.
    device.busy_since += 94
    await asyncio.sleep(10)
    assert device.given_up == ["nothing heard from the device for 20 s"]
