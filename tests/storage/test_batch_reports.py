"""Spark's progress of a micro-batch becomes a report: seconds, and the versions that were read."""

import pytest

from lakehouse.storage.batch_reports import SourceSpan, did_work, finished
from tests.support.batch_reports import AT, attempt, offset, progress


def test_durations_are_seconds_by_phase_and_their_total() -> None:
    found = finished(progress(7), attempt())
    assert (found.query, found.query_id, found.number) == ("score", "q", 7)
    assert found.began_at == AT
    assert found.seconds == 2.0
    assert found.phases == {"addBatch": 1.5, "latestOffset": 0.25}


@pytest.mark.parametrize(
    ("start", "end", "first", "until"),
    [
        (offset(1), offset(3), 1, 3),
        (None, offset(3), None, 3),
        # Version 3 was read in part: its other files are the next batch's, and count as read here.
        (offset(1), offset(3, index=4), 1, 4),
        ('{"reservoirVersion": 1, "index": -1}', '{"reservoirVersion": 2, "index": -1}', 1, 2),
    ],
)
def test_an_offset_says_which_versions_were_read(start, end, first, until) -> None:
    source = {"description": "DeltaSource[file:/a b/silver/t]"} | {
        "startOffset": start,
        "endOffset": end,
    }
    found = finished(progress(sources=[source]), attempt())
    assert found.sources == (SourceSpan("/a b/silver/t", first, until),)


def test_a_source_that_is_no_delta_table_tells_nothing() -> None:
    source = {"description": "FileStreamSource[file:/in]", "startOffset": None, "endOffset": None}
    assert finished(progress(sources=[source]), attempt()).sources == ()


def test_what_spark_tells_while_a_stream_waits_is_no_batch() -> None:
    assert did_work(progress())
    assert not did_work(progress(durationMs={"latestOffset": 3, "triggerExecution": 3}))
