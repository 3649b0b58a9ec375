"""Ingest: one lakehouse lives through a dirty night, a late file, a crash, a replay and a lost
checkpoint.
"""

import datetime as dt
import json
import os
import shutil
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import StoreError
from lakehouse.ingest.account import account
from lakehouse.ingest.pipeline import ingest
from lakehouse.ingest.reconciliation import Account
from lakehouse.settings import EnvironmentSettings, load_model_settings
from lakehouse.storage.lakehouse import Lakehouse
from lakehouse.storage.queries import AVAILABLE_NOW
from lakehouse.storage.store import Row, Store
from lakehouse.tables import Table
from tests.support.rows import moment

LANDED = moment("2019-07-10T12:00:00")
SILVER, DUPLICATE = "silver", "duplicate"
MALFORMED = ["malformed JSON"]
CONFLICT = ["pid: differs from the value that silver holds for this key"]
READING_FIELDS = ("pid", "process_time", "temp", "pressure", "duration")
BOM = b"\xef\xbb\xbf"

Line = tuple[
    bytes, str | list[str]
]  # what landed, and where it belongs: silver, duplicate, or the reasons against it


def reading(pid: Any, **changes: Any) -> bytes:
    line = {
        "pid": pid,
        "process_time": "2019-07-01T10:00:00Z",
        "temp": 355.0,
        "pressure": 12.5,
        "duration": 28.0,
    }
    return json.dumps(line | changes).encode()


def label(pid: int, quality: Any) -> bytes:
    return json.dumps(
        {"pid": pid, "qualitycheck_time": "2019-07-03T00:00:00Z", "quality": quality}
    ).encode()


@dataclass(frozen=True)
class File:
    """A file that lands: its lines, when, and what stands at its end."""

    source: str
    name: str
    landed_at: dt.datetime
    lines: list[Line]
    end: bytes = b"\n"

    def land(self, lakehouse: Lakehouse) -> None:
        path = Path(lakehouse.landing) / self.source / self.name
        path.parent.mkdir(parents=True, exist_ok=True)
        waiting = path.with_name(f".{self.name}")
        waiting.write_bytes(
            b"\n".join(line for line, _ in self.lines) + (self.end if self.lines else b"")
        )
        os.utime(waiting, (self.landed_at.timestamp(), self.landed_at.timestamp()))
        waiting.rename(path)


