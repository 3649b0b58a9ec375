"""Reports and passes become rows; what was told once is not told again."""

import datetime as dt

import pytest

from lakehouse.errors import StoreError, exit_code
from lakehouse.operations.rows import (
    Ending,
    Pass,
    backlog,
    batch_row,
    ending_of,
    new_reports,
    run_row,
    total,
)
from lakehouse.storage.delta_log import Added
from lakehouse.tables import BATCH_METRICS, JOB_RUN
from tests.support.batch_reports import AT, PROCESS, SECOND, report, span

READ = Added(2, 900, 192, AT - 10 * SECOND)


def test_a_row_has_the_columns_of_its_table_and_no_others():
    declared = {column.name for column in BATCH_METRICS.columns}
    found = batch_row(report(), READ, Added(), PROCESS, AT)
    assert found.keys() == declared - {"application"}
    done = Pass(1, AT, AT + SECOND, {"ingest": 0.5}, 1)
    assert run_row(PROCESS, done, Ending(), AT).keys() == {each.name for each in JOB_RUN.columns}


def test_what_the_work_counted_comes_before_what_the_logs_tell():
    """Ingest counts lines of landed files; its source is a table of files."""
    counted = report(counts={"rows_in": 575, "files_in": 3, "bytes_in": 9000, "rows_out": 570})
    row = batch_row(counted, READ, None, PROCESS, AT)
    assert (row["rows_in"], row["files_in"], row["bytes_in"]) == (575, 3, 9000)
    row = batch_row(report(counts={"rows_out": 192}), READ, None, PROCESS, AT)
    assert (row["rows_in"], row["files_in"], row["bytes_in"]) == (192, 2, 900)
    assert (row["rows_out"], row["rows_rejected"], row["rows_duplicate"]) == (192, 0, 0)


def test_lag_is_the_age_of_the_oldest_row_read_when_the_batch_had_ended():
    row = batch_row(report(3), READ, None, PROCESS, AT)
    assert row["lag_seconds"] == 10 + 3 + 2


def test_a_failed_attempt_names_its_error_and_claims_no_rows():
    row = batch_row(report(error=StoreError("full")), None, None, PROCESS, AT)
    assert (row["outcome"], row["error_class"]) == ("failed", "StoreError")
    assert (row["rows_in"], row["rows_out"], row["lag_seconds"]) == (None, None, None)


def test_what_waits_is_told_with_the_age_of_the_oldest():
    waiting = Added(3, 600, 40, AT - 90 * SECOND)
    assert backlog(waiting, AT, of_files=False) == {
        "backlog_files": 3,
        "backlog_bytes": 600,
        "backlog_rows": 40,
        "oldest_waiting_seconds": 90.0,
    }
    # The source of ingest is a table whose rows are landed files.
    of_files = backlog(waiting, AT, of_files=True)
    assert (of_files["backlog_files"], of_files["backlog_bytes"]) == (40, None)
    nothing = backlog(Added(), AT, of_files=True)
    assert list(nothing.values()) == [0, 0, 0, None]
    assert backlog(None, AT, of_files=False) == {}


def test_a_batch_on_record_is_not_told_again_and_a_failed_attempt_is():
    reports = [report(4), report(5), report(6, error=StoreError("full")), report(7, query_id="p")]
    new, newest = new_reports(reports, {"q": 4})
    assert [(each.query_id, each.number) for each in new] == [("q", 5), ("q", 6), ("p", 7)]
    # The failed batch comes again, so it is not the newest that is done.
    assert newest == {"q": 5, "p": 7}


def test_a_step_without_a_stream_is_always_told():
    step = report(0, query="backfill", query_id=None)
    assert new_reports([step], {}) == ([step], {})
    assert batch_row(step, None, None, PROCESS, AT)["query_id"] == PROCESS.run_id


def test_several_sources_are_one_sum_and_none_where_one_is_unknown():
    assert total([READ, READ]) == Added(4, 1800, 384, READ.since)
    assert total([READ, None]) is None
    assert total([]) is None


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (StoreError("full"), "refused"),
        (KeyboardInterrupt(), "interrupted"),
        (ValueError("x"), "failed"),
    ],
)
def test_an_ending_follows_from_the_exit_code(error, outcome):
    found = ending_of(exit_code(error), error, "words")
    assert (found.outcome, found.error_class) == (outcome, type(error).__name__)


def test_an_exit_code_alone_is_a_failure_and_0_is_none():
    assert ending_of(1, None, None) == Ending("failed", None, "exit code 1", 1)
    assert ending_of(0, None, None) == Ending("ok", None, None, 0)


def test_a_killed_pass_has_neither_end_nor_seconds():
    row = run_row(PROCESS, Pass(2, AT, None, {}, 0), Ending("killed"), AT + dt.timedelta(hours=1))
    assert (row["ended_at"], row["seconds"], row["pass"]) == (None, None, 2)


def test_the_sources_versions_are_named_by_table():
    row = batch_row(report(sources=(span("/a b/silver/x", 1, 4),)), None, None, PROCESS, AT)
    assert row["source_versions"] == {"silver.x": 4}
