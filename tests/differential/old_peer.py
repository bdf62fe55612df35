"""katcp-python 0.9.3 behind a pipe: run by the Python that has it, as ``python -I old_peer.py``.

A line of input is ``["parse", [line, ...]]`` or ``["format", [[type, name, id, arguments], ...]]``
in JSON, with bytes as Latin 1; a line of output is the list of outcomes.
"""

import json
import sys

import katcp

PARSER = katcp.MessageParser()
READ = {
    "bytes": lambda text: text.encode("latin-1"),
    "str": str,
    "int": int,
    "float": float,
    "bool": bool,
}


def parse(line):
    try:
        message = PARSER.parse(line.encode("latin-1"))
    except katcp.KatcpSyntaxError:
        return "error"
    except Exception:
        return "other error"
    mid = None if message.mid is None else message.mid.decode("latin-1")
    return [message.mtype, message.name, mid, [a.decode("latin-1") for a in message.arguments]]


def form(fields):
    mtype, name, mid, arguments = fields
    try:
        values = [READ[kind](value) for kind, value in arguments]
        message = katcp.Message(mtype, name, values, None if mid is None else str(mid))
        return bytes(message).decode("latin-1")
    except katcp.KatcpSyntaxError:
        return ["error"]
    except Exception:
        return ["other error"]


for request in sys.stdin:
    what, values = json.loads(request)
    do = parse if what == "parse" else form
    sys.stdout.write(json.dumps([do(value) for value in values]) + "\n")
    sys.stdout.flush()
