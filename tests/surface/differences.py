"""What differs from katcp-python 0.9.3 on purpose: name -> reason."""

_NEWER = "servers speak 5.1 unless told otherwise; 5.0 is a matter of PROTOCOL_INFO"

DIFFERENCES = {
    "katcp.__version__": "another version",
    "katcp.core.ProtocolFlags.VERSION_RE": "numbers of more than nine digits are no version",
    "katcp.server.BASE_REQUESTS": "names request-timeout-hint too, which servers have by default",
    "katcp.server.DeviceServerBase.PROTOCOL_INFO": _NEWER,
    "katcp.server.DeviceServer._request_handlers": "request-timeout-hint, as of protocol 5.1",
    "katcp.server.AsyncDeviceServer._request_handlers": "request-timeout-hint, as of protocol 5.1",
    "katcp.server.DeviceLogger.PYTHON_LEVEL": "the level `all` counts, too (W26)",
    "katcp.server.KATCPServer.BACKLOG": "many clients may connect at once (W37)",
    "katcp.server.KATCPServer.MAX_WRITE_BUFFER_SIZE": "twice as much may wait to be sent",
    "katcp.client.DeviceClient.MAX_MSG_SIZE": "devices send longer lines than they take",
}
