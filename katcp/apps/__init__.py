"""The programs of the package: `katcp-server` and `katcp-cli`."""
