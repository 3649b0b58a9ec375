"""A process looks at its tables often: what nobody has written costs nothing, what somebody has
written is seen at once.
"""

import shutil
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from lakehouse.storage.delta import opened
from lakehouse.storage.delta.opened import OpenTables


def write(table: Path, number: int) -> None:
    write_deltalake(table, pa.table({"i": [number]}), mode="append")


def numbers(tables: OpenTables, table: Path) -> list[int]:
    found = tables.now(str(table), "silver.t").to_pyarrow_table()["i"]
    return sorted(found.to_pylist())


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t"
    for number in range(3):
        write(path, number)
    return path


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has listed a log."""
    found: list[str] = []
    update, look = DeltaTable.update_incremental, opened.check_newest_commits

    def updated(table: DeltaTable) -> None:
        found.append("update")
        update(table)

    def looked(path: str, name: str) -> None:
        found.append("open")
        look(path, name)

    monkeypatch.setattr(DeltaTable, "update_incremental", updated)
    monkeypatch.setattr(opened, "check_newest_commits", looked)
    return found


def test_a_log_is_listed_once_and_then_when_somebody_has_written(
    table: Path, listed: list[str]
) -> None:
    tables = OpenTables()
    assert [numbers(tables, table) for _ in range(3)] == [[0, 1, 2]] * 3
    assert listed == ["open"]
    write(table, 3)
    assert [numbers(tables, table) for _ in range(3)] == [[0, 1, 2, 3]] * 3
    assert listed == ["open", "update"]


def test_what_is_written_by_way_of_an_opened_table_is_seen(table: Path) -> None:
    tables = OpenTables()
    write_deltalake(tables.now(str(table), "silver.t"), pa.table({"i": [3]}), mode="append")
    assert numbers(tables, table) == [0, 1, 2, 3]


def test_an_older_copy_that_is_put_back_is_seen(table: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(table, tmp_path / "copy")
    tables = OpenTables()
    write(table, 3)
    assert numbers(tables, table) == [0, 1, 2, 3]
    shutil.rmtree(table)
    shutil.copytree(copy, table)
    assert numbers(tables, table) == [0, 1, 2]


def test_another_table_of_the_same_version_that_takes_its_place_is_seen(
    table: Path, tmp_path: Path
) -> None:
    tables = OpenTables()
    assert numbers(tables, table) == [0, 1, 2]
    other = tmp_path / "other"
    for number in (7, 8, 9):
        write(other, number)
    shutil.rmtree(table)
    other.rename(table)
    assert numbers(tables, table) == [7, 8, 9]
