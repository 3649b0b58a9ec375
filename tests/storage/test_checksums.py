"""Beside each commit of delta-rs lies Delta's checksum, so that Spark opens a table without a job."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from pyspark.sql import SparkSession

from lakehouse.settings import load_model_settings
from lakehouse.storage.delta import checksums
from lakehouse.storage.delta.checksums import after, write_checksum
from lakehouse.storage.plain_tables import append_rows
from lakehouse.storage.store import Store, Transaction
from lakehouse.tables import QUARANTINE, SCORING_LEDGER, WINDOW_FACTS, Table, catalog_of
from tests.support.rows import rows

CATALOG = catalog_of(load_model_settings("conf/glassware.yaml"))


@pytest.fixture
def store(tmp_path: Path, spark: SparkSession) -> Store:
    store = Store(spark, str(tmp_path), CATALOG)
    store.create_missing()
    return store


def ledger_row(batch: int) -> dict[str, Any]:
    return {"query_id": "q", "batch_id": batch, "model_version": "1"}


def file_of(store: Store, table: Table, version: int | None = None) -> Path:
    number = store.version(table) if version is None else version
    return Path(store.path(table)) / "_delta_log" / f"{number:020}.crc"


def forget_checksums(store: Store, table: Table) -> None:
    """Leave the table as releases before 0.3 did."""
    for file in (Path(store.path(table)) / "_delta_log").glob("*.crc"):
        file.unlink()


def check(store: Store, table: Table) -> None:
    """Compare the newest checksum with what delta-rs and the log's first commit say."""
    found = json.loads(file_of(store, table).read_text())
    delta = DeltaTable(store.path(table))
    sizes = delta.get_add_actions().column("size_bytes").to_pylist()
    assert (found["numFiles"], found["tableSizeBytes"]) == (len(sizes), sum(sizes))
    first = file_of(store, table, 0).with_suffix(".json").read_text().splitlines()
    actions = {kind: each for line in first for kind, each in json.loads(line).items()}
    assert (found["metadata"], found["protocol"]) == (actions["metaData"], actions["protocol"])
    for each in found["setTransactions"]:
        assert delta.transaction_version(each["appId"]) == each["version"]


def test_each_commit_of_the_driver_leaves_the_checksum_of_its_version(store: Store) -> None:
    for batch in range(60):  # small files are gathered on the way
        ledger = Transaction("q", batch)
        store.append_rows([ledger_row(batch)], SCORING_LEDGER, ledger)
        check(store, SCORING_LEDGER)
    assert any("OPTIMIZE" in str(each) for each in DeltaTable(store.path(SCORING_LEDGER)).history())
    store.append_rows([{"source": "s", "line": 1}], QUARANTINE)
    check(store, QUARANTINE)


def test_a_new_table_has_a_checksum_and_so_has_what_is_written_without_spark(store: Store) -> None:
    assert file_of(store, QUARANTINE, 0).exists()
    check(store, QUARANTINE)
    append_rows(store.root, QUARANTINE, [{"source": "s", "line": 1}])
    assert store.version(QUARANTINE) == 1
    check(store, QUARANTINE)


def test_partitions_that_are_written_again_are_counted_once(store: Store) -> None:
    for _ in range(3):
        store.replace_partitions([{"window_date": dt.date(2019, 7, 9)}], WINDOW_FACTS)
        check(store, WINDOW_FACTS)


def test_a_checksum_that_a_kill_left_out_is_made_up_by_the_next_commit(store: Store) -> None:
    for batch in range(4):
        store.append_rows([ledger_row(batch)], SCORING_LEDGER, Transaction("q", batch))
    for version in (2, 3, 4):
        file_of(store, SCORING_LEDGER, version).unlink()
    store.append_rows([ledger_row(4)], SCORING_LEDGER, Transaction("q", 4))
    check(store, SCORING_LEDGER)


def test_the_checksum_of_a_commit_that_was_lost_does_not_outlive_the_next_one(store: Store) -> None:
    store.append_rows([ledger_row(0)], SCORING_LEDGER, Transaction("q", 0))
    file_of(store, SCORING_LEDGER, 2).write_text('{"numFiles": 77}')
    store.append_rows([ledger_row(1)], SCORING_LEDGER, Transaction("q", 1))
    check(store, SCORING_LEDGER)


@pytest.mark.parametrize("content", ["", "{", '{"numFiles": 1}', "[]"])
def test_a_damaged_checksum_is_passed_over(store: Store, content: str) -> None:
    store.append_rows([ledger_row(0)], SCORING_LEDGER, Transaction("q", 0))
    file_of(store, SCORING_LEDGER, 1).write_text(content)
    store.append_rows([ledger_row(1)], SCORING_LEDGER, Transaction("q", 1))
    check(store, SCORING_LEDGER)


def test_a_disk_that_takes_no_checksum_takes_the_commit(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checksums, "_write", full)
    store.append_rows([ledger_row(0)], SCORING_LEDGER, Transaction("q", 0))
    assert store.count(SCORING_LEDGER) == 1
    assert not file_of(store, SCORING_LEDGER).exists()


