"""The transport to FPGA boards: requests with retries, registers, bulk data, uploads."""

import logging
import socket
import struct
import sys
import threading
import time

import katcp
from boards import Board

try:
    import queue
except ImportError:
    import Queue as queue

LOGGER = logging.getLogger("transport")

# large design files come back as one inform
katcp.CallbackClient.MAX_MSG_SIZE *= 10
katcp.CallbackClient.MAX_WRITE_BUFFER_SIZE = katcp.CallbackClient.MAX_WRITE_BUFFER_SIZE * 10


class KatcpRequestError(RuntimeError):
    """An error in processing a request."""


class KatcpRequestInvalid(RuntimeError):
    """An invalid request was made."""


class KatcpRequestFail(RuntimeError):
    """A valid request failed."""


class KatcpConnectionError(IOError):
    pass


class Transport(katcp.CallbackClient):
    def __init__(self, host, port=7147, timeout=10, connect=True):
        super(Transport, self).__init__(
            host, port, tb_limit=20, timeout=timeout, logger=LOGGER, auto_reconnect=True
        )
        self._timeout = timeout
        self.fpga_informs = queue.Queue()
        self.stray = []
        self.daemon = True
        if connect:
            self.connect()

    def connect(self, timeout=None):
        if timeout is None:
            timeout = self._timeout
        self.setDaemon(True)
        try:
            self.start(timeout=1)
        except RuntimeError:
            pass
        if not self.wait_connected(timeout):
            raise KatcpConnectionError("Connection to {} not established".format(self._bindaddr))
        # the stream's own limits are half of what uploads need
        stream = self._stream
        if stream is not None:
            stream.max_write_buffer_size *= 2
            stream.max_buffer_size *= 2
        if not self.ping():
            raise KatcpConnectionError("no answer")

    def disconnect(self):
        super(Transport, self).stop()
        self.join(timeout=self._timeout)

    def unhandled_inform(self, msg):
        if msg.name == "fpga":
            self.fpga_informs.put(msg)
        else:
            self.stray.append(msg.name)

    def katcprequest(self, name, request_timeout=-1.0, require_ok=True, request_args=()):
        """Try up to three times."""
        for attempt in range(3):
            try:
                return self._katcprequest(name, request_timeout, require_ok, request_args)
            except KatcpRequestError as error:
                print("attempt", attempt, str(error).replace(str(self._bindaddr[1]), "PORT"))
        raise KatcpRequestError("Gave up on ?{}".format(name))

    def _katcprequest(self, name, request_timeout, require_ok, request_args):
        if request_timeout == -1:
            request_timeout = self._timeout
        request = katcp.Message.request(name, *request_args)
        reply, informs = self.blocking_request(request, timeout=request_timeout, use_mid=None)
        if reply.arguments[0] != katcp.Message.OK and require_ok:
            if reply.arguments[0] == katcp.Message.FAIL:
                text = reply.arguments[1].decode()
                if "timed out" in text or "not connected" in text.lower():
                    raise KatcpRequestError(
                        "?{} on {}: {}".format(name, self._bindaddr[0], text[:26])
                    )
                raise KatcpRequestFail("?{}: {}".format(name, text))
            elif reply.arguments[0] == katcp.Message.INVALID:
                raise KatcpRequestInvalid("?{}: {}".format(name, reply.arguments[1]))
            raise KatcpRequestError("?{}: {}".format(name, reply))
        return reply, informs

    def ping(self):
        reply, _ = self.katcprequest("watchdog", request_timeout=2)
        return reply.arguments[0] == katcp.Message.OK

    def listdev(self, getsize=False):
        args = ("size",) if getsize else ()
        reply, informs = self.katcprequest("listdev", request_args=args)
        if getsize:
            return [(i.arguments[0].decode(), int(i.arguments[1])) for i in informs]
        return [i.arguments[0].decode() for i in informs]

    def read(self, device, size, offset=0):
        reply, _ = self.katcprequest("read", request_args=(device, str(offset), str(size)))
        return reply.arguments[1]

    def blindwrite(self, device, data, offset=0):
        assert type(data) is bytes
        self.katcprequest("write", request_args=(device, str(offset), data))

    def write_int(self, device, value):
        self.katcprequest("wordwrite", request_args=(device, 0, "0x%x" % value))

    def read_uint(self, device):
        reply, _ = self.katcprequest("wordread", request_args=(device, 0, 1))
        return int(reply.arguments[1], 16)

    def meta(self):
        _, informs = self.katcprequest("meta")
        result = {}
        for inform in informs:
            if len(inform.arguments) < 2:
                # no metadata: invent some
                inform.arguments.append(b"-1")
                inform.arguments.append("n/a")
            result[inform.arguments[0].decode()] = inform.arguments[1:]
        return result

    def upload(self, data, port):
        reply, _ = self.katcprequest("progremote", request_args=(port,))
        result = queue.Queue()

        def send():
            target = socket.create_connection((self._bindaddr[0], port))
            target.sendall(data)
            target.close()
            result.put("")

        thread = threading.Thread(target=send)
        thread.start()
        thread.join()
        error = result.get(timeout=5)
        assert error == ""
        while True:
            inform = self.fpga_informs.get(block=True, timeout=5)
            print("inform", inform.arguments[0].decode())
            if inform.arguments[0] == b"ready":
                return


def free_port():
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    port = sock.getsockname()[1]
    sock.close()
    return port


def main():
    logging.basicConfig(level=logging.CRITICAL)
    board = Board()
    transport = Transport("127.0.0.1", board.port, timeout=5)
    print("connected", transport.is_connected(), transport.running())
    print("address", transport._bindaddr == ("127.0.0.1", board.port))
    print("listdev", transport.listdev(), transport.listdev(getsize=True))
    transport.write_int("sys_scratchpad", 0xDEADBEEF)
    print("scratchpad", hex(transport.read_uint("sys_scratchpad")))
    data = bytes(bytearray(range(0, 32))) + b"\xff\xfe\\ \n"
    transport.blindwrite("big_memory", data, offset=8)
    print("binary", transport.read("big_memory", len(data), 8) == data)
    print("unpacked", struct.unpack(">2I", transport.read("big_memory", 8, 12)))
    for name in ("status", "nonsense"):
        try:
            transport.katcprequest(name)
        except (KatcpRequestFail, KatcpRequestInvalid) as error:
            print(type(error).__name__, error)
    reply, informs = transport.katcprequest("status", require_ok=False)
    print("status", reply, informs, reply.reply_ok())
    board.ignore = 1
    reply, _ = transport.katcprequest("watchdog", request_timeout=0.2)
    print("retried", reply)
    meta = transport.meta()
    print("meta", meta["gain"], meta["-1"])
    transport.upload(b"x" * 300000, free_port())
    print("uploaded", len(board.uploaded))
    print("versions", sorted(transport.versions.items())[:1], transport.protocol_flags)
    print("stray", sorted(set(transport.stray)))
    done = threading.Event()
    got = []
    transport.callback_request(
        katcp.Message.request("listdev"),
        reply_cb=lambda msg, tag: (got.append((str(msg), tag)), done.set()),
        inform_cb=lambda msg, tag: got.append((str(msg), tag)),
        user_data=("tag",),
    )
    done.wait(5)
    print("callbacks", got)
    transport.disconnect()
    print("connected", transport.is_connected(), transport.running())
    board.close()
    try:
        Transport("127.0.0.1", free_port(), timeout=0.3)
    except KatcpConnectionError as error:
        print("refused", type(error).__name__)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
