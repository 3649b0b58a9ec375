"""What is put on record of landed files, and in which runs they are read."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.ingest.landing.inspection import Inspected, Part
from lakehouse.ingest.landing.listing import Listed, Listing
from lakehouse.ingest.landing.runs import (
    GONE,
    LANDED,
    SAME,
    UNREADABLE,
    FileRecord,
    Stock,
    Unread,
    in_batches,
    in_runs,
    in_tasks,
    landing_time,
    newest,
    numbered_together,
    to_inspect,
)
from lakehouse.settings.model import StreamSettings
from tests.support.rows import moment

STREAM = StreamSettings(began=moment("2024-03-01T00:00:00"))
SEEN = moment("2024-03-05T00:00:00")
LISTED = Listed("a.jsonl", 7, moment("2024-03-04T00:00:00"), "one")


def listing(*files: Listed, **unreadable: str) -> Listing:
    return Listing({each.name: each for each in files}, unreadable=unreadable)


def stock(*known: FileRecord) -> Stock:
    return Stock("reading", newest(known), STREAM, SEEN)


def inspected(digest: str = "d", lines: int = 3) -> Inspected:
    return Inspected(7, digest, (Part(0, 7, 0, lines),))


@pytest.mark.parametrize(
    ("modified_at", "is_odd"),
    [
        ("1970-01-01T00:00:00", True),
        ("2024-02-29T23:59:59", True),
        ("2024-03-01T00:00:00", False),
        ("2024-03-05T00:05:00", False),  # clocks may differ
        ("2024-03-05T00:05:01", True),
        (None, True),
    ],
)
def test_a_modification_time_that_cannot_be_gives_way_to_the_moment_of_the_first_look(
    modified_at: str | None, is_odd: bool
) -> None:
    given_time = moment(modified_at) if modified_at else None
    landed_at, words = landing_time(given_time, STREAM, SEEN)
    assert landed_at == (SEEN if is_odd else given_time)
    assert (words is not None) == is_odd


def test_a_file_is_looked_into_when_it_is_new_or_may_have_changed() -> None:
    [read] = stock().records(listing(LISTED), {"a.jsonl": inspected()}, first_id=1)
    known = newest([read])
    assert to_inspect(listing(LISTED), known, "reading") == []
    for other in (
        Listed("a.jsonl", 8, LISTED.modified_at, "one"),
        Listed("a.jsonl", 7, LISTED.modified_at, "two"),
    ):
        assert to_inspect(listing(other), known, "reading") == [other]
    assert to_inspect(listing(LISTED), known, "truth") == [LISTED]


def test_content_that_is_known_is_not_read_again_and_other_content_is_another_coming() -> None:
    [read] = stock().records(listing(LISTED), {"a.jsonl": inspected()}, first_id=1)
    [same] = stock(read).records(listing(LISTED), {"a.jsonl": inspected()}, first_id=2)
    assert (same.status, same.landed_file_id, same.parts) == (SAME, None, ())
    [again] = stock(read, same).records(listing(LISTED), {"a.jsonl": inspected("e")}, first_id=2)
    assert (again.status, again.landed_file_id) == (LANDED, 2)


def test_a_file_that_could_not_be_read_meanwhile_is_still_known_by_its_content() -> None:
    [read] = stock().records(listing(LISTED), {"a.jsonl": inspected()}, first_id=1)
    [barred] = stock(read).records(
        listing(LISTED), {"a.jsonl": Unread("no permission", False)}, first_id=2
    )
    assert (barred.status, barred.signature) == (UNREADABLE, None)  # it is tried each time
    [same] = stock(read, barred).records(listing(LISTED), {"a.jsonl": inspected()}, first_id=2)
    assert same.status == SAME


def test_what_was_said_of_a_file_is_not_said_again_and_its_end_is() -> None:
    [damaged] = stock().records(
        listing(LISTED), {"a.jsonl": Unread("it is empty", True)}, first_id=1
    )
    assert (
        stock(damaged).records(
            listing(LISTED), {"a.jsonl": Unread("it is empty", True)}, first_id=1
        )
        == []
    )
    [gone] = stock(damaged).records(listing(), {}, first_id=1)
    assert (gone.status, gone.source_file) == (GONE, "reading/a.jsonl")
    assert stock(damaged, gone).records(listing(), {}, first_id=1) == []


def test_files_are_numbered_in_the_order_of_their_landing() -> None:
    files = [
        Listed(name, 7, moment(f"2024-03-0{day}T00:00:00"), "one")
        for name, day in (("a", 3), ("b", 2), ("c", 3))
    ]
    found = stock().records(
        listing(*files), {each.name: inspected(each.name) for each in files}, first_id=5
    )
    assert [(each.source_file, each.landed_file_id) for each in found] == [
        ("reading/b", 5),
        ("reading/a", 6),
        ("reading/c", 7),
    ]


SIZES = st.lists(st.lists(st.integers(1, 40), min_size=1, max_size=5), min_size=1, max_size=8)


@given(sizes=SIZES, bound=st.integers(1, 60), tasks=st.integers(1, 4))
def test_runs_and_tasks_hold_each_part_once_in_order(
    sizes: list[list[int]], bound: int, tasks: int
) -> None:
    records = []
    for number, own in enumerate(sizes, start=1):
        ends = [sum(own[: place + 1]) for place in range(len(own))]
        parts = tuple(
            Part(end - size, end, place, 1)
            for place, (size, end) in enumerate(zip(own, ends, strict=True))
        )
        records.append(FileRecord("reading", f"{number}", LANDED, SEEN, number, parts=parts))
    expected = [(record, part) for record in records for part in record.parts]
    runs = in_runs(records, bound)
    assert [pair for run in runs for pair in run.parts] == expected
    assert all(run.size >= bound for run in runs[:-1])
    for run in runs:
        cut = in_tasks(run, tasks)
        assert [pair for task in cut for pair in task] == list(run.parts)
        assert len(cut) <= tasks + 1
    batches = list(in_batches(records, bound))
    assert [record for batch in batches for record in batch] == records
    for batch in batches:
        assert (
            len(batch) == 1 or sum(part.size for record in batch for part in record.parts) <= bound
        )


@given(changes=st.lists(st.sampled_from(["read", "touch", "bar", "remove", "nothing"]), max_size=8))
def test_whatever_happens_to_a_file_each_content_is_read_once(changes: list[str]) -> None:
    known: list[FileRecord] = []
    reads = contents = 0
    for number, change in enumerate(["read", *changes]):
        seen_at = SEEN + dt.timedelta(minutes=number)
        contents += change == "read"
        here = Listed("a.jsonl", 7, LISTED.modified_at, f"{number}" if change != "nothing" else "0")
        if change == "remove":
            found = Stock("reading", newest(known), STREAM, seen_at).records(listing(), {}, 1)
        else:
            result = Unread("no permission", False) if change == "bar" else inspected(f"{contents}")
            found = Stock("reading", newest(known), STREAM, seen_at).records(
                listing(here), {"a.jsonl": result}, 1
            )
        reads += sum(record.status == LANDED for record in found)
        known += found
    assert reads == contents


def test_files_of_all_sources_are_numbered_together_in_the_order_of_their_landing() -> None:
    def landed(source: str, number: int, minute: int) -> FileRecord:
        at = SEEN + dt.timedelta(minutes=minute)
        return FileRecord(source, f"{source}/{number}", LANDED, SEEN, number, landed_at=at)

    gone = FileRecord("reading", "reading/gone", GONE, SEEN)
    news = [landed("repair", 7, 5), landed("repair", 8, 9), landed("reading", 9, 1), gone]
    found = numbered_together([*news, landed("reading", 10, 5)])
    assert [(record.source_file, record.landed_file_id) for record in found] == [
        ("reading/9", 7),
        ("repair/7", 8),
        ("reading/10", 9),
        ("repair/8", 10),
        ("reading/gone", None),
    ]