FIRST = [
    File(
        "sensor_reading",
        "b.jsonl",
        LANDED,
        [
            (reading(1), SILVER),
            (b"", MALFORMED),  # a blank line is a line
            (reading(2) + b"\r", SILVER),  # CRLF
            (b"\r", MALFORMED),
            (b"\xff\xfe{", MALFORMED),  # not UTF-8
            (b"\x00", MALFORMED),
            (b"x" * 1_000_000, MALFORMED),
            (b"[" * 50_000, MALFORMED),
            (b"[" + reading(3) + b"]", ["malformed JSON: not an object"]),
            (reading(3) + b" and more", MALFORMED),
            # every rule that a line breaks is named, not the first
            (
                b'{"pid": "3", "process_time": 1562000000, "temp": 1e400, "duration": null}',
                [
                    "pid: wrong type, long expected",
                    "process_time: wrong type, timestamp expected",
                    "temp: NaN or infinity",
                    "pressure: missing",
                    "duration: null",
                ],
            ),
            (reading(3)[:-1] + b', "pid": 3}', ["pid: field given twice"]),
            (reading(3)[:-1] + rb', "\ud800": 3, "\ud800": 3}', [r"\ud800: field given twice"]),
            (
                reading(3, temp=1000.5, pressure=True),
                ["temp: out of range", "pressure: wrong type, double expected"],
            ),
            # "now" is when the file landed, and clocks may differ by five minutes
            (reading(3, process_time="2019-07-10T12:05:00.001Z"), ["process_time: in the future"]),
            (reading(4, process_time="2019-07-10T12:05:00Z"), SILVER),
            (
                reading(3, process_time="2019-06-30T23:59:59Z"),
                ["process_time: before the stream began"],
            ),
            # a second line of a key: the same values, however they are written, or others
            (
                b'{"temp":355,"pid":1,"process_time":"2019-07-01T12:00+02:00","duration":28,"pressure":12.5}',
                DUPLICATE,
            ),
            (reading(1, temp=355.1), CONFLICT),
            (reading(1), DUPLICATE),
            # a line that breaks a rule does not take the key from a later one that breaks none
            (reading(5, temp=None), ["temp: null"]),
            (reading(5), SILVER),  # the last line has no line feed
        ],
        end=b"",
    ),
    # the first name, but the last to land: the second value loses
    File(
        "sensor_reading",
        "a.jsonl",
        LANDED + dt.timedelta(minutes=1),
        [(reading(4), CONFLICT), (reading(6), SILVER)],
    ),
    File("sensor_reading", "bom.jsonl", LANDED, [(BOM + reading(7), SILVER), (reading(8), SILVER)]),
    File("sensor_reading", "empty.jsonl", LANDED, []),
    File("sensor_reading", "blank.jsonl", LANDED, [(b"", MALFORMED), (b"", MALFORMED)]),
    File(
        "quality_check",
        "a.jsonl",
        LANDED,
        [
            (label(1, 1), SILVER),
            (label(1, 0), CONFLICT),
            (label(2, 2), ["quality: not one of 0, 1"]),
            (label(2, "0"), ["quality: wrong type, integer expected"]),
            (label(99, 0), SILVER),  # a label may come before its reading
        ],
    ),
]
# More than a week older than what was read: Spark's default would leave it out without a word.
LATE = File(
    "sensor_reading",
    "late.jsonl",
    moment("2019-07-02T01:00:00"),
    [
        (reading(10), SILVER),
        (reading(1), DUPLICATE),  # as in silver since the first batch
        (reading(2, duration=29.0), CONFLICT),  # landed before silver's row, but silver's stays
        (reading(10, duration=29.0), CONFLICT),
    ],
)
CRASHING = File(
    "sensor_reading",
    "crashing.jsonl",
    LANDED,
    [(reading(20), SILVER), (b"?", MALFORMED), (reading(10), DUPLICATE)],
)
CLEAN = File(
    "sensor_reading", "clean.jsonl", LANDED, [(reading(pid), SILVER) for pid in range(30, 33)]
)
ALL = [*FIRST, LATE, CRASHING, CLEAN]


@dataclass(frozen=True)
class Moment:
    """All that the tables held at one moment."""

    versions: dict[str, int]
    rows: dict[str, list[Row]]


@dataclass(frozen=True)
class History:
    """The lakehouse after each thing that happened to it."""

    lakehouse: Lakehouse
    after: dict[str, Moment]
    accounts: list[Account]
    crash: str

    def rows(self, moment: str, table: str) -> list[Row]:
        return self.after[moment].rows[table]


def line_tables(lakehouse: Lakehouse) -> list[Table]:
    catalog = lakehouse.catalog
    silver = [catalog.readings, catalog.labels, catalog.quarantine, catalog.duplicate]
    return [catalog.bronze_readings, catalog.bronze_labels, *silver]


def observed(lakehouse: Lakehouse) -> Moment:
    store = lakehouse.store
    rows = {table.full_name: store.rows(table) for table in line_tables(lakehouse)}
    return Moment(store.versions(*lakehouse.catalog.tables), rows)


def forget_newest_commit(lakehouse: Lakehouse, query: str) -> None:
    """As if the process had been killed after its writes, before Spark noted that the batch was
    done.
    """
    commits = Path(lakehouse.store.checkpoint(query)) / "commits"
    newest = max(
        (path for path in commits.iterdir() if path.name.isdigit()), key=lambda path: int(path.name)
    )
    newest.unlink()
    (commits / f".{newest.name}.crc").unlink(missing_ok=True)


