"""A table's files on a disk are read by pyarrow alone; which ones, the table's log says."""

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow import fs

from lakehouse.storage.delta.opened import dataset_of

SPECIAL = "a day's ü%25 #?+ folder"


@pytest.fixture
def table(tmp_path):
    """Three versions; each day has a file of each, and version 1 takes one away."""
    path = tmp_path / "a table ü #1"
    for number, mode in enumerate(("append", "overwrite", "append")):
        rows = pa.table({"x": [number, 10 + number], "day": ["2024-03-01", SPECIAL]})
        write_deltalake(path, rows, partition_by=["day"], mode=mode)
    return path


def read(delta, partitions=None):
    rows = dataset_of(delta, partitions).to_table(use_threads=False)
    assert rows.equals(
        delta.to_pyarrow_dataset(file_pruning_predicate=partitions).to_table(use_threads=False)
    )
    return sorted(rows["x"].to_pylist())


def test_pyarrow_reads_what_delta_rs_reads_in_any_folder(table):
    assert read(DeltaTable(table)) == [1, 2, 11, 12]
    assert read(DeltaTable(table, 0)) == [0, 10]
    assert read(DeltaTable(table), "day = '2024-03-01'") == [1, 2]
    assert read(DeltaTable(table), f"day = '{SPECIAL.replace(chr(39), chr(39) * 2)}'") == [11, 12]


def test_no_thread_of_pyarrow_calls_python_for_a_file_of_a_disk(table):
    system = dataset_of(DeltaTable(table)).filesystem
    assert isinstance(system, fs.SubTreeFileSystem)
    assert isinstance(system.base_fs, fs.LocalFileSystem)
