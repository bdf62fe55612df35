"""The demo device, over loopback."""

from katcp.apps.server._demo import DemoDevice
from katcp.sensors import SENSOR_TYPES, STATUSES, Sensor
from tests.helpers.serving import serving, talking, until


def demo() -> DemoDevice:
    return DemoDevice("127.0.0.1", 0, tb_limit=0, update_interval=0.05)


def test_every_type_and_every_status_is_there() -> None:
    sensors = demo().get_sensors()
    assert {sensor.type for sensor in sensors} == {kind.name for kind in SENSOR_TYPES.values()}
    assert {sensor.status() for sensor in sensors} == set(STATUSES)


def test_statuses_agree_with_the_limits_that_are_shown() -> None:
    for sensor in demo().get_sensors():
        if len(sensor.params) == 4 and sensor.status() in (Sensor.NOMINAL, Sensor.WARN):
            low, high = (
                sensor.params[:2] if sensor.status() == Sensor.NOMINAL else (sensor.params[2:])
            )
            assert low <= sensor.value() <= high, sensor


async def test_time_passes_while_it_serves() -> None:
    async with serving(demo()) as device:
        before = device.get_sensor("stage2.temperature").value()
        await until(lambda: device.get_sensor("stage2.temperature").value() != before)


async def test_pump_and_mode() -> None:
    async with serving(demo()) as device, talking(device) as client:
        assert await client.ask(b"?mode[1]") == [b"!mode[1] ok off"]
        assert await client.ask(b"?mode[2] cooling") == [
            b"!mode[2] fail Cooling\\_needs\\_the\\_pump:\\_start\\_it\\_first."
        ]
        assert await client.ask(b"?pump-start[3]") == [b"!pump-start[3] ok"]
        assert await client.ask(b"?pump-start[4]") == [
            b"!pump-start[4] fail The\\_pump\\_is\\_running."
        ]
        assert device.get_sensor("pump.on").value() is True
        assert device.get_sensor("pump.speed").status() == Sensor.NOMINAL
        assert await client.ask(b"?mode[5] cooling") == [b"!mode[5] ok cooling"]
        assert device.get_sensor("mode").value() == "cooling"
        (reply,) = await client.ask(b"?pump-stop[6]")
        assert reply.startswith(b"!pump-stop[6] fail The\\_pump\\_is\\_needed")
        (reply,) = await client.ask(b"?mode[7] boiling")
        assert reply.startswith(b"!mode[7] fail Error\\_in\\_parameter\\_1\\_(mode)")


async def test_values_can_be_set() -> None:
    async with serving(demo()) as device, talking(device) as client:
        assert await client.ask(b"?set-setpoint[1] 4.25") == [b"!set-setpoint[1] ok 4.25"]
        assert device.get_sensor("stage2.setpoint").value() == 4.25
        (reply,) = await client.ask(b"?set-setpoint[2] 400")
        assert reply.startswith(b"!set-setpoint[2] fail Error\\_in\\_parameter\\_1\\_(kelvin)")
        assert await client.ask(b"?set-label[3] a\\_b") == [b"!set-label[3] ok a\\_b"]
        assert device.get_sensor("label").value() == "a b"


async def test_slow_request_tells_how_far_it_is_and_has_a_hint() -> None:
    async with serving(demo()) as device, talking(device) as client:
        assert await client.ask(b"?request-timeout-hint[1]") == [
            b"#request-timeout-hint[1] calibrate 60.0",
            b"!request-timeout-hint[1] ok 1",
        ]
        first, second, reply = await client.ask(b"?calibrate[2] 2")
        assert first.startswith(b"#calibrate[2] 1 2 ")
        assert second.startswith(b"#calibrate[2] 2 2 ")
        offset = device.get_sensor("calibration.offset")
        assert reply == b"!calibrate[2] ok %r" % offset.value()
        assert offset.status() == Sensor.NOMINAL


async def test_requests_that_fail() -> None:
    async with serving(demo()) as device, talking(device) as client:
        (reply,) = await client.ask(b"?vent[1]")
        assert reply.startswith(b"!vent[1] fail A\\_stage\\_is\\_at")
        assert await client.ask(b"?fault[2]") == [
            b"!fault[2] fail RuntimeError:\\_This\\_is\\_the\\_simulated\\_bug."
        ]


async def test_modules_come_and_go() -> None:
    async with serving(demo()) as device, talking(device) as client:
        (reply,) = await client.ask(b"?module-reset[1] a1")
        assert reply == b"!module-reset[1] invalid Unknown\\_request."
        assert await client.ask(b"?attach-module[2] a1") == [b"!attach-module[2] ok"]
        assert (await client.line()).startswith(b"#interface-changed")
        assert await client.ask(b"?module-reset[3] a1") == [b"!module-reset[3] ok"]
        assert device.has_sensor("module.a1.voltage")
        (reply,) = await client.ask(b"?attach-module[4] a1")
        assert reply == b"!attach-module[4] fail Module\\_a1\\_is\\_attached."
        (reply,) = await client.ask(b"?attach-module[5] A,1")
        assert reply.startswith(b"!attach-module[5] fail A\\_module's\\_name")
        assert await client.ask(b"?detach-module[6] a1") == [b"!detach-module[6] ok"]
        assert (await client.line()).startswith(b"#interface-changed")
        assert not device.has_sensor("module.a1.voltage")
        (reply,) = await client.ask(b"?detach-module[7] a1")
        assert reply == b"!detach-module[7] fail No\\_such\\_module\\_is\\_attached."
        (reply,) = await client.ask(b"?module-reset[8] a1")
        assert reply == b"!module-reset[8] invalid Unknown\\_request."


async def test_what_happens_is_logged_to_clients_who_want_it() -> None:
    async with serving(demo()) as device, talking(device) as client:
        await client.ask(b"?log-level[1] info")
        log, reply = await client.ask(b"?pump-start[2]")
        assert log.startswith(b"#log info ")
        assert b" pump The\\_pump\\_was\\_started\\_by\\_127.0.0.1:" in log
        assert reply == b"!pump-start[2] ok"
