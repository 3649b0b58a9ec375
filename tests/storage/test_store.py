"""The store writes once, only where it says, one process at a time, and only what is declared."""

import datetime as dt
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import DataFrame, SparkSession

from lakehouse.app.opening import open_lakehouse
from lakehouse.errors import ConfigurationError, LockedError, StoreError
from lakehouse.settings import EnvironmentSettings, ModelSettings, load_model_settings
from lakehouse.storage.delta import leases
from lakehouse.storage.delta.data_files import DataFile
from lakehouse.storage.delta.leases import Lease
from lakehouse.storage.partitions import NO_DAY, on_days, since_day
from lakehouse.storage.queries import AVAILABLE_NOW as NOW
from lakehouse.storage.queries import run, run_all
from lakehouse.storage.store import Store, Transaction
from lakehouse.tables import QUARANTINE, SCORING_LEDGER, WINDOW_FACTS, catalog_of
from tests.support.rows import moment, rows

MODEL = load_model_settings("conf/glassware.yaml")
CATALOG = catalog_of(MODEL)


@pytest.fixture(scope="module")
def store(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Store:
    store = Store(spark, str(tmp_path_factory.mktemp("store")), CATALOG)
    store.create_missing()
    return store


def ledger_row(batch: int) -> dict[str, Any]:
    return {"query_id": "q", "batch_id": batch, "model_version": "1"}


def test_an_append_is_done_once_for_each_transaction(store: Store, spark: SparkSession) -> None:
    def append(source: str, app_id: str, version: int) -> None:
        frame = rows(spark, QUARANTINE.schema, [{"source": source, "line": 0}])
        store.append(frame, QUARANTINE, Transaction(app_id, version))

    append("first", "a", 0)
    append("again", "a", 0)  # a replay of the very first batch
    append("other", "b", 0)  # another checkpoint starts at 0 as well
    append("next", "a", 1)
    append("again", "a", 1)
    append("older", "a", 0)  # a replay of a batch before the newest
    assert {row["source"] for row in store.read(QUARANTINE).collect()} == {"first", "other", "next"}
    assert store.version(QUARANTINE) == 3
    # as of a version: what was there then
    assert [row["source"] for row in store.read(QUARANTINE, 1).collect()] == ["first"]


def test_a_process_that_lost_its_lease_writes_no_more(
    store: Store, spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = Lease(store.root, "score")
    monkeypatch.setattr(leases, "_held", [lost])
    frame = rows(spark, QUARANTINE.schema, [{"source": "lost"}])
    file = DataFile("nowhere.parquet", 1, "{}", 1)
    day = {"window_date": dt.date(2019, 7, 9)}
    writes: list[Callable[[], None]] = [
        lambda: store.append(frame, QUARANTINE, Transaction("lost", 0)),
        lambda: store.commit([file], QUARANTINE, Transaction("lost", 0)),
        lambda: store.append_rows([ledger_row(99)], SCORING_LEDGER),
        lambda: store.append_rows([ledger_row(99)], SCORING_LEDGER, Transaction("lost", 0)),
        lambda: store.replace_partitions([day], WINDOW_FACTS),
    ]
    before = store.versions(QUARANTINE, SCORING_LEDGER, WINDOW_FACTS)
    for write in writes:
        with pytest.raises(LockedError, match="has lost its lease of score"):
            write()
    assert store.versions(QUARANTINE, SCORING_LEDGER, WINDOW_FACTS) == before


def test_many_small_files_become_one_and_a_stream_sees_each_row_once(
    spark: SparkSession, tmp_path: Path
) -> None:
    store, seen = Store(spark, str(tmp_path), CATALOG), []
    store.create_missing()

    def read() -> None:
        query = run(
            store,
            "reader",
            store.read_stream(QUARANTINE),
            lambda rows, _: seen.extend(lines(rows)),
            NOW,
        )
        run_all([query], NOW)

    limit = "spark.databricks.delta.autoCompact.minNumFiles"
    spark.conf.set(limit, "4")
    try:
        for place in range(5):
            frame = rows(spark, QUARANTINE.schema, [{"source": "readings", "line": place}])
            store.append(frame, QUARANTINE, Transaction("a", place))
            assert store.rows_appended(QUARANTINE) == 1  # also where the files became one after it
            if place in (1, 4):  # between the two the files become one
                read()
    finally:
        spark.conf.unset(limit)
    delta = DeltaTable(store.path(QUARANTINE))
    assert "OPTIMIZE" in {each["operation"] for each in delta.history()}
    assert len(delta.file_uris()) < 4
    assert sorted(seen) == sorted(lines(store.read(QUARANTINE))) == [0, 1, 2, 3, 4]


def lines(frame: DataFrame) -> list[int]:
    return [row["line"] for row in frame.collect()]


def test_rows_of_the_driver_are_appended_once_for_each_transaction(store: Store) -> None:
    def append(batch: int, *transactions: Transaction) -> None:
        store.append_rows([ledger_row(batch)], SCORING_LEDGER, *transactions)

    append(0, Transaction("a", 0))
    append(1, Transaction("a", 0))  # the very first version counts as well
    append(2, Transaction("a", 1))
    append(3, Transaction("b", 0))
    append(4)
    append(4)  # without a transaction nothing is held back
    append(5, Transaction("c", 3), Transaction("d", 7))  # of several at once
    append(6, Transaction("d", 7))
    assert store.reached(SCORING_LEDGER, ["c", "d", "e"]) == {"c": 3, "d": 7, "e": None}
    found = store.rows(SCORING_LEDGER)
    assert sorted(row["batch_id"] for row in found) == [0, 2, 3, 4, 4, 5]
    assert {row["resolved_at"] for row in found} == {None}  # what a row lacks is null
    assert store.rows(SCORING_LEDGER, pc.field("batch_id") == 2, ["batch_id"]) == [{"batch_id": 2}]


def test_partitions_are_replaced_whole_and_the_others_stay(store: Store) -> None:
    def fact(day: int, hour: int, version: str) -> dict[str, Any]:
        start = moment(f"2019-07-0{day}T{hour:02}:00:00")
        return {
            "window_start": start,
            "model_version": version,
            "window_date": dt.date(2019, 7, day),
        }

    store.replace_partitions(
        [fact(1, 0, "old"), fact(1, 1, "old"), fact(2, 0, "old"), fact(3, 0, "old")], WINDOW_FACTS
    )
    version = store.version(WINDOW_FACTS)
    # day 1 loses its second hour, day 3 gets a second one, day 2 is not mentioned
    store.replace_partitions(
        [fact(1, 0, "new"), fact(3, 0, "new"), fact(3, 5, "new")], WINDOW_FACTS
    )
    found = {
        (row["window_start"].day, row["window_start"].hour, row["model_version"])
        for row in store.rows(WINDOW_FACTS)
    }
    assert found == {(1, 0, "new"), (2, 0, "old"), (3, 0, "new"), (3, 5, "new")}

    def days(partitions: str) -> list[int]:
        return sorted(
            row["window_date"].day
            for row in store.rows(WINDOW_FACTS, None, ["window_date"], partitions)
        )

    assert days(on_days({dt.date(2019, 7, 3), dt.date(2019, 7, 1)})) == [1, 3, 3]
    assert days(since_day(moment("2019-07-02T23:59:00"))) == [2, 3, 3]
    assert store.version(WINDOW_FACTS) == version + 1  # in one commit
    with pytest.raises(StoreError, match=r"gold\.window_facts: no rows, so no partitions"):
        store.replace_partitions([], WINDOW_FACTS)


def test_what_another_process_has_committed_is_seen_even_where_its_commits_have_been_cleaned_up(
    spark: SparkSession, tmp_path: Path
) -> None:
    ours, other = (Store(spark, str(tmp_path), CATALOG) for _ in range(2))
    ours.create_missing()
    for batch in range(3):
        other.append_rows([ledger_row(batch)], SCORING_LEDGER)
        assert len(ours.rows(SCORING_LEDGER)) == ours.version(SCORING_LEDGER) == batch + 1
    for batch in (3, 4):
        other.append_rows([ledger_row(batch)], SCORING_LEDGER)
    DeltaTable(other.path(SCORING_LEDGER)).create_checkpoint()
    for commit in sorted(Path(other.path(SCORING_LEDGER), "_delta_log").glob("*.json"))[:-1]:
        commit.unlink()
    assert len(ours.rows(SCORING_LEDGER)) == 5
    ours.append_rows([ledger_row(5)], SCORING_LEDGER)
    assert len(other.rows(SCORING_LEDGER)) == 6


def test_an_older_copy_of_a_table_that_was_put_back_is_read_as_it_is(
    spark: SparkSession, tmp_path: Path
) -> None:
    store = Store(spark, str(tmp_path / "lakehouse"), CATALOG)
    store.create_missing()
    store.append_rows([ledger_row(0)], SCORING_LEDGER)
    path, copy = store.path(SCORING_LEDGER), tmp_path / "copy"
    shutil.copytree(path, copy)
    store.append_rows([ledger_row(1)], SCORING_LEDGER)
    shutil.rmtree(path)
    shutil.copytree(copy, path)
    assert [row["batch_id"] for row in store.rows(SCORING_LEDGER)] == [0]
    store.append_rows([ledger_row(2)], SCORING_LEDGER)
    assert sorted(row["batch_id"] for row in store.rows(SCORING_LEDGER)) == [0, 2]


def test_partitions_without_a_value_are_replaced_too(store: Store) -> None:
    table = CATALOG.profile_metrics

    def baseline(version: str, count: int) -> dict[str, Any]:
        return {
            "log_type": "BASELINE",
            "model_version": version,
            "column_name": "x",
            "count": count,
        }

    def window(day: int) -> dict[str, Any]:
        date = dt.date(2019, 7, day)
        return {
            "log_type": "INPUT",
            "granularity": "1 day",
            "window_date": date,
            "model_version": "1",
        }

    store.replace_partitions([baseline("1", 1), window(1)], table)
    store.replace_partitions([baseline("1", 2), baseline("2", 3)], table)
    assert sorted((row["log_type"], row["count"] or 0) for row in store.rows(table)) == [
        ("BASELINE", 2),
        ("BASELINE", 3),
        ("INPUT", 0),
    ]
    assert {row["log_type"] for row in store.rows(table, partitions=NO_DAY)} == {"BASELINE"}


def test_a_column_that_the_settings_named_once_stays_and_is_null_from_then_on(
    spark: SparkSession, tmp_path: Path
) -> None:
    def stored(*custom: str) -> Store:
        own = [
            {
                "name": name,
                "type": "aggregate",
                "input_columns": [":table"],
                "definition": "count('it\\'s \\\\d')",
            }
            | {"output_data_type": "double"}
            for name in custom
        ]
        metrics = MODEL.metrics.model_validate({**MODEL.metrics.model_dump(), "custom": own})
        store = Store(
            spark, str(tmp_path), catalog_of(MODEL.model_copy(update={"metrics": metrics}))
        )
        store.create_missing()
        return store

    def put(store: Store, day: int, **values: float) -> None:
        row = {"granularity": "1 day", "window_date": dt.date(2019, 7, day), **values}
        store.replace_partitions([row], store.catalog.profile_metrics)

    put(stored(), 1)
    put(stored("pieces"), 2, pieces=5.0)
    last = stored("others")
    put(last, 3, others=7.0)
    found = {
        row["window_date"].day: (row["pieces"], row["others"])
        for row in last.rows(last.catalog.profile_metrics)
    }
    assert found == {1: (None, None), 2: (5.0, None), 3: (None, 7.0)}


def test_a_table_of_other_columns_is_refused_with_all_differences(
    spark: SparkSession, tmp_path: Path
) -> None:
    store = Store(spark, str(tmp_path), CATALOG)
    strange = pa.table({"query_id": ["q"], "batch_id": ["not a number"], "colour": ["blue"]})
    write_deltalake(store.path(SCORING_LEDGER), strange)
    with pytest.raises(StoreError) as error:
        store.create_missing()
    what, differences = str(error.value).split(": ")
    assert what == f"silver.scoring_ledger in {tmp_path}"
    assert differences.split("; ") == [
        "batch_id is string, declared bigint",
        "colour is string, not declared",
    ]


def test_rows_of_other_columns_are_refused_before_a_write(
    store: Store, spark: SparkSession
) -> None:
    before = store.version(QUARANTINE)
    with pytest.raises(
        StoreError,
        match=r"rows for silver\.quarantine: raw is missing, declared string; .*line is int",
    ):
        store.append(spark.sql("select 'a' as source, 1 as line"), QUARANTINE, Transaction("c", 0))
    assert store.version(QUARANTINE) == before


def test_a_table_that_is_never_changed_refuses_to_be(store: Store) -> None:
    store.append_rows([ledger_row(9)], SCORING_LEDGER)
    with pytest.raises(Exception, match=r"(?i)append"):
        DeltaTable(store.path(SCORING_LEDGER)).delete("batch_id = 9")


def test_files_that_cannot_hold_a_key_are_known_by_their_statistics(store: Store) -> None:
    def may_hold(least: int | None, greatest: int | None) -> bool:
        return store.may_hold(CATALOG.labels, "pid", least, greatest)

    assert not may_hold(1, 9)  # an empty table
    for low, high in ((10, 20), (30, 40)):
        store.append_rows([{"pid": low}, {"pid": high}], CATALOG.labels)
    assert not may_hold(None, None)  # no keys
    assert [may_hold(*each) for each in ((1, 9), (21, 29), (41, 99))] == [False] * 3
    assert [may_hold(*each) for each in ((1, 10), (20, 29), (15, 15), (40, 41), (1, 99))] == [
        True
    ] * 5


HOLD = """
import sys
from lakehouse.settings import load_model_settings
from lakehouse.storage.store import Store
from lakehouse.storage.queries import AVAILABLE_NOW as NOW
from lakehouse.storage.queries import run, run_all
from lakehouse.tables import QUARANTINE, SCORING_LEDGER, catalog_of
store = Store(None, sys.argv[1], catalog_of(load_model_settings("conf/glassware.yaml")))
with store.writing(QUARANTINE, SCORING_LEDGER):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_two_processes_cannot_write_one_table(store: Store) -> None:
    command = [sys.executable, "-c", HOLD, store.root]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout and other.stdout.readline() == "held\n"
        with (
            pytest.raises(
                LockedError,
                match=r"silver\.quarantine of .* is being written by .* \(process \d+ of .*\) since 20",
            ),
            store.writing(QUARANTINE, WINDOW_FACTS),
        ):
            pytest.fail("the table was written twice at once")
        with store.writing(
            WINDOW_FACTS
        ):  # another table; and what was taken before the refusal was given back
            pass
        other.communicate("\n")
    with store.writing(QUARANTINE):  # the other process has ended
        pass


def test_a_root_holds_one_model(spark: SparkSession, tmp_path: Path) -> None:
    def open_as(model: ModelSettings) -> None:
        open_lakehouse(spark, model, EnvironmentSettings(root=str(tmp_path)))

    open_as(MODEL)
    open_as(MODEL)
    other = MODEL.model_copy(update={"name": "ceramics"})
    with pytest.raises(
        ConfigurationError, match="holds the model glassware; write another root for ceramics"
    ):
        open_as(other)
