"""Keep a lakehouse small: gather small files, let old versions go. The one place that acts."""

import datetime as dt
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from deltalake import DeltaTable

from lakehouse.errors import LockedError, StoreError
from lakehouse.maintenance.account import Account, Extent
from lakehouse.maintenance.needs import Need, of_running
from lakehouse.maintenance.reading import Reading, data_files, paths_in, paths_named
from lakehouse.maintenance.retained import (
    Kept,
    kept_of,
    readable_ranges,
    refuse_older,
    unneeded_files,
    unneeded_log,
)
from lakehouse.storage.delta.checksums import write_checksum
from lakehouse.storage.delta.file_statistics import files_of
from lakehouse.storage.delta.locks import exclusive
from lakehouse.storage.delta.log_files import Log, version_of
from lakehouse.storage.delta.small_files import gather, small_files
from lakehouse.storage.folders import FileOnDisk, Folder
from lakehouse.tables import Table
from lakehouse.tables.declaration import LEFT_TO_MAINTENANCE

_MOST_SMALL = 50
# Commits: whoever writes a table makes a checkpoint every 50, and old versions go up to one.
_CHECKPOINT_LATE = 10


@dataclass(frozen=True)
class Plan:
    """What of a table's folder no kept version needs.

    Attributes:
        kept: versions that stay.
        log: of the table.
        on_disk: its data files.
        files: those of them that go.
        log_files: files of the log that go.
    """

    kept: Kept
    log: Log
    on_disk: Sequence[FileOnDisk]
    files: Sequence[FileOnDisk]
    log_files: Sequence[FileOnDisk]


@dataclass(frozen=True)
class Maintenance:
    """Maintenance of a lakehouse.

    Attributes:
        reading: of the lakehouse.
        keep_days: asked for, in place of the days of each table's declaration.
        now: wall-clock time.
    """

    reading: Reading
    keep_days: int | None = None
    now: Callable[[], dt.datetime] = field(default=lambda: dt.datetime.now(dt.UTC))

    def accounts(self, is_dry: bool) -> list[Account]:
        """Do what is to be done to each table, or only say what would be.

        Raises:
            ConfigurationError: there is no lakehouse, or somebody needs a version that is older
                than `keep_days`; nothing was touched then.
            RegistryError: MLflow does not tell what its versions need; nothing was touched.
            StoreError: a table's log has lost a commit; nothing was touched.
        """
        tables = self.reading.tables
        _check_logs({table.full_name: self.reading.log(table) for table in tables})
        needs, running = self.reading.needs(), self.reading.running()
        if self.keep_days is not None:
            logs = {table.full_name: self.reading.log(table) for table in tables}
            refuse_older(self.keep_days, logs, needs, self.now())
        return [self._of_table(table, needs, running, is_dry) for table in tables]

    def _of_table(
        self,
        table: Table,
        needs: Sequence[Need],
        running: Sequence[tuple[str, dt.datetime]],
        is_dry: bool,
    ) -> Account:
        path = self.reading.path(table)
        before = _extent(path, self.reading.log(table), data_files(path))
        notes = [] if is_dry else self._written_anew(table)
        log = self.reading.log(table)
        own = [need for need in needs if need.table == table.full_name]
        own += of_running(running, table.full_name, log.made_at)
        plan = self.plan(table, log, own)
        if not is_dry:
            _remove(path, plan)
        gone = {file.name for file in (*plan.files, *plan.log_files)}
        after = _extent(path, _without(log, gone), [f for f in plan.on_disk if f.name not in gone])
        return Account(table.full_name, before, after, plan.kept, notes)

    def plan(self, table: Table, log: Log, needs: Sequence[Need]) -> Plan:
        """What may go of a table's folder."""
        path, retention, now = self.reading.path(table), table.retention, self.now()
        if self.keep_days is not None:
            retention = replace(retention, days=self.keep_days)
        on_disk = data_files(path)
        kept = kept_of(log, retention, needs, now)
        ranges = readable_ranges(log, kept)
        log_files = unneeded_log(log, ranges)
        named = paths_named(path, {version_of(file) for file in log_files})
        files = unneeded_files(on_disk, paths_in(path, ranges), named, now)
        return Plan(kept, log, on_disk, files, log_files)

    def _written_anew(self, table: Table) -> list[str]:
        """Gather small files, and write a checkpoint where none was made for long.

        Returns:
            Why it was not done.
        """
        path, log = self.reading.path(table), self.reading.log(table)
        delta = DeltaTable(path)
        is_late = log.newest - (log.base(log.newest) or 0) > _CHECKPOINT_LATE
        is_older = not LEFT_TO_MAINTENANCE.items() <= delta.metadata().configuration.items()
        if not (is_late or is_older or small_files(files_of(delta)) >= _MOST_SMALL):
            return []
        try:
            with exclusive(self.reading.root, table.full_name):
                delta.update_incremental()
                if is_older:
                    delta.alter.set_table_properties(LEFT_TO_MAINTENANCE)
                gather(delta, _MOST_SMALL)
                if is_late:
                    delta.create_checkpoint()
                write_checksum(path, delta.version())
        except LockedError as error:
            return [f"not gathered: {error}"]
        return []


def _remove(path: str, plan: Plan) -> None:
    """Remove files: those of data first, so that a run that is cut off can be run again."""
    for folder, files in (
        (Folder(path), plan.files),
        (Folder(path).within("_delta_log"), sorted(plan.log_files, key=lambda file: file.name)),
    ):
        for file in files:
            with suppress(FileNotFoundError):  # it has just been removed
                folder.delete(file.name)


def _extent(path: str, log: Log, on_disk: Sequence[FileOnDisk]) -> Extent:
    size = sum(file.size for file in (*log.files, *on_disk))
    files = len(files_of(DeltaTable(path)))
    data = [file for file in on_disk if file.name.endswith(".parquet")]
    return Extent(log.newest, files, len(data), len(log.files), size)


def _without(log: Log, names: Collection[str]) -> Log:
    return Log(tuple(file for file in log.files if file.name not in names))


def _check_logs(logs: Mapping[str, Log]) -> None:
    """Check that no log has lost a commit.

    Raises:
        StoreError: one has; all such tables are named.
    """
    lost = [
        f"{name}: its log lacks version {log.tail - 1}, and no checkpoint bridges the hole"
        for name, log in logs.items()
        if not log.is_whole
    ]
    if lost:
        raise StoreError(
            f"{'; '.join(lost)}; nothing was removed. Put that commit back, or take the table from "
            "a backup"
        )
