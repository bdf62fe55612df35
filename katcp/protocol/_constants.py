"""Numbers that the versions of the protocol differ by."""

#: Major version that a server speaks unless told otherwise.
DEFAULT_KATCP_MAJOR = 5
#: First major version with times in seconds (before: milliseconds).
SEC_TS_KATCP_MAJOR = 5
#: First major version whose timestamps may have a fraction.
FLOAT_TS_KATCP_MAJOR = 4
#: First major version with message ids.
MID_KATCP_MAJOR = 5
#: First major version that greets with ``#version-connect``.
VERSION_CONNECT_KATCP_MAJOR = 5
#: First major version with ``#interface-changed``.
INTERFACE_CHANGED_KATCP_MAJOR = 5

SEC_TO_MS_FAC = 1000
MS_TO_SEC_FAC = 1.0 / 1000

#: Longest line a server takes unless told otherwise, end of line not counted [bytes].
DEFAULT_MAX_LINE = 2 * 1024 * 1024
#: Longest line a client takes unless told otherwise [bytes].
DEFAULT_CLIENT_MAX_LINE = 16 * 1024 * 1024
#: Most arguments of a message that a server or client takes unless told otherwise.
DEFAULT_MAX_ARGUMENTS = 65_536
#: Longest name of a message that a server takes unless told otherwise [bytes].
DEFAULT_MAX_NAME = 1024
#: Message ids run from 1 to this.
MAX_MID = 2**31 - 1
