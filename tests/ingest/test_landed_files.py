"""What becomes of landed files: each is read once, or on record with the reason, and none stops
another.
"""

import datetime as dt
import gzip
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.ingest import pipeline as station
from lakehouse.ingest.account import account, files_account
from lakehouse.ingest.pipeline import ingest
from lakehouse.ingest.reconciliation import FileAccount
from lakehouse.settings import EnvironmentSettings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Transaction
from tests.support.engines import duckdb_of, duckdb_rows, known_to_spark, spark_rows
from tests.support.rows import moment
from tests.support.small_model import model_of, readings, small_lakehouse

LANDED = moment("2024-03-05T00:00:00")
ODD_NAMES = [
    *[
        "2024-03-01T10:00:00.jsonl",
        "a[1].jsonl",
        "what?.jsonl",
        "a{b,c}*.jsonl",
        "a%20b c#d.jsonl",
        "é日本.jsonl",
    ],
    *["day=2024-03-01/a.jsonl", "x/y/a.jsonl", "a.json", "a.NDJSON", "b.JSONL.GZ"],
]


def content(*numbers: int, **more: Any) -> bytes:
    return b"".join(json.dumps(line).encode() + b"\n" for line in readings(numbers, **more))


def put(lakehouse: Lakehouse, name: str, data: bytes, landed_at: dt.datetime = LANDED) -> Path:
    path = Path(lakehouse.landing) / "reading" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(data) if name.lower().endswith(".gz") else data)
    os.utime(path, (landed_at.timestamp(), landed_at.timestamp()))
    return path


def ids(lakehouse: Lakehouse) -> list[int]:
    return sorted(
        row["id"] for row in lakehouse.store.rows(lakehouse.catalog.readings, columns=["id"])
    )


def file_account(lakehouse: Lakehouse) -> FileAccount:
    return next(each for each in files_account(lakehouse) if each.source == "reading")


def alarms(lakehouse: Lakehouse) -> list[tuple[str, str]]:
    """The open alarms of files and what they say, as DuckDB and Spark both tell them."""
    query = "SELECT subject, detail FROM gold.open_alarms WHERE alarm = 'file' ORDER BY subject"
    with known_to_spark(lakehouse.spark, lakehouse.store.root):
        by_spark = spark_rows(lakehouse.spark, query)
    assert by_spark == duckdb_rows(duckdb_of(lakehouse.store.root), query)
    return [(row["subject"], row["detail"]) for row in by_spark]


@pytest.fixture
def lakehouse(spark: SparkSession, tmp_path: Path) -> Lakehouse:
    return small_lakehouse(spark, tmp_path / "lake")


def test_every_name_and_every_sub_folder_is_read(lakehouse: Lakehouse) -> None:
    for number, name in enumerate(ODD_NAMES):
        put(lakehouse, name, content(number))
    put(lakehouse, "notes.csv", content(99))
    ingest(lakehouse, AVAILABLE_NOW)
    rows = lakehouse.store.rows(lakehouse.catalog.readings, columns=["id", "source_file", "line"])
    assert {row["id"]: (row["source_file"], row["line"]) for row in rows} == {
        number: (f"reading/{name}", 0) for number, name in enumerate(ODD_NAMES)
    }
    assert list(file_account(lakehouse).left_alone) == ["reading/notes.csv"]
    assert account(lakehouse)[0].lines == len(ODD_NAMES)


def test_unreadable_files_stop_no_other_and_are_read_once_they_are_mended(
    lakehouse: Lakehouse,
) -> None:
    whole = content(*range(3))
    put(lakehouse, "a.jsonl.gz", whole).write_bytes(gzip.compress(whole)[:-9])
    put(lakehouse, "empty.jsonl", b"")
    put(lakehouse, "text.jsonl.gz", whole).write_bytes(content(7))
    link = Path(lakehouse.landing) / "reading" / "link.jsonl"
    link.symlink_to(link.with_name("nothing"))
    put(lakehouse, "z.jsonl", content(10, 11))
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [10, 11]
    why = {
        "reading/a.jsonl.gz": "gzip: it ends before its end; land it whole, by an atomic rename",
        "reading/empty.jsonl": "it is empty",
        "reading/link.jsonl": "No such file or directory",
        "reading/text.jsonl.gz": "it is not gzip, though its name says so; rename it",
    }
    assert file_account(lakehouse).unreadable == why
    assert alarms(lakehouse) == sorted(why.items())

    before = lakehouse.store.versions(*lakehouse.catalog.tables)
    ingest(lakehouse, AVAILABLE_NOW)
    assert lakehouse.store.versions(*lakehouse.catalog.tables) == before  # nothing new to say

    put(lakehouse, "a.jsonl.gz", whole)
    put(lakehouse, "empty.jsonl", content(3), LANDED + dt.timedelta(minutes=1))
    link.unlink()
    put(lakehouse, "nothing", content(4))
    link.symlink_to(link.with_name("nothing"))
    Path(lakehouse.landing, "reading", "text.jsonl.gz").unlink()
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [0, 1, 2, 3, 4, 10, 11]
    assert alarms(lakehouse) == []
    assert file_account(lakehouse).unreadable == {}


