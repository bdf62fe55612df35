"""An interactive command line for any KATCP device, on the plain DeviceClient."""

from __future__ import print_function

import cmd
import logging
import sys
import threading
import time

from katcp import *  # noqa: F403
from katcp.kattypes import Int, Str, inform, request, return_reply

try:
    from queue import Queue
except ImportError:
    from Queue import Queue


class Echo(DeviceServer):  # noqa: F405
    VERSION_INFO = ("echo", 0, 1)
    PROTOCOL_INFO = ProtocolFlags(5, 0, [b"M", b"I"])  # noqa: F405

    def setup_sensors(self):
        pass

    @request(Str(), Int(default=1))
    @return_reply(Int())
    def request_repeat(self, req, text, times):
        """Say TEXT several TIMES."""
        for number in range(times):
            req.inform(number, text)
        self.mass_inform(Message.inform("said", text, times))  # noqa: F405
        return ("ok", times)


class Client(DeviceClient):  # noqa: F405
    """Puts whatever comes into a queue."""

    def __init__(self, *args, **kwargs):
        self.queue = kwargs.pop("queue")
        super(Client, self).__init__(*args, **kwargs)

    def unhandled_reply(self, msg):
        self.queue.put(msg)

    def unhandled_inform(self, msg):
        self.queue.put(msg)

    @inform(Str(), Int())
    def inform_said(self, text, times):
        """What the device says by itself."""
        self.queue.put("{} x {}".format(text, times))

    def notify_connected(self, connected):
        super(Client, self).notify_connected(connected)
        self.queue.put("connected" if connected else "disconnected")


class Shell(cmd.Cmd):
    prompt = "katcp> "
    use_rawinput = False

    def __init__(self, host, port, stdin):
        self.queue = Queue()
        cmd.Cmd.__init__(self, stdin=stdin, stdout=sys.stdout)
        self.client = Client(host, port, queue=self.queue)
        self.client.start(timeout=5)

    def default(self, line):
        words = line.split()
        message = Message.request(words[0], *words[1:])  # noqa: F405
        # the client is not thread-safe
        self.client.ioloop.add_callback(self.client.send_message, message)
        self.show(until=words[0])

    def do_with_id(self, line):
        """Send a request with an id."""
        words = line.split()
        message = Message.request(words[0], *words[1:], mid=77)  # noqa: F405
        self.client.ioloop.add_callback(lambda: self.client.request(message))
        self.show(until=words[0])

    def do_wait(self, line):
        """Wait for a line."""
        while True:
            got = self.queue.get(timeout=5)
            if str(got) == line:
                print("got", got)
                return

    def do_versions(self, line):
        """Show what the device said of itself."""
        print("device", self.client.versions["katcp-device"])
        print("flags", self.client.protocol_flags)

    def do_drop(self, line):
        """Drop the connection."""
        self.client.ioloop.add_callback(self.client.disconnect)

    def do_EOF(self, line):
        """Leave."""
        self.client.stop()
        self.client.join(timeout=5)
        print("bye", self.client.running())
        return True

    def show(self, until):
        while True:
            got = self.queue.get(timeout=5)
            if not isinstance(got, Message):  # noqa: F405
                print("--", got)
                continue
            print("<<", Message.TYPE_NAMES[got.mtype], str(got))  # noqa: F405
            if got.mtype == Message.REPLY and got.name == until:  # noqa: F405
                return

    def emptyline(self):
        pass


SCRIPT = """wait connected
repeat hello 2
repeat
nonsense
with_id repeat bye
watchdog
versions
drop
wait disconnected
wait connected
repeat again
"""


def main():
    import io

    logging.disable(logging.CRITICAL)
    server = Echo("127.0.0.1", 0)
    server.start(timeout=5)
    host, port = server.bind_address
    shell = Shell(host, port, io.StringIO("" + SCRIPT))
    assert shell.client.wait_protocol(5)
    while "katcp-device" not in shell.client.versions:
        time.sleep(0.001)
    shell.prompt = ""
    shell.cmdloop()
    server.stop()
    server.join(timeout=5)


if __name__ == "__main__":
    main()
