"""What is wrong with a Delta log, told by the names and sizes of its files.

Readers pass over some of it in silence: both Spark's and delta-rs take a commit of zero bytes for
one that did nothing, and delta-rs reads on where commit 0 is gone.
"""

import datetime as dt
import json
import os
import re
import time
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from itertools import pairwise

from pyarrow import fs

from lakehouse.errors import StoreError
from lakehouse.storage.folders import Folder
from lakehouse.tables.retention import Retention

_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\..*parquet")
_HINT = "_last_checkpoint"
_CLEANED = dt.timedelta(days=1).total_seconds()
_LET_GO = Retention().least.total_seconds()


@dataclass(frozen=True)
class Entry:
    """A file of a log: its size in bytes, and its modification time in seconds."""

    size: int
    modified_at: float


def fault_of(entries: Mapping[str, Entry], hint: int | None = None, now: float = 0.0) -> str | None:
    """What is wrong with a log, in words; None where nothing is.

    >>> whole = {f"{version:020d}.json": Entry(9, 0.0) for version in range(4)}
    >>> fault_of(whole) is None
    True
    >>> del whole["00000000000000000002.json"]
    >>> fault_of(whole)
    'the commit of version 2 is missing'

    Args:
        entries: its files, by name.
        hint: the version of the checkpoint that `_last_checkpoint` names; None for none.
        now: in seconds, if that is later than the newest commit.
    """
    commits, checkpoints = _by_version(entries, _COMMIT), _by_version(entries, _CHECKPOINT)
    for what, found in (("commit", commits), ("checkpoint", checkpoints)):
        empty = [version for version, entry in sorted(found.items()) if not entry.size]
        if empty:
            return f"the {what} of version {empty[0]} is empty"
    missing = _missing(commits, checkpoints.keys(), now)
    if missing is not None:
        return f"the commit of version {missing} is missing"
    if hint is not None and hint not in checkpoints:
        return f"the checkpoint of version {hint}, which `{_HINT}` names, is missing"
    return None


def _by_version(entries: Mapping[str, Entry], name: re.Pattern[str]) -> dict[int, Entry]:
    matches = ((name.fullmatch(each), entry) for each, entry in entries.items())
    return {int(match[1]): entry for match, entry in matches if match}


def _missing(commits: Mapping[int, Entry], checkpoints: Set[int], now: float) -> int | None:
    """The first version without a commit, of those that ought to have one.

    Two leave commits out rightly. Delta cleans up old commits below a checkpoint, the oldest first
    or many at once: a clean-up that was cut off leaves gaps there, whose neighbours are much older
    than the newest commit. Maintenance keeps stretches of commits, each after a checkpoint; what is
    younger than a quarter of an hour it keeps whole.
    """
    checkpoint = max(checkpoints, default=-1)
    if not commits:
        return None if checkpoint < 0 else checkpoint  # no table yet, or nothing but a checkpoint
    newest = max(commits)
    if newest < checkpoint:
        return newest + 1
    if min(commits) > checkpoint + 1:
        return min(commits) - 1
    for before, after in pairwise(sorted(commits)):
        written, latest = commits[before].modified_at, commits[newest].modified_at
        is_cleaned = after <= checkpoint and latest - written > _CLEANED
        is_bridged = bool({after - 1, after} & checkpoints)
        is_let_go = is_bridged and max(now, latest) - written > _LET_GO
        if after > before + 1 and not (is_cleaned or is_let_go):
            return before + 1
    return None


def check_log(path: str, name: str) -> None:
    """Look at the log of the table at a path; of one that is not there yet, nothing is asked.

    Raises:
        StoreError: it is damaged; the message says how, and what to do.
    """
    folder = Folder(path).within("_delta_log")
    # Another process may have written while this one looked.
    fault = _fault(folder) and _fault(folder)
    if fault is not None:
        raise StoreError(
            f"{name}: {fault} in {folder.location}; nothing was read or written: put that file "
            "back from a copy, or see docs/faults.md for what else can be done"
        )


def check_newest_commits(path: str, name: str) -> None:
    """Look at what the newest version is read from: the last checkpoint, and what follows it.

    Where something is wrong with it, the whole log is looked at.

    Raises:
        StoreError: it is damaged, see `check_log`.
    """
    folder = Folder(path).within("_delta_log")
    hint = _hint(folder)
    entries = {} if hint is None else entries_of(folder, since=f"{hint:020d}")
    if not entries or fault_of(entries, hint) or _cut_off(folder, _by_version(entries, _COMMIT)):
        check_log(path, name)


def _fault(folder: Folder) -> str | None:
    # The hint first: what it names was written before it.
    hint = _hint(folder)
    entries = entries_of(folder)
    if not entries:
        table = Folder(folder.location.removesuffix("/_delta_log"))
        is_left = any(name.endswith(".parquet") for name in entries_of(table))
        return "all commits are missing, though data files are there," if is_left else None
    return fault_of(entries, hint, time.time()) or _cut_off(folder, _by_version(entries, _COMMIT))


def _cut_off(folder: Folder, commits: Iterable[int]) -> str | None:
    """A commit is written at once; after a loss of power, the newest may have a part of it."""
    newest = max(commits)
    with folder.open(f"{newest:020d}.json") as file:
        lines = file.read().splitlines()
    try:
        json.loads(lines[-1])
    except (ValueError, IndexError):
        return f"the commit of version {newest} is cut short"
    return None


def _hint(folder: Folder) -> int | None:
    try:
        with folder.open(_HINT) as file:
            version = json.loads(file.read())["version"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # without it, readers list the log
    return version if isinstance(version, int) else None


def entries_of(folder: Folder, since: str = "") -> dict[str, Entry]:
    """The files of a folder whose name is `since` or comes after it; none where it is not there."""
    if folder.is_local:
        try:
            found = list(os.scandir(folder.path()))
        except FileNotFoundError:
            return {}
        first = os.fsencode(since)
        wanted = [each for each in found if each.name >= first]
        states = [(os.fsdecode(each.name), _state(each)) for each in wanted]
        return {name: Entry(state.st_size, state.st_mtime) for name, state in states if state}
    system, base = folder.file_system
    infos = system.get_file_info(fs.FileSelector(base, allow_not_found=True))
    return {
        info.base_name: Entry(info.size or 0, (info.mtime_ns or 0) / 1e9)
        for info in infos
        if info.type == fs.FileType.File and info.base_name >= since
    }


def _state(entry: "os.DirEntry[bytes]") -> os.stat_result | None:
    try:
        return entry.stat()
    except FileNotFoundError:  # cleaned up just now
        return None