def test_a_name_that_is_used_again_is_read_again_and_its_lines_lead_to_their_own_coming(
    lakehouse: Lakehouse,
) -> None:
    put(lakehouse, "latest.jsonl", content(0, 1))
    ingest(lakehouse, AVAILABLE_NOW)
    put(lakehouse, "latest.jsonl", content(1, 2), LANDED + dt.timedelta(minutes=1))
    ingest(lakehouse, AVAILABLE_NOW)
    put(
        lakehouse, "latest.jsonl", content(3, 4), LANDED + dt.timedelta(minutes=1)
    )  # the time and size of before
    ingest(lakehouse, AVAILABLE_NOW)
    rows = lakehouse.store.rows(
        lakehouse.catalog.readings, columns=["id", "source_file", "line", "landed_file_id"]
    )
    assert {(row["id"], row["line"], row["landed_file_id"]) for row in rows} == {
        *[(0, 0, 1), (1, 1, 1)],
        (2, 1, 2),  # its line 0 says again what the first coming said
        *[(3, 0, 3), (4, 1, 3)],
    }
    assert {row["source_file"] for row in rows} == {"reading/latest.jsonl"}
    [readings_account, _] = account(lakehouse)
    assert readings_account.balances
    assert readings_account.places == {"silver": 5, "quarantined": 0, "duplicate": 1}


def test_a_file_that_was_touched_is_not_read_again(lakehouse: Lakehouse) -> None:
    put(lakehouse, "a.jsonl", content(0, 1))
    ingest(lakehouse, AVAILABLE_NOW)
    put(lakehouse, "a.jsonl", content(0, 1), LANDED + dt.timedelta(days=1))
    ingest(lakehouse, AVAILABLE_NOW)
    rows = lakehouse.store.rows(lakehouse.catalog.landed_file, columns=["status"])
    assert sorted(row["status"] for row in rows) == ["landed", "same"]
    assert account(lakehouse)[0].lines == 2


@pytest.mark.parametrize(
    "modified_at",
    [dt.datetime(1970, 1, 1, tzinfo=dt.UTC), moment("1980-01-01"), moment("2150-01-01")],
)
def test_a_modification_time_that_cannot_be_costs_no_line_and_is_named(
    lakehouse: Lakehouse, modified_at: dt.datetime
) -> None:
    put(lakehouse, "a.jsonl", content(0, 1), modified_at)
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [0, 1]
    [reason] = file_account(lakehouse).odd.values()
    assert f"its modification time cannot be ({modified_at:%Y-%m-%d})" in reason.replace(
        " 00:00", ""
    )


def test_files_that_are_lost_before_they_are_read_are_left_out_and_on_record(
    lakehouse: Lakehouse,
) -> None:
    for number in range(3):
        put(lakehouse, f"{number}.jsonl", content(number))
    folder = Path(lakehouse.landing) / "reading"
    station.take_stock(lakehouse)
    (folder / "0.jsonl").unlink()
    (folder / "2.jsonl").write_bytes(b"?\n")
    station._read(lakehouse)
    assert ids(lakehouse) == [1]
    assert file_account(lakehouse).unreadable == {
        "reading/0.jsonl": "it changed before it was read: No such file or directory",
        "reading/2.jsonl": "it changed before it was read: its content is another",
    }
    put(lakehouse, "0.jsonl", content(0))
    put(lakehouse, "2.jsonl", content(2))
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [0, 1, 2]
    assert account(lakehouse)[0].balances
    assert file_account(lakehouse).unreadable == {}


