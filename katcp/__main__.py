"""``python -m katcp`` is ``katcp-cli``."""

from katcp.apps.cli import main

if __name__ == "__main__":
    main()
