"""Locks of a lakehouse: one process at a time writes a table, and one does a kind of work.

The kernel holds them and frees them when their process dies, however it does. They reach the
processes of one machine, and those that share its file system where that passes locks on.
"""

import datetime as dt
import fcntl
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TextIO

from lakehouse.errors import LockedError

_PAUSE = 0.05
_held: list[TextIO] = []  # by this process, until it ends


@contextmanager
def exclusive(root: str, table: str) -> Iterator[None]:
    """Hold the right to write a table of the lakehouse at a root.

    Raises:
        LockedError: another process holds it.
    """
    with _taken(root, table, f"{table} of {root} is being written"):
        yield


def hold_work(root: str, kinds: Iterable[str]) -> None:
    """Hold the right to do these kinds of work on a lakehouse, until this process ends.

    Raises:
        LockedError: another process holds one of them.
    """
    for kind in sorted(kinds):  # in one order: of two processes, one gets them all
        _held.append(_taken(root, f"work-{kind}", f"{root}: {kind} is being done"))


def _taken(root: str, name: str, what: str) -> TextIO:
    """The lock of this name, with what its holder is; it is free when it is closed."""
    path = machine_folder(root, "locks") / f"{name}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    # The file stays: to remove it could free a lock that another process has just taken.
    file = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = in_words(file.read())
        file.close()
        raise LockedError(f"{what} by {holder}; let it end, or stop it") from None
    try:
        _sign(file)
    except OSError:  # a full disk: whoever comes next must not find the lock taken
        with suppress(OSError):
            file.close()
        raise
    return file


def _sign(file: TextIO) -> None:
    """Say who holds the lock, and since when."""
    file.truncate(0)
    file.write(described_process())
    file.flush()


def described_process() -> str:
    """This process as JSON: its job, where it runs, and that it does so since now."""
    return json.dumps(
        {
            "job": Path(sys.argv[0]).name,
            "pid": os.getpid(),
            "host": platform.node(),
            "since": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        }
    )


def in_words(holder: str) -> str:
    """Who holds a lock, and since when; one that is just being taken says nothing yet."""
    try:
        known = json.loads(holder)
        return "{job} (process {pid} of {host}) since {since}".format(**known)
    except (ValueError, KeyError, TypeError):
        return "another process"


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


@contextmanager
def not_copied(root: str) -> Iterator[None]:
    """Write to a lakehouse while nobody takes stock of it for a copy: wait for the one who does.

    Any number of writes share it. A copy takes it for a moment, in which it notes the versions of
    the tables.
    """
    with _copy_lock(root) as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextmanager
def held_still(root: str, patience: float) -> Iterator[None]:
    """Nothing is written to the lakehouse meanwhile; waits up to `patience` seconds for writes.

    Raises:
        LockedError: a write takes longer.
    """
    until = time.monotonic() + patience
    with _copy_lock(root) as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() > until:
                    raise LockedError(
                        f"{root} is written to all the time; take the copy when less is done"
                    ) from None
                time.sleep(_PAUSE / 10)
        yield


def _copy_lock(root: str) -> TextIO:
    path = machine_folder(root, "locks") / "copy.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("a+", encoding="utf-8")


def machine_folder(root: str, name: str) -> Path:
    """A folder for what concerns this machine alone: in the lakehouse, if that is a folder here."""
    if "://" not in root:
        return Path(root) / "_system" / name
    digest = hashlib.sha256(root.encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"lakehouse-{name}-{os.getuid()}" / digest
