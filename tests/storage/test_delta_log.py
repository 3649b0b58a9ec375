"""What Delta's log tells of the files that commits added, against the tables themselves."""

import datetime as dt
from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable, write_deltalake

from lakehouse.storage.delta_log import Added, added_between, committed_at


def table_of(path: Path, *commits: int) -> DeltaTable:
    """A table with a commit of so many rows each, behind the one that makes it."""
    DeltaTable.create(path, pa.schema([("x", pa.int64())]))
    for rows in commits:
        write_deltalake(path, pa.table({"x": list(range(rows))}), mode="append")
    return DeltaTable(path)


def test_what_commits_added_is_their_files_bytes_rows_and_the_time_of_the_first(
    tmp_path: Path,
) -> None:
    delta = table_of(tmp_path / "t", 3, 5, 7)
    files = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
    found = added_between(str(tmp_path / "t"), 2, 4)
    assert found is not None
    assert (found.files, found.rows) == (2, 12)
    assert found.size == sum(each["size_bytes"] for each in files if each["num_records"] in (5, 7))
    commits = {commit["version"]: commit["timestamp"] for commit in delta.history()}
    assert found.since == dt.datetime.fromtimestamp(commits[2] / 1000, dt.UTC)
    assert committed_at(str(tmp_path / "t")) == dt.datetime.fromtimestamp(commits[3] / 1000, dt.UTC)


def test_without_an_end_all_newer_commits_count_and_none_is_nothing(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    table_of(tmp_path / "t", 3, 5)
    newer = added_between(path, 1)
    assert newer is not None
    assert newer.rows == 8
    assert added_between(path, 3) == Added()


def test_a_compaction_adds_nothing(tmp_path: Path) -> None:
    delta = table_of(tmp_path / "t", 3, 5)
    delta.optimize.compact()
    assert DeltaTable(tmp_path / "t").version() == 3
    assert added_between(str(tmp_path / "t"), 3) == Added()


def test_a_commit_that_the_log_has_not_any_more_leaves_it_unknown(tmp_path: Path) -> None:
    table_of(tmp_path / "t", 3, 5)
    (tmp_path / "t" / "_delta_log" / f"{1:020d}.json").unlink()
    assert added_between(str(tmp_path / "t"), 0, 3) is None
    assert added_between(str(tmp_path / "t"), 2, 3) is not None


def test_rows_are_unknown_where_one_file_does_not_tell() -> None:
    known, unknown = Added(1, 10, 5, None), Added(1, 10, None, None)
    assert (known + known).rows == 10
    assert (known + unknown).rows is None