@pytest.fixture(scope="module")
def history(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> History:
    root = str(tmp_path_factory.mktemp("ingest"))
    lakehouse = open_lakehouse(
        spark, load_model_settings("conf/glassware.yaml"), EnvironmentSettings(root=root)
    )
    after: dict[str, Moment] = {}

    def run(name: str, *files: File) -> None:
        for file in files:
            file.land(lakehouse)
        ingest(lakehouse, AVAILABLE_NOW)
        after[name] = observed(lakehouse)

    append = Store.append_arrow

    def full_disk(self: Store, rows: Any, table: Table, transaction: Any) -> None:
        if table.name == "duplicate":
            raise StoreError("the disk is full")
        append(self, rows, table, transaction)

    run("first", *FIRST)
    run("nothing")
    run("late", LATE)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoreError) as error:
        patch.setattr(Store, "append_arrow", full_disk)
        run("crash", CRASHING)
    after["crash"] = observed(lakehouse)
    run("retry")
    run("clean", CLEAN)
    forget_newest_commit(lakehouse, "ingest")
    run("replay")
    shutil.rmtree(lakehouse.store.checkpoint("ingest"))
    run("reset")
    return History(lakehouse, after, account(lakehouse), str(error.value))


def places_of(history: History, name: str, source: str) -> dict[tuple[str, int], list[Any]]:
    """File and line to each place that it is in: silver, duplicate, or its reasons."""
    found: dict[tuple[str, int], list[Any]] = {}
    places = [(SILVER, row) for row in history.rows(name, f"silver.{source}")]
    places += [
        (DUPLICATE, row)
        for row in history.rows(name, "silver.duplicate")
        if row["source"] == source
    ]
    places += [
        (row["reasons"], row)
        for row in history.rows(name, "silver.quarantine")
        if row["source"] == source
    ]
    for place, row in places:
        found.setdefault((Path(row["source_file"]).name, row["line"]), []).append(place)
    return found


def expected_places(files: list[File], source: str) -> dict[tuple[str, int], list[Any]]:
    return {
        (file.name, number): [place]
        for file in files
        if file.source == source
        for number, (_, place) in enumerate(file.lines)
    }


def as_text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace")


def test_bronze_keeps_every_line_as_it_came(history: History) -> None:
    for source in ("sensor_reading", "quality_check"):
        found = {
            (Path(row["source_file"]).name, row["line"]): row["raw"]
            for row in history.rows("first", f"bronze.{source}")
        }
        assert found == {
            (file.name, number): as_text(raw)
            for file in FIRST
            if file.source == source
            for number, (raw, _) in enumerate(file.lines)
        }


def test_bronze_knows_where_and_when_each_line_came_from(history: History) -> None:
    landed = {file.name: file.landed_at for file in ALL if file.source == "sensor_reading"}
    rows = history.rows("clean", "bronze.sensor_reading")
    assert {row["source_file"].rpartition("/")[0] for row in rows} == {"sensor_reading"}
    assert all(row["landed_at"] == landed[Path(row["source_file"]).name] for row in rows)
    batches = {Path(row["source_file"]).name: row["ingest_batch"] for row in rows}
    assert batches == {
        **{"a.jsonl": 0, "b.jsonl": 0, "bom.jsonl": 0, "blank.jsonl": 0},
        **{"late.jsonl": 1, "crashing.jsonl": 2, "clean.jsonl": 3},
    }
    assert all(
        dt.timedelta() < dt.datetime.now(dt.UTC) - row["ingested_at"] < dt.timedelta(hours=1)
        for row in rows
    )


@pytest.mark.parametrize("source", ["sensor_reading", "quality_check"])
@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("first", FIRST),
        ("late", [*FIRST, LATE]),
        ("retry", [*FIRST, LATE, CRASHING]),
        ("clean", ALL),
    ],
)
def test_each_line_is_in_exactly_one_place_with_every_reason(
    source: str, name: str, files: list[File], history: History
) -> None:
    assert places_of(history, name, source) == expected_places(files, source)


