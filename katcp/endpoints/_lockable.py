"""The lock of an endpoint, as the program that has the endpoint uses it."""

from __future__ import annotations

from katcp.endpoints._locks import Lockout, lock_family, unlock_family
from katcp.endpoints._placed import Placed

#: Who holds a lock that the program itself has taken, if it does not say.
_SELF = "this device"


class WithLock(Placed):
    """Something that can be locked, so that only those with the key may change it.

    Parameters
    ----------
    name : str

    Attributes
    ----------
    lockout : Lockout
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.lockout = Lockout(name)

    @property
    def is_locked(self) -> bool:
        """Whether somebody has locked it."""
        return self.lockout.is_locked

    @property
    def lockout_key(self) -> None:
        """None, locked or not: whoever has locked it knows the key, and nobody else."""
        return

    def lock(
        self,
        lockout_key: str | bytes | None = None,
        *,
        owner: str = "",
        reason: str = "",
        lease: float | None = None,
    ) -> str:
        """Lock it, and all that is in it; return the key.

        Parameters
        ----------
        lockout_key : str or bytes, optional
            32 hexadecimal digits, dashes ignored; one is made up if there is none.
        owner, reason : str
            Who and why, for all to see.
        lease : float, optional
            The lock ends after this time [s].

        Raises
        ------
        AccessDeniedError
            If somebody else has locked it (307).
        InvalidKeyError
            If it is no key (308).
        """
        return lock_family(self, lockout_key, owner or _SELF, reason, lease)[0]

    def unlock(self, lockout_key: str | bytes | None = None, force: bool = False) -> None:
        """Open it, and all that is in it and opens by the same key; with `force` all of it.

        Raises
        ------
        AccessDeniedError
            If it is locked, and not by this key (307).
        """
        unlock_family(self, lockout_key, force)
