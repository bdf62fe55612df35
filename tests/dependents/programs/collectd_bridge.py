"""A bridge from a collector of host statistics, and a tool that pings KATCP servers."""

from __future__ import print_function

import logging
import socket
import sys
import threading
import time

import tornado.gen
import tornado.ioloop

import katcp
from katcp import DeviceServer, Sensor
from katcp.inspecting_client import InspectingClientAsync
from katcp.kattypes import Str, request, return_reply

logger = logging.getLogger("bridge")


class Collector(object):
    """Answers LISTVAL and GETVAL like a daemon on a socket."""

    def __init__(self):
        self.values = {"host/cpu-0/cpu-idle": [97.5], "host/df/df-root": [100.0, 250.0]}

    def listval(self):
        return sorted(self.values)

    def getval(self, key):
        return self.values[key]


class CollectdKatcpBridge(DeviceServer):
    """Makes a sensor of each value."""

    VERSION_INFO = ("collectd-katcp", 1, 0)
    BUILD_INFO = ("collectd-katcp", 0, 1, "")

    def __init__(self, host, port, collector, *args, **kwargs):
        self._collector = collector
        self._sensor_map = {}
        self._stop_event = threading.Event()
        super(CollectdKatcpBridge, self).__init__(host, port, *args, **kwargs)

    def setup_sensors(self):
        for key in self._collector.listval():
            for number, value in enumerate(self._collector.getval(key)):
                name = "%s.%d" % (key.replace("/", "."), number)
                sensor = Sensor(Sensor.FLOAT, name, "Value of %s" % key, "")
                self._sensor_map[(key, number)] = sensor
                self.add_sensor(sensor)

    def poll(self):
        now = time.time()
        for (key, number), sensor in self._sensor_map.items():
            value = self._collector.getval(key)[number]
            sensor.set(now, Sensor.ERROR if value < 10 else Sensor.NOMINAL, value)

    def run_poller(self):
        while not self._stop_event.wait(0.01):
            self.poll()

    def start(self, *args, **kwargs):
        super(CollectdKatcpBridge, self).start(*args, **kwargs)
        self.poll()
        self._poller = threading.Thread(target=self.run_poller)
        self._poller.start()

    def stop(self, *args, **kwargs):
        self._stop_event.set()
        return super(CollectdKatcpBridge, self).stop(*args, **kwargs)

    @request(Str(default=""))
    @return_reply(Str())
    def request_echo(self, req, text):
        """Echo TEXT."""
        return ("ok", text)


class Ping(object):
    def __init__(self, host, port, count):
        self.ioloop = tornado.ioloop.IOLoop.instance()
        self.client = InspectingClientAsync(
            host, port, initial_inspection=False, auto_reconnect=False, ioloop=self.ioloop
        )
        self.count = count
        self.times = []

    @tornado.gen.coroutine
    def run(self):
        yield self.client.connect(timeout=5)
        yield self.client.until_connected(timeout=5)
        for _ in range(self.count):
            begun = time.time()
            reply, informs = yield self.client.simple_request("watchdog", timeout=5)
            assert reply.reply_ok()
            self.times.append(time.time() - begun)
        print("lazy", self.client.sensors, self.client.requests)
        yield self.client.until_synced(timeout=5)
        sensor = yield self.client.future_get_sensor("host.df.df-root.1")
        print("looked up", sensor.name, sensor.type, sensor.description)
        print("unknown", (yield self.client.future_get_sensor("no.such")))
        changes = yield self.client.inspect()
        print("inspected", sorted(changes), sorted(changes.sensors.added))
        self.client.handle_sensor_value()
        yield self.client.simple_request("sensor-value", "host.df.df-root.1")
        print("read", sensor.value(), sensor.STATUSES[sensor.status()])
        self.client.stop()
        yield self.client.until_stopped(timeout=5)


def main():
    logging.disable(logging.CRITICAL)
    server = CollectdKatcpBridge("127.0.0.1", 0, Collector())
    server.start(timeout=5)
    raw = socket.create_connection(server.bind_address)
    stream = raw.makefile("rwb")
    for _ in range(3):
        line = stream.readline()
        print(line.split(b" ")[:2])
    stream.write(b"?sensor-sampling host.cpu-0.cpu-idle.0 event\n?echo\n?echo a\\_b\n")
    stream.flush()
    lines = [stream.readline() for _ in range(4)]
    print([line.split(b" ", 1)[0] for line in lines])
    print(lines[1:])
    server._collector.values["host/cpu-0/cpu-idle"] = [5.0]
    print(stream.readline().split(b" ", 2)[2])
    raw.close()
    ping = Ping(*server.bind_address, **{"count": 20})
    ping.ioloop.run_sync(ping.run)
    print("pings", len(ping.times), max(ping.times) < 5)
    server.stop(timeout=5)
    server.join(timeout=5)
    print("ended", server.running())


if __name__ == "__main__":
    main()
