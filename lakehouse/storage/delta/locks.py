"""Locks of a lakehouse: one process at a time writes a table."""

import fcntl
import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lakehouse.errors import LockedError

_PAUSE = 0.05


@contextmanager
def exclusive(root: str, table: str) -> Iterator[None]:
    """Hold the right to write a table of the lakehouse at a root.

    Raises:
        LockedError: another process holds it.
    """
    path = machine_folder(root, "locks") / f"{table}.lock"
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


@contextmanager
def exclusive_soon(root: str, table: str, patience: float) -> Iterator[None]:
    """`exclusive`, waiting up to `patience` seconds for a process that holds it for a moment."""
    until = time.monotonic() + patience
    with ExitStack() as held:
        while True:
            try:
                held.enter_context(exclusive(root, table))
                break
            except LockedError:
                if time.monotonic() > until:
                    raise
                time.sleep(_PAUSE)
        yield


def machine_folder(root: str, name: str) -> Path:
    """A folder for what concerns this machine alone: in the lakehouse, if that is a folder here."""
    if "://" not in root:
        return Path(root) / "_system" / name
    digest = hashlib.sha256(root.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lakehouse-{name}-{os.getuid()}" / digest
