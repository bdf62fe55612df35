"""How large a test of a promise is: small with every run of the suite, full by ``scripts/soak``."""

from __future__ import annotations

import os
from typing import Any

import pytest

SHARE = float(os.environ.get("KATCP_SOAK_SHARE", "1"))

#: The parameters by which `sizes` tells tests how large they are.
NAMES: set[str] = set()

#: For what takes as long whatever its size: left out where sizes are a small share.
WHOLE = (
    pytest.mark.soak,
    pytest.mark.skipif(SHARE < 0.1, reason="takes as long whatever the size"),
)


def size(name: str, full: int) -> int:
    """Return the full size of something: that of the environment variable, or `full`.

    ``KATCP_SOAK_SHARE`` makes all of them smaller that have no variable of their own.
    """
    own = os.environ.get(f"KATCP_SOAK_{name.upper()}")
    if own is not None:
        return int(own)
    return max(1, int(full * SHARE))


def sizes(name: str, small: int, full: int) -> Any:
    """Parametrize a test by a size: small in the ordinary suite, and full, marked ``soak``."""
    NAMES.add(name)
    return pytest.mark.parametrize(
        name,
        [
            pytest.param(small, id="small"),
            pytest.param(size(name, full), id="full", marks=pytest.mark.soak),
        ],
    )
