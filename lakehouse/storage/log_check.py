"""Whether a lakehouse's tables have all commits that they once had.

A table whose newest commit is gone looks like one that never had it. The next write takes its
number, and a stream that has read the lost one passes over the new one. Two others know of a
version: the offsets of streams that have read it, and gold.table_commit.
"""

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pyarrow.compute as pc

from lakehouse.errors import StoreError
from lakehouse.storage.checkpoints import Checkpoint, read_checkpoint, set_aside
from lakehouse.storage.commits import followed
from lakehouse.storage.delta.log_faults import check_log
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.store import Store

_LOG = logging.getLogger(__name__)


def check_logs(store: Store) -> None:
    """Look at the log of each table.

    Raises:
        StoreError: one is damaged.
    """
    for table in store.catalog.tables:
        check_log(store.path(table), table.full_name)


def check_newest(lakehouse: Lakehouse) -> None:
    """Hold each table's newest version against what streams have read, and have written.

    Raises:
        StoreError: a newer commit than those that are there was read or written.
    """
    for lost in _lost(lakehouse):
        raise StoreError(
            f"{lost}; put the missing commits back into its _delta_log from a copy, or run "
            "jobs/run_pipeline.py: its streams then read all again, and nothing is done twice"
        )


def begin_anew_where_commits_are_lost(lakehouse: Lakehouse) -> None:
    """Set the checkpoints of all streams aside where a table has lost its newest commits.

    What the commits held comes again from the landed files and from bronze. The caller alone works
    on the lakehouse.
    """
    lost = next(_lost(lakehouse), None)
    if lost is not None:
        _LOG.warning("%s; all streams read all again, and nothing is done twice", lost)
        for folder, _ in _checkpoints(lakehouse.store):
            set_aside(folder)


def _lost(lakehouse: Lakehouse) -> Iterator[str]:
    """A clause for each table and each witness of a version that it does not have."""
    store, checkpoints = lakehouse.store, _checkpoints(lakehouse.store)
    by_id = {store.table_id(table): table for table in store.catalog.tables}
    for folder, checkpoint in checkpoints:
        for table_id, version in _read(checkpoint):
            table = by_id.get(table_id)
            if table is not None and version > (newest := store.version(table)):
                yield (
                    f"{table.full_name}: its newest version is {newest}, though the stream "
                    f"{folder.name} has read version {version}"
                )
    yield from _lost_writes(lakehouse, {checkpoint.query_id for _, checkpoint in checkpoints})


def _lost_writes(lakehouse: Lakehouse, streams: set[str | None]) -> Iterator[str]:
    """Versions on record that a stream wrote that goes on; one that began anew writes it again."""
    store, record = lakehouse.store, lakehouse.catalog.table_commit
    tables = {table.full_name: table for table in followed(lakehouse.catalog, lakehouse.model)}
    for name, version in store.reached(record, tables).items():
        if version is not None and version > (newest := store.version(tables[name])):
            lost = (pc.field("table_name") == name) & (pc.field("version") > newest)
            rows = store.rows(record, lost, ["version", "query_id"])
            if any(row["query_id"] in streams for row in rows if row["query_id"]):
                yield (
                    f"{name}: its newest version is {newest}, though {record.full_name} has "
                    f"version {version} on record"
                )


def _checkpoints(store: Store) -> list[tuple[Path, Checkpoint]]:
    """The folders of streams, but for those that were set aside, and what they hold."""
    place = store.checkpoint("").rstrip("/")
    if "://" in place or not Path(place).is_dir():
        return []
    folders = [folder for folder in sorted(Path(place).iterdir()) if "." not in folder.name]
    return [(folder, read_checkpoint(folder)) for folder in folders]


def _read(checkpoint: Checkpoint) -> Iterator[tuple[str, int]]:
    """The id of each table that a stream reads, and the newest version that it has read."""
    newest = checkpoint.offsets
    if newest.number < 0 or not newest.is_whole:
        return
    for line in newest.text.splitlines()[2:]:
        offset = None if line == "-" else json.loads(line)
        if isinstance(offset, dict) and "reservoirVersion" in offset:
            # An index below 0 stands before a version's first file.
            yield offset["reservoirId"], offset["reservoirVersion"] - (offset["index"] < 0)
