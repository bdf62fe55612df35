"""A board with a server in C, played by a thread with a socket: not katcp-python's idea of one."""

import socket
import struct
import threading


class Board(object):
    """Answers a few requests, with binary data; says what it likes when it likes."""

    def __init__(self, version=b"5.0-M"):
        self.memory = bytearray(64)
        self.version = version
        self.ignore = 0  # requests to swallow
        self.uploaded = b""
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(5)
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)
        self._thread.daemon = True
        self._thread.start()
        self._threads = [self._thread]

    def close(self):
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.daemon = True
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection):
        self._send(connection, b"#version-connect katcp-library libkatcp-0.1")
        self._send(connection, b"#version-connect katcp-protocol " + self.version)
        self._send(connection, b"#version-connect kernel 3.16.0 2015-08-28")
        stream = connection.makefile("rb")
        while True:
            try:
                line = stream.readline()
            except OSError:
                break
            if not line:
                break
            if self.ignore:
                self.ignore -= 1
                continue
            words = line.rstrip(b"\n").split(b" ")
            name = words[0][1:]
            arguments = [_unescape(word) for word in words[1:]]
            handler = getattr(self, "do_" + name.decode().replace("-", "_"), None)
            if handler is None:
                self._send(connection, b"!" + name + b" invalid unknown\\_command")
                continue
            for answer in handler(connection, *arguments):
                self._send(connection, answer)
        connection.close()

    @staticmethod
    def _send(connection, line):
        try:
            connection.sendall(line + b"\n")
        except OSError:
            pass

    def do_watchdog(self, connection):
        yield b"#log info 1500000000000 raw alive"
        yield b"!watchdog ok"

    def do_listdev(self, connection, size=b""):
        yield b"#listdev sys_scratchpad 4"
        yield b"#listdev big_memory 64"
        yield b"!listdev ok"

    def do_read(self, connection, device, offset, length):
        start = int(offset)
        yield b"!read ok " + _escape(bytes(self.memory[start : start + int(length)]))

    def do_write(self, connection, device, offset, data):
        start = int(offset)
        self.memory[start : start + len(data)] = data
        yield b"!write ok"

    def do_wordread(self, connection, device, offset, length):
        (value,) = struct.unpack(">I", bytes(self.memory[:4]))
        yield b"!wordread ok 0x%x" % value

    def do_wordwrite(self, connection, device, offset, value):
        self.memory[:4] = struct.pack(">I", int(value, 16))
        yield b"!wordwrite ok 1"

    def do_status(self, connection):
        yield b"!status fail program"

    def do_progremote(self, connection, port):
        server = socket.socket()
        server.bind(("127.0.0.1", int(port)))
        server.listen(1)

        def receive():
            upload, _ = server.accept()
            chunks = []
            while True:
                chunk = upload.recv(65536)
                if not chunk:
                    break
                chunks.append(chunk)
            upload.close()
            server.close()
            self.uploaded = b"".join(chunks)
            self._send(connection, b"#fpga loaded")
            self._send(connection, b"#fpga ready")

        thread = threading.Thread(target=receive)
        thread.daemon = True
        thread.start()
        self._threads.append(thread)
        yield b"!progremote ok " + port

    def do_meta(self, connection):
        yield b"#meta gain 1 2"
        yield b"#meta"
        yield b"!meta ok"


_ESCAPES = {
    b"\\": b"\\\\", b" ": b"\\_", b"\0": b"\\0", b"\n": b"\\n",
    b"\r": b"\\r", b"\x1b": b"\\e", b"\t": b"\\t",
}  # fmt: skip


def _escape(data):
    return (
        b"".join(_ESCAPES.get(data[i : i + 1], data[i : i + 1]) for i in range(len(data))) or b"\\@"
    )


def _unescape(data):
    result, i = [], 0
    back = {value[1:]: key for key, value in _ESCAPES.items()}
    while i < len(data):
        if data[i : i + 1] == b"\\":
            result.append(back.get(data[i + 1 : i + 2], b""))
            i += 2
        else:
            result.append(data[i : i + 1])
            i += 1
    return b"".join(result)
