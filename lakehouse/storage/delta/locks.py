"""Locks of a lakehouse: one process at a time writes a table."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lakehouse.errors import LockedError


@contextmanager
def exclusive(root: str, table: str) -> Iterator[None]:
    """Hold the right to write a table of the lakehouse at a root.

    Raises:
        LockedError: another process holds it.
    """
    path = _folder(root) / f"{table}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file stays: to remove it could free a lock that another process has just taken.
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise LockedError(
                f"{table} of {root} is being written by another process; let it end, or stop it"
            ) from None
        yield


def _folder(root: str) -> Path:
    """In the lakehouse; for an object store, on this machine."""
    if "://" not in root:
        return Path(root) / "_system" / "locks"
    digest = hashlib.sha256(root.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lakehouse-locks-{os.getuid()}" / digest
