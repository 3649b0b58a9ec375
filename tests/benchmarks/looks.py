"""Does a look at a table cost the same after ten thousand commits as after a hundred?

    python -m tests.benchmarks.looks [COMMITS]

One table that is written from the driver, a row a commit, its small files gathered and its log
checkpointed as the store does it; maintenance never runs. Milliseconds are those of the processor,
medians of 51: a look of a process that has the table open, and the opening of it by another, whole
and in its two parts. The peer is delta-rs, which lists the log.

Figures of 2026-12-02, 2 cores with some other work: a look costs the same; an opening grows with
the log, most of it in delta-rs, until maintenance shortens that.

    commits   look  by delta-rs   open  of that our check
        100   0.02         0.70    8.5                0.2
      1,000   0.03         3.05   14.0                0.9
     10,000   0.02        21.31   58.7               11.5
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable

from deltalake import DeltaTable, write_deltalake

from lakehouse.settings import load_model_settings
from lakehouse.storage.delta.declared_tables import create
from lakehouse.storage.delta.log_faults import check_newest_commits
from lakehouse.storage.delta.opened import OpenTables, open_table
from lakehouse.storage.delta.small_files import gather
from lakehouse.tables import catalog_of
from tests.benchmarks.maintenance import _rows

TABLE = catalog_of(load_model_settings("conf/glassware.yaml")).decision


def milliseconds(look: Callable[[], object]) -> float:
    """The processor's time of a look."""
    took = []
    for _ in range(51):
        began = time.process_time()
        look()
        took.append((time.process_time() - began) * 1000)
    return statistics.median(took)


def main(most: int) -> None:
    """Prints what looks cost as the log grows."""
    with tempfile.TemporaryDirectory() as folder:
        create(TABLE, folder)
        delta, tables = DeltaTable(folder), OpenTables()
        print("commits   look  by delta-rs   open  of that our check")
        for commits in (100, 1_000, most):
            while delta.version() < commits:
                write_deltalake(delta, _rows(TABLE, [{}]), mode="append")
                gather(delta)
            tables.now(folder, "t")
            looks = (
                lambda: tables.now(folder, "t"),
                DeltaTable(folder).update_incremental,
                lambda: open_table(folder, "t"),
                lambda: check_newest_commits(folder, "t"),
            )
            look, listed, opened, checked = map(milliseconds, looks)
            print(f"{commits:7,}  {look:5.2f}  {listed:11.2f}  {opened:5.1f}  {checked:17.1f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
