"""One line to one message: the reference that the fast parser is held against.

It is also what makes the error texts, since the fast parser's do not name the culprit.
"""

import re
from typing import ClassVar

from katcp.errors import KatcpSyntaxError, KatcpTypeError
from katcp.protocol._escape import ESCAPE_LOOKUP, unescape
from katcp.protocol._message import Message

#: The name and, possibly, the message id, behind the type character. An id is repeated on each
#: line of an answer, so one of a megabyte could not be afforded.
_NAME_AND_MID = re.compile(rb"([a-zA-Z][a-zA-Z0-9\-]*)(?:\[([0-9]{1,20})\])?")
#: How much of a bad name is repeated in an error text [bytes].
_EXCERPT = 100


def shown(raw: bytes) -> str:
    """Return `raw` in quotes for an error text, as text if it is some."""
    try:
        return repr(raw.decode("utf-8"))
    except UnicodeDecodeError:
        return repr(raw)[1:]


class MessageParser:
    """Parses lines, each without its end, into messages.

    Message ids of up to 20 digits are taken and kept as they are, also those outside the range
    that the guidelines give them (1 to 2**31-1).
    """

    TYPE_SYMBOL_LOOKUP: ClassVar[dict[bytes, int]] = Message.TYPE_SYMBOL_LOOKUP
    ESCAPE_LOOKUP: ClassVar[dict[bytes, bytes]] = ESCAPE_LOOKUP
    SPECIAL_RE: ClassVar[re.Pattern[bytes]] = re.compile(rb"[\0\n\r\x1b\t ]")
    UNESCAPE_RE: ClassVar[re.Pattern[bytes]] = re.compile(rb"\\(.?)")
    WHITESPACE_RE: ClassVar[re.Pattern[bytes]] = re.compile(rb"[ \t]+")
    NAME_RE: ClassVar[re.Pattern[bytes]] = re.compile(
        rb"^(?P<name>[a-zA-Z][a-zA-Z0-9\-]*)(\[(?P<id>[0-9]+)\])?$"
    )

    def parse(self, line: bytes) -> Message:
        """Parse one line.

        Parameters
        ----------
        line : bytes
            Without its end of line.

        Raises
        ------
        KatcpSyntaxError
            If the line is not well-formed; the text says what is wrong, and is what a server
            sends back in its ``#log``.
        KatcpTypeError
            If `line` is not bytes.
        """
        if not isinstance(line, bytes):
            raise KatcpTypeError(f"A line to parse must be bytes, not {type(line).__name__}.")
        if not line:
            raise KatcpSyntaxError("Empty message received.")
        mtype = self.TYPE_SYMBOL_LOOKUP.get(line[:1])
        if mtype is None:
            raise KatcpSyntaxError(f"Bad type character {line[:1].decode('latin-1')!r}.")
        head, *rest = self.WHITESPACE_RE.split(line)
        match = _NAME_AND_MID.fullmatch(head, 1)
        if match is None:
            excerpt = shown(head[1 : 1 + _EXCERPT])
            raise KatcpSyntaxError(f"Bad message name (and possibly id) {excerpt}.")
        if rest and not rest[-1]:
            rest.pop()  # trailing white space makes no argument
        name, mid = match.groups()
        arguments = [unescape(argument) for argument in rest]
        return Message.from_wire(mtype, name.decode("ascii"), arguments, mid)
