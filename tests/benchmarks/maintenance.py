"""Do files, disk and the time to open tables stay flat, if maintenance runs now and then?

    python -m tests.benchmarks.maintenance year      # 365 nights, maintenance each week
    python -m tests.benchmarks.maintenance seconds   # a batch a second, every ten minutes

Nothing is streamed: commits are made as the store makes those of jobs, rows are random, and files
have the times that they would have. `--without` does the same without maintenance.

Figures of 2026-12-01, 2 cores with a load of 15 by other work: times are rough, counts are not.
`live` are data files of the newest versions. A year: all 24 tables; each night a decision names
versions of four of them, which stay; a table that is partitioned by day has a live file a day.

    nights                    live  on disk     log       MB
    90                         790    1,581     995     40.3
    365                      1,417    4,409   2,801    175.7  maintenance at most 20.6 s
    365, without             1,417    7,871   5,779    230.8

A batch a second: one table, milliseconds are those of the processor to open it.

    commits                   live  on disk     log       MB  ms/open
    100                          3      102     107      0.5      4.3
    1,000                       23    1,020   1,046      6.0     15.7
    2,000                       47    1,441   1,466     11.2     14.8
    4,000                       44    1,738   1,685     14.8     24.0  maintenance at most 21.6 s
    3,000, without              11    3,061   3,124     24.7     17.0
"""

import argparse
import datetime as dt
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakehouse.maintenance.maintain import Maintenance
from lakehouse.maintenance.reading import Reading
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.delta.declared_tables import create
from lakehouse.storage.delta.small_files import gather
from lakehouse.tables import Table, catalog_of
from lakehouse.tables.arrow_types import arrow_schema

MODEL = load_model_settings("conf/glassware.yaml")
CATALOG = catalog_of(MODEL)
BEGAN = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
A_DAY, A_SECOND = dt.timedelta(days=1), dt.timedelta(seconds=1)
_RANDOM = random.Random(0)


@dataclass
class Plant:
    """A lakehouse whose files are as old as a simulated clock says."""

    root: Path
    now: dt.datetime = BEGAN

    def __post_init__(self) -> None:
        for table in CATALOG.tables:
            create(table, self._path(table))
        (self.root / "_system").mkdir()
        (self.root / "_system" / "model").write_text(MODEL.name)
        self._forget_soon()
        self._opened = {table: DeltaTable(self._path(table)) for table in CATALOG.tables}
        self._began = time.time()

    def append(self, table: Table, n: int, **values: Any) -> None:
        """A commit as `Store.append_rows` makes it, which asks Spark for the schema."""
        delta = self._at_newest(table)
        write_deltalake(delta, _rows(table, [values] * n), mode="append")
        gather(delta)

    def append_fast(self, table: Table, **values: Any) -> None:
        """The same by a process that alone writes the table: it need not look for new commits."""
        delta = self._opened[table]
        write_deltalake(delta, _rows(table, [values]), mode="append")
        if delta.version() % 50 == 0:
            gather(delta, 2)

    def replace(self, table: Table, days: list[dt.date], n: int, **values: Any) -> None:
        """A commit as `Store.replace_partitions` makes it."""
        rows = _rows(table, [values | {"window_date": day} for day in days for _ in range(n)])
        where = " OR ".join(f"window_date = '{day}'" for day in days)
        write_deltalake(self._at_newest(table), rows, mode="overwrite", predicate=where)

    def versions(self, *tables: Table) -> dict[str, int]:
        return {table.full_name: self._at_newest(table).version() for table in tables}

    def _at_newest(self, table: Table) -> DeltaTable:
        self._opened[table].update_incremental()
        return self._opened[table]

    def maintain(self) -> float:
        """Run maintenance as of the simulated time; return its seconds."""
        self._age()
        began = time.perf_counter()
        reading = Reading(str(self.root), MODEL, EnvironmentSettings(root=str(self.root)))
        Maintenance(reading, now=lambda: self.now).accounts(is_dry=False)
        seconds = time.perf_counter() - began
        self._forget_soon()
        for delta in self._opened.values():
            delta.update_incremental()
        self._age()
        return seconds

    def _forget_soon(self) -> None:
        """Checkpoints name removed files for an hour; the simulated one is far shorter."""
        delta = DeltaTable(self._path(CATALOG.scoring_ledger))
        delta.alter.set_table_properties(
            {"delta.deletedFileRetentionDuration": "interval 1 minutes"}
        )

    def _age(self) -> None:
        """Files that have been written since are of now."""
        for path in self.root.rglob("*"):
            if path.is_file() and path.stat().st_mtime > self._began:
                os.utime(path, (self.now.timestamp(), self.now.timestamp()))

    def measured(self, tables: list[Table]) -> str:
        """Files of the newest versions, on disk and in logs; MB; milliseconds to open one."""
        live = sum(len(DeltaTable(self._path(table)).file_uris()) for table in tables)
        files = [path for table in tables for path in Path(self._path(table)).rglob("*")]
        sizes = {path: path.stat().st_size for path in files if path.is_file()}
        log = sum("_delta_log" in path.parts for path in sizes)
        seconds = statistics.median(self._opening(tables) for _ in range(9))
        return (
            f"{live:>8,}{len(sizes) - log:>9,}{log:>8,}{sum(sizes.values()) / 1e6:>9.1f}"
            f"{seconds * 1000 / len(tables):>9.1f}"
        )

    def _opening(self, tables: list[Table]) -> float:
        """Seconds of the processor: the machine may have other work."""
        began = time.process_time()
        for table in tables:
            DeltaTable(self._path(table)).get_add_actions()
        return time.process_time() - began

    def _path(self, table: Table) -> str:
        return table.path_in(self.root)


