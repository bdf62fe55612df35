"""Load: many connections that do nothing."""

from __future__ import annotations

import select
import socket
import time

from _cpu import resident_bytes, settled_cpu
from _peers import PATIENCE, Job, Peer, Result, expect


def idle(job: Job) -> Result:
    """Open many connections, some at once, and leave them: CPU and memory for each.

    A burst is smaller than the backlog of any server: what does not fit in a backlog is
    tried again by the kernel, seconds later, and says nothing about the server.
    """
    pid, count, burst = job["pid"], job["connections"], job["burst"]
    Peer(job["port"]).socket.close()
    cpu, memory = settled_cpu(pid, 0.1), resident_bytes(pid)
    start = time.perf_counter()
    poll = select.epoll()
    sockets: dict[int, socket.socket] = {}
    text: dict[int, bytes] = {}
    greeted = 0
    while greeted < count:
        if greeted == len(sockets):
            for _ in range(min(burst, count - greeted)):
                connection = socket.socket()
                connection.setblocking(False)
                connection.connect_ex(("127.0.0.1", job["port"]))
                sockets[connection.fileno()] = connection
                text[connection.fileno()] = b""
                poll.register(connection, select.EPOLLIN)
        ready = poll.poll(PATIENCE)
        expect(bool(ready), f"{len(sockets) - greeted} connections were not greeted")
        for file, _ in ready:
            before = text[file].count(b"#version-connect ")
            text[file] += sockets[file].recv(1 << 16)
            greeted += before < 3 <= text[file].count(b"#version-connect ")
    wall = time.perf_counter() - start
    cpu, memory = settled_cpu(pid, 0.1) - cpu, resident_bytes(pid) - memory
    while ready := poll.poll(0.2):
        for file, _ in ready:
            text[file] += sockets[file].recv(1 << 16)
    told = sum(data.count(b"#client-connected ") for data in text.values())
    due = count * (count - 1) // 2
    # katcp-python's clients are told nothing.
    expect(told in (due, 0), f"{told} informs of new clients, not {due}")
    return {"cpu": cpu, "units": count, "wall": wall, "memory": memory / count / 1e3}
