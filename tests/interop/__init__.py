"""The other end is somebody else: aiokatcp, or a peer that means no good."""