def _rows(table: Table, given: list[dict[str, Any]]) -> pa.Table:
    """Rows of the given values, and random ones; what is nested and not given is null."""
    schema = pa.schema(arrow_schema(table))
    return pa.Table.from_pylist([_row(schema) | values for values in given], schema)


def _row(schema: pa.Schema) -> dict[str, Any]:
    made: dict[pa.DataType, Any] = {
        pa.int64(): _RANDOM.randrange(10**9),
        pa.int32(): _RANDOM.randrange(1000),
        pa.float64(): _RANDOM.random(),
        pa.bool_(): _RANDOM.random() < 0.5,
        pa.string(): f"{_RANDOM.getrandbits(160):x}",
    }
    return {field.name: made.get(field.type) for field in schema}


APPENDED = {
    CATALOG.landed_file: 2,
    CATALOG.bronze_readings: 192,
    CATALOG.bronze_labels: 192,
    CATALOG.readings: 192,
    CATALOG.labels: 192,
    CATALOG.predictions: 192,
    CATALOG.scoring_cost: 1,
    CATALOG.batch_metrics: 3,
    CATALOG.job_run: 1,
    CATALOG.table_commit: 8,
}
"""Rows that a night appends."""
NAMED = (CATALOG.readings, CATALOG.labels, CATALOG.predictions, CATALOG.window_facts)


def a_night(plant: Plant, number: int) -> None:
    """What a run of the pipeline commits: each night decides, every fifth one promotes."""
    plant.now = BEGAN + number * A_DAY
    table = CATALOG.scoring_ledger
    plant.append(table, 1, table_versions=plant.versions(CATALOG.readings), model_version="1")
    for table, rows in APPENDED.items():
        plant.append(table, rows)
    days = [(plant.now - n * A_DAY).date() for n in range(3)]
    plant.replace(CATALOG.window_facts, days, 24)
    plant.replace(CATALOG.drift_metrics, days, 12, granularity="1 day")
    window = {"start": plant.now - A_DAY, "end": plant.now}
    of_window = {"log_type": "INPUT", "column_name": ":table", "slice_key": None, "window": window}
    named = plant.versions(*NAMED)
    identity = {MODEL.metrics.model_id_column: "*", "granularity": "1 day"}
    plant.replace(CATALOG.profile_metrics, days, 12, **of_window, **identity, as_of_version=named)
    on_record = {"as_of": plant.now, "recorded_at": plant.now, "table_versions": named}
    plant.append(CATALOG.decision, 1, **on_record, model_version="1", action="keep")
    if number % 5 == 0:
        version = {"to_version": str(number // 5 + 1), "run_id": f"run{number}"}
        plant.append(CATALOG.promotion, 1, **on_record, **version, action="promote")


def a_second(plant: Plant, number: int) -> None:
    """The row of a micro-batch; every hour a version of the table is put on record."""
    plant.now = BEGAN + number * A_SECOND
    versions = {CATALOG.scoring_ledger.full_name: number}
    plant.append_fast(CATALOG.scoring_ledger, table_versions=versions, model_version="1")
    if number % 3600 == 1800:
        version = {"to_version": str(number // 3600 + 1), "run_id": f"run{number}"}
        on_record = {"as_of": plant.now, "recorded_at": plant.now, "table_versions": versions}
        plant.append(CATALOG.promotion, 1, **on_record, **version, action="promote")


KINDS = {
    "year": (a_night, list(CATALOG.tables), 7, (30, 90, 180, 365)),
    "seconds": (
        a_second,
        [CATALOG.scoring_ledger],
        600,
        (100, 1000, 2000, 4000),
    ),
}


def measured(root: Path, kind: str, is_maintained: bool) -> Iterator[str]:
    """A line at each mark."""
    step, tables, every, marks = KINDS[kind]
    plant, longest = Plant(root), 0.0
    for number in range(1, max(marks) + 1):
        step(plant, number)
        if is_maintained and number % every == 0:
            longest = max(longest, plant.maintain())
        if number in marks:
            words = f"  maintenance at most {longest:.1f} s" if longest else ""
            yield f"{number:>7,}{plant.measured(tables)}{words}"


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--without", action="store_true", help="maintenance")
    options = parser.parse_args()
    print(f"{options.kind}, {'without' if options.without else 'with'} maintenance")
    print("commits    live  on disk     log       MB  ms/open")
    root = Path(tempfile.mkdtemp())
    try:
        for line in measured(root, options.kind, not options.without):
            print(line, flush=True)
    finally:
        shutil.rmtree(root)


if __name__ == "__main__":
    main()
