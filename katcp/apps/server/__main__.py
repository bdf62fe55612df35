"""``python -m katcp.apps.server`` is ``katcp-server``."""

from katcp.apps.server import main

if __name__ == "__main__":
    main()
