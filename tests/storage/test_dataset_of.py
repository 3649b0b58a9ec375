"""A table's files on a disk are read by pyarrow alone; which ones, the table's log says."""

import datetime as dt
import json
import operator

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from pyarrow import fs

from lakehouse.instants import ARROW_MOMENT
from lakehouse.storage.delta.dataset import dataset_of
from lakehouse.storage.delta.file_statistics import files_of

MOMENT = dt.datetime(2024, 3, 1, 12, 0, 0, 900, tzinfo=dt.UTC)
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


LACKING = {
    "a number": {"minValues": {"x"}, "maxValues": {"x"}},
    "a flag, as Spark's files do": {"minValues": {"is_good"}, "maxValues": {"is_good"}},
    "all but the count of nulls": {"minValues": {"x", "is_good"}, "maxValues": {"x", "is_good"}},
    "the greatest value": {"maxValues": {"x", "is_good"}},
    "a column, as one that was declared later": {
        kind: {"x"} for kind in ("minValues", "maxValues", "nullCount")
    },
    "everything": {},
}


def without_statistics(path, lacking):
    """Take statistics out of the log of a table's files."""
    for commit in (path / "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in commit.read_text().splitlines()]
        for add in (action["add"] for action in actions if "add" in action):
            statistics = json.loads(add.pop("stats"))
            for kind, columns in lacking.items():
                statistics[kind] = {
                    name: value for name, value in statistics[kind].items() if name not in columns
                }
            if lacking:
                add["stats"] = json.dumps(statistics)
        commit.write_text("\n".join(json.dumps(action) for action in actions))


@pytest.mark.parametrize("lacking", LACKING.values(), ids=LACKING.keys())
def test_a_filter_finds_the_rows_of_a_file_that_lacks_statistics_of_its_column(tmp_path, lacking):
    def append(first, days):
        rows = {"x": [first, None, first + 1], "is_good": [True, None, False], "day": days}
        write_deltalake(tmp_path, pa.table(rows), partition_by=["day"], mode="append")

    append(1, ["2024-03-01", SPECIAL, SPECIAL])
    append(5, [None, None, None])
    without_statistics(tmp_path, lacking)
    append(9, ["2024-03-01", "2024-03-01", SPECIAL])
    dataset = dataset_of(DeltaTable(tmp_path))
    rows = dataset.to_table(use_threads=False)
    x, is_good, day = (pc.field(name) for name in ("x", "is_good", "day"))
    filters = [
        *(compare(x, 5) for compare in (operator.eq, operator.ne, operator.ge, operator.lt)),
        *(is_good, ~is_good, is_good == True, is_good == False),  # noqa: E712 - of expressions
        *(x.isin([1, 9]), x.is_null(), is_good.is_null(), x.is_valid()),
        *(day == SPECIAL, day.is_null(), (day == SPECIAL) & (x >= 2)),
    ]
    for where in filters:
        found = dataset.to_table(filter=where, use_threads=False)
        assert found.sort_by("x").equals(rows.filter(where).sort_by("x")), where


def test_a_row_is_found_by_its_time_though_statistics_cut_it(tmp_path):
    rows = pa.table({"x": [1, 2], "is_good": [True, False], "at": [MOMENT, MOMENT]})
    write_deltalake(tmp_path, rows)
    without_statistics(tmp_path, LACKING["a flag, as Spark's files do"])
    for commit in (tmp_path / "_delta_log").glob("*.json"):
        commit.write_text(commit.read_text().replace("12:00:00.000900", "12:00:00.000"))
    dataset = dataset_of(DeltaTable(tmp_path))
    (maximum,) = files_of(DeltaTable(tmp_path))["max.at"].to_pylist()
    assert maximum < MOMENT
    assert dataset.count_rows(filter=pc.field("at") >= pa.scalar(MOMENT, ARROW_MOMENT)) == 2


def test_a_file_that_lacks_statistics_is_still_sought_by_its_partition_and_other_columns(tmp_path):
    for number in (1, 2):
        days = {"day": ["2024-03-01", SPECIAL]}
        rows = pa.table({"x": [number, number], "is_good": [True, True], **days})
        write_deltalake(tmp_path, rows, partition_by=["day"], mode="append")
        if number == 1:
            without_statistics(tmp_path, LACKING["a flag, as Spark's files do"])
    dataset = dataset_of(DeltaTable(tmp_path))

    def files(where):
        return len(list(dataset.get_fragments(where)))

    assert files(pc.scalar(True)) == 4
    assert files(pc.field("day") == SPECIAL) == 2
    assert files(pc.field("x") == 2) == 2
    assert files(pc.field("is_good") == False) == 2  # noqa: E712 - of an expression
