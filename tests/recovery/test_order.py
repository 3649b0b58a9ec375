"""Which lines and which readings a micro-batch had, by what is on record."""

import datetime as dt
from collections import Counter

import pytest

from lakehouse.errors import RecoveryError
from lakehouse.ingest.landing.runs import FileRecord
from lakehouse.recovery.comparison import differences
from lakehouse.recovery.lines import LinesOfBatch, files_of, in_order
from lakehouse.recovery.predictions import stretches_of
from lakehouse.recovery.records import together

AT = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)


def resolved(query: str, number: int, version: str, hours: int) -> dict[str, object]:
    return {
        "query_id": query,
        "batch_id": number,
        "model_version": version,
        "resolved_at": AT + dt.timedelta(hours=hours),
    }


def cost(query: str, number: int, rows: int) -> dict[str, object]:
    return {"query_id": query, "batch_id": number, "rows": rows}


def places(*found: object) -> list[tuple[object, ...]]:
    return [(each.binding.version, each.first, each.end) for each in found]  # type: ignore[attr-defined]


def test_a_new_checkpoints_batches_come_after_those_of_the_old_one() -> None:
    """Its numbers begin at 0 again, and it has the rows alone that the old one has not scored."""
    ledger = [resolved("new", 0, "2", 9), resolved("old", 0, "1", 1), resolved("old", 1, "1", 2)]
    costs = [cost("new", 0, 3), cost("old", 0, 4), cost("old", 1, 0)]
    assert places(*stretches_of(ledger, costs, Counter())) == [
        ("1", 0, 4),
        ("1", 4, 4),
        ("2", 4, 7),
    ]


def test_a_clock_that_was_set_back_changes_no_order_within_a_stream() -> None:
    ledger = [resolved("q", 0, "1", 5), resolved("q", 1, "2", 1)]
    costs = [cost("q", 0, 2), cost("q", 1, 2)]
    assert places(*stretches_of(ledger, costs, Counter())) == [("1", 0, 2), ("2", 2, 4)]


def test_readings_without_a_finite_prediction_take_their_place() -> None:
    ledger = [resolved("q", 0, "1", 1), resolved("q", 1, "2", 2)]
    costs = [cost("q", 0, 2), cost("q", 1, 2)]
    found = stretches_of(ledger, costs, Counter({("q", 0): 3}))
    assert places(*found) == [("1", 0, 5), ("2", 5, 7)]


def test_a_batch_that_was_cut_off_leaves_its_readings_waiting() -> None:
    ledger = [resolved("q", 0, "1", 1), resolved("q", 1, "2", 2)]
    assert places(*stretches_of(ledger, [cost("q", 0, 2)], Counter())) == [("1", 0, 2)]


def test_a_hole_in_what_is_on_record_is_not_guessed_over() -> None:
    ledger = [resolved("q", number, "1", number) for number in range(3)]
    with pytest.raises(RecoveryError, match="micro-batch 1 of scoring"):
        stretches_of(ledger, [cost("q", 0, 2), cost("q", 2, 2)], Counter())


def record(file_id: int, status: str = "landed") -> FileRecord:
    return FileRecord("reading", f"reading/{file_id}", status, AT, landed_file_id=file_id)


def test_files_that_were_lost_before_they_were_read_are_of_the_batch_between_them() -> None:
    records = [*map(record, range(1, 7)), record(3, "unreadable"), record(5, "unreadable")]
    lines = LinesOfBatch("q", 0, frozenset({2, 4}), AT)
    assert [each.landed_file_id for each in files_of(lines, records)] == [2, 3, 4]


def test_batches_of_ingest_are_taken_in_stream_by_stream() -> None:
    def batch(query: str, number: int, hours: int) -> LinesOfBatch:
        return LinesOfBatch(query, number, frozenset({1}), AT + dt.timedelta(hours=hours))

    batches = [batch("b", 0, 5), batch("a", 10, 4), batch("a", 9, 6), batch("a", 0, 1)]
    found = [(each.query_id, each.number) for each in in_order(batches)]
    assert found == [("a", 0), ("a", 9), ("a", 10), ("b", 0)]


def test_of_a_record_and_its_second_copy_nothing_is_lost_and_nothing_is_twice() -> None:
    there, kept = [{"id": 1}, {"id": 2}], [{"id": 2}, {"id": 3}]
    assert together(there, kept, ["id"]) == [{"id": 1}, {"id": 2}, {"id": 3}]


@pytest.mark.parametrize(
    ("there", "found"),
    [
        ({"x": 1.0}, {"x": 1.0 + 1e-6}),
        ({"x": [("a", 1.0)]}, {"x": [("a", 2.0)]}),
        ({"x": {"a": None}}, {"x": {"a": 0}}),
        ({"x": float("nan")}, {"x": 0.0}),
        ({"x": [1, 2]}, {"x": [1]}),
    ],
)
def test_what_differs_is_named(there: dict[str, object], found: dict[str, object]) -> None:
    words = differences([{"id": 7, **there}], [{"id": 7, **found}], ["id"])
    assert words == ['x differs in 1 rows, first of {"id": 7}']


def test_rounding_and_the_time_of_computing_are_no_difference() -> None:
    there = [{"id": 1, "x": {"mean": 0.3, "none": float("nan")}, "as_of": AT}]
    found = [{"id": 1, "x": {"mean": 0.1 + 0.2, "none": float("nan")}, "as_of": None}]
    assert differences(there, found, ["id"], ["as_of"]) == []
    assert differences(there, found, ["id"]) != []
