"""Why TLS did not come about, in the words of people."""

from __future__ import annotations

import ssl

#: First bytes of what either end of TLS may send: change of cipher, alert, handshake, data.
_RECORDS = frozenset(range(20, 24))

_KNOWN = {
    "NO_SHARED_CIPHER": "no cipher in common; has the server a certificate?",
    "NO_SHARED_SIGNATURE_ALGORITHMS": "no kind of signature in common",
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the client has no certificate, and must have one",
    "UNSUPPORTED_PROTOCOL": "no version of TLS in common",
    "WRONG_VERSION_NUMBER": "it does not speak TLS",
    "HTTP_REQUEST": "it does not speak TLS, but HTTP",
}


class TlsError(ConnectionError):
    """There is no TLS with the other end, or no longer; the text says why, in one line."""


def is_record(data: bytes | memoryview) -> bool:
    """Tell whether the first bytes of a stream can be those of TLS."""
    return data[0] in _RECORDS


def tls_error(error: BaseException) -> TlsError:
    """Return what a failure of the library means."""
    if isinstance(error, TlsError):
        return error
    result = TlsError(_text(error))
    result.__cause__ = error
    return result


def _text(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted ({error.verify_message.rstrip('.')})"
    reason = getattr(error, "reason", None)
    if not isinstance(error, ssl.SSLError) or not reason:
        return " ".join(str(error).split()) or type(error).__name__
    if reason in _KNOWN:
        return _KNOWN[reason]
    _, is_alert, name = reason.rpartition("ALERT_")
    words = name.lower().replace("_", " ")
    return f"the other end has refused ({words})" if is_alert else words


def check_context(context: object, *, server_side: bool) -> None:
    """Find out whether a context can be used on this side.

    Raises
    ------
    TypeError
        If it is no `ssl.SSLContext`.
    ValueError
        If it is for the other side.
    """
    if not isinstance(context, ssl.SSLContext):
        raise TypeError(f"ssl_context is an ssl.SSLContext, not {context!r}.")
    if context.protocol == (ssl.PROTOCOL_TLS_CLIENT if server_side else ssl.PROTOCOL_TLS_SERVER):
        side = "server" if server_side else "client"
        raise ValueError(f"This ssl_context is not for a {side}.")
