"""A Delta table opened by delta-rs, once its log has been looked at."""

import os
from contextlib import suppress
from dataclasses import dataclass, field

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.storage.delta.log_faults import check_log, check_newest_commits
from lakehouse.storage.folders import Folder


def open_table(path: str, name: str, version: int | None = None) -> DeltaTable:
    """The table at a path, now or as it was at a Delta version.

    Args:
        path: of the table.
        name: by which a message names it.
        version: the newest one without it.

    Raises:
        StoreError: its log is damaged.
        DeltaError: it cannot be opened for another reason, such as a version that is not there.
    """
    if version is None:
        check_newest_commits(path, name)
    else:
        check_log(path, name)
    return DeltaTable(path, version)


@dataclass
class OpenTables:
    """The tables that a process has opened, each as it is now.

    A table's log is read once; then only what has been added to it. On a disk, a table that nobody
    has written costs two questions to the file system, however long its log is.
    """

    _tables: dict[str, DeltaTable] = field(default_factory=dict, repr=False)
    _commits: dict[str, "_Commit | None"] = field(default_factory=dict, repr=False)

    def now(self, path: str, name: str) -> DeltaTable:
        """The table at a path, at its newest version.

        Raises:
            StoreError: its log is damaged.
        """
        table = self._tables.get(path)
        # Another table, or an older copy, may have been put in its place.
        if table is None or _commit(path, table.version()) != self._commits[path]:
            return self._open(path, name)
        if not _may_be_followed(path, table.version()):
            return table
        with suppress(DeltaError):
            table.update_incremental()
            return self._keep(path, table)
        return self._open(path, name)

    def known(self, path: str, name: str) -> DeltaTable:
        """The table at a path, at a version that it once had: for what never changes of it."""
        return self._tables.get(path) or self._open(path, name)

    def forget(self, *paths: str) -> None:
        """Read the logs from their beginning, when these tables are asked for next."""
        for path in paths:
            self._tables.pop(path, None)

    def _open(self, path: str, name: str) -> DeltaTable:
        return self._keep(path, open_table(path, name))

    def _keep(self, path: str, table: DeltaTable) -> DeltaTable:
        self._tables[path] = table
        self._commits[path] = _commit(path, table.version())
        return table


@dataclass(frozen=True)
class _Commit:
    """The file of a commit on a disk."""

    inode: int
    written_at: int


def _commit(path: str, version: int) -> _Commit | None:
    """The commit of a version; None where it is not there, or not on a disk."""
    folder = Folder(path).within("_delta_log")
    if not folder.is_local:
        return None
    try:
        found = os.stat(folder.path(_file_of(version)))  # noqa: PTH116 - pathlib takes no bytes
    except FileNotFoundError:
        return None
    return _Commit(found.st_ino, found.st_mtime_ns)


def _may_be_followed(path: str, version: int) -> bool:
    """Whether there is a commit after this version; of an object store nobody knows at once."""
    folder = Folder(path).within("_delta_log")
    return not folder.is_local or os.path.exists(  # noqa: PTH110 - pathlib takes no bytes
        folder.path(_file_of(version + 1))
    )


def _file_of(version: int) -> str:
    return f"{version:020d}.json"