def test_a_log_without_its_beginning_or_a_checksum_gets_none(tmp_path: Path) -> None:
    for number in range(3):
        write_deltalake(tmp_path, pa.table({"i": [number]}), mode="append")
    (tmp_path / "_delta_log" / f"{0:020}.json").unlink()
    write_checksum(str(tmp_path), 2)
    assert not list((tmp_path / "_delta_log").glob("*.crc"))


def test_a_table_without_checksums_begins_at_its_last_checkpoint(store: Store) -> None:
    for batch in range(120):  # more commits than are read
        store.append_rows([ledger_row(batch)], SCORING_LEDGER, Transaction(f"q{batch % 3}", batch))
        if batch == 60:
            DeltaTable(store.path(SCORING_LEDGER)).create_checkpoint()
    wanted = json.loads(file_of(store, SCORING_LEDGER).read_text())
    forget_checksums(store, SCORING_LEDGER)
    write_checksum(store.path(SCORING_LEDGER), store.version(SCORING_LEDGER))
    found = json.loads(file_of(store, SCORING_LEDGER).read_text())
    for each in (found, wanted):
        each["setTransactions"].sort(key=lambda action: action["appId"])
    assert found == wanted


def test_a_checkpoint_of_the_newest_version_is_enough(store: Store) -> None:
    store.append_rows([{"source": "s", "line": 1}], QUARANTINE, Transaction("q", 0))
    wanted = file_of(store, QUARANTINE).read_text()
    forget_checksums(store, QUARANTINE)
    DeltaTable(store.path(QUARANTINE)).create_checkpoint()
    write_checksum(store.path(QUARANTINE), store.version(QUARANTINE))
    assert json.loads(file_of(store, QUARANTINE).read_text()) == json.loads(wanted)


def test_a_damaged_checkpoint_gives_no_checksum(store: Store) -> None:
    store.append_rows([{"source": "s", "line": 1}], QUARANTINE)
    forget_checksums(store, QUARANTINE)
    file_of(store, QUARANTINE).with_suffix(".checkpoint.parquet").write_bytes(b"PAR1")
    write_checksum(store.path(QUARANTINE), store.version(QUARANTINE))
    assert not file_of(store, QUARANTINE).exists()


@pytest.mark.parametrize(
    "action",
    [
        {"remove": {"path": "x"}},
        {"add": {"path": "x", "size": 1, "deletionVector": {"cardinality": 1}}},
        {"domainMetadata": {"domain": "d"}},
    ],
)
def test_a_commit_that_does_not_tell_enough_has_no_checksum(action: dict[str, Any]) -> None:
    assert after({"numFiles": 1, "tableSizeBytes": 1, "setTransactions": []}, [action]) is None


def test_transactions_are_left_out_where_they_are_many_or_the_last_checksum_has_none() -> None:
    counts = {"numFiles": 0, "tableSizeBytes": 0}
    several = [{"txn": {"appId": f"a{number}", "version": 1}} for number in range(101)]
    known = after({**counts, "setTransactions": []}, several[:100])
    assert known is not None
    assert known["setTransactions"] == [each["txn"] for each in several[:100]]
    too_many = after(known, several[100:])
    assert too_many == {**counts, "setTransactions": None}
    assert after(too_many, several[:1]) == too_many


def test_a_checksum_of_spark_without_transactions_is_gone_on_from(store: Store) -> None:
    store.append_rows([ledger_row(0)], SCORING_LEDGER, Transaction("q", 0))
    before = file_of(store, SCORING_LEDGER)
    found = json.loads(before.read_text())
    del found["setTransactions"]
    before.write_text(json.dumps(found))
    store.append_rows([ledger_row(1)], SCORING_LEDGER, Transaction("q", 1))
    after_it = json.loads(file_of(store, SCORING_LEDGER).read_text())
    assert after_it["numFiles"] == found["numFiles"] + 1
    assert "setTransactions" not in after_it


def test_spark_opens_a_table_by_the_checksum_and_finds_all_of_it(
    store: Store, spark: SparkSession
) -> None:
    for batch in range(3):
        store.append_rows([{"source": f"s{batch}", "line": 1}], QUARANTINE, Transaction("q", batch))
    log = spark._jvm.org.apache.spark.sql.delta.DeltaLog.forTable(  # type: ignore[union-attr]
        spark._jsparkSession, store.path(QUARANTINE)
    )
    snapshot = log.update(False, *(getattr(log, f"update$default${n}")() for n in (2, 3)))
    assert snapshot.checksumOpt().isDefined()
    assert snapshot.validateChecksum(getattr(snapshot, "validateChecksum$default$1")())
    frame = rows(spark, QUARANTINE.schema, [{"source": "by Spark", "line": 1}])
    store.append(frame, QUARANTINE, Transaction("q", 3))
    store.append(frame, QUARANTINE, Transaction("q", 3))  # once, by the checksum's transactions
    store.append_rows([{"source": "after", "line": 1}], QUARANTINE, Transaction("q", 4))
    check(store, QUARANTINE)
    found = [row["source"] for row in store.read(QUARANTINE).collect()]
    assert sorted(found) == ["after", "by Spark", "s0", "s1", "s2"]