def test_silver_is_typed_and_has_one_row_for_each_key(history: History) -> None:
    rows = history.rows("first", "silver.sensor_reading")
    at = moment("2019-07-01T10:00:00")
    assert sorted(tuple(row[name] for name in READING_FIELDS) for row in rows) == [
        (1, at, 355.0, 12.5, 28.0),
        (2, at, 355.0, 12.5, 28.0),
        (4, LANDED + dt.timedelta(minutes=5), 355.0, 12.5, 28.0),
        *((pid, at, 355.0, 12.5, 28.0) for pid in (5, 6, 7, 8)),
    ]
    labels = history.rows("first", "silver.quality_check")
    told = moment("2019-07-03T00:00:00")
    assert sorted((row["pid"], row["qualitycheck_time"], row["quality"]) for row in labels) == [
        (1, told, 1),
        (99, told, 0),
    ]


def test_what_is_set_aside_can_be_read_again_as_it_came(history: History) -> None:
    bronze = {
        (row["source_file"], row["line"]): row
        for source in ("sensor_reading", "quality_check")
        for row in history.rows("clean", f"bronze.{source}")
    }
    lineage = ("landed_at", "ingest_batch")
    for row in history.rows("clean", "silver.quarantine"):
        line = bronze[row["source_file"], row["line"]]
        assert {name: row[name] for name in ("raw", *lineage)} == {
            name: line[name] for name in ("raw", *lineage)
        }
    for row in history.rows("clean", "silver.duplicate"):
        assert row["ingest_batch"] == bronze[row["source_file"], row["line"]]["ingest_batch"]
        assert json.loads(bronze[row["source_file"], row["line"]]["raw"])["pid"] == int(row["key"])


def test_without_new_input_nothing_is_written(history: History) -> None:
    assert history.after["nothing"].versions == history.after["first"].versions


def test_a_clean_file_writes_bronze_and_silver_and_which_versions_they_have_alone(
    history: History,
) -> None:
    before, now = history.after["retry"].versions, history.after["clean"].versions
    grown = {name for name, version in now.items() if version != before[name]}
    lines = {"bronze.landed_file", "bronze.sensor_reading", "silver.sensor_reading"}
    assert grown == {*lines, "gold.table_commit"}


def test_a_handlers_error_is_raised_as_itself_and_what_it_left_is_completed(
    history: History,
) -> None:
    assert history.crash == "the disk is full"
    crashed = places_of(history, "crash", "sensor_reading")
    assert crashed[("crashing.jsonl", 0)] == [SILVER]  # was written before the crash ...
    assert ("crashing.jsonl", 2) not in crashed  # ... and this was not


def counted(rows: list[Row]) -> Counter[str]:
    return Counter(repr(sorted(row.items())) for row in rows)


def test_a_replay_changes_nothing(history: History) -> None:
    before, now = history.after["clean"], history.after["replay"]
    assert now.versions == before.versions
    assert {name: counted(rows) for name, rows in now.rows.items()} == {
        name: counted(rows) for name, rows in before.rows.items()
    }


def test_a_new_checkpoint_finds_every_line_in_its_place(history: History) -> None:
    """It reads every file on record again, and writes nothing."""
    before, now = history.after["replay"], history.after["reset"]
    assert now.versions == before.versions
    assert {name: counted(rows) for name, rows in now.rows.items()} == {
        name: counted(rows) for name, rows in before.rows.items()
    }


def test_the_account_of_all_this_balances(history: History) -> None:
    """After a new checkpoint as well: a line that was read twice is one line."""
    readings, labels = history.accounts
    for source, found in (("sensor_reading", readings), ("quality_check", labels)):
        expected = Counter(
            place[0] if isinstance(place[0], str) else "quarantined"
            for place in expected_places(ALL, source).values()
        )
        assert found.balances
        assert found.places == {
            name: expected[name] for name in ("silver", "quarantined", "duplicate")
        }
        assert found.lines == expected.total()
    assert readings.followed == {"scored": 0, "waiting for a model": readings.places["silver"]}
