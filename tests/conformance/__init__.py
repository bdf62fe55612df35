"""What the protocol guidelines and the recordings of katcp-python ask of the whole."""