@dataclass(frozen=True)
class Places:
    """A lakehouse before and after it was moved."""

    root: Path
    landing: Path | None

    def open(self, spark: SparkSession) -> Lakehouse:
        landing = None if self.landing is None else str(self.landing)
        return open_lakehouse(
            spark, model_of(), EnvironmentSettings(root=str(self.root), landing=landing)
        )


@pytest.mark.parametrize(
    ("how", "landing_moves_too"), [("moved", True), ("moved", False), ("copied", True)]
)
def test_a_moved_lakehouse_reads_no_line_twice_and_goes_on(
    spark: SparkSession, tmp_path: Path, how: str, landing_moves_too: bool
) -> None:
    landing = None if landing_moves_too else tmp_path / "landing"
    old, new = Places(tmp_path / "old", landing), Places(tmp_path / "elsewhere" / "new", landing)
    put(old.open(spark), "a b.jsonl", content(0, 1))
    put(old.open(spark), "broken.jsonl.gz", b"").write_bytes(b"?")
    ingest(old.open(spark), AVAILABLE_NOW)
    new.root.parent.mkdir()
    if how == "moved":
        shutil.move(old.root, new.root)
    else:
        shutil.copytree(old.root, new.root, copy_function=shutil.copy)
    lakehouse = new.open(spark)
    before = lakehouse.store.versions(lakehouse.catalog.bronze_readings, lakehouse.catalog.readings)
    ingest(lakehouse, AVAILABLE_NOW)
    assert (
        lakehouse.store.versions(lakehouse.catalog.bronze_readings, lakehouse.catalog.readings)
        == before
    )
    put(lakehouse, "c.jsonl", content(2))
    ingest(lakehouse, AVAILABLE_NOW)
    assert ids(lakehouse) == [0, 1, 2]
    assert account(lakehouse)[0].lines == 3
    assert list(file_account(lakehouse).unreadable) == ["reading/broken.jsonl.gz"]


def test_a_file_of_many_parts_is_read_as_one_of_one_part(
    lakehouse: Lakehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lakehouse.ingest.landing import inspection
    from lakehouse.ingest.landing import runs as files

    numbers = [*range(200), *range(190, 210), 3]
    put(lakehouse, "a.jsonl", content(*numbers))
    inspect = inspection.inspect
    monkeypatch.setattr(
        "lakehouse.ingest.landing.landed_files.inspect",
        lambda folder, name: inspect(folder, name, 1_000),
    )
    monkeypatch.setattr(files.in_runs, "__defaults__", (5_000,))
    monkeypatch.setattr(station, "_TASK_BYTES", 2_000)  # several tasks on the workers for a run
    ingest(lakehouse, AVAILABLE_NOW)
    rows = lakehouse.store.rows(lakehouse.catalog.readings, columns=["id", "line"])
    assert {row["line"]: row["id"] for row in rows} == {line: line for line in range(200)} | {
        210 + number: 200 + number for number in range(10)
    }
    raw = lakehouse.store.rows(lakehouse.catalog.bronze_readings, columns=["line", "raw"])
    assert [
        json.loads(row["raw"])["id"] for row in sorted(raw, key=lambda row: row["line"])
    ] == numbers
    [found, _] = account(lakehouse)
    assert found.balances
    assert found.places == {"silver": 210, "quarantined": 0, "duplicate": 11}


def test_small_files_of_tables_are_made_one_and_who_reads_the_stream_sees_each_row_once(
    lakehouse: Lakehouse,
) -> None:
    table, store = lakehouse.catalog.readings, lakehouse.store

    def append(numbers: range) -> None:
        """A small commit for each, as a small batch of ingest makes it."""
        for number in numbers:
            row = {"id": number, "at": LANDED, "x": 0.5, "z": 0.5}
            rows = pa.Table.from_pylist([row], store.target(table).schema)
            store.append_arrow(rows, table, Transaction("a test's own", number))

    seen: list[int] = []

    def note(rows: Any, _: int) -> None:
        seen.extend(row["id"] for row in rows.select("id").collect())

    stream = (
        lakehouse.store.read_stream(table).writeStream.foreachBatch(note).trigger(availableNow=True)
    )
    stream = stream.option("checkpointLocation", f"{lakehouse.store.root}/check")
    append(range(45))
    stream.start().awaitTermination()
    append(range(45, 60))
    assert len(DeltaTable(store.path(table)).file_uris()) < 20
    stream.start().awaitTermination()
    assert sorted(seen) == [*range(60)]
